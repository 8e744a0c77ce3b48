"""DAGs as the DAG processor leaves them: their rows, their bundle and version in Airflow 3, and import errors."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from tests.airflow_database import AirflowDatabase
from tests.states.rows import exists, insert, newest, time_ordered_id

DAGS_FOLDER = PurePosixPath("/opt/airflow/dags")
BUNDLE = "dags-folder"


def a_dag(
    db: AirflowDatabase,
    dag_id: str = "sales",
    *,
    paused: bool = False,
    stale: bool = False,
    file: str | None = None,
    bundle: str = BUNDLE,
    last_parsed: datetime | None = None,
    parse_duration: float | None = None,
    next_run_due: datetime | None = None,
    tags: Sequence[str] = (),
    **columns: Any,
) -> str:
    """A DAG in `file` (relative to its folder or bundle; default `<dag_id>.py`); `parse_duration` in seconds.

    `next_run_due` is when the scheduler should create its next run. Returns `dag_id`.
    """
    relative = file or f"{dag_id}.py"
    _a_bundle(db, bundle)
    values = {
        "dag_id": dag_id,
        "is_paused": paused,
        "is_active": not stale,
        "is_stale": stale,
        "is_subdag": False,
        "fileloc": str(DAGS_FOLDER / relative),
        "relative_fileloc": relative,
        "processor_subdir": str(DAGS_FOLDER),
        "bundle_name": bundle,
        "owners": "airflow",
        "dag_display_name": dag_id,
        "schedule_interval": '"@daily"',
        "timetable_summary": "@daily",
        "timetable_type": "airflow.timetables.trigger.CronTriggerTimetable",
        "max_active_tasks": 16,
        "max_active_runs": 16,
        "has_import_errors": False,
        "last_parsed_time": last_parsed,
        "last_parse_duration": parse_duration,
        "next_dagrun": next_run_due,
        "next_dagrun_create_after": next_run_due,
    }
    insert(db, "dag", values, columns)
    for tag in tags:
        insert(db, "dag_tag", {"dag_id": dag_id, "name": tag})
    return dag_id


def an_import_error(
    db: AirflowDatabase, file: str = "broken.py", *, seen: datetime, bundle: str = BUNDLE, **columns: Any
) -> None:
    """A file (relative to its folder or bundle) that the DAG processor could not import when it last tried."""
    airflow_2 = "bundle_name" not in db.tables["import_error"].columns
    values = {
        "timestamp": seen,
        "filename": str(DAGS_FOLDER / file) if airflow_2 else file,
        "processor_subdir": str(DAGS_FOLDER),
        "bundle_name": bundle,
        "stacktrace": "Traceback (most recent call last):\nModuleNotFoundError: No module named 'pandsa'\n",
    }
    insert(db, "import_error", values, columns)


def dag_there(db: AirflowDatabase, dag_id: str, moment: datetime) -> None:
    """Make the DAG, parsed at that moment, unless it is there."""
    if not exists(db, "dag", dag_id=dag_id):
        a_dag(db, dag_id, last_parsed=moment)


def version_of(db: AirflowDatabase, dag_id: str, moment: datetime) -> Any:
    """The id of the DAG's newest version, made at that moment when there is none; None in Airflow 2."""
    if "dag_version" not in db.tables:
        return None
    if (known := newest(db, "dag_version", "id", dag_id=dag_id)) is not None:
        return known
    values = {
        "id": time_ordered_id(moment),
        "version_number": 1,
        "dag_id": dag_id,
        "bundle_name": newest(db, "dag", "bundle_name", dag_id=dag_id),
        "created_at": moment,
        "last_updated": moment,
    }
    return insert(db, "dag_version", values)


def _a_bundle(db: AirflowDatabase, name: str) -> None:
    if "dag_bundle" in db.tables and not exists(db, "dag_bundle", name=name):
        insert(db, "dag_bundle", {"name": name, "active": True})
