"""What clean-up should have deleted, and what it cannot see."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import CLEANED_TABLES, RECENCY_COLUMNS
from airflow_obs.collectors.clean_up import CleanUp
from airflow_obs.policy import Retention, load, loads
from tests.airflow_database import AirflowDatabase
from tests.airflow_schemas import POSTGRESQL_SCHEMAS, Kind
from tests.collectors.collected import Collected, collect, read
from tests.collectors.conftest import Ago
from tests.conftest import NewDatabase
from tests.states import (
    a_finished_dag_run,
    a_finished_task_instance,
    a_finished_task_job,
    a_log_row,
    a_queued_dag_run,
    a_run_that_never_started,
    a_task_instance_that_never_started,
    a_task_instance_without_state,
    results_of_celery,
)
from tests.states.many import copies_of

KEPT = timedelta(days=90)


def _due(seen: Collected, table: str) -> float | None:
    return seen.one(metrics.CLEAN_UP_DUE, table)


def test_every_table_has_its_retention(airflow_db: AirflowDatabase) -> None:
    seen = collect(airflow_db, "clean_up")
    there = {table for table in CLEANED_TABLES if table in airflow_db.tables}
    assert seen.all(metrics.CLEAN_UP_RETENTION) == {(table,): KEPT.total_seconds() for table in there}
    assert seen.one(metrics.CLEAN_UP_RETENTION, "dag_run") is None


def test_airflow_3_4_keeps_what_tasks_pass_on_in_two_tables() -> None:
    retention = loads("retention: {tables: {xcom: {days: 7}}}", "site.yaml").retention
    assert [retention.days_of(table) for table in ("xcom", "xcom_v1", "xcom_v2", "log")] == [7, 7, 7, 90]


def test_a_site_keeps_each_table_as_long_as_it_likes(airflow_db: AirflowDatabase, ago: Ago) -> None:
    policy = loads(
        "retention:\n  days: 30\n  tables:\n    log: {days: 7}\n    job:\n    xcom: {}", "site.yaml"
    ).retention
    assert [policy.days_of(table) for table in ("log", "job", "xcom", "task_instance")] == [7, 30, 30, 30]
    a_log_row(airflow_db, dttm=ago(days=9))
    seen = read(airflow_db, CleanUp(policy))
    assert seen.one(metrics.CLEAN_UP_RETENTION, "log") == timedelta(days=7).total_seconds()
    assert seen.one(metrics.CLEAN_UP_RETENTION, "job") == timedelta(days=30).total_seconds()
    assert _due(seen, "log") == ago(days=2).timestamp()


def test_nobody_cleans_up(airflow_db: AirflowDatabase, ago: Ago) -> None:
    assert collect(airflow_db, "clean_up").all(metrics.CLEAN_UP_DUE) == {}
    a_log_row(airflow_db, dttm=ago(days=100))
    a_log_row(airflow_db, dttm=ago(days=1))
    assert _due(collect(airflow_db, "clean_up"), "log") == ago(days=10).timestamp()
    airflow_db.execute("DELETE FROM log WHERE id = (SELECT min(id) FROM log)")
    # Due in the future: nothing is owed.
    assert _due(collect(airflow_db, "clean_up"), "log") == ago(days=-89).timestamp()


def test_a_moment_beyond_which_there_is_none(airflow_db: AirflowDatabase) -> None:
    """The day on which such a row is due has no date (on MySQL it has, whose own moments end in 2038)."""
    ends_early = airflow_db.kind is Kind.MARIADB
    end_of_time = datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC) if ends_early else datetime(9999, 12, 31, tzinfo=UTC)
    a_log_row(airflow_db, dttm=end_of_time)
    assert _due(collect(airflow_db, "clean_up"), "log") == end_of_time.timestamp() + KEPT.total_seconds()


@pytest.mark.parametrize("undated", [150, 1_500])
def test_a_debt_behind_rows_that_no_clean_up_sees(new_database: NewDatabase, ago: Ago, undated: int) -> None:
    db = new_database(POSTGRESQL_SCHEMAS[-2])
    for days in (100, 50):
        a_finished_task_instance(db, ended=ago(days=days), started=ago(days=days))
    a_task_instance_that_never_started(db, created=ago(days=200))
    number = "overlay(id::text PLACING lpad(n::text, 12, '0') FROM 25)::uuid"
    copies_of(db, "task_instance", "start_date IS NULL", f"generate_series(1, {undated})", id=number, map_index="n")
    db.execute("ANALYZE task_instance")
    seen = collect(db, "clean_up")
    assert seen.one(metrics.CLEAN_UP_UNDATED, "task_instance") == min(undated + 1, 1_000)
    assert _due(seen, "task_instance") == ago(days=10).timestamp()
    assert collect(db, "tables").one(metrics.TABLE_OLDEST_ROW, "task_instance") == ago(days=100).timestamp()


def test_what_was_emptied_owes_nothing(new_database: NewDatabase, ago: Ago) -> None:
    """The planner keeps what it knew of a table that has become empty."""
    db = new_database(POSTGRESQL_SCHEMAS[-2])
    a_finished_task_job(db, ended=ago(days=100))
    db.execute("ANALYZE job")
    db.execute("DELETE FROM job")
    db.execute("ANALYZE job")
    assert _due(collect(db, "clean_up"), "job") is None
    assert collect(db, "tables").one(metrics.TABLE_OLDEST_ROW, "job") is None


def test_old_task_instances(airflow_db: AirflowDatabase, ago: Ago) -> None:
    for days in (100, 3):
        columns: dict[str, Any] = {}
        if "job_id" in airflow_db.tables["task_instance"].columns:
            columns["job_id"] = a_finished_task_job(airflow_db, ended=ago(days=days))
        a_finished_task_instance(airflow_db, ended=ago(days=days), started=ago(days=days), **columns)
    a_task_instance_without_state(airflow_db, created=ago(days=1))
    assert _due(collect(airflow_db, "clean_up"), "task_instance") == ago(days=10).timestamp()
    airflow_db.execute("DELETE FROM task_instance WHERE start_date = (SELECT min(start_date) FROM task_instance)")
    assert _due(collect(airflow_db, "clean_up"), "task_instance") == ago(days=-87).timestamp()


def test_the_last_run_of_a_dag_is_no_debt(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_finished_dag_run(airflow_db, started=ago(days=400), ended=ago(days=400))
    assert collect(airflow_db, "clean_up").all(metrics.CLEAN_UP_DUE) == {}


def test_results_of_celery_that_nobody_deletes(airflow_db: AirflowDatabase, ago: Ago) -> None:
    assert collect(airflow_db, "clean_up").one(metrics.CLEAN_UP_RETENTION, "celery_taskmeta") is None
    # On MySQL Celery keeps whole seconds.
    old, new = (ago(days=days).replace(microsecond=0) for days in (100, 1))
    results_of_celery(airflow_db, old, new)
    vars(airflow_db).pop("exporter_url", None)  # it grants again, now on that table too
    assert _due(collect(airflow_db, "clean_up"), "celery_taskmeta") == (old + KEPT).timestamp()
    assert collect(airflow_db, "tables").one(metrics.TABLE_OLDEST_ROW, "celery_taskmeta") == old.timestamp()
    airflow_db.execute("DELETE FROM celery_taskmeta WHERE id = 1")
    assert _due(collect(airflow_db, "clean_up"), "celery_taskmeta") == (new + KEPT).timestamp()


def test_runs_that_no_clean_up_sees(airflow_db: AirflowDatabase, ago: Ago) -> None:
    assert collect(airflow_db, "clean_up").one(metrics.CLEAN_UP_UNDATED, "dag_run") == 0
    for days in (200, 100, 10):
        a_run_that_never_started(airflow_db, queued=ago(days=days))
    a_queued_dag_run(airflow_db, queued=ago(days=150))
    a_finished_dag_run(airflow_db, started=ago(days=150), ended=ago(days=150))
    assert collect(airflow_db, "clean_up").one(metrics.CLEAN_UP_UNDATED, "dag_run") == 2
    airflow_db.execute("DELETE FROM dag_run WHERE start_date IS NULL AND state = 'failed'")
    assert collect(airflow_db, "clean_up").one(metrics.CLEAN_UP_UNDATED, "dag_run") == 0


def test_task_instances_that_no_clean_up_sees(airflow_db: AirflowDatabase, ago: Ago) -> None:
    for days in (200, 100, 10):
        a_task_instance_that_never_started(airflow_db, created=ago(days=days))
    a_task_instance_without_state(airflow_db, created=ago(days=150))
    a_finished_task_instance(airflow_db, ended=ago(days=150))
    undated = collect(airflow_db, "clean_up").one(metrics.CLEAN_UP_UNDATED, "task_instance")
    assert undated == (2 if airflow_db.release.major >= 3 else None)
    airflow_db.execute("DELETE FROM task_instance WHERE start_date IS NULL AND state = 'failed'")
    assert not collect(airflow_db, "clean_up").one(metrics.CLEAN_UP_UNDATED, "task_instance")


def test_a_locked_table_holds_nobody(postgresql_db: AirflowDatabase, ago: Ago) -> None:
    a_log_row(postgresql_db, dttm=ago(days=100))
    postgresql_db.execute("ANALYZE log")
    collect(postgresql_db, "clean_up")  # grants, which would wait for the lock
    with postgresql_db.engine.begin() as holder:
        holder.exec_driver_sql("LOCK TABLE log, task_instance, dag_run IN ACCESS EXCLUSIVE MODE")
        seen = collect(postgresql_db, "clean_up")
        assert seen.one(metrics.CLEAN_UP_UNDATED, "dag_run") is None
        assert seen.one(metrics.CLEAN_UP_RETENTION, "log") == KEPT.total_seconds()
    assert _due(collect(postgresql_db, "clean_up"), "log") == ago(days=10).timestamp()


def test_the_policy_names_the_tables_that_are_judged() -> None:
    assert set(type(load(None).retention.tables).model_fields) == CLEANED_TABLES - {"xcom_v1", "xcom_v2"}
    assert {table for table, _ in RECENCY_COLUMNS} >= CLEANED_TABLES
    assert Retention().days_of("no_such_table") == Retention().days
