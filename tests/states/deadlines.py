"""SLA misses, deadlines and callbacks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from tests.airflow_database import AirflowDatabase
from tests.states.dags import dag_there
from tests.states.rows import insert, numbers, time_ordered_id


def an_sla_miss(db: AirflowDatabase, *, recorded: datetime) -> None:
    """What Airflow 2 writes about a task that is not done in time."""
    key = {"task_id": f"task_{next(numbers)}", "dag_id": "sales", "execution_date": recorded - timedelta(days=1)}
    insert(db, "sla_miss", {**key, "timestamp": recorded, "email_sent": False, "notification_sent": False})


def an_overdue_deadline(db: AirflowDatabase, *, passed: datetime) -> Any:
    """A deadline that passed at that moment without the scheduler's noticing; for 3.1 and later. Returns its id."""
    made = passed - timedelta(hours=1)
    values = {
        "id": time_ordered_id(made),
        "deadline_time": passed,
        "missed": False,
        "callback": {},
        "created_at": made,
        "last_updated_at": made,
    }
    if "callback_id" in db.tables["deadline"].columns:
        values["callback_id"] = a_callback(db, "scheduled", asked=made)
    return insert(db, "deadline", values)


def the_deadline_is_missed(db: AirflowDatabase, identity: Any) -> None:
    """The scheduler has noticed, and asked for the deadline's callback."""
    deadline = db.tables["deadline"]
    done = {"missed": True} if "missed" in deadline.columns else {"callback_state": "queued"}
    with db.engine.begin() as connection:
        connection.execute(sa.update(deadline).where(deadline.c.id == identity).values(done))


def a_callback(
    db: AirflowDatabase, state: str | None, *, asked: datetime, runner: str = "triggerer", **columns: Any
) -> Any:
    """A callback in this state, for releases that keep them (3.2 and later). Returns its id."""
    values = {
        "id": time_ordered_id(asked),
        "type": runner,
        "fetch_method": "import_path",
        "data": {},
        "state": state,
        "priority_weight": 1,
        "created_at": asked,
    }
    return insert(db, "callback", values, columns)


def a_callback_that_nobody_takes(db: AirflowDatabase, *, asked: datetime) -> None:
    """A task failed, and the dag processor should run its on_failure_callback."""
    if "callback" in db.tables:
        a_callback(db, None, asked=asked, runner="dag_processor")
        return
    dag_there(db, "sales", asked)
    values = {"created_at": asked, "priority_weight": 1, "callback_data": {}, "callback_type": "TaskCallbackRequest"}
    insert(db, "callback_request", values)
