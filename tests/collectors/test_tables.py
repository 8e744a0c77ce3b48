"""Table sizes and ages, without counting and without waiting for locks."""

from __future__ import annotations

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import RECENCY_COLUMNS
from tests.airflow_database import AirflowDatabase
from tests.airflow_schemas import Kind
from tests.collectors.collected import collect
from tests.collectors.conftest import Ago
from tests.states import (
    a_finished_dag_run,
    a_finished_task_instance,
    a_killed_scheduler,
    a_log_row,
    a_task_instance_without_state,
    an_archive_table,
)


def test_sizes_rows_and_dead_rows(postgresql_db: AirflowDatabase, ago: Ago) -> None:
    for day in range(50):
        a_log_row(postgresql_db, dttm=ago(days=day))
    postgresql_db.execute("ANALYZE log")
    seen = collect(postgresql_db, "tables")
    sizes = dict(postgresql_db.execute("SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' AND "
                                       "relnamespace = 'public'::regnamespace"))  # fmt: skip
    assert seen.all(metrics.TABLE_SIZE) == {(name,): size for name, size in sizes.items()}
    assert seen.one(metrics.TABLE_ROWS, "log") == 50
    assert seen.one(metrics.TABLE_DEAD_ROWS, "log") == 0


def test_a_locked_table_is_estimated_and_holds_nobody(postgresql_db: AirflowDatabase, ago: Ago) -> None:
    for day in range(50):
        a_log_row(postgresql_db, dttm=ago(days=day))
    postgresql_db.execute("ANALYZE log")
    collect(postgresql_db, "tables")  # grants, which would wait for the lock
    with postgresql_db.engine.begin() as holder:
        holder.exec_driver_sql("LOCK TABLE log, task_instance IN ACCESS EXCLUSIVE MODE")
        seen = collect(postgresql_db, "tables")
        assert seen.one(metrics.TABLE_SIZE, "log") == pytest.approx(8192 * 10, rel=0.9)
        assert seen.one(metrics.TABLE_ROWS, "log") == 50
        # From planner statistics: the index itself cannot be read now.
        assert seen.one(metrics.TABLE_OLDEST_ROW, "log") == ago(days=49).timestamp()
        assert seen.one(metrics.TABLE_SIZE, "dag_run") == postgresql_db.execute(
            "SELECT pg_total_relation_size('dag_run')"
        )[0][0]  # fmt: skip


def test_the_oldest_row_from_the_end_of_an_index(airflow_db: AirflowDatabase, ago: Ago) -> None:
    for day in (30, 90, 10):
        a_log_row(airflow_db, dttm=ago(days=day))
    a_finished_dag_run(airflow_db, started=ago(days=80), ended=ago(days=80))
    a_finished_dag_run(airflow_db, started=ago(days=3), ended=ago(days=3))
    a_killed_scheduler(airflow_db, heartbeat=ago(days=70))
    seen = collect(airflow_db, "tables")
    assert seen.one(metrics.TABLE_OLDEST_ROW, "log") == ago(days=90).timestamp()
    assert seen.one(metrics.TABLE_OLDEST_ROW, "dag_run") == ago(days=80).timestamp()
    assert seen.one(metrics.TABLE_OLDEST_ROW, "job") == ago(days=70).timestamp()


def test_the_oldest_task_instance_and_those_without_a_moment(postgresql_db: AirflowDatabase, ago: Ago) -> None:
    for day in range(60, 0, -1):
        a_finished_task_instance(postgresql_db, "success", ended=ago(days=day), started=ago(days=day, minutes=1))
    for _ in range(20):
        a_task_instance_without_state(postgresql_db, created=ago(days=1))
    postgresql_db.execute("ANALYZE task_instance")
    seen = collect(postgresql_db, "tables")
    assert seen.one(metrics.TABLE_OLDEST_ROW, "task_instance") == ago(days=60, minutes=1).timestamp()
    assert seen.one(metrics.TABLE_UNDATED, "task_instance") == pytest.approx(0.25)


def test_what_db_clean_left_behind(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_log_row(airflow_db, dttm=ago(days=1))
    name = an_archive_table(airflow_db)
    seen = collect(airflow_db, "tables")
    assert seen.one(metrics.ARCHIVE_TABLES) == 1
    if airflow_db.kind is Kind.POSTGRESQL:
        assert seen.one(metrics.ARCHIVE_SIZE) == airflow_db.execute(f"SELECT pg_total_relation_size('{name}')")[0][0]
    assert seen.one(metrics.TABLE_SIZE, name) is None


def test_sqlite_has_rows_after_analyze_and_no_sizes(sqlite_db: AirflowDatabase, ago: Ago) -> None:
    for day in range(7):
        a_log_row(sqlite_db, dttm=ago(days=day))
    assert collect(sqlite_db, "tables").all(metrics.TABLE_ROWS) == {}
    sqlite_db.execute("ANALYZE")
    seen = collect(sqlite_db, "tables")
    assert seen.one(metrics.TABLE_ROWS, "log") == 7
    assert seen.all(metrics.TABLE_SIZE) == {}


def test_every_recency_column_is_one_of_some_release(airflow_db: AirflowDatabase) -> None:
    """A column that a table lacks would leave the table without an age, in silence."""
    celery = {"celery_taskmeta", "celery_tasksetmeta"}  # made by Celery, when it first stores a result
    for table, column in RECENCY_COLUMNS:
        if (
            table in airflow_db.tables
            and table not in celery
            and (table, airflow_db.release.version) != ("deadline", "3.0.2")
        ):
            assert column in airflow_db.tables[table].columns, f"{table}.{column}"
