"""Sizes and rows of tables on MariaDB, without counting and without waiting for locks."""

from __future__ import annotations

import pytest

from airflow_obs.catalog import metrics
from tests.airflow_database import EXPORTER_ROLE, AirflowDatabase
from tests.airflow_schemas import MARIADB_SCHEMAS
from tests.collectors.collected import collect
from tests.collectors.conftest import Ago
from tests.conftest import NewDatabase
from tests.states import a_finished_dag_run, a_log_row


@pytest.fixture
def db(new_database: NewDatabase, ago: Ago) -> AirflowDatabase:
    """A MariaDB, with its role, some log and an old run."""
    made = new_database(MARIADB_SCHEMAS[-2])
    for day in range(50):
        a_log_row(made, dttm=ago(days=day))
    a_finished_dag_run(made, started=ago(days=80), ended=ago(days=80))
    made.execute("ANALYZE TABLE log")
    assert made.exporter_url
    return made


def test_every_table_has_the_size_of_its_file(db: AirflowDatabase) -> None:
    """Those, too, of which our role may read nothing."""
    files = db.execute(
        "SELECT SUBSTRING_INDEX(name, '/', -1), file_size FROM information_schema.innodb_sys_tablespaces "
        "WHERE name LIKE CONCAT(DATABASE(), '/%')"
    )
    seen = collect(db, "tables")
    assert seen.all(metrics.TABLE_SIZE) == {(name,): size for name, size in files}
    assert {name for (name,) in seen.all(metrics.TABLE_SIZE)} == db.tables.keys()
    assert seen.one(metrics.TABLE_ROWS, "log") == 50


def test_a_partitioned_table_is_one(db: AirflowDatabase) -> None:
    db.execute(
        "ALTER TABLE log PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (10), PARTITION b VALUES LESS THAN MAXVALUE)"
    )
    files = "FROM information_schema.innodb_sys_tablespaces WHERE name LIKE CONCAT(DATABASE(), '/log#%')"
    [(number, size)] = db.execute(f"SELECT COUNT(*), SUM(file_size) {files}")
    seen = collect(db, "tables")
    assert number == 2
    assert seen.one(metrics.TABLE_SIZE, "log") == size
    assert {name for (name,) in seen.all(metrics.TABLE_SIZE)} == db.tables.keys()


def test_without_the_privilege_the_tables_that_may_be_read_are_there(db: AirflowDatabase) -> None:
    db.execute(f"REVOKE PROCESS ON *.* FROM {EXPORTER_ROLE}@'%'")
    seen = collect(db, "tables")
    assert seen.one(metrics.TABLE_SIZE, "log")
    assert seen.one(metrics.TABLE_ROWS, "log") == 50
    assert seen.one(metrics.TABLE_SIZE, "connection") is None


def test_a_locked_table_holds_nobody(db: AirflowDatabase, ago: Ago) -> None:
    with db.engine.connect() as holder:
        holder.exec_driver_sql("LOCK TABLES log WRITE, task_instance WRITE")
        tables, clean_up = collect(db, "tables"), collect(db, "clean_up")
        holder.exec_driver_sql("UNLOCK TABLES")
    assert tables.one(metrics.TABLE_SIZE, "log")
    assert tables.one(metrics.TABLE_ROWS, "log") == 50
    assert tables.one(metrics.TABLE_OLDEST_ROW, "log") is None
    assert tables.one(metrics.TABLE_OLDEST_ROW, "dag_run") == ago(days=80).timestamp()
    assert clean_up.one(metrics.CLEAN_UP_UNDATED, "dag_run") == 0
    assert clean_up.one(metrics.CLEAN_UP_UNDATED, "task_instance") is None
    assert collect(db, "tables").one(metrics.TABLE_OLDEST_ROW, "log") == ago(days=49).timestamp()
