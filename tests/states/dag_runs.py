"""DAG runs, named by their state; the DAG is made when it is not there."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.airflow_database import AirflowDatabase
from tests.states.dags import dag_there, version_of
from tests.states.rows import exists, insert, newest, numbers


def a_queued_dag_run(
    db: AirflowDatabase, dag_id: str = "sales", run_id: str | None = None, *, queued: datetime, **columns: Any
) -> str:
    """A run that waits for the scheduler to start it. Returns its `run_id`."""
    return _a_dag_run(db, dag_id, run_id, "queued", queued, {"queued_at": queued}, columns)


def a_running_dag_run(
    db: AirflowDatabase,
    dag_id: str = "sales",
    run_id: str | None = None,
    *,
    started: datetime,
    queued: datetime | None = None,
    **columns: Any,
) -> str:
    """A run at work since `started`, due and queued at `queued` (default: at once). Returns its `run_id`."""
    moments = {"queued_at": queued or started, "start_date": started}
    return _a_dag_run(db, dag_id, run_id, "running", queued or started, moments, columns)


def a_finished_dag_run(
    db: AirflowDatabase,
    dag_id: str = "sales",
    run_id: str | None = None,
    *,
    started: datetime,
    ended: datetime,
    state: str = "success",
    **columns: Any,
) -> str:
    """A run that ended in `state` (success or failed). Returns its `run_id`."""
    moments = {"queued_at": started, "start_date": started, "end_date": ended}
    return _a_dag_run(db, dag_id, run_id, state, started, moments, columns)


def dag_run_there(db: AirflowDatabase, dag_id: str, run_id: str, moment: datetime) -> None:
    """Make the run, running since that moment, unless it is there."""
    if not exists(db, "dag_run", dag_id=dag_id, run_id=run_id):
        a_running_dag_run(db, dag_id, run_id, started=moment)


def _a_dag_run(
    db: AirflowDatabase,
    dag_id: str,
    run_id: str | None,
    state: str,
    due: datetime,
    moments: dict[str, datetime],
    columns: dict[str, Any],
) -> str:
    dag_there(db, dag_id, due)
    number = next(numbers)
    # One run per DAG and logical date: they lie a microsecond apart, a day before the run is due, as for a daily DAG.
    logical = due - timedelta(days=1) + timedelta(microseconds=number)
    name = run_id or f"scheduled__{logical.isoformat()}"
    values = {
        "dag_id": dag_id,
        "run_id": name,
        "state": state,
        "run_type": "scheduled",
        "triggered_by": "timetable",
        "external_trigger": False,
        "execution_date": logical,
        "logical_date": logical,
        "data_interval_start": logical,
        "data_interval_end": due,
        "run_after": due,
        "created_at": due,
        "updated_at": due,
        "log_template_id": newest(db, "log_template", "id"),
        "created_dag_version_id": version_of(db, dag_id, due),
        **moments,
    }
    insert(db, "dag_run", values, columns)
    return name
