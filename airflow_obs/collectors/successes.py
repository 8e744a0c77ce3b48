"""When DAGs last succeeded, and when they had by given moments: remembered from what is met, and read of their newest runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from airflow_obs.collectors import last_runs
from airflow_obs.collectors.last_runs import AT_ONCE, ROUNDS, date_of, dates, window
from airflow_obs.collectors.live import of_each_dag
from airflow_obs.collectors.run_outcomes import Run
from airflow_obs.sources.database import Session
from airflow_obs.sources.schema import Moment

AT_LEAST = 20
"""DAGs that every read looks up: so few are looked up each time, and a run that somebody marks is met at once."""

_SUCCESS = "success"
_EVER = datetime.min.replace(tzinfo=UTC)


@dataclass
class _Dag:
    """What is remembered of one DAG: the ends of successes that are asked for, and in which read it was looked up last.

    `came` is when it was first seen, or the first run of it that was read began. `since` is from when on no success can have been
    missed: of all (None), and of those by a moment.
    """

    came: datetime
    since: dict[datetime | None, datetime]
    ends: frozenset[datetime] = field(default=frozenset())
    looked_up: int = 0


@dataclass(frozen=True)
class _Found:
    """What the newest runs of a DAG tell, or the newest that are dated until a moment: the last success, and as `_Dag` has it."""

    dag_id: str
    moment: datetime | None
    newest: datetime | None
    came: datetime | None
    since: datetime


class Successes:
    """Of each DAG the newest success of all, and the newest by each of some moments. One whose run is cleared later has been one.

    A success is met as its run ends. What ended before is read of the DAG's newest runs by date, and of those by each moment, when
    the DAG is first seen and every now and then: somebody may mark a run as a success that ended otherwise. Of runs without a date
    no index has the newest, so that any are read. What older runs did, and what one did before it was cleared, is unknown.
    """

    def __init__(self) -> None:
        self._dags: dict[str, _Dag] = {}
        self._asked: Mapping[str, Collection[datetime]] = {}
        self._reads = 0

    def forget(self) -> None:
        """Begin anew, as with another database."""
        self._dags = {}

    def watch(self, asked: Mapping[str, Collection[datetime]], now: datetime) -> None:
        """From now on these DAGs, each with the moments, passed and next, by which it is asked for; others are forgotten."""
        self._dags = {dag_id: self._dags.get(dag_id) or _Dag(now, {None: now}) for dag_id in asked}
        self._asked = asked

    def meet(self, ended: Iterable[Run]) -> None:
        """Remember those of these runs that were successes."""
        for run in ended:
            if run.state == _SUCCESS and run.end is not None and run.key.dag_id in self._dags:
                self._dags[run.key.dag_id].ends |= {run.end}

    def look_up(self, db: Session) -> None:
        """Read the newest runs of some of the DAGs, and keep only what is asked for."""
        todo = self._next()
        for found in _look(db, {dag_id: self._asked[dag_id] for dag_id in todo}):
            dag = self._dags[found.dag_id]
            dag.ends |= {found.newest} if found.newest else set()
            dag.came = min(dag.came, found.came or dag.came)
            dag.since[found.moment] = min(dag.since.get(found.moment, found.since), found.since)
        self._reads += 1
        for dag_id in todo:
            self._dags[dag_id].looked_up = self._reads
        for dag_id, dag in self._dags.items():
            asked = self._asked[dag_id]
            dag.ends = _telling(dag.ends, asked)
            dag.since = {moment: since for moment, since in dag.since.items() if moment is None or moment in asked}

    def _next(self) -> list[str]:
        """Those that never were looked up, or else a few for which it is long ago."""
        new = [dag_id for dag_id, dag in self._dags.items() if not dag.looked_up][:AT_ONCE]
        by_age = sorted(self._dags, key=lambda dag_id: self._dags[dag_id].looked_up)
        return new or by_age[: max(AT_LEAST, -(-len(by_age) // ROUNDS))]

    def unknown(self, dag_id: str, start: datetime, by: datetime | None = None) -> bool:
        """Whether a success from `start` on may have been missed, or there was no such DAG by that moment (none: at `start`)."""
        dag = self._dags[dag_id]
        return dag.came > (by or start) or min(dag.since[None], dag.since.get(by, dag.since[None])) > start

    def newest(self, dag_id: str, by: datetime | None = None) -> datetime | None:
        """When its newest success, or the newest until a moment that was asked for, ended; None if none is known."""
        return max((end for end in self._dags[dag_id].ends if by is None or end <= by), default=None)


def _telling(ends: Collection[datetime], moments: Iterable[datetime]) -> frozenset[datetime]:
    """The newest of all, and the newest by each moment."""
    some = [list(ends), *([end for end in ends if end <= moment] for moment in moments)]
    return frozenset(max(each) for each in some if each)


def _look(db: Session, asked: Mapping[str, Iterable[datetime]]) -> Iterator[_Found]:
    """What the runs of each DAG tell: the newest of all, and those by each of its moments that have passed."""
    dag_ids: defaultdict[datetime | None, list[str]] = defaultdict(list)
    for dag_id, moments in asked.items():
        for moment in (None, *(moment for moment in moments if moment <= db.now)):
            dag_ids[moment].append(dag_id)
    for moment, some in dag_ids.items():
        yield from _found(db, some, moment)


def _found(db: Session, dag_ids: Collection[str], until: datetime | None) -> Iterator[_Found]:
    dated = date_of(db.schema)
    if dated is None:
        return
    run = db.schema.table("dag_run")
    told: defaultdict[str, list[Any]] = defaultdict(list)
    for present in dates(dated):

        def ask(dag_id: sa.ColumnElement[str], present: bool = present) -> sa.Select[*tuple[Any, ...]]:
            return _told(db, window(run, dag_id, dated, present=present, until=until), until, ordered=present)

        for *moments, dag_id in of_each_dag(db, dag_ids, ask):
            told[dag_id].append(moments)
    for dag_id, rows in told.items():
        newest, came, unread, hidden = ([one for one in each if one is not None] for each in zip(*rows, strict=True))
        since = max([*unread, *hidden], default=_EVER)
        yield _Found(dag_id, until, max(newest, default=None), min(came, default=None), since)


def _told(db: Session, runs: sa.Subquery, until: datetime | None, *, ordered: bool) -> sa.Select[*tuple[Any, ...]]:
    """Of these runs the last success and the first start; until when there may be others, and until when one was hidden."""
    moment = _now(db)
    success = runs.c.state == _SUCCESS
    end = sa.func.coalesce(runs.c.end_date, moment)
    # What is dated before all of them ended before one of them did.
    others = sa.func.min(end) if ordered else moment
    return sa.select(
        sa.func.max(sa.case((success if until is None else success & (runs.c.end_date <= until), runs.c.end_date))),
        sa.func.min(runs.c.start_date),
        sa.case((sa.func.count() >= last_runs.WINDOW, others)),
        # Clearing a run takes its end, and its next one takes the place.
        sa.func.max(sa.case((runs.c.cleared, end))),
    ).select_from(runs)


def _now(db: Session) -> sa.ColumnElement[datetime]:
    now = sa.literal(db.now, Moment())
    # To MySQL it is a text, and so is what it is chosen from.
    return sa.type_coerce(sa.cast(now, mysql.DATETIME(fsp=6)), Moment()) if db.kind == "mysql" else now
