"""Replication slots that keep log, and replicas that fall behind."""

from __future__ import annotations

from airflow_obs.catalog import metrics
from tests.airflow_database import AirflowDatabase
from tests.collectors.collected import collect
from tests.collectors.conftest import AllSeeing
from tests.embedded_postgres import EmbeddedPostgres
from tests.states import a_replica_that_hangs, an_abandoned_replication_slot, some_log

MEGABYTE = 1_000_000


def test_an_abandoned_slot_keeps_more_and_more(
    postgresql_db: AirflowDatabase, postgres_server: EmbeddedPostgres
) -> None:
    assert collect(postgresql_db, "replication").readings == ()
    with an_abandoned_replication_slot(postgres_server, "gone_replica"):
        before = collect(postgresql_db, "replication")
        assert before.one(metrics.SLOT_ACTIVE, "gone_replica") == 0
        some_log(postgresql_db, MEGABYTE)
        after = collect(postgresql_db, "replication")
        retained = [seen.one(metrics.SLOT_RETAINED, "gone_replica") or 0 for seen in (before, after)]
        assert retained[1] >= retained[0] + MEGABYTE
    assert collect(postgresql_db, "replication").readings == ()


def test_a_slot_that_has_reserved_nothing(postgresql_db: AirflowDatabase, postgres_server: EmbeddedPostgres) -> None:
    postgres_server.execute("SELECT pg_create_physical_replication_slot('unused')")
    try:
        seen = collect(postgresql_db, "replication")
        assert seen.one(metrics.SLOT_ACTIVE, "unused") == 0
        assert seen.one(metrics.SLOT_RETAINED, "unused") is None
    finally:
        postgres_server.execute("SELECT pg_drop_replication_slot('unused')")


def test_a_replica_that_hangs(
    postgresql_db: AirflowDatabase, postgres_server: EmbeddedPostgres, all_seeing: AllSeeing
) -> None:
    with a_replica_that_hangs(postgres_server, "standby"):
        assert collect(postgresql_db, "replication").readings == ()
        all_seeing(postgresql_db)
        some_log(postgresql_db, MEGABYTE)
        seen = collect(postgresql_db, "replication")
        assert (seen.one(metrics.REPLICA_LAG_BYTES, "standby", "local") or 0) >= MEGABYTE
    assert collect(postgresql_db, "replication").readings == ()


def test_sqlite_has_no_replicas(sqlite_db: AirflowDatabase) -> None:
    assert collect(sqlite_db, "replication").readings == ()
