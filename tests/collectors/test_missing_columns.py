"""A column that is gone costs what is made of it, or is named in a clear refusal; it is never a bug of ours."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.errors import SourceError
from tests.airflow_database import AirflowDatabase
from tests.airflow_schemas import POSTGRESQL_SCHEMAS
from tests.collectors.collected import collect
from tests.collectors.conftest import Ago
from tests.conftest import NewDatabase
from tests.states import a_queued_dag_run, a_task_instance_queued

READ = {
    "jobs": {"job": ["job_type", "hostname", "state", "latest_heartbeat"]},
    "task_instances": {"task_instance": ["state", "queue", "pool", "executor", "queued_dttm", "scheduled_dttm"]},
    "dag_runs": {
        "dag_run": ["state", "run_type", "queued_at", "start_date"],
        "dag": ["is_paused", "is_stale", "next_dagrun_create_after", "exceeds_max_non_backfill"],
    },
    "dag_processing": {
        "dag": ["dag_id", "is_paused", "last_parsed_time", "last_parse_duration", "relative_fileloc", "fileloc"],
        "import_error": ["id"],
    },
    "pools": {"slot_pool": ["pool", "slots", "include_deferred"], "task_instance": ["pool_slots"]},
    "outcomes": {
        "task_instance": ["state", "queue", "try_number", "start_date", "end_date", "last_heartbeat_at", "map_index"],
        "task_instance_history": ["state", "try_number", "max_tries", "end_date"],
        "dag_run": ["id", "state", "run_type", "start_date", "end_date", "run_after", "run_id"],
    },
    "database": {"job": ["executor_class", "job_type", "latest_heartbeat"]},
    "task_events": {
        "log": ["id", "event", "dag_id", "run_id", "map_index", "try_number"],
        "task_instance": ["map_index", "state", "try_number"],
    },
    "stuck_tasks": {
        "task_instance": [
            "state",
            "run_id",
            "queued_by_job_id",
            "queued_dttm",
            "start_date",
            "last_heartbeat_at",
            "external_executor_id",
            "executor",
            "queue",
        ],
        "dag_run": ["state", "dag_id", "run_id", "end_date", "queued_at"],
        "job": ["hostname", "state", "latest_heartbeat"],
        "dag": ["is_paused"],
    },
    "starvation": {
        "task_instance": ["id", "state", "run_id", "pool", "pool_slots", "scheduled_dttm", "updated_at"],
        "dag_run": ["state", "dag_id", "run_after", "queued_at", "backfill_id"],
        "dag": ["is_paused", "is_stale", "max_active_tasks", "max_active_runs"],
        "backfill": ["is_paused", "max_active_runs", "completed_at"],
        "slot_pool": ["slots"],
    },
    "triggers": {
        "trigger": ["id", "created_date", "triggerer_id"],
        "task_instance": ["state", "trigger_id", "trigger_timeout"],
        "job": ["hostname", "state"],
    },
    "assets": {"asset_dag_run_queue": ["target_dag_id", "created_at"], "dag": ["is_paused", "is_stale"]},
    "deadlines": {
        "deadline": ["id", "deadline_time", "missed"],
        "callback": ["id", "type", "state", "created_at"],
    },
    "bundles": {
        "dag_bundle": ["name", "active", "last_refreshed"],
        "dag_version": ["id", "dag_id", "created_at"],
    },
    "slos": {
        "dag_run": ["id", "dag_id", "run_id", "state", "end_date", "logical_date", "run_after"],
        "dag": ["dag_id", "is_stale"],
    },
    "clean_up": {
        "log": ["dttm"],
        "dag_run": ["id", "start_date", "state", "queued_at"],
        "task_instance": ["id", "start_date", "state"],
        "task_instance_history": ["task_instance_id", "start_date"],
    },
    "tables": {"log": ["dttm"], "dag_run": ["start_date"], "task_instance": ["start_date"]},
}
CASES = [
    (name, table, column) for name, tables in READ.items() for table, columns in tables.items() for column in columns
]


@pytest.fixture
def db(new_database: NewDatabase) -> AirflowDatabase:
    """An Airflow 3.3.2."""
    return new_database(POSTGRESQL_SCHEMAS[-2])


class _Refused(Exception):
    """The collector said which column it needs."""


@contextlib.contextmanager
def _refused_in_words() -> Iterator[None]:
    try:
        yield
    except SourceError as refusal:
        if "has no column" in str(refusal):
            raise _Refused from None
        raise


@pytest.mark.parametrize(("name", "table", "column"), CASES)
def test_a_missing_column_is_no_bug(db: AirflowDatabase, name: str, table: str, column: str) -> None:
    assert db.exporter_url
    db.execute(f"ALTER TABLE {table} DROP COLUMN {column} CASCADE")
    with contextlib.suppress(_Refused), _refused_in_words():
        collect(db, name)


def test_what_else_is_there_stays(db: AirflowDatabase) -> None:
    assert db.exporter_url
    for table, column in (("dag", "next_dagrun_create_after"), ("dag", "last_parsed_time"), ("job", "executor_class")):
        db.execute(f"ALTER TABLE {table} DROP COLUMN {column} CASCADE")
    assert collect(db, "dag_runs").one(metrics.DAGS_OVERDUE) == 0
    assert collect(db, "dag_processing").one(metrics.IMPORT_ERRORS) == 0
    assert collect(db, "database").one(metrics.DB_SIZE)


def test_another_subject_is_left_alone(db: AirflowDatabase, ago: Ago) -> None:
    a_task_instance_queued(db, queued_at=ago(minutes=1))
    a_queued_dag_run(db, queued=ago(minutes=1))
    assert db.exporter_url
    db.execute("ALTER TABLE task_instance DROP COLUMN queued_dttm CASCADE")
    db.execute("DROP TABLE import_error")
    parsed = collect(db, "dag_processing")
    assert parsed.one(metrics.IMPORT_ERRORS) is None
    assert parsed.one(metrics.DAGS, "stale") == 0
    tasks = collect(db, "task_instances")
    assert sum(tasks.all(metrics.TASK_INSTANCES).values()) == 1
    assert tasks.all(metrics.TASK_QUEUE_WAIT) == {}
    db.execute("DROP TABLE dag CASCADE")
    runs = collect(db, "dag_runs")
    assert sum(count for (state, _), count in runs.all(metrics.DAG_RUNS).items() if state == "queued") == 1
    assert runs.one(metrics.DAGS_OVERDUE) is None


def test_waiting_callbacks_of_unknown_age(new_database: NewDatabase) -> None:
    db = new_database(POSTGRESQL_SCHEMAS[0])
    assert db.exporter_url
    db.execute("ALTER TABLE callback_request DROP COLUMN created_at")
    assert set(collect(db, "deadlines").all(metrics.CALLBACKS_WAITING).values()) == {0}


def test_a_label_does_not_take_the_metrics_with_it(db: AirflowDatabase) -> None:
    assert db.exporter_url
    db.execute("REVOKE SELECT (executor_class) ON job FROM airflow_obs")
    assert collect(db, "database").one(metrics.DB_SIZE)
