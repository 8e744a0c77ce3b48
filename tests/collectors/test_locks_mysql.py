"""Who waits for whom in MariaDB, and since when."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_obs.catalog import metrics
from tests.airflow_database import EXPORTER_ROLE, AirflowDatabase, engine_for
from tests.airflow_schemas import MARIADB_SCHEMAS
from tests.collectors.collected import Collected, collect
from tests.conftest import NewDatabase
from tests.embedded_postgres import memory_folder
from tests.mariadb_server import mariadb_server
from tests.states.sessions_mysql import (
    a_chain_of_row_waits,
    a_change_of_a_table_that_waits,
    a_session_behind_a_forgotten_xa_transaction,
    an_idle_transaction_with_a_row,
)


@pytest.fixture
def db(new_database: NewDatabase) -> AirflowDatabase:
    """A MariaDB, with its role: grants wait for who uses a table."""
    made = new_database(MARIADB_SCHEMAS[-2])
    assert made.exporter_url
    return made


@pytest.fixture
def db_abroad() -> Iterator[AirflowDatabase]:
    """One on a host whose clock shows the time of India, in which InnoDB tells when transactions began."""
    schema = MARIADB_SCHEMAS[-2]
    with mariadb_server(memory_folder(), environment={"TZ": "IST-5:30"}) as server:
        assert server.execute("SELECT @@system_time_zone") == [("IST",)]
        server.execute(f"CREATE DATABASE airflow; USE airflow; {schema.file.read_text()}")
        made = AirflowDatabase(schema, server.url("airflow"), engine_for(server.url("airflow")))
        assert made.exporter_url
        yield made
        made.engine.dispose()


def _quiet(seen: Collected) -> bool:
    return (
        seen.all(metrics.DB_BLOCKING) == {("active",): 0, ("idle in transaction",): 0, ("prepared",): 0}
        and not seen.all(metrics.DB_LOCK_WAIT_OLDEST)
        and not seen.all(metrics.DB_BLOCKING_OLDEST)
        and seen.one(metrics.DB_LOCK_CHAIN) == 0
    )


def test_a_row_that_nobody_waits_for(db: AirflowDatabase) -> None:
    with an_idle_transaction_with_a_row(db):
        assert _quiet(collect(db, "locks"))


@pytest.mark.parametrize("where", ["db", "db_abroad"])
def test_a_chain_of_waits(where: str, request: pytest.FixtureRequest) -> None:
    db: AirflowDatabase = request.getfixturevalue(where)
    with a_chain_of_row_waits(db) as began:
        seen = collect(db, "locks")
        assert seen.all(metrics.DB_BLOCKING) == {("active",): 0, ("idle in transaction",): 1, ("prepared",): 0}
        assert began.timestamp() <= (seen.one(metrics.DB_BLOCKING_OLDEST) or 0) <= began.timestamp() + 1
        assert seen.one(metrics.DB_LOCK_CHAIN) == 3
        now = db.execute("SELECT UNIX_TIMESTAMP(NOW(6))")[0][0]
        assert began.timestamp() <= (seen.one(metrics.DB_LOCK_WAIT_OLDEST) or 0) <= now
        server = collect(db, "database")
        assert server.one(metrics.DB_BLOCKED) == 2
        assert began.timestamp() <= (server.one(metrics.DB_OLDEST_TRANSACTION, "idle in transaction") or 0) <= now
        assert seen.all(metrics.DB_LOCKS) == {}
    assert _quiet(collect(db, "locks"))
    assert collect(db, "database").one(metrics.DB_BLOCKED) == 0


def test_whose_use_of_a_table_is_waited_for_nobody_says(db: AirflowDatabase) -> None:
    with a_change_of_a_table_that_waits(db):
        seen = collect(db, "locks")
        assert seen.one(metrics.DB_BLOCKING, "hidden") == 1
        assert seen.one(metrics.DB_LOCK_CHAIN) == 2
        assert seen.one(metrics.DB_LOCK_WAIT_OLDEST)
        assert seen.all(metrics.DB_BLOCKING_OLDEST) == {}
        assert collect(db, "database").one(metrics.DB_BLOCKED) == 2
    assert _quiet(collect(db, "locks"))


def test_a_session_behind_a_prepared_transaction(db: AirflowDatabase) -> None:
    with a_session_behind_a_forgotten_xa_transaction(db):
        seen = collect(db, "locks")
        assert seen.one(metrics.DB_BLOCKING, "prepared") == 1
        assert seen.one(metrics.DB_LOCK_CHAIN) == 2
        assert collect(db, "database").one(metrics.DB_OLDEST_TRANSACTION, "prepared")
    assert _quiet(collect(db, "locks"))
    assert collect(db, "database").one(metrics.DB_OLDEST_TRANSACTION, "prepared") is None


def test_another_database_is_not_ours(db: AirflowDatabase, new_database: NewDatabase) -> None:
    with a_chain_of_row_waits(new_database(MARIADB_SCHEMAS[-2])):
        assert _quiet(collect(db, "locks"))
        assert collect(db, "database").one(metrics.DB_BLOCKED) == 0


def test_a_role_that_may_not_see_says_nothing(db: AirflowDatabase) -> None:
    db.execute(f"REVOKE PROCESS ON *.* FROM {EXPORTER_ROLE}@'%'")
    with a_chain_of_row_waits(db):
        assert collect(db, "locks").readings == ()
