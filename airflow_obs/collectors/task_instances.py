"""Unfinished task instances: how many, where, and for how long they have been waiting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import NO_STATE, UNFINISHED_STATES
from airflow_obs.model import Reading
from airflow_obs.policy.model import CollectorPolicy
from airflow_obs.sources.database import Session
from airflow_obs.sources.schema import Schema


@dataclass(frozen=True)
class Group:
    """Task instances alike in state, queue, pool and executor; `oldest` is since when the first of them is in that state.

    `executor` is None for Airflow's default one; `oldest` is known for queued, and for scheduled since 2.5.
    """

    state: str
    queue: str
    pool: str
    executor: str | None
    count: int
    oldest: datetime | None


@dataclass(frozen=True)
class Wait:
    """How long the queued instances of one queue have waited: `counts` per bucket of the metric, `total` seconds."""

    queue: str
    counts: Sequence[int]
    total: float


@dataclass(frozen=True)
class Unfinished:
    """What one run of the collector saw."""

    groups: list[Group]
    waits: list[Wait]


class TaskInstances:
    """Reads by state only, through index ti_state: its cost follows the live work, not the history."""

    name = "task_instances"
    source = "database"

    def __init__(self, policy: CollectorPolicy) -> None:
        self._policy = policy

    def read(self, db: Session) -> Unfinished:
        return Unfinished(_groups(db), _waits(db))

    def samples(self, unfinished: Unfinished) -> Iterator[Reading]:
        oldest: dict[tuple[str, str], datetime] = {}
        for group in sorted(unfinished.groups, key=lambda group: group.count, reverse=True):
            yield metrics.TASK_INSTANCES.sample(
                group.count, state=group.state, queue=group.queue, pool=group.pool, executor=group.executor
            )
            if group.oldest is not None:
                key = (group.state, group.queue)
                oldest[key] = min(group.oldest, oldest.get(key, group.oldest))
        for (state, queue), since in sorted(oldest.items(), key=lambda item: item[1]):
            yield metrics.TASK_INSTANCES_OLDEST.sample(since.timestamp(), state=state, queue=queue)
        for wait in sorted(unfinished.waits, key=lambda wait: wait.total, reverse=True):
            yield metrics.TASK_QUEUE_WAIT.distribution(wait.counts, wait.total, queue=wait.queue)


def current(schema: Schema, ti: sa.TableClause) -> sa.ColumnElement[bool]:
    """Only what runs or will run: 3.4 keeps archived tries in task_instance, with working_set NULL."""
    return ti.c.working_set.is_(sa.true()) if schema.has("task_instance", "working_set") else sa.true()


def _groups(db: Session) -> list[Group]:
    ti = db.schema.table("task_instance")
    alike = [ti.c[name] for name in ("state", "queue", "pool", "executor") if db.schema.has("task_instance", name)]
    entered = {"queued": ti.c.queued_dttm}
    # updated_at is when the scheduler made it `scheduled`, unless something else touched the row since.
    if scheduled := next((c for c in ("scheduled_dttm", "updated_at") if db.schema.has("task_instance", c)), None):
        entered["scheduled"] = ti.c[scheduled]
    statement = (
        sa.select(
            *alike,
            sa.func.count().label("count_"),
            *(sa.func.min(column).label(state) for state, column in entered.items()),
        )
        .where(sa.or_(ti.c.state.in_(UNFINISHED_STATES), ti.c.state.is_(None)), current(db.schema, ti))
        .group_by(*alike)
    )
    return [
        Group(
            state=row.state or NO_STATE,
            queue=row.queue or "none",
            pool=row.pool or "none",
            executor=getattr(row, "executor", None) or None,
            count=row.count_,
            oldest=getattr(row, row.state) if row.state in entered else None,
        )
        for row in db.rows(statement)
    ]


def _waits(db: Session) -> list[Wait]:
    ti = db.schema.table("task_instance")
    waited_at_most = [
        sa.func.sum(sa.case((ti.c.queued_dttm >= db.now - timedelta(seconds=bound), 1), else_=0)).label(f"upto_{i}")
        for i, bound in enumerate(metrics.TASK_QUEUE_WAIT.buckets)
    ]
    statement = (
        sa.select(
            ti.c.queue,
            sa.func.count().label("count_"),
            sa.func.sum(sa.extract("epoch", ti.c.queued_dttm)).label("epochs"),
            *waited_at_most,
        )
        .where(ti.c.state == "queued", ti.c.queued_dttm.is_not(None), current(db.schema, ti))
        .group_by(ti.c.queue)
    )
    waits = []
    for row in db.rows(statement):
        upto = [0, *row[3:], row.count_]
        counts = [int(more - fewer) for fewer, more in pairwise(upto)]
        total = row.count_ * db.now.timestamp() - float(row.epochs)
        waits.append(Wait(row.queue or "none", counts, max(total, 0.0)))
    return waits
