"""Unfinished dag runs, and DAGs whose next run is overdue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import UNFINISHED_RUN_STATES
from airflow_obs.collectors.live import active_dags, known
from airflow_obs.model import Reading
from airflow_obs.policy import DagRunsPolicy
from airflow_obs.sources.database import Session

_MOST = 10_000
"""DAGs that are followed at a time, those that were due first."""


@dataclass(frozen=True)
class Group:
    """Dag runs alike in state and run type; `oldest` is when the first of them was queued (queued) or started (running)."""

    state: str
    run_type: str
    count: int
    oldest: datetime | None


@dataclass(frozen=True)
class Due:
    """When the most overdue DAG's next run should have been created (None: no DAG has one), and how many are overdue.

    `now` are the runs that should be there by now: (DAG, when it was due).
    """

    earliest: datetime | None
    overdue: int
    now: Sequence[tuple[str, datetime]]


@dataclass(frozen=True)
class Runs:
    """What one run of the collector saw; `due` is None where the database does not tell.

    `left` is since when the same run has been due, of the DAG that has waited longest (None: none is due).
    """

    groups: list[Group]
    due: Due | None
    left: datetime | None


class DagRuns:
    """Each state is asked for by itself, so that PostgreSQL uses Airflow's partial index for it."""

    name = "dag_runs"
    source = "database"

    def __init__(self, policy: DagRunsPolicy) -> None:
        self._policy = policy
        self._left: dict[tuple[str, datetime], datetime] = {}
        self._before: datetime | None = None

    def read(self, db: Session) -> Runs:
        """Nothing is remembered of a run that fails."""
        grace = timedelta(seconds=self._policy.overdue_after)
        groups, due = _groups(db), known(db, lambda db: _due(db, grace))
        if due is not None:
            self._remember(due, db.now)
        return Runs(groups, due, min(self._left.values(), default=None))

    def _remember(self, due: Due, now: datetime) -> None:
        """What was not due at the last read has been since, whatever its date says; at the first read nobody knows for how long."""
        before = self._before or now
        self._left = {one: self._left.get(one, max(one[1], before)) for one in due.now}
        self._before = now

    def samples(self, runs: Runs) -> Iterator[Reading]:
        for group in runs.groups:
            yield metrics.DAG_RUNS.sample(group.count, state=group.state, run_type=group.run_type)
        for state in UNFINISHED_RUN_STATES:
            moments = [group.oldest for group in runs.groups if group.state == state and group.oldest is not None]
            if moments:
                yield metrics.DAG_RUNS_OLDEST.sample(min(moments).timestamp(), state=state)
        if runs.due is None:
            return
        if runs.due.earliest is not None:
            yield metrics.NEXT_RUN_DUE.sample(runs.due.earliest.timestamp())
        if runs.left is not None:
            yield metrics.NEXT_RUN_LEFT.sample(runs.left.timestamp())
        yield metrics.DAGS_OVERDUE.sample(runs.due.overdue)


def _groups(db: Session) -> list[Group]:
    run = db.schema.table("dag_run")
    since = {"queued": run.c.queued_at, "running": run.c.start_date}
    statement = sa.union_all(
        *(
            # Spelled into the SQL: a partial index only serves a condition that the planner can see.
            sa.select(run.c.state, run.c.run_type, sa.func.count(), sa.func.min(since[state]))
            .where(run.c.state == sa.literal(state, literal_execute=True))
            .group_by(run.c.state, run.c.run_type)
            for state in UNFINISHED_RUN_STATES
        )
    )
    return [Group(state, run_type, count, oldest) for state, run_type, count, oldest in db.rows(statement)]


def _due(db: Session, grace: timedelta) -> Due:
    dag = db.schema.table("dag")
    due = dag.optional("next_dagrun_create_after")
    wanted = [active_dags(db.schema, dag), dag.c.is_paused.is_(sa.false())]
    # A DAG at its max_active_runs is waiting for itself: 3.2+ says so in a column, earlier releases clear the due moment.
    if db.schema.has("dag", "exceeds_max_non_backfill"):
        wanted.append(sa.func.coalesce(dag.c.exceeds_max_non_backfill, sa.false()).is_(sa.false()))
    # Nor does the scheduler create runs of a DAG whose file is broken, which another figure shows.
    if db.schema.has("dag", "has_import_errors") and db.may_read("dag", "has_import_errors"):
        wanted.append(sa.func.coalesce(dag.c.has_import_errors, sa.false()).is_(sa.false()))
    overdue = sa.func.sum(sa.case((due < db.now - grace, 1), else_=0))
    earliest, count = db.one(sa.select(sa.func.min(due), overdue).where(*wanted))
    left = due.label("due")
    by_now = sa.select(dag.c.dag_id, left).where(*wanted, due < db.now).order_by(left).limit(_MOST)
    return Due(earliest, int(count or 0), [(row.dag_id, row.due) for row in db.rows(by_now)])
