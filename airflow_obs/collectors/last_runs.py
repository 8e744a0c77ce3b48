"""The newest finished run of each DAG, followed by what is open and what is new: history is never read through."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from airflow_obs.catalog.airflow import UNFINISHED_RUN_STATES
from airflow_obs.collectors.landmarks import Landmarks, look
from airflow_obs.collectors.live import of_each_dag
from airflow_obs.sources.database import Session
from airflow_obs.sources.schema import Schema, Table

TAIL = 5_000
"""Newest runs, of all DAGs together, that the first read looks at."""
OVERLAP = 200
"""Newest runs that every read looks at again: an id that was given out earlier may be committed later."""
WINDOW = 100
"""Newest runs of one DAG in which its last finished one and its last success are looked for."""
AT_ONCE = 500
"""DAGs that one read looks up, and runs that one statement names."""
ROUNDS = 120
"""Reads in which every DAG is looked up anew: someone may have marked a run that was long finished."""
HALF_LIFE = timedelta(days=1)
"""A run that began this long ago counts half as much for its DAG's activity as one that begins now."""

_SUCCESS = "success"
_FINISHED = (_SUCCESS, "failed")


@dataclass(frozen=True)
class FinishedRun:
    """A run that has ended; `started` is None for one that was marked before it had begun."""

    id: int
    success: bool
    started: datetime | None
    ended: datetime


@dataclass(frozen=True)
class OpenRun:
    """A queued or running run."""

    id: int
    dag_id: str
    state: str
    started: datetime | None


class LastRuns:
    """Remembers, per DAG, its newest finished run, its newest success and how many runs it had of late.

    The newest has the greatest id, whatever the clocks of those who wrote its moments said. A finished run is met in one of
    three ways: it was open at the last read and no longer is, its id is new, or it is among the newest of its DAG by logical
    date. All three are found by an index, and what is remembered of a DAG that is looked up is read again each time. What
    nobody meets at once is another run that is marked after it has ended: it is met within ROUNDS reads, if it is among the
    newest WINDOW of its DAG.
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self.last: dict[str, FinishedRun] = {}
        self.last_success: dict[str, FinishedRun] = {}
        self.activity: defaultdict[str, float] = defaultdict(float)
        self._weighed: datetime | None = None
        self._newest_id = 0
        self._landmarks: Landmarks | None = None
        self._open: frozenset[int] = frozenset()
        self._looked_up: dict[str, int] = {}
        self._reads = 0

    def follow(self, db: Session, dag_ids: Collection[str]) -> list[OpenRun]:
        """Meet what has finished since the last call, and forget DAGs that are not among `dag_ids`; returns what is open.

        Everything is forgotten when another database answers, and when more has come since than one read looks at.
        """
        landmarks = look(db, self._landmarks)
        # Open ones first: what ends between the two statements is still among the open, and met the next time.
        open_runs = _open_runs(db)
        newest_id = int(db.one(sa.select(sa.func.max(db.schema.table("dag_run").c.id)))[0] or 0)
        if landmarks.anew or newest_id - self._newest_id > TAIL:
            self._forget()
            known_id = since = newest_id - TAIL
        else:
            # Behind what was known when the newest were deleted: SQLite, or a database put back, gives their ids out again.
            known_id = min(self._newest_id, newest_id)
            since = known_id - OVERLAP
        statement, run_id = _runs(db)
        fresh = db.rows(statement.where(run_id > since))
        open_ids = frozenset(one.id for one in open_runs)
        gone = self._open - open_ids - {row.id for row in fresh}
        met = [*fresh, *_by_id(db, gone)]
        # From here on nothing fails, so that what is remembered is of one moment.
        self._meet(met)
        self._weigh(db.now, [row for row in fresh if row.id > known_id])
        self._open, self._newest_id, self._landmarks = open_ids, newest_id, landmarks
        for kept in (self.last, self.last_success, self.activity, self._looked_up):
            for dag_id in kept.keys() - set(dag_ids):
                del kept[dag_id]
        return open_runs

    def look_up(self, db: Session, dag_ids: Sequence[str]) -> None:
        """Read again what is remembered of these DAGs, and look for the newest runs of those that this leaves without.

        The same goes for those that never were looked up, and else for a few for which it is long ago.
        """
        self._read_again(db, dag_ids)
        new = [dag_id for dag_id in dag_ids if dag_id not in self._looked_up][:AT_ONCE]
        by_age = sorted(dag_ids, key=lambda dag_id: self._looked_up.get(dag_id, -1))
        todo = new or by_age[: -(-len(dag_ids) // ROUNDS)]
        self._meet(_newest_of(db, todo))
        self._reads += 1
        self._looked_up.update(dict.fromkeys(todo, self._reads))

    def _read_again(self, db: Session, dag_ids: Sequence[str]) -> None:
        """Forget runs that were deleted, are open again or are no success any more, so that their DAGs are looked up."""
        kept_runs = (self.last, self.last_success)
        ids = {kept[dag_id].id for kept in kept_runs for dag_id in dag_ids if dag_id in kept}
        rows = {(row.dag_id, row.id): row for row in _by_id(db, ids)}
        for kept, states in zip(kept_runs, (_FINISHED, (_SUCCESS,)), strict=True):
            for dag_id in [one for one in dag_ids if one in kept]:
                row = rows.get((dag_id, kept[dag_id].id))
                if row is None or row.state not in states or row.end_date is None:
                    del kept[dag_id]
                    self._looked_up.pop(dag_id, None)
        self._meet(rows.values())

    def _meet(self, rows: Iterable[Any]) -> None:
        for row in rows:
            if row.state not in _FINISHED or row.end_date is None:
                continue
            run = FinishedRun(row.id, row.state == _SUCCESS, row.start_date, row.end_date)
            for kept in (self.last, self.last_success) if run.success else (self.last,):
                if row.dag_id not in kept or run.id >= kept[row.dag_id].id:
                    kept[row.dag_id] = run

    def _weigh(self, now: datetime, rows: Iterable[Any]) -> None:
        faded = _weight(now - (self._weighed or now))
        for dag_id in self.activity:
            self.activity[dag_id] *= faded
        for row in rows:
            self.activity[row.dag_id] += _weight(now - (row.start_date or now))
        self._weighed = now


def _weight(age: timedelta) -> float:
    return float(0.5 ** max(age / HALF_LIFE, 0.0))


def _open_runs(db: Session) -> list[OpenRun]:
    run = db.schema.table("dag_run")
    statement = sa.union_all(
        *(
            # Spelled into the SQL: a partial index only serves a condition that the planner can see.
            sa.select(run.c.id, run.c.dag_id, run.c.state, run.optional("start_date").label("start_date")).where(
                run.c.state == sa.literal(state, literal_execute=True)
            )
            for state in UNFINISHED_RUN_STATES
        )
    )
    return [OpenRun(*row) for row in db.rows(statement)]


def _runs(db: Session) -> tuple[sa.Select[Any], sa.ColumnElement[int]]:
    """All runs, as a statement to be narrowed by the id."""
    run = db.schema.table("dag_run")
    moments = (run.optional(name).label(name) for name in ("start_date", "end_date"))
    return sa.select(run.c.id, run.c.dag_id, run.c.state, *moments), run.c.id


def _by_id(db: Session, ids: Iterable[int]) -> Iterator[Any]:
    statement, run_id = _runs(db)
    ordered = sorted(ids)
    for start in range(0, len(ordered), AT_ONCE):
        yield from db.rows(statement.where(run_id.in_(ordered[start : start + AT_ONCE])))


def _newest_of(db: Session, dag_ids: Sequence[str]) -> Iterator[Any]:
    """The newest finished run and the newest success of each DAG, among its newest WINDOW runs by logical date.

    Runs that were triggered by an asset or by hand may have no date in 3.x: of these, any WINDOW are looked at, since no index
    has the runs of one DAG in the order of their making. Backward through the index of dates PostgreSQL first meets those that lie
    last in the table, which are the newest as long as the room of deleted ones is not used again.
    """
    dated = date_of(db.schema)
    if not dag_ids or dated is None:
        return
    run = db.schema.table("dag_run")

    def found(dag_id: sa.ColumnElement[str]) -> sa.Select[*tuple[Any, ...]]:
        kinds = [(states, present) for states in (_FINISHED, (_SUCCESS,)) for present in dates(dated)]
        firsts = (_first(run, dag_id, dated, present=present, states=states) for states, present in kinds)
        return sa.select(*(first.label(f"first_{number}") for number, first in enumerate(firsts)))

    rows = of_each_dag(db, dag_ids, found)
    yield from _by_id(db, {found_id for *ids, _ in rows for found_id in ids if found_id is not None})


def _first(
    run: Table, dag_id: sa.ColumnElement[str], dated: str, *, present: bool, states: Sequence[str]
) -> sa.ScalarSelect[Any]:
    """The id of the first of the DAG's newest WINDOW runs that ended in one of these states, dated or without a date."""
    runs = window(run, dag_id, dated, present=present)
    chosen = sa.select(runs.c.id).where(runs.c.state.in_(states), runs.c.end_date.is_not(None))
    return chosen.order_by((runs.c[dated] if present else runs.c.id).desc()).limit(1).scalar_subquery()


def window(
    run: Table, dag_id: sa.ColumnElement[str], dated: str, *, present: bool, until: datetime | None = None
) -> sa.Subquery:
    """Of a DAG, as `of_each_dag` names it, the newest WINDOW runs with a date (not after `until`), or any WINDOW without one."""
    date = run.c[dated]
    wanted = date.is_(None) if not present else date.is_not(None) if until is None else date <= until
    cleared = (run.optional("clear_number") > 0).label("cleared")
    return (
        sa.select(run.c.id, run.c.state, run.optional("start_date").label("start_date"), run.c.end_date, date, cleared)
        .where(run.c.dag_id == dag_id, wanted)
        .order_by(date.desc())
        .limit(WINDOW)
        .correlate_except(run.c.dag_id.table)
        .subquery()
    )


def date_of(schema: Schema) -> str | None:
    """The column of a run's date, by which a DAG's newest are found; None where this database has none, or not when runs end."""
    known = schema.has("dag_run", "end_date")
    return next((name for name in ("logical_date", "execution_date") if known and schema.has("dag_run", name)), None)


def dates(dated: str) -> tuple[bool, ...]:
    """Whether runs have such a date: all have one, or some, since 3.0 lets those of assets and by hand go without."""
    return (True, False) if dated == "logical_date" else (True,)
