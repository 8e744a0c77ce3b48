"""When DAGs last succeeded, and when they had by given moments: remembered from what is met, and read of their newest runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from airflow_obs.collectors import last_runs
from airflow_obs.collectors.last_runs import AT_ONCE, ROUNDS, date_of, dates, window
from airflow_obs.collectors.run_outcomes import Run
from airflow_obs.sources.database import Session

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
    run, dag = db.schema.table("dag_run"), db.schema.table("dag")
    told: list[sa.ScalarSelect[Any]] = []
    for present in dates(dated):
        runs = window(run, dag, dated, present=present, until=until)
        told.extend(one.scalar_subquery() for one in _told(runs, db.now, until, ordered=present))
    for dag_id, *moments in db.rows(sa.select(dag.c.dag_id, *told).where(dag.c.dag_id.in_(dag_ids))):
        newest, came, unread, hidden = ([one for one in moments[number::4] if one is not None] for number in range(4))
        since = max([*unread, *hidden], default=_EVER)
        yield _Found(dag_id, until, max(newest, default=None), min(came, default=None), since)


def _told(runs: sa.Subquery, now: datetime, until: datetime | None, *, ordered: bool) -> Iterator[sa.Select[Any]]:
    """Of these runs the last success and the first start; until when there may be others, and until when one was hidden."""
    success = sa.select(sa.func.max(runs.c.end_date)).where(runs.c.state == _SUCCESS)
    yield success if until is None else success.where(runs.c.end_date <= until)
    yield sa.select(sa.func.min(runs.c.start_date))
    moment = sa.literal(now, runs.c.end_date.type)
    end = sa.func.coalesce(runs.c.end_date, moment)
    # What is dated before all of them ended before one of them did.
    others = sa.func.min(end) if ordered else moment
    yield sa.select(sa.case((sa.func.count() >= last_runs.WINDOW, others))).select_from(runs)
    # Clearing a run takes its end, and its next one takes the place.
    yield sa.select(sa.func.max(end)).where(runs.c.cleared)
