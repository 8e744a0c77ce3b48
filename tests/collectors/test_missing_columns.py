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
from tests.conftest import NewDatabase

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
    "database": {"job": ["executor_class", "job_type", "latest_heartbeat"]},
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


def test_a_label_does_not_take_the_metrics_with_it(db: AirflowDatabase) -> None:
    assert db.exporter_url
    db.execute("REVOKE SELECT (executor_class) ON job FROM airflow_obs")
    assert collect(db, "database").one(metrics.DB_SIZE)
