"""Task instances, named by their state; the DAG and the DAG run are made when they are not there."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from tests.airflow_database import AirflowDatabase
from tests.states.dag_runs import dag_run_there
from tests.states.dags import version_of
from tests.states.jobs import a_running_task_job
from tests.states.rows import insert, numbers, time_ordered_id


class TaskKey(NamedTuple):
    """What names a task instance in every release; `map_index` is -1 for a task that is not mapped."""

    dag_id: str
    task_id: str
    run_id: str
    map_index: int


def a_task_instance(
    db: AirflowDatabase,
    state: str | None,
    created: datetime,
    *,
    dag_id: str = "sales",
    run_id: str = "manual__1",
    task_id: str | None = None,
    map_index: int = -1,
    pool: str = "default_pool",
    pool_slots: int = 1,
    queue: str = "default",
    executor: str | None = None,
    try_number: int = 1,
    **columns: Any,
) -> TaskKey:
    """A task instance in any state, its DAG run running since `created`; without `task_id` it gets a new one.

    `executor` is kept where the schema has it. The builders below take the same keywords.
    """
    dag_run_there(db, dag_id, run_id, created)
    key = TaskKey(dag_id, task_id or f"task_{next(numbers)}", run_id, map_index)
    values = {
        "id": time_ordered_id(created),
        **_columns_of(key),
        "state": state,
        "try_number": try_number,
        "max_tries": 2,
        "pool": pool,
        "pool_slots": pool_slots,
        "queue": queue,
        "executor": executor,
        "priority_weight": 1,
        "operator": "PythonOperator",
        "custom_operator_name": "@task",
        "task_display_name": key.task_id,
        "hostname": "",
        "unixname": "airflow",
        "updated_at": created,
        "working_set": True,
        "dag_version_id": version_of(db, dag_id, created),
    }
    insert(db, "task_instance", values, columns)
    return key


def a_task_instance_without_state(db: AirflowDatabase, *, created: datetime, **columns: Any) -> TaskKey:
    """One whose turn has not come: something before it is not done."""
    return a_task_instance(db, None, created, **columns)


def a_task_instance_scheduled(db: AirflowDatabase, *, scheduled_at: datetime, **columns: Any) -> TaskKey:
    """One that may run and waits for a slot; only Airflow 3 keeps `scheduled_at`."""
    return a_task_instance(db, "scheduled", scheduled_at, **_kept(db, scheduled_dttm=scheduled_at) | columns)


def a_task_instance_queued(
    db: AirflowDatabase, *, queued_at: datetime, scheduled_at: datetime | None = None, **columns: Any
) -> TaskKey:
    """One that was handed to the executor and has not started."""
    moments = _kept(db, queued_dttm=queued_at, scheduled_dttm=scheduled_at or queued_at)
    return a_task_instance(db, "queued", queued_at, **moments | columns)


def a_task_instance_running(
    db: AirflowDatabase,
    *,
    started: datetime,
    heartbeat: datetime | None = None,
    hostname: str = "worker-0",
    **columns: Any,
) -> TaskKey:
    """One at work since `started` that last gave a sign of life at `heartbeat` (default: at once).

    Airflow 3 keeps the heartbeat in the row, Airflow 2 in a row of the job table.
    """
    alive = _kept(db, last_heartbeat_at=heartbeat or started)
    if "job_id" in db.tables["task_instance"].columns:
        alive["job_id"] = a_running_task_job(db, hostname, heartbeat=heartbeat or started)
    moments = _kept(db, queued_dttm=started, scheduled_dttm=started, start_date=started)
    return a_task_instance(db, "running", started, hostname=hostname, **moments | alive | columns)


def a_task_instance_deferred(
    db: AirflowDatabase, *, started: datetime, triggerer_id: int | None = None, **columns: Any
) -> TaskKey:
    """One that gave back its slot at once and waits for a trigger, which runs in the triggerer with this job id."""
    values = {
        "classpath": "airflow.providers.standard.triggers.temporal.TimeDeltaTrigger",
        "kwargs": {},
        "created_date": started,
        "triggerer_id": triggerer_id,
    }
    trigger = insert(db, "trigger", values)
    moments = _kept(db, queued_dttm=started, scheduled_dttm=started, start_date=started)
    return a_task_instance(
        db, "deferred", started, trigger_id=trigger, next_method="execute_complete", **moments | columns
    )


def a_task_instance_up_for_retry(db: AirflowDatabase, *, failed_at: datetime, **columns: Any) -> TaskKey:
    """One whose try failed after a minute and that will be tried again."""
    return a_finished_task_instance(db, "up_for_retry", ended=failed_at, **columns)


def a_task_instance_up_for_reschedule(db: AirflowDatabase, *, poked_at: datetime, **columns: Any) -> TaskKey:
    """A sensor in mode `reschedule` that looked a minute long until `poked_at` and will look again."""
    return a_finished_task_instance(db, "up_for_reschedule", ended=poked_at, **columns)


def a_finished_task_instance(
    db: AirflowDatabase,
    state: str = "success",
    *,
    ended: datetime,
    started: datetime | None = None,
    hostname: str = "worker-0",
    **columns: Any,
) -> TaskKey:
    """One that ended in `state`, begun at `started` (default: a minute before)."""
    begun = started or ended - timedelta(minutes=1)
    moments = _kept(db, queued_dttm=begun, scheduled_dttm=begun, start_date=begun, end_date=ended)
    alive = _kept(db, last_heartbeat_at=ended)
    length = (ended - begun).total_seconds()
    return a_task_instance(db, state, begun, hostname=hostname, duration=length, **moments | alive | columns)


def an_archived_try(
    db: AirflowDatabase,
    key: TaskKey,
    *,
    started: datetime,
    ended: datetime,
    try_number: int = 1,
    state: str = "failed",
    max_tries: int = 2,
) -> None:
    """An earlier try of a task instance that is there with a higher `try_number`, where this release keeps such tries.

    That is task_instance itself in 3.4 (with `working_set` NULL), task_instance_history from 2.10, task_fail before.
    """
    values = {
        **_columns_of(key),
        "state": state,
        "try_number": try_number,
        "max_tries": max_tries,
        "pool": "default_pool",
        "pool_slots": 1,
        "queue": "default",
        "operator": "PythonOperator",
        "queued_dttm": started,
        "start_date": started,
        "end_date": ended,
        "duration": (ended - started).total_seconds(),
        "dag_version_id": version_of(db, key.dag_id, started),
    }
    if "working_set" in db.tables["task_instance"].columns:
        archived = {"id": time_ordered_id(started), "working_set": None, "archived_reason": "retry"}
        insert(db, "task_instance", values | archived)
    elif "task_instance_history" in db.tables:
        identity = time_ordered_id(started)
        insert(db, "task_instance_history", values | {"task_instance_id": identity})
    else:
        insert(db, "task_fail", values | {"duration": round((ended - started).total_seconds())})


def _columns_of(key: TaskKey) -> dict[str, Any]:
    """The key by column; 3.4 says `region_index` for `map_index`."""
    return {**key._asdict(), "region_index": key.map_index}


def _kept(db: AirflowDatabase, **moments: Any) -> dict[str, Any]:
    """Those of the columns that this release has."""
    return {name: value for name, value in moments.items() if name in db.tables["task_instance"].columns}
