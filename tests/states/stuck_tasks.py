"""Tasks that nobody works on, each named after how that came about (failure modes T3, T4 and T7)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.airflow_database import AirflowDatabase
from tests.states.dag_runs import a_finished_dag_run, a_running_dag_run
from tests.states.dags import a_dag
from tests.states.jobs import a_killed_scheduler
from tests.states.task_instances import TaskKey, a_task_instance, a_task_instance_queued, a_task_instance_running


def a_ghost(
    db: AirflowDatabase,
    state: str = "running",
    *,
    run_ended: datetime,
    run_state: str = "failed",
    dag_id: str = "haunted",
) -> TaskKey:
    """T3: a task that is still in `state` while its run is finished, so that no scheduler looks at it."""
    run_id = a_finished_dag_run(db, dag_id, started=run_ended - timedelta(hours=1), ended=run_ended, state=run_state)
    moment = run_ended - timedelta(minutes=30)
    columns: dict[str, Any] = {"queued_dttm": moment, "start_date": moment}
    return a_task_instance(db, state, moment, dag_id=dag_id, run_id=run_id, **columns)


def an_orphan_queued(db: AirflowDatabase, *, queued_at: datetime, scheduler_died: datetime) -> tuple[TaskKey, int]:
    """T3: a queued task whose scheduler was killed. Returns it, and that scheduler's job id."""
    dead = a_killed_scheduler(db, "scheduler-dead", heartbeat=scheduler_died)
    return a_task_instance_queued(db, queued_at=queued_at, queued_by_job_id=dead), dead


def a_task_whose_worker_died(db: AirflowDatabase, *, started: datetime, heartbeat: datetime, owner: int) -> TaskKey:
    """T4: still `running`, but its last sign of life was at `heartbeat`."""
    return a_task_instance_running(db, started=started, heartbeat=heartbeat, queued_by_job_id=owner)


def a_task_sent_but_not_named(db: AirflowDatabase, *, queued_at: datetime, owner: int, **columns: Any) -> TaskKey:
    """T7: its scheduler published a message and died before it wrote down the message's id."""
    return a_task_instance_queued(db, queued_at=queued_at, queued_by_job_id=owner, external_executor_id=None, **columns)


def a_dag_paused_in_mid_run(db: AirflowDatabase, dag_id: str = "paused", *, queued: datetime) -> TaskKey:
    """P3: somebody, or max_consecutive_failed_dag_runs, paused a DAG with a run under way. Returns its scheduled task."""
    a_dag(db, dag_id, paused=True)
    run_id = a_running_dag_run(db, dag_id, started=queued + timedelta(seconds=1), queued=queued)
    return a_task_instance(db, "scheduled", queued, dag_id=dag_id, run_id=run_id)
