"""What ends a failure: rows change as Airflow, or somebody on call, changes them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.airflow_database import AirflowDatabase
from tests.states.rows import delete, update
from tests.states.task_instances import TaskKey


def change_task(db: AirflowDatabase, key: TaskKey, **values: Any) -> None:
    """Set these columns of a task instance; KeyError for one that the schema lacks."""
    index = "map_index" if "map_index" in db.tables["task_instance"].columns else "region_index"
    where = {"dag_id": key.dag_id, "task_id": key.task_id, "run_id": key.run_id, index: key.map_index}
    update(db, "task_instance", values, **where)


def end_task(db: AirflowDatabase, key: TaskKey, state: str = "failed") -> None:
    """It ends, or its state is set by hand."""
    change_task(db, key, state=state)


def end_run(db: AirflowDatabase, dag_id: str, run_id: str, state: str = "failed") -> None:
    """A dag run ends, or its state is set by hand."""
    update(db, "dag_run", {"state": state}, dag_id=dag_id, run_id=run_id)


def beat(db: AirflowDatabase, job_id: int, moment: datetime) -> None:
    """A job gives a sign of life."""
    update(db, "job", {"state": "running", "latest_heartbeat": moment}, id=job_id)


def the_next_run_is_due(db: AirflowDatabase, dag_id: str, moment: datetime) -> None:
    """The scheduler should create the DAG's next run then."""
    update(db, "dag", {"next_dagrun": moment, "next_dagrun_create_after": moment}, dag_id=dag_id)


def the_trigger_fires(db: AirflowDatabase, key: TaskKey) -> None:
    """The task of the only trigger there is goes on; its trigger is deleted."""
    change_task(db, key, state="scheduled", trigger_id=None)
    delete(db, "trigger")


def size_pool(db: AirflowDatabase, name: str, slots: int) -> None:
    """Somebody changes the size of a pool."""
    update(db, "slot_pool", {"slots": slots}, pool=name)


def unpause(db: AirflowDatabase, dag_id: str) -> None:
    """The DAG goes on."""
    update(db, "dag", {"is_paused": False}, dag_id=dag_id)
