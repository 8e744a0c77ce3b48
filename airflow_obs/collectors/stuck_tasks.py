"""Task instances that nobody works on: ghosts, orphans, overdue heartbeats, paused work, and messages without a name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import UNFINISHED_RUN_STATES, UNFINISHED_STATES
from airflow_obs.collectors.live import current_tries, exact, known, owners, runs_in
from airflow_obs.collectors.queues import Routing
from airflow_obs.model import Metric, Reading
from airflow_obs.policy import StuckTasksPolicy
from airflow_obs.sources.database import Session
from airflow_obs.sources.schema import Moment, Table

_RUNNING = ("running", "restarting")
_OWNED = ("queued", *_RUNNING)
"""States in which a task instance belongs to a scheduler, or to another job such as a backfill of 2.x."""


@dataclass(frozen=True)
class Group:
    """Task instances (or dag runs) alike in state; `oldest` is the moment that the metric of that name speaks of."""

    state: str
    count: int
    oldest: datetime | None = None


@dataclass(frozen=True)
class Heartbeats:
    """Of the running instances: how many heartbeats are overdue, and when the oldest was (None: nothing runs)."""

    overdue: int
    oldest: datetime | None


@dataclass(frozen=True)
class Stuck:
    """What one run of the collector saw; None is what this database cannot tell."""

    ghosts: list[Group] | None
    orphans: list[Group] | None
    heartbeats: Heartbeats | None
    paused_tasks: list[Group] | None
    paused_runs: list[Group] | None
    unnamed: list[Group] | None


class StuckTasks:
    """Starts from the unfinished instances (index ti_state) each time; what it needs beside them it finds by key."""

    name = "stuck_tasks"
    source = "database"

    def __init__(self, policy: StuckTasksPolicy, routing: Routing) -> None:
        self._policy = policy
        self._routing = routing

    def read(self, db: Session) -> Stuck:
        return Stuck(
            ghosts=known(db, _ghosts),
            orphans=known(db, partial(_orphans, alive_within=timedelta(seconds=self._policy.alive_within))),
            heartbeats=known(
                db, partial(_heartbeats, overdue_after=timedelta(seconds=self._policy.heartbeat_overdue_after))
            ),
            paused_tasks=known(db, _paused_tasks),
            paused_runs=known(db, _paused_runs),
            unnamed=known(db, partial(_unnamed, routing=self._routing)),
        )

    def samples(self, stuck: Stuck) -> Iterator[Reading]:
        yield from _by_state(stuck.ghosts, _OWNED, metrics.GHOSTS, metrics.GHOSTS_OLDEST)
        yield from _by_state(stuck.orphans, ("queued", "running"), metrics.ORPHANS, metrics.ORPHANS_OLDEST)
        if stuck.heartbeats is not None:
            yield metrics.HEARTBEATS_OVERDUE.sample(stuck.heartbeats.overdue)
            if stuck.heartbeats.oldest is not None:
                yield metrics.HEARTBEAT_OLDEST.sample(stuck.heartbeats.oldest.timestamp())
        yield from _by_state(stuck.paused_tasks, ("scheduled", "queued", "running"), metrics.PAUSED_TASKS)
        yield from _by_state(stuck.paused_runs, UNFINISHED_RUN_STATES, metrics.PAUSED_RUNS, metrics.PAUSED_RUNS_OLDEST)
        yield from _by_state(stuck.unnamed, (), metrics.UNNAMED, metrics.UNNAMED_OLDEST)


def _by_state(
    groups: Iterable[Group] | None, always: Iterable[str], counted: Metric, oldest: Metric | None = None
) -> Iterator[Reading]:
    """A count for each group and for each state of `always`; the moments of those that have any."""
    if groups is None:
        return
    there = {group.state: group for group in groups}
    for group in [*there.values(), *(Group(state, 0) for state in always if state not in there)]:
        yield counted.sample(group.count, state=group.state)
        if oldest is not None and group.oldest is not None:
            yield oldest.sample(group.oldest.timestamp(), state=group.state)


def _ghosts(db: Session) -> list[Group]:
    """Those whose run is not among the unfinished ones, which partial indexes hold; its end is then found by the run's key."""
    ti, run = db.schema.table("task_instance"), db.schema.table("dag_run")
    live = runs_in(db.schema, UNFINISHED_RUN_STATES, "dag_id", "run_id")
    # Asked in this way PostgreSQL puts the runs into a hash table; for a join it may go through all of them for each instance.
    of_live_run = sa.tuple_(ti.c.dag_id, ti.c.run_id).in_(live).is_(sa.true())
    ghosts = (
        sa.select(ti.c.state, ti.c.dag_id, ti.c.run_id, sa.func.count().label("count_"))
        .where(ti.c.state.in_(UNFINISHED_STATES), current_tries(db.schema, ti), sa.not_(of_live_run))
        .group_by(ti.c.state, ti.c.dag_id, ti.c.run_id)
        .subquery()
    )
    ended = (
        sa.select(run.optional("end_date"))
        .where(run.c.dag_id == ghosts.c.dag_id, run.c.run_id == ghosts.c.run_id)
        .scalar_subquery()
    )
    statement = sa.select(ghosts.c.state, sa.func.sum(ghosts.c.count_), sa.func.min(ended, type_=Moment())).group_by(
        ghosts.c.state
    )
    return [Group(state, int(count), oldest) for state, count, oldest in db.rows(statement)]


def _orphans(db: Session, alive_within: timedelta) -> list[Group]:
    ti = db.schema.table("task_instance")
    owner = ti.c.queued_by_job_id
    entered = sa.case((ti.c.state == "queued", ti.c.queued_dttm), else_=ti.c.start_date)
    statement = (
        sa.select(
            ti.c.state, owner, sa.func.count().label("count_"), sa.func.min(entered, type_=Moment()).label("oldest")
        )
        .where(ti.c.state.in_(_OWNED), current_tries(db.schema, ti))
        .group_by(ti.c.state, owner)
    )
    rows = db.rows(statement)
    found = owners(db, {row.queued_by_job_id for row in rows}, alive_within)
    alive = {number for number, job in found.items() if job.alive}
    return _merged(Group(row.state, row.count_, row.oldest) for row in rows if row.queued_by_job_id not in alive)


def _heartbeats(db: Session, overdue_after: timedelta) -> Heartbeats | None:
    """3.x keeps the heartbeat in the row, 2.x in the row's LocalTaskJob, one of very many: found by its key."""
    ti = db.schema.table("task_instance")
    if (newest := _newest_heartbeat(db, ti)) is None:
        return None
    running = (
        sa.select(sa.func.coalesce(newest, ti.c.start_date, type_=Moment()).label("heartbeat"))
        .where(ti.c.state.in_(_RUNNING), current_tries(db.schema, ti))
        .offset(0)  # else PostgreSQL looks each heartbeat up once for every mention of it below
        .subquery()
    )
    overdue = sa.func.sum(sa.case((running.c.heartbeat < db.now - overdue_after, 1), else_=0))
    count, oldest = db.one(sa.select(overdue, sa.func.min(running.c.heartbeat, type_=Moment())))
    return Heartbeats(int(count or 0), oldest)


def _newest_heartbeat(db: Session, ti: Table) -> sa.ColumnElement[Any] | None:
    if db.schema.has(ti.name, "last_heartbeat_at"):
        return ti.c.last_heartbeat_at
    if not db.schema.has(ti.name, "job_id"):
        return None
    job = db.schema.table("job")
    return sa.select(job.c.latest_heartbeat).where(job.c.id == ti.c.job_id).scalar_subquery()


def _paused_tasks(db: Session) -> list[Group]:
    ti, dag = db.schema.table("task_instance"), db.schema.table("dag")
    paused = sa.select(dag.c.dag_id).where(dag.c.is_paused.is_(sa.true()))
    statement = (
        sa.select(ti.c.state, sa.func.count())
        .where(ti.c.state.in_(UNFINISHED_STATES), current_tries(db.schema, ti), ti.c.dag_id.in_(paused))
        .group_by(ti.c.state)
    )
    return [Group(*row) for row in db.rows(statement)]


def _paused_runs(db: Session) -> list[Group]:
    dag = db.schema.table("dag")
    paused = sa.select(dag.c.dag_id).where(dag.c.is_paused.is_(sa.true()))
    run = runs_in(db.schema, UNFINISHED_RUN_STATES, "dag_id", "state", "queued_at").subquery()
    queued = sa.func.min(run.c.queued_at, type_=Moment())
    statement = sa.select(run.c.state, sa.func.count(), queued).where(run.c.dag_id.in_(paused)).group_by(run.c.state)
    return [Group(*row) for row in db.rows(statement)]


def _unnamed(db: Session, routing: Routing) -> list[Group]:
    ti = db.schema.table("task_instance")
    statement = (
        sa.select(
            ti.c.state,
            exact(db, ti.c.queue).label("queue"),
            exact(db, ti.optional("executor")).label("executor"),
            sa.func.count().label("count_"),
            sa.func.min(ti.c.queued_dttm).label("oldest"),
        )
        .where(ti.c.state.in_(("queued", "running")), ti.c.external_executor_id.is_(None), current_tries(db.schema, ti))
        .group_by(ti.c.state, sa.text("2"), *([sa.text("3")] if db.schema.has(ti.name, "executor") else []))
    )
    rows = db.rows(statement)
    ours = routing.celery((row.queue or "", row.executor or None) for row in rows)
    return _merged(Group(row.state, row.count_, row.oldest) for row, celery in zip(rows, ours, strict=True) if celery)


def _merged(groups: Iterable[Group]) -> list[Group]:
    merged: dict[str, Group] = {}
    for group in groups:
        before = merged.get(group.state, Group(group.state, 0))
        moments = [moment for moment in (before.oldest, group.oldest) if moment is not None]
        merged[group.state] = Group(group.state, before.count + group.count, min(moments, default=None))
    return list(merged.values())
