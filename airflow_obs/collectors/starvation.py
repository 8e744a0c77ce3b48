"""Task instances and dag runs that are ready and wait, by what holds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.collectors.live import active_dags, current_tries, exact, known, runs_in
from airflow_obs.collectors.pools import Pools
from airflow_obs.model import Metric, Reading
from airflow_obs.sources.database import Session
from airflow_obs.sources.schema import Moment


class HeldBy(StrEnum):
    """What keeps work from going on; the first that holds, in this order, is named."""

    PAUSED = "paused"
    STALE = "stale"
    NOT_DUE = "not_due"
    RUN = "run"
    MAX_ACTIVE_RUNS = "max_active_runs"
    MAX_ACTIVE_TASKS = "max_active_tasks"
    POOL = "pool"
    NOTHING = "nothing"


OF_TASKS = (HeldBy.PAUSED, HeldBy.RUN, HeldBy.MAX_ACTIVE_TASKS, HeldBy.POOL, HeldBy.NOTHING)
OF_RUNS = (HeldBy.PAUSED, HeldBy.STALE, HeldBy.NOT_DUE, HeldBy.MAX_ACTIVE_RUNS, HeldBy.NOTHING)


@dataclass(frozen=True)
class Waiting:
    """Instances or runs of one DAG that one thing holds; `oldest` is since when the first has been waiting."""

    dag_id: str
    held_by: HeldBy
    count: int
    oldest: datetime | None


@dataclass(frozen=True)
class Starved:
    """What one run of the collector saw; None is what this database cannot tell."""

    tasks: list[Waiting] | None
    runs: list[Waiting] | None


class Starvation:
    """Looks at what waits (indexes ti_state, idx_dag_run_queued_dags), and only if anything does at what it waits for."""

    name = "starvation"
    source = "database"

    def read(self, db: Session) -> Starved:
        return Starved(known(db, _tasks), known(db, _runs))

    def samples(self, starved: Starved) -> Iterator[Reading]:
        limits = ((starved.tasks, HeldBy.MAX_ACTIVE_TASKS), (starved.runs, HeldBy.MAX_ACTIVE_RUNS))
        yield from _held(starved.tasks, OF_TASKS, metrics.SCHEDULED, metrics.SCHEDULED_OLDEST)
        yield from _held(starved.runs, OF_RUNS, metrics.QUEUED_RUNS, metrics.QUEUED_RUNS_OLDEST)
        for waiting, limit in limits:
            if waiting is not None:
                dags = {one.dag_id for one in waiting if one.held_by is limit}
                yield metrics.DAGS_AT_LIMIT.sample(len(dags), limit=limit)


def _held(
    waiting: list[Waiting] | None, causes: Iterable[HeldBy], counted: Metric, oldest: Metric
) -> Iterator[Reading]:
    if waiting is None:
        return
    for cause in causes:
        ones = [one for one in waiting if one.held_by is cause]
        yield counted.sample(sum(one.count for one in ones), held_by=cause)
        if moments := [one.oldest for one in ones if one.oldest is not None]:
            yield oldest.sample(min(moments).timestamp(), held_by=cause)


def _tasks(db: Session) -> list[Waiting]:
    ti, run = db.schema.table("task_instance"), db.schema.table("dag_run")
    # updated_at is when the scheduler made it `scheduled`, unless something else touched the row since.
    since = next((c for c in ("scheduled_dttm", "updated_at") if db.schema.has(ti.name, c)), "scheduled_dttm")
    state = sa.select(run.c.state).where(run.c.dag_id == ti.c.dag_id, run.c.run_id == ti.c.run_id).scalar_subquery()
    statement = (
        sa.select(
            ti.c.dag_id, ti.c.run_id, exact(db, ti.c.pool).label("pool"), state.label("run_state"), sa.func.count().label("count_"),
            sa.func.min(ti.c.pool_slots).label("slots"), sa.func.min(ti.optional(since), type_=Moment()).label("oldest"),
        )
        .where(ti.c.state == "scheduled", current_tries(db.schema, ti))
        .group_by(ti.c.dag_id, ti.c.run_id, sa.text("3"))
    )  # fmt: skip
    if not (rows := db.rows(statement)):
        return []
    dags = _dags(db, "max_active_tasks")
    slots = {pool.name: pool.slots - pool.used for pool in Pools().read(db)}
    # 2.x, where an instance has no id of its own, holds the limit against all runs of the DAG together.
    per_run = db.schema.has("task_instance", "id")
    lowest = min((dag.most for dag in dags.values() if dag.most is not None), default=0)
    active = _active(db, lowest, per_run=per_run)

    def cause(row: Any) -> HeldBy:
        dag = dags.get(row.dag_id)
        at_work = active.get((row.dag_id, row.run_id if per_run else None), 0)
        holds = {
            HeldBy.PAUSED: dag is not None and dag.is_paused,
            HeldBy.RUN: row.run_state != "running",
            HeldBy.MAX_ACTIVE_TASKS: dag is not None and dag.most is not None and at_work >= dag.most,
            HeldBy.POOL: slots.get(row.pool, 0) < (row.slots or 0),
        }
        return _first(holds)

    return [Waiting(row.dag_id, cause(row), row.count_, row.oldest) for row in rows]


def _runs(db: Session) -> list[Waiting]:
    run = db.schema.table("dag_run")
    backfill = run.optional("backfill_id").label("backfill_id")
    due = next((c for c in ("run_after", "execution_date") if db.schema.has(run.name, c)), "run_after")
    not_due = sa.case((run.optional(due) > db.now, 1), else_=0).label("not_due")
    queued = run.c.state == sa.literal("queued", literal_execute=True)
    ones = sa.select(run.c.dag_id, backfill, not_due, run.c.queued_at).where(queued).subquery()
    statement = sa.select(
        ones.c.dag_id, ones.c.backfill_id, ones.c.not_due, sa.func.count().label("count_"),
        sa.func.min(ones.c.queued_at, type_=Moment()).label("oldest"),
    ).group_by(ones.c.dag_id, ones.c.backfill_id, ones.c.not_due)  # fmt: skip
    if not (rows := db.rows(statement)):
        return []
    dags = _dags(db, "max_active_runs")
    backfills = _backfills(db)
    running = _running(db)

    def cause(row: Any) -> HeldBy:
        dag, of = dags.get(row.dag_id), backfills.get(row.backfill_id)
        most = of.most if of is not None else dag.most if dag is not None else None
        holds = {
            HeldBy.PAUSED: (dag is not None and dag.is_paused) or (of is not None and of.is_paused),
            HeldBy.STALE: dag is None or not dag.active,
            HeldBy.NOT_DUE: bool(row.not_due),
            HeldBy.MAX_ACTIVE_RUNS: most is not None and running[row.dag_id, row.backfill_id] >= most,
        }
        return _first(holds)

    return [Waiting(row.dag_id, cause(row), row.count_, row.oldest) for row in rows]


def _first(holds: Mapping[HeldBy, bool]) -> HeldBy:
    return next((cause for cause, held in holds.items() if held), HeldBy.NOTHING)


def _dags(db: Session, limit: str) -> dict[str, Any]:
    dag = db.schema.table("dag")
    active = sa.case((active_dags(db.schema, dag), 1), else_=0).label("active")
    return {
        row.dag_id: row for row in db.rows(sa.select(dag.c.dag_id, dag.c.is_paused, active, dag.c[limit].label("most")))
    }


def _active(db: Session, at_least: int, *, per_run: bool) -> dict[tuple[str, str | None], int]:
    """Where so many instances count against max_active_tasks: (DAG, run), or with None for the run when all count together."""
    ti = db.schema.table("task_instance")
    key = [ti.c.dag_id, *([ti.c.run_id] if per_run else [])]
    statement = (
        sa.select(ti.c.dag_id, ti.c.run_id if per_run else sa.null().label("run_id"), sa.func.count().label("count_"))
        .where(ti.c.state.in_(("queued", "running")), current_tries(db.schema, ti))
        .group_by(*key)
        .having(sa.func.count() >= at_least)
    )
    return {(row.dag_id, row.run_id): row.count_ for row in db.rows(statement)}


def _running(db: Session) -> Counter[tuple[str, int | None]]:
    """Runs that count against max_active_runs: a backfill's against its own limit, the others against their DAG's."""
    columns = ["dag_id", *(["backfill_id"] if db.schema.has("dag_run", "backfill_id") else [])]
    running = runs_in(db.schema, ["running"], *columns)
    return Counter((row.dag_id, getattr(row, "backfill_id", None)) for row in db.rows(running))


def _backfills(db: Session) -> dict[int, Any]:
    if not db.schema.has("backfill"):
        return {}
    backfill = db.schema.table("backfill")
    completed = backfill.optional("completed_at")
    rows = db.rows(
        sa.select(backfill.c.id, backfill.c.is_paused, backfill.c.max_active_runs.label("most")).where(
            completed.is_(None)
        )
    )
    return {row.id: row for row in rows}
