"""What is left in an Airflow database when nobody cleans up, or when clean-up cannot see it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from tests.airflow_database import AirflowDatabase
from tests.airflow_schemas import Kind
from tests.states.dag_runs import a_finished_dag_run
from tests.states.task_instances import TaskKey, a_finished_task_instance


def a_run_that_never_started(db: AirflowDatabase, *, queued: datetime, state: str = "failed", **columns: Any) -> str:
    """A run that was set to its end while it was queued: without start_date, so that no clean-up deletes it."""
    return a_finished_dag_run(db, started=queued, ended=queued, state=state, start_date=None, **columns)


def a_task_instance_that_never_started(db: AirflowDatabase, *, created: datetime, **columns: Any) -> TaskKey:
    """A task instance that was set to its end before it started: without start_date."""
    return a_finished_task_instance(db, "failed", ended=created, started=created, start_date=None, **columns)


def results_of_celery(db: AirflowDatabase, *done: datetime) -> None:
    """Results in the database, as Celery's backend keeps them (the table is its own, made at the first result)."""
    number, result, moment_type = {
        Kind.POSTGRESQL: ("SERIAL", "BYTEA", "TIMESTAMP"),
        Kind.MARIADB: ("INTEGER AUTO_INCREMENT", "BLOB", "DATETIME"),
        Kind.SQLITE: ("INTEGER", "BLOB", "DATETIME"),
    }[db.kind]
    with db.engine.begin() as connection:
        connection.exec_driver_sql(
            f"CREATE TABLE IF NOT EXISTS celery_taskmeta (id {number} PRIMARY KEY, task_id VARCHAR(155) UNIQUE, "
            f"status VARCHAR(50), result {result}, date_done {moment_type}, traceback TEXT)"
        )
        insert = sa.text("INSERT INTO celery_taskmeta (task_id, status, date_done) VALUES (:task, 'SUCCESS', :done)")
        for moment in done:
            connection.execute(insert, {"task": moment.isoformat(), "done": moment.replace(tzinfo=None)})
