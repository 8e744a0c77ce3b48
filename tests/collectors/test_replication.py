"""Replication slots that keep log, and replicas that fall behind."""

from __future__ import annotations

from airflow_obs.catalog import metrics
from tests.airflow_database import AirflowDatabase
from tests.collectors.collected import Collected, collect
from tests.collectors.conftest import AllSeeing
from tests.embedded_postgres import EmbeddedPostgres
from tests.states import a_replica_that_hangs, an_abandoned_replication_slot, some_log

MEGABYTE = 1_000_000


def replicated(seen: Collected) -> set[str]:
    """The families that it tells of slots and replicas."""
    families = (metrics.SLOT_ACTIVE, metrics.SLOT_RETAINED, metrics.REPLICA_LAG_BYTES, metrics.REPLICA_LAG)
    return {family.name for family in families if seen.all(family)}


def test_an_abandoned_slot_keeps_more_and_more(
    postgresql_db: AirflowDatabase, postgres_server: EmbeddedPostgres
) -> None:
    assert replicated(collect(postgresql_db, "replication")) == set()
    with an_abandoned_replication_slot(postgres_server, "gone_replica"):
        before = collect(postgresql_db, "replication")
        assert before.one(metrics.SLOT_ACTIVE, "gone_replica") == 0
        some_log(postgresql_db, MEGABYTE)
        after = collect(postgresql_db, "replication")
        retained = [seen.one(metrics.SLOT_RETAINED, "gone_replica") or 0 for seen in (before, after)]
        assert retained[1] >= retained[0] + MEGABYTE
    assert replicated(collect(postgresql_db, "replication")) == set()


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
        assert replicated(collect(postgresql_db, "replication")) == set()
        all_seeing(postgresql_db)
        some_log(postgresql_db, MEGABYTE)
        seen = collect(postgresql_db, "replication")
        assert (seen.one(metrics.REPLICA_LAG_BYTES, "standby", "local") or 0) >= MEGABYTE
    assert replicated(collect(postgresql_db, "replication")) == set()


def test_sqlite_has_no_replicas(sqlite_db: AirflowDatabase) -> None:
    assert collect(sqlite_db, "replication").readings == ()
