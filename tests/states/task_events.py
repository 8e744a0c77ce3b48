"""What a scheduler writes to the audit log about tasks that went astray (failure modes T2, T4 and T5), from 2.10 on."""

from __future__ import annotations

from datetime import datetime

from tests.airflow_database import AirflowDatabase
from tests.states.cures import change_task
from tests.states.surroundings import a_log_row
from tests.states.task_instances import TaskKey, a_task_instance_queued


def writes_scheduler_events(db: AirflowDatabase) -> bool:
    """Whether this release has them."""
    return "try_number" in db.tables["log"].columns


def a_task_requeued_as_stuck(
    db: AirflowDatabase, *, at: datetime, key: TaskKey | None = None, try_number: int = 1
) -> tuple[TaskKey, int]:
    """T2: the scheduler found a queued task stuck, and puts it back among the scheduled. Returns it, and the row's id."""
    key = key or a_task_instance_queued(db, queued_at=at, try_number=try_number)
    change_task(db, key, state="scheduled", queued_dttm=None)
    return key, _an_event(db, "stuck in queued reschedule", key, at, try_number)


def a_task_out_of_requeues(db: AirflowDatabase, key: TaskKey, *, at: datetime, try_number: int = 1) -> int:
    """T2: stuck again after the last requeue, and therefore failed."""
    change_task(db, key, state="failed")
    return _an_event(db, "stuck in queued tries exceeded", key, at, try_number)


def a_heartbeat_timeout(db: AirflowDatabase, key: TaskKey, *, at: datetime) -> int:
    """T4: failed because nothing was heard of it for too long."""
    return _an_event(db, "heartbeat timeout", key, at, 1)


def a_state_mismatch(db: AirflowDatabase, key: TaskKey, *, at: datetime) -> int:
    """T5: the executor says that it ended, and the database that it is queued."""
    return _an_event(db, "state mismatch", key, at, 1)


def _an_event(db: AirflowDatabase, event: str, key: TaskKey, at: datetime, try_number: int) -> int:
    columns = {"task_id": key.task_id, "run_id": key.run_id, "map_index": key.map_index, "try_number": try_number}
    return a_log_row(db, event, dttm=at, dag_id=key.dag_id, **columns)
