"""Reads dag runs for their outcomes: the unfinished, the newest and single ones, always by an index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

import sqlalchemy as sa

from airflow_obs.catalog.airflow import BACKFILL_RUN_TYPE, NO_STATE, UNFINISHED_RUN_STATES
from airflow_obs.sources.database import Session
from airflow_obs.sources.schema import Schema, Table

_BATCH = 500


class RunKey(NamedTuple):
    """What task instances name their run by."""

    dag_id: str
    run_id: str


class Run(NamedTuple):
    """One dag run; `due` is None where being late means nothing, as for backfills."""

    id: int
    key: RunKey
    run_type: str
    state: str
    start: datetime | None
    end: datetime | None
    due: datetime | None

    @property
    def unfinished(self) -> bool:
        return self.state in UNFINISHED_RUN_STATES

    @property
    def duration(self) -> float | None:
        """Seconds from start to end."""
        return seconds(self.start, self.end)

    @property
    def delay(self) -> float | None:
        """Seconds from when it was due to its start."""
        return seconds(self.due, self.start)


def seconds(start: datetime | None, end: datetime | None) -> float | None:
    """From one to the other, never below 0 (clocks differ); None unless both are known."""
    return None if start is None or end is None else max((end - start) / timedelta(seconds=1), 0.0)


def unfinished(db: Session, limit: int) -> list[Run]:
    """Running and queued runs, through Airflow's partial index of each state; any `limit` of them, the running ones first."""
    run = db.schema.table("dag_run")
    columns = _columns(db.schema, run)
    each = (
        # Spelled into the SQL: a partial index only serves a condition that the planner can see.
        sa.select(*columns).where(run.c.state == sa.literal(state, literal_execute=True))
        for state in sorted(UNFINISHED_RUN_STATES, reverse=True)
    )
    return list(_runs(db, sa.union_all(*each).limit(limit)))


def created(db: Session, above: int, limit: int) -> list[Run]:
    """The first `limit` runs with a greater id, whatever their state."""
    run = db.schema.table("dag_run")
    return list(_runs(db, sa.select(*_columns(db.schema, run)).where(run.c.id > above).order_by(run.c.id).limit(limit)))


def by_id(db: Session, ids: Iterable[int]) -> dict[int, Run]:
    """Those of these runs that are there."""
    run = db.schema.table("dag_run")
    return {
        found.id: found
        for batch in batched(ids, _BATCH)
        for found in _runs(db, sa.select(*_columns(db.schema, run)).where(run.c.id.in_(batch)))
    }


def newest_id(db: Session) -> int:
    """The greatest id, 0 without any run."""
    return int(db.one(sa.select(sa.func.max(db.schema.table("dag_run").c.id)))[0] or 0)


def batched(items: Iterable[Any], size: int) -> Iterator[Sequence[Any]]:
    """The items in lists of `size`, the last one shorter."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def _columns(schema: Schema, run: Table) -> list[sa.ColumnElement[Any]]:
    """Before 3.0 only the data interval says when a run was due, and only that of a scheduled one."""
    kind = run.optional("run_type")
    if schema.has(run.name, "run_after"):
        due = sa.case((kind != BACKFILL_RUN_TYPE, run.c.run_after))
    else:
        due = sa.case((kind == "scheduled", run.optional("data_interval_end")))
    columns = {
        "id": run.c.id,
        "dag_id": run.c.dag_id,
        "run_id": run.c.run_id,
        "run_type": kind,
        "state": run.c.state,
        "start": run.optional("start_date"),
        "end": run.optional("end_date"),
        "due": due,
    }
    return [column.label(f"{name}_") for name, column in columns.items()]


def _runs(db: Session, statement: sa.Executable) -> Iterator[Run]:
    for number, dag_id, run_id, run_type, state, start, end, due in db.rows(statement):
        yield Run(number, RunKey(dag_id, run_id), run_type or NO_STATE, state or NO_STATE, start, end, due)
