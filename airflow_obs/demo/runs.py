"""Creates dag runs with their task instances, and ends them."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_obs.demo.company import TaskSpec
from airflow_obs.demo.records import insert, insert_with_id, update, uuid7
from airflow_obs.demo.state import LiveDag, LiveRun, LiveTask, State

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

LOG_TEMPLATE = 2
"""The row of log_template that a fresh 3.3 database gives its runs."""


def create_run(
    cur: cursor, state: State, dag: LiveDag, due: datetime, now: datetime, rng: random.Random, *, job: int | None
) -> LiveRun:
    """A queued run of a DAG, due at `due`, created by the scheduler `job` or, without one, by hand."""
    kind = "manual" if job is None else "scheduled"
    interval = timedelta(seconds=dag.spec.every or 0)
    run_id = f"{kind}__{due.isoformat()}"
    number = insert_with_id(
        cur, "dag_run", dag_id=dag.spec.dag_id, run_id=run_id, run_type=kind, state="queued", queued_at=now,
        logical_date=due - interval, data_interval_start=due - interval, data_interval_end=due, run_after=due,
        created_at=now, updated_at=now, creating_job_id=job, triggered_by="ui" if job is None else "timetable",
        log_template_id=LOG_TEMPLATE, created_dag_version_id=dag.version, clear_number=0, conf="{}",
    )  # fmt: skip
    run = LiveRun(dag, number, run_id, "queued")
    for spec in dag.spec.tasks:
        for index in spec.map_indexes:
            task = LiveTask(spec, run, uuid7(now, rng), index, since=now)
            insert(cur, "task_instance", **task_columns(dag, spec), id=task.id, run_id=run_id, map_index=index,
                   try_number=0, hostname="", updated_at=now)  # fmt: skip
            run.tasks.append(task)
    state.runs.append(run)
    return run


def task_columns(dag: LiveDag, spec: TaskSpec) -> dict[str, str | int]:
    """The columns of a task instance that are the same for every instance of a task."""
    return {
        "dag_id": dag.spec.dag_id,
        "task_id": spec.task_id,
        "task_display_name": spec.task_id,
        "max_tries": spec.retries,
        "pool": spec.pool,
        "pool_slots": 1,
        "queue": spec.queue,
        "priority_weight": 1,
        "operator": spec.operator,
        "unixname": "airflow",
        "dag_version_id": str(dag.version),
    }


def move(cur: cursor, task: LiveTask, to: str, now: datetime, **columns: str | int | float | datetime | None) -> None:
    """Put a task instance into another state, with the columns that change with it."""
    update(cur, "task_instance", "id", task.id, state=to, updated_at=now, **columns)
    task.state, task.since = to, now


def start_run(cur: cursor, run: LiveRun, now: datetime, *, job: int | None) -> None:
    """A run begins; its tasks may be scheduled."""
    run.state = "running"
    update(cur, "dag_run", "id", run.number, state="running", start_date=now, updated_at=now,
           last_scheduling_decision=now, scheduled_by_job_id=job)  # fmt: skip


def end_run(cur: cursor, state: State, run: LiveRun, outcome: str, now: datetime) -> None:
    """A run is over: success or failed."""
    update(cur, "dag_run", "id", run.number, state=outcome, end_date=now, updated_at=now, last_scheduling_decision=now)
    state.runs.remove(run)
