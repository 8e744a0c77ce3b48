"""What our role may not read: collectors that list many tables go on without, those that would count wrong refuse; both say so."""

from __future__ import annotations

import logging
from contextlib import closing

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import RECENCY_COLUMNS
from airflow_obs.errors import SourceError
from tests.airflow_database import EXPORTER_ROLE, AirflowDatabase
from tests.airflow_schemas import MARIADB_SCHEMAS, POSTGRESQL_SCHEMAS, Kind, Schema
from tests.collectors.collected import BUDGET, collect, collector, source
from tests.collectors.conftest import Ago
from tests.conftest import NewDatabase
from tests.states import a_finished_dag_run, a_finished_task_job, a_log_row, results_of_celery

NEWEST = [POSTGRESQL_SCHEMAS[-1], MARIADB_SCHEMAS[-1]]
COMMAND = {Kind.POSTGRESQL: "airflow-obs grants", Kind.MARIADB: "airflow-obs grants --for mysql"}
"""How the role gets what it needs."""


def withhold(db: AirflowDatabase, table: str, *columns: str) -> None:
    assert db.exporter_url  # grants
    db.execute(f"REVOKE SELECT ({', '.join(columns)}) ON {table} FROM {EXPORTER_ROLE}")


def test_one_lost_privilege_costs_one_table(server_db: AirflowDatabase, ago: Ago) -> None:
    a_log_row(server_db, dttm=ago(days=100))
    a_finished_task_job(server_db, ended=ago(days=100))
    a_finished_dag_run(server_db, started=ago(days=100), ended=ago(days=100))
    judged = {(table,) for table, _ in RECENCY_COLUMNS if table in server_db.tables}
    judged -= {("deadline",)} if "deadline_time" not in _columns(server_db, "deadline") else set()
    before = collect(server_db, "tables")
    assert before.all(metrics.TABLE_READABLE) == dict.fromkeys(judged, 1)
    withhold(server_db, "log", "dttm")
    withhold(server_db, "dag_run", "id")
    seen = collect(server_db, "tables")
    assert {table for (table,), readable in seen.all(metrics.TABLE_READABLE).items() if not readable} == {
        "log",
        "dag_run",
    }
    assert seen.one(metrics.TABLE_SIZE, "log")
    assert set(seen.all(metrics.TABLE_OLDEST_ROW)) == set(before.all(metrics.TABLE_OLDEST_ROW)) - {
        ("log",),
        ("dag_run",),
    }
    cleaned = collect(server_db, "clean_up")
    assert cleaned.all(metrics.CLEAN_UP_DUE) == {("job",): ago(days=10).timestamp()}
    assert cleaned.one(metrics.CLEAN_UP_RETENTION, "log")
    assert cleaned.one(metrics.CLEAN_UP_UNDATED, "dag_run") is None


def test_a_table_that_came_after_the_grants(server_db: AirflowDatabase, ago: Ago) -> None:
    assert server_db.exporter_url
    done = ago(days=100).replace(microsecond=0)  # on MySQL Celery keeps whole seconds
    results_of_celery(server_db, done)
    a_log_row(server_db, dttm=ago(days=100))
    seen = collect(server_db, "tables")
    assert seen.one(metrics.TABLE_READABLE, "celery_taskmeta") == 0
    assert seen.one(metrics.TABLE_OLDEST_ROW, "log") == ago(days=100).timestamp()
    assert set(collect(server_db, "clean_up").all(metrics.CLEAN_UP_DUE)) == {("log",)}
    vars(server_db).pop("exporter_url")  # it grants again, now on that table too
    seen = collect(server_db, "tables")
    assert seen.one(metrics.TABLE_READABLE, "celery_taskmeta") == 1
    assert seen.one(metrics.TABLE_OLDEST_ROW, "celery_taskmeta") == done.timestamp()


@pytest.mark.parametrize("schema", NEWEST, ids=str)
def test_it_is_said_once_with_the_cure(
    schema: Schema, new_database: NewDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    db = new_database(schema)
    withhold(db, "log", "dttm")
    with closing(source(db.exporter_url)) as database, caplog.at_level(logging.WARNING):
        for name in ("tables", "clean_up", "tables"):
            with database.session(BUDGET) as session:
                collector(name).read(session)
    [said] = caplog.messages
    assert said.startswith(
        f"database: our role may not read log.dttm: what is made of it is left out; run `{COMMAND[schema.kind]} |"
    )


@pytest.mark.parametrize("schema", NEWEST, ids=str)
@pytest.mark.parametrize(("name", "table", "column"), [
    ("dag_runs", "dag_run", "state"),
    ("task_instances", "task_instance", "working_set"),
    ("pools", "slot_pool", "include_deferred"),
    ("dag_processing", "dag", "is_stale"),
    ("outcomes", "dag_run", "run_after"),
])  # fmt: skip
def test_what_decides_how_to_count_is_not_taken_for_absent(
    schema: Schema, new_database: NewDatabase, name: str, table: str, column: str
) -> None:
    """As in an older release, where it is absent: there the same figures are counted in another way."""
    db = new_database(schema)
    withhold(db, table, column)
    denied = {
        Kind.POSTGRESQL: f"for table {table}; run `{COMMAND[schema.kind]} ",
        Kind.MARIADB: f"for column '{column}' in table '{table}'.*; run `{COMMAND[schema.kind]} ",
    }
    with closing(source(db.exporter_url)) as database, pytest.raises(SourceError, match=denied[schema.kind]), (
        database.session(BUDGET)
    ) as session:  # fmt: skip
        collector(name).read(session)


def _columns(db: AirflowDatabase, table: str) -> set[str]:
    return {column.name for column in db.tables[table].columns} if table in db.tables else set()
