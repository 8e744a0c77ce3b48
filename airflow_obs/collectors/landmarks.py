"""Whether the database is the one that was read before: what those who remember rows ask before they take new ones for news."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from airflow_obs.catalog.airflow import UNFINISHED_RUN_STATES
from airflow_obs.collectors.run_outcomes import RunKey
from airflow_obs.sources.database import Session

log = logging.getLogger(__name__)

NEWEST = 200
"""Newest dag runs that are remembered."""
UNFINISHED = 20
"""Queued, and running, dag runs that are remembered beside them: they stay when the newest runs of all are deleted."""


@dataclass(frozen=True)
class Landmarks:
    """What a database is known by: the source's name for it, and some of its dag runs by their id.

    `anew`: it is another one than before, or the first; whoever remembers rows of the one before learns them anew. It is another
    one when the source says so (sources/identity.py says what it recognises), or when none of the dag runs seen before is there
    any more, as after a restore into the tables that were there. A database that had no dag run and is filled is the same one,
    and so is one that is put back to a state of its own past: there, numbers that fall back tell.
    """

    identity: str
    runs: Mapping[int, RunKey]
    anew: bool = True


class Odometer:
    """What a database counts by itself, from the first time it is read: no count of another one moves it, nor a fall of its own.

    It begins at 0, since the first count after a restart of ours may be less than the last one before.
    """

    def __init__(self) -> None:
        self._total = 0
        self._read: int | None = None

    def reads(self, count: int, *, anew: bool) -> int:
        """The total; the first count of all adds nothing, and neither does the first of another database (`anew`)."""
        if self._read is not None and not anew:
            self._total += count - self._read if count >= self._read else count
        self._read = count
        return self._total


def look(db: Session, before: Landmarks | None) -> Landmarks:
    """The landmarks now, compared with those of the last read that succeeded (None: there was none)."""
    same = before is not None and before.identity == db.identity
    runs = _runs(db)
    if runs is None:  # dag_run is locked, or lacks a column: what else there is to read must not wait for it
        return Landmarks(db.identity, before.runs if before and same else {}, anew=not same)
    if before and same and before.runs and not before.runs.items() & runs.items():
        same = bool(before.runs.items() & (_runs(db, list(before.runs)) or {}).items())
        if not same:
            _say_gone(db, before.runs)
    return Landmarks(db.identity, runs, anew=not same)


def _say_gone(db: Session, runs: Mapping[int, RunKey]) -> None:
    """Once, by whoever asks first: those who ask after it, or ask again, miss some of the same runs."""
    if not db.gone & runs.items():
        log.warning(
            "database: none of the newest dag runs of before is there any more, so it holds another Airflow's rows, "
            "or all were deleted; counters go on from what it holds now"
        )
    db.gone.clear()
    db.gone.update(runs.items())


def _runs(db: Session, ids: list[int] | None = None) -> dict[int, RunKey] | None:
    """Those with these ids, or the newest and some that are unfinished; None when they cannot be had."""
    columns = ("id", "dag_id", "run_id", "state")
    if not db.schema.has("dag_run", *columns) or not db.may_read("dag_run", *columns):
        return None
    run = db.schema.table("dag_run")
    wanted = sa.select(run.c.id, run.c.dag_id, run.c.run_id)
    statement: sa.Executable = wanted.where(run.c.id.in_(ids or ()))
    if ids is None:
        parts = [wanted.order_by(run.c.id.desc()).limit(NEWEST)]
        # Spelled into the SQL: a partial index only serves a condition that the planner can see.
        states = (run.c.state == sa.literal(state, literal_execute=True) for state in UNFINISHED_RUN_STATES)
        parts += [wanted.where(state).limit(UNFINISHED) for state in states]
        statement = sa.union_all(*(sa.select(*part.subquery().c) for part in parts))
    rows = db.attempt(statement)
    return None if rows is None else {number: RunKey(dag_id, run_id) for number, dag_id, run_id in rows}
