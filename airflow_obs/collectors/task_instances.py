"""Unfinished task instances: how many, where, and for how long they have been waiting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import NO_STATE, UNFINISHED_RUN_STATES, UNFINISHED_STATES
from airflow_obs.collectors.live import current_tries, exact, known, runs_in, without_state
from airflow_obs.collectors.queues import QueueNames, Routing
from airflow_obs.model import Reading
from airflow_obs.sources.database import Session
from airflow_obs.sources.schema import Moment, Table

_LABELS = ("state", "queue", "pool", "executor")

IN_A_QUEUE = frozenset({"queued", "running"})
"""States in which Celery holds a message for the task: it is acknowledged at its end ([celery] task_acks_late)."""


@dataclass(frozen=True)
class Group:
    """Task instances alike in state, queue, pool and executor; `oldest` is since when the first of them is in that state.

    `executor` is None for Airflow's default one; `oldest` is known for queued and running, and for scheduled since 2.5, `newest`,
    since when the last of them is in it, for running.
    """

    state: str
    queue: str
    pool: str
    executor: str | None
    count: int
    oldest: datetime | None
    newest: datetime | None


@dataclass(frozen=True)
class Wait:
    """How long the queued instances of one queue have waited: `counts` per bucket of the metric, `total` seconds."""

    queue: str
    counts: Sequence[int]
    total: float


@dataclass(frozen=True)
class Unfinished:
    """What one run of the collector saw; `celery` counts by state and queue those for which the broker should hold a message."""

    groups: list[Group]
    waits: list[Wait]
    celery: Counter[tuple[str, str]]


class TaskInstances:
    """Reads by state, through index ti_state, and by run what has none yet: its cost follows the live work, not the history."""

    name = "task_instances"
    source = "database"

    def __init__(self, routing: Routing, queues: QueueNames) -> None:
        self._routing = routing
        self._queues = queues

    def read(self, db: Session) -> Unfinished:
        """Celery's queues become known to the other collectors: that the broker holds nothing of them is a finding."""
        groups = [*_groups(db), *(known(db, _without_state) or [])]
        held = [group for group in groups if group.state in IN_A_QUEUE]
        celery = Counter[tuple[str, str]]()
        for group, ours in zip(held, self._routing.celery((one.queue, one.executor) for one in held), strict=True):
            if ours:
                celery[group.state, group.queue] += group.count
        self._queues.add(queue for _, queue in celery)
        return Unfinished(groups, known(db, _waits) or [], celery)

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
        if started := [group.newest for group in unfinished.groups if group.newest is not None]:
            yield metrics.TASK_INSTANCES_STARTED.sample(max(started).timestamp())
        for (state, queue), count in unfinished.celery.most_common():
            yield metrics.CELERY_TASK_INSTANCES.sample(count, state=state, queue=queue)
        for wait in sorted(unfinished.waits, key=lambda wait: wait.total, reverse=True):
            yield metrics.TASK_QUEUE_WAIT.distribution(wait.counts, wait.total, queue=wait.queue)


def _groups(db: Session) -> list[Group]:
    ti = db.schema.table("task_instance")
    alike = _alike(db, ti)
    entered = {"queued": ti.optional("queued_dttm"), "running": ti.optional("start_date")}
    # updated_at is when the scheduler made it `scheduled`, unless something else touched the row since.
    if scheduled := next((c for c in ("scheduled_dttm", "updated_at") if db.schema.has(ti.name, c)), None):
        entered["scheduled"] = ti.c[scheduled]
    statement = (
        sa.select(
            *alike,
            sa.func.count().label("count_"),
            *(sa.func.min(column, type_=Moment()).label(state) for state, column in entered.items()),
            sa.func.max(entered["running"], type_=Moment()).label("started"),
        )
        .where(ti.c.state.in_(UNFINISHED_STATES), current_tries(db.schema, ti))
        .group_by(*(sa.text(str(number)) for number, _ in enumerate(alike, 1)))
    )
    return [
        _group(
            row,
            getattr(row, row.state) if row.state in entered else None,
            row.started if row.state == "running" else None,
        )
        for row in db.rows(statement)
    ]


def _without_state(db: Session) -> list[Group]:
    """What ended runs left behind without a state will never be anything else, and is not counted."""
    ti = db.schema.table("task_instance")
    runs = runs_in(db.schema, UNFINISHED_RUN_STATES, "dag_id", "run_id").subquery("live_runs")
    found = without_state(db, ti, _alike(db, ti), runs).subquery()
    statement = sa.select(*found.c, sa.func.count().label("count_")).group_by(*found.c)
    return [_group(row, None) for row in db.rows(statement)]


def _alike(db: Session, ti: Table) -> list[sa.Label[str]]:
    """NULL and '' are one label value, and may not become two series."""
    return [
        _named(db, ti.c[name], "" if name == "executor" else NO_STATE).label(name)
        for name in _LABELS
        if db.schema.has(ti.name, name)
    ]


def _group(row: Any, oldest: datetime | None, newest: datetime | None = None) -> Group:
    return Group(
        state=row.state,
        queue=getattr(row, "queue", NO_STATE),
        pool=getattr(row, "pool", NO_STATE),
        executor=getattr(row, "executor", None) or None,
        count=row.count_,
        oldest=oldest,
        newest=newest,
    )


def _named(db: Session, column: sa.ColumnClause[str], otherwise: str) -> sa.ColumnElement[str]:
    return exact(db, sa.func.coalesce(sa.func.nullif(column, ""), sa.literal(otherwise, literal_execute=True)))


def _waits(db: Session) -> list[Wait]:
    ti = db.schema.table("task_instance")
    queue = _named(db, ti.c.queue, NO_STATE)
    epoch = sa.func.unix_timestamp(ti.c.queued_dttm) if db.kind == "mysql" else sa.extract("epoch", ti.c.queued_dttm)
    waited_at_most = [
        sa.func.sum(sa.case((ti.c.queued_dttm >= db.now - timedelta(seconds=bound), 1), else_=0)).label(f"upto_{i}")
        for i, bound in enumerate(metrics.TASK_QUEUE_WAIT.buckets)
    ]
    statement = (
        sa.select(
            queue,
            sa.func.count().label("count_"),
            sa.func.sum(epoch).label("epochs"),
            *waited_at_most,
        )
        .where(ti.c.state == "queued", ti.c.queued_dttm.is_not(None), current_tries(db.schema, ti))
        .group_by(sa.text("1"))
    )
    waits = []
    for row in db.rows(statement):
        upto = [0, *row[3:], row.count_]
        counts = [int(more - fewer) for fewer, more in pairwise(upto)]
        total = row.count_ * db.now.timestamp() - float(row.epochs)
        waits.append(Wait(row[0], counts, max(total, 0.0)))
    return waits
