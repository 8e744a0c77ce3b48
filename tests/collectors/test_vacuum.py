"""When tables were vacuumed, and what keeps vacuum from removing dead rows."""

from __future__ import annotations

import math

import pytest

from airflow_obs.catalog import metrics
from tests.airflow_database import AirflowDatabase
from tests.airflow_schemas import POSTGRESQL_SCHEMAS
from tests.collectors.collected import collect
from tests.collectors.conftest import AllSeeing
from tests.conftest import NewDatabase
from tests.embedded_postgres import EmbeddedPostgres
from tests.eventually import eventually
from tests.states import (
    a_forgotten_prepared_transaction,
    a_snapshot_that_stays_open,
    a_vacuum_at_work,
    an_abandoned_replication_slot,
    some_transactions,
)


def test_a_snapshot_that_stays_open(postgresql_db: AirflowDatabase, all_seeing: AllSeeing) -> None:
    assert postgresql_db.exporter_url
    with a_snapshot_that_stays_open(postgresql_db):
        some_transactions(postgresql_db, 20)
        assert collect(postgresql_db, "vacuum").one(metrics.DB_XMIN_AGE, "session") is None
        all_seeing(postgresql_db)
        assert (collect(postgresql_db, "vacuum").one(metrics.DB_XMIN_AGE, "session") or 0) >= 20
    postgresql_db.engine.dispose()
    assert eventually(
        lambda: collect(postgresql_db, "vacuum").one(metrics.DB_XMIN_AGE, "session") == 0, "the session is gone"
    )


def test_a_vacuum_at_work_holds_no_vacuum_back(new_database: NewDatabase, all_seeing: AllSeeing) -> None:
    db = new_database(POSTGRESQL_SCHEMAS[-2])
    all_seeing(db)
    with a_vacuum_at_work(db) as pid:
        some_transactions(db, 20)
        still_there = (
            f"SELECT age(backend_xmin) FROM pg_stat_activity JOIN pg_stat_progress_vacuum USING (pid) WHERE pid = {pid}"
        )
        assert db.execute(still_there)[0][0] >= 20
        assert collect(db, "vacuum").one(metrics.DB_XMIN_AGE, "session") == 0
        assert db.execute(still_there), "it ended while we looked"
        with a_snapshot_that_stays_open(db):
            some_transactions(db, 20)
            assert (collect(db, "vacuum").one(metrics.DB_XMIN_AGE, "session") or 0) >= 20


def test_a_forgotten_prepared_transaction(postgresql_db: AirflowDatabase) -> None:
    assert postgresql_db.exporter_url
    with a_forgotten_prepared_transaction(postgresql_db):
        some_transactions(postgresql_db, 20)
        seen = collect(postgresql_db, "vacuum")
        assert seen.one(metrics.DB_PREPARED) == 1
        prepared = postgresql_db.execute("SELECT prepared FROM pg_prepared_xacts")[0][0]
        assert seen.one(metrics.DB_PREPARED_OLDEST) == pytest.approx(prepared.timestamp(), abs=1e-3)
        assert (seen.one(metrics.DB_XMIN_AGE, "prepared") or 0) >= 20
    seen = collect(postgresql_db, "vacuum")
    assert seen.one(metrics.DB_PREPARED) == 0
    assert seen.one(metrics.DB_PREPARED_OLDEST) is None
    assert seen.one(metrics.DB_XMIN_AGE, "prepared") == 0


def test_a_slot_that_holds_nothing_back(postgresql_db: AirflowDatabase, postgres_server: EmbeddedPostgres) -> None:
    """Only a standby with hot_standby_feedback, or a logical reader, gives its slot an xmin."""
    with an_abandoned_replication_slot(postgres_server):
        assert collect(postgresql_db, "vacuum").one(metrics.DB_XMIN_AGE, "slot") == 0


def test_a_logical_reader_that_is_gone_holds_back_the_system_s_tables_alone(new_database: NewDatabase) -> None:
    db = new_database(POSTGRESQL_SCHEMAS[-2])
    db.execute("SELECT pg_create_logical_replication_slot('cdc', 'pgoutput')")
    try:
        some_transactions(db, 20)
        seen = collect(db, "vacuum")
        assert (seen.one(metrics.DB_XMIN_AGE, "catalog_slot") or 0) >= 20
        assert seen.one(metrics.DB_XMIN_AGE, "slot") == 0
    finally:
        db.execute("SELECT pg_drop_replication_slot('cdc')")


def test_when_tables_were_vacuumed(postgresql_db: AirflowDatabase) -> None:
    seen = collect(postgresql_db, "vacuum")
    assert seen.one(metrics.TABLE_LAST_VACUUM, "dag_run") is None
    with postgresql_db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        session.exec_driver_sql("VACUUM dag_run")
        session.exec_driver_sql("ANALYZE task_instance")
    postgresql_db.engine.dispose()

    def known() -> bool:
        tables = collect(postgresql_db, "vacuum")
        return bool(tables.one(metrics.TABLE_LAST_VACUUM, "dag_run")) and bool(
            tables.one(metrics.TABLE_LAST_ANALYZE, "task_instance")
        )

    assert eventually(known, "the server remembers")
    assert collect(postgresql_db, "vacuum").one(metrics.TABLE_LAST_VACUUM, "task_instance") is None


def test_when_autovacuum_comes(postgresql_db: AirflowDatabase) -> None:
    def threshold() -> float | None:
        return collect(postgresql_db, "vacuum").one(metrics.TABLE_VACUUM_THRESHOLD, "log")

    assert threshold() == 50
    postgresql_db.execute("INSERT INTO log (event) SELECT 'x' FROM generate_series(1, 1000)")
    postgresql_db.execute("ANALYZE log")
    assert threshold() == pytest.approx(250)
    postgresql_db.execute(
        "ALTER TABLE log SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 7)"
    )
    assert threshold() == pytest.approx(27)
    postgresql_db.execute("ALTER TABLE log SET (autovacuum_enabled = off)")
    assert threshold() == math.inf
    postgresql_db.execute("ALTER TABLE log RESET (autovacuum_enabled)")
    assert threshold() == pytest.approx(27)


def test_sqlite_has_no_vacuum(sqlite_db: AirflowDatabase) -> None:
    assert collect(sqlite_db, "vacuum").readings == ()
