"""Work that is ready and waits, each named after what holds it (failure modes S5, P1, P2 and P3)."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.airflow_database import AirflowDatabase
from tests.states.dag_runs import a_queued_dag_run, a_running_dag_run
from tests.states.dags import a_dag
from tests.states.surroundings import pool_there
from tests.states.task_instances import (
    TaskKey,
    a_task_instance_deferred,
    a_task_instance_running,
    a_task_instance_scheduled,
)


def a_starving_task(db: AirflowDatabase, *, scheduled_at: datetime) -> TaskKey:
    """S5: it could run, and does not: the scheduler looks at others first."""
    return a_task_instance_scheduled(db, scheduled_at=scheduled_at, **_since(db, scheduled_at))


def a_pool_exhausted(
    db: AirflowDatabase, name: str = "warehouse", *, scheduled_at: datetime
) -> tuple[TaskKey, TaskKey]:
    """P1: one task holds the only slot, another waits for it. Returns (holder, waiting)."""
    pool_there(db, name, 1)
    holder = a_task_instance_running(db, started=scheduled_at, pool=name)
    return holder, a_task_instance_scheduled(db, scheduled_at=scheduled_at, pool=name, **_since(db, scheduled_at))


def a_pool_full_of_deferred_tasks(
    db: AirflowDatabase, name: str = "sensors", *, scheduled_at: datetime
) -> tuple[TaskKey, TaskKey]:
    """P2 (2.7+): a deferred task holds the only slot of a pool that counts such. Returns (holder, waiting)."""
    pool_there(db, name, 1, include_deferred=True)
    holder = a_task_instance_deferred(db, started=scheduled_at, pool=name)
    return holder, a_task_instance_scheduled(db, scheduled_at=scheduled_at, pool=name, **_since(db, scheduled_at))


def a_dag_at_max_active_tasks(
    db: AirflowDatabase, dag_id: str = "wide", *, scheduled_at: datetime, other_run: bool = False
) -> tuple[TaskKey, TaskKey]:
    """S5: as many tasks of the DAG are at work as it may have; with `other_run` in another run. Returns (at work, waiting)."""
    a_dag(db, dag_id, max_active_tasks=1)
    at_work = a_task_instance_running(db, started=scheduled_at, dag_id=dag_id, run_id="one")
    run_id = "another" if other_run else "one"
    since = _since(db, scheduled_at)
    return at_work, a_task_instance_scheduled(db, scheduled_at=scheduled_at, dag_id=dag_id, run_id=run_id, **since)


def a_dag_wedged_at_max_active_runs(
    db: AirflowDatabase, dag_id: str = "wedged", *, queued: datetime, running: int = 1
) -> tuple[list[str], str]:
    """P3: as many runs are running as may, and one more is queued behind them. Returns (the running ones, the queued one)."""
    a_dag(db, dag_id, max_active_runs=running)
    before = queued - timedelta(hours=1)
    return [a_running_dag_run(db, dag_id, started=before) for _ in range(running)], a_queued_dag_run(
        db, dag_id, queued=queued
    )


def _since(db: AirflowDatabase, moment: datetime) -> dict[str, datetime]:
    """Since 2.5 the scheduler leaves the moment in the row."""
    return {"updated_at": moment} if "updated_at" in db.tables["task_instance"].columns else {}
