"""What a MariaDB says of itself: connections and their limits, transactions, counters and time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pymysql
import pytest
import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.collectors.database import DatabaseServer
from tests.airflow_database import EXPORTER_ROLE, AirflowDatabase, Templates, engine_for
from tests.airflow_schemas import MARIADB_SCHEMAS
from tests.collectors.collected import collect, read
from tests.conftest import NewDatabase
from tests.embedded_postgres import memory_folder
from tests.eventually import eventually
from tests.mariadb_server import mariadb_server
from tests.states.sessions_mysql import (
    CACHED,
    a_deadlock_of_rows,
    an_idle_transaction_with_a_row,
    an_old_view_of_the_rows,
    some_changes,
)


@pytest.fixture
def db(new_database: NewDatabase) -> AirflowDatabase:
    """A MariaDB, with its role."""
    made = new_database(MARIADB_SCHEMAS[-2])
    assert made.exporter_url
    return made


@pytest.fixture
def blind(db: AirflowDatabase) -> Iterator[AirflowDatabase]:
    """One whose exporter has not the privilege PROCESS."""
    db.execute(f"REVOKE PROCESS ON *.* FROM {EXPORTER_ROLE}@'%'")
    yield db
    db.execute(f"GRANT PROCESS ON *.* TO {EXPORTER_ROLE}@'%'")


@pytest.fixture
def limited(db: AirflowDatabase) -> Iterator[int]:
    """A server that lets in only two more sessions than there are; gives its limit."""
    [(before,)] = db.execute("SELECT @@GLOBAL.max_connections")
    used = int(sum(collect(db, "database").all(metrics.DB_CONNECTIONS).values()))
    most = max(10, used + 2)  # MariaDB takes no less than ten
    db.execute(f"SET GLOBAL max_connections = {most}")
    yield most
    db.execute(f"SET GLOBAL max_connections = {before}")


def test_an_idle_transaction(db: AirflowDatabase) -> None:
    time.sleep(CACHED)
    assert collect(db, "database").one(metrics.DB_OLDEST_TRANSACTION, "idle in transaction") is None
    with an_idle_transaction_with_a_row(db) as began:
        seen = collect(db, "database")
        since = seen.one(metrics.DB_OLDEST_TRANSACTION, "idle in transaction") or 0
        assert began.timestamp() <= since <= began.timestamp() + 1
        assert (seen.one(metrics.DB_CONNECTIONS, "idle in transaction") or 0) == 1
        assert (seen.one(metrics.DB_CONNECTIONS, "active") or 0) >= 1
        assert seen.one(metrics.DB_CONNECTIONS, "hidden") is None
        assert seen.one(metrics.DB_BLOCKED) == 0


def test_another_database_s_transactions_are_not_ours(db: AirflowDatabase, new_database: NewDatabase) -> None:
    with an_idle_transaction_with_a_row(new_database(MARIADB_SCHEMAS[-2])):
        seen = collect(db, "database")
        assert seen.all(metrics.DB_OLDEST_TRANSACTION) == {}
        assert (seen.one(metrics.DB_CONNECTIONS, "idle in transaction") or 0) == 1


def test_a_role_that_may_not_see_others_counts_them(blind: AirflowDatabase) -> None:
    with an_idle_transaction_with_a_row(blind):
        seen = collect(blind, "database")
    assert seen.one(metrics.DB_CONNECTIONS, "active") == 1
    assert (seen.one(metrics.DB_CONNECTIONS, "hidden") or 0) >= 1
    limit, free = (seen.one(metric, "server") for metric in (metrics.DB_CONNECTIONS_MAX, metrics.DB_CONNECTIONS_FREE))
    assert (limit or 0) - (free or 0) == sum(seen.all(metrics.DB_CONNECTIONS).values())
    for unknown in (metrics.DB_BLOCKED, metrics.DB_OLDEST_TRANSACTION, metrics.DB_DEADLOCKS):
        assert seen.all(unknown) == {}
    assert seen.one(metrics.DB_CLOCK_OFFSET) is not None
    assert 0 < (seen.one(metrics.DB_SIZE) or 0) < (sizes(blind) or 0)
    assert collect(blind, "vacuum").readings == ()
    assert collect(blind, "tables").one(metrics.TABLE_SIZE, "log")


def test_the_limit_of_an_account_is_that_of_airflows_and_never_of_ours(templates: Templates, tmp_path: Path) -> None:
    with ExitStack() as stack:
        own = Templates(templates.postgres, tmp_path, stack, mariadb_options=("--max-user-connections=30",))
        db = stack.enter_context(own.database(MARIADB_SCHEMAS[0]))
        for _ in range(3):
            stack.enter_context(sa.create_engine(db.url, poolclass=sa.NullPool).connect())
        free = collect(db, "database").one(metrics.DB_CONNECTIONS_FREE, "role")
        assert free is not None
        assert free <= 27
        db.execute(f"REVOKE PROCESS ON *.* FROM {EXPORTER_ROLE}@'%'")
        assert collect(db, "database").one(metrics.DB_CONNECTIONS_FREE, "role") is None


def sizes(db: AirflowDatabase) -> float:
    """What information_schema says to one who sees all tables."""
    asked = "SELECT SUM(data_length + index_length) FROM information_schema.tables WHERE table_schema = DATABASE()"
    return float(db.execute(asked)[0][0])


def test_connections_run_out(db: AirflowDatabase, limited: int) -> None:
    others = sa.create_engine(db.url, poolclass=sa.NullPool)
    with ExitStack() as stack:
        while (collect(db, "database").one(metrics.DB_CONNECTIONS_FREE, "server") or 0) > 0:
            stack.enter_context(others.connect())
        assert collect(db, "database").one(metrics.DB_CONNECTIONS_MAX, "server") == limited
        stack.enter_context(closing(a_session_of_ours(db)))  # the one that the collector had
        with pytest.raises(pymysql.OperationalError, match="Too many connections"):
            a_session_of_ours(db)
        assert db.execute("SELECT 1") == [(1,)], "one more place is kept for administrators"


def a_session_of_ours(db: AirflowDatabase) -> pymysql.Connection[Any]:
    """A session as the exporter's role."""
    return pymysql.connect(unix_socket=str(sa.make_url(db.url).query["unix_socket"]), user=EXPORTER_ROLE)


def test_the_limit_of_each_account(db: AirflowDatabase) -> None:
    """A server that was started without one takes none later."""
    assert collect(db, "database").one(metrics.DB_CONNECTIONS_MAX, "role") is None
    with mariadb_server(memory_folder(), options=("--max-user-connections=30",)) as server:
        server.execute(f"CREATE DATABASE airflow; USE airflow; {db.schema.file.read_text()}")
        limited = AirflowDatabase(db.schema, server.url("airflow"), engine_for(server.url("airflow")))
        assert limited.exporter_url
        with limited.engine.connect() as one, limited.engine.connect() as other:
            assert (one.exec_driver_sql("SELECT 1").scalar(), other.exec_driver_sql("SELECT 1").scalar()) == (1, 1)
            owners = one.exec_driver_sql("SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'root'")
            seen = collect(limited, "database")
            assert seen.one(metrics.DB_CONNECTIONS_MAX, "role") == 30
            assert seen.one(metrics.DB_CONNECTIONS_FREE, "role") == 30 - owners.scalar_one()
        limited.engine.dispose()


def test_a_deadlock_is_counted(db: AirflowDatabase) -> None:
    before = collect(db, "database")
    a_deadlock_of_rows(db)
    after = collect(db, "database")
    assert (after.one(metrics.DB_DEADLOCKS) or 0) == (before.one(metrics.DB_DEADLOCKS) or 0) + 1
    assert (after.one(metrics.DB_ROW_LOCK_WAITS) or 0) > (before.one(metrics.DB_ROW_LOCK_WAITS) or 0)
    assert after.one(metrics.DB_ROW_LOCK_WAIT_SECONDS) is not None


def test_counters_are_as_old_as_the_server(db: AirflowDatabase) -> None:
    uptime = float(db.execute("SHOW GLOBAL STATUS LIKE 'Uptime'")[0][1])
    assert collect(db, "database").one(metrics.DB_STATS_RESET) == pytest.approx(time.time() - uptime, abs=30)


def test_history_grows_behind_an_old_view(db: AirflowDatabase) -> None:
    with an_old_view_of_the_rows(db):
        # What was there before the view may go while it is open.
        eventually(lambda: (collect(db, "vacuum").one(metrics.DB_HISTORY) or 0) < 50, "what others left is purged")
        some_changes(db, 50)
        assert (collect(db, "vacuum").one(metrics.DB_HISTORY) or 0) >= 50


@pytest.mark.parametrize("ahead", [0.0, 90.0, -90.0])
def test_a_clock_that_is_apart_from_ours(db: AirflowDatabase, ahead: float) -> None:
    seen = read(db, DatabaseServer(clock=lambda: time.time() - ahead))
    assert seen.one(metrics.DB_CLOCK_OFFSET) == pytest.approx(ahead, abs=30)
