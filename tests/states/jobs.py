"""Rows of the job table: schedulers, triggerers, DAG processors and, in Airflow 2, one per try of a task."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.airflow_database import AirflowDatabase
from tests.states.rows import insert

SCHEDULER, TRIGGERER, DAG_PROCESSOR, TASK = "SchedulerJob", "TriggererJob", "DagProcessorJob", "LocalTaskJob"
STARTED_BEFORE = timedelta(hours=1)


def a_live_scheduler(db: AirflowDatabase, hostname: str = "scheduler-0", *, heartbeat: datetime, **columns: Any) -> int:
    """A scheduler that last gave a sign of life at `heartbeat`. Returns the job's id, as all builders here do."""
    return _a_job(db, SCHEDULER, hostname, heartbeat, "running", columns)


def a_killed_scheduler(
    db: AirflowDatabase, hostname: str = "scheduler-0", *, heartbeat: datetime, **columns: Any
) -> int:
    """A scheduler killed right after `heartbeat`: nobody wrote its end, so the row stays `running`."""
    return _a_job(db, SCHEDULER, hostname, heartbeat, "running", columns)


def a_buried_scheduler(
    db: AirflowDatabase, hostname: str = "scheduler-0", *, heartbeat: datetime, **columns: Any
) -> int:
    """A scheduler killed right after `heartbeat` whose row a surviving one has marked `failed`."""
    return _a_job(db, SCHEDULER, hostname, heartbeat, "failed", columns)


def a_stopped_scheduler(db: AirflowDatabase, hostname: str = "scheduler-0", *, ended: datetime, **columns: Any) -> int:
    """A scheduler that was told to stop, and did."""
    return _a_job(db, SCHEDULER, hostname, ended, "success", {"end_date": ended, **columns})


def a_live_triggerer(db: AirflowDatabase, hostname: str = "triggerer-0", *, heartbeat: datetime, **columns: Any) -> int:
    """A triggerer that last gave a sign of life at `heartbeat`."""
    return _a_job(db, TRIGGERER, hostname, heartbeat, "running", columns)


def a_dag_processor(
    db: AirflowDatabase, hostname: str = "dag-processor-0", *, heartbeat: datetime, **columns: Any
) -> int:
    """A DAG processor of its own process that last gave a sign of life at `heartbeat`."""
    return _a_job(db, DAG_PROCESSOR, hostname, heartbeat, "running", columns)


def a_running_task_job(db: AirflowDatabase, hostname: str = "worker-0", *, heartbeat: datetime, **columns: Any) -> int:
    """What Airflow 2 keeps for a try that is running."""
    return _a_job(db, TASK, hostname, heartbeat, "running", columns)


def a_finished_task_job(db: AirflowDatabase, hostname: str = "worker-0", *, ended: datetime, **columns: Any) -> int:
    """What Airflow 2 keeps, until it is cleaned up, for every try that ever ran."""
    return _a_job(db, TASK, hostname, ended, "success", {"end_date": ended, **columns})


def _a_job(
    db: AirflowDatabase, job_type: str, hostname: str, heartbeat: datetime, state: str, columns: dict[str, Any]
) -> int:
    values = {
        "job_type": job_type,
        "hostname": hostname,
        "unixname": "airflow",
        "state": state,
        "start_date": heartbeat - STARTED_BEFORE,
        "latest_heartbeat": heartbeat,
    }
    return int(insert(db, "job", values, columns))
