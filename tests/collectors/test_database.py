"""The server: whose database it is, its connections, transactions and locks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import release
from airflow_obs.collectors.database import DatabaseServer
from tests.airflow_database import AirflowDatabase
from tests.airflow_schemas import POSTGRESQL_SCHEMAS, Kind
from tests.collectors.collected import Collected, collect, read
from tests.conftest import NewDatabase
from tests.eventually import eventually
from tests.states import a_deadlock, a_live_scheduler, a_query_that_spills


def _info(seen: Collected) -> dict[str, str]:
    (info,) = (reading for reading in seen.readings if reading.metric is metrics.AIRFLOW_INFO)
    return dict(info.labels)


def test_whose_database_it_is(airflow_db: AirflowDatabase) -> None:
    info = _info(collect(airflow_db, "database"))
    assert info["database"] == airflow_db.kind
    assert info["alembic_head"] == airflow_db.execute("SELECT version_num FROM alembic_version")[0][0]
    known = airflow_db.release.version != "3.4.0b2"
    assert (info["release"] == "unknown") != known
    assert "executor" not in info


def test_the_executor_where_the_scheduler_wrote_it(airflow_db: AirflowDatabase) -> None:
    a_live_scheduler(airflow_db, heartbeat=datetime.now(UTC), executor_class="CeleryExecutor")
    assert _info(collect(airflow_db, "database"))["executor"] == "CeleryExecutor"


def test_revisions_shared_by_releases() -> None:
    assert release("5f2621c13b39") == "2.10.3+"
    assert release("ffffffffffff") == "unknown"


def test_size(airflow_db: AirflowDatabase) -> None:
    size = collect(airflow_db, "database").one(metrics.DB_SIZE)
    assert size is not None
    if airflow_db.kind is Kind.POSTGRESQL:
        assert size == pytest.approx(airflow_db.execute("SELECT pg_database_size(current_database())")[0][0], rel=0.1)
    elif airflow_db.kind is Kind.MARIADB:
        assert size == sum(file.stat().st_size for file in _files(airflow_db))
    else:
        pages, page = (airflow_db.execute(f"PRAGMA {what}")[0][0] for what in ("page_count", "page_size"))
        assert size == pages * page


def _files(airflow_db: AirflowDatabase) -> Iterator[Path]:
    """Where MariaDB keeps its tables."""
    ((data, name),) = airflow_db.execute("SELECT @@datadir, DATABASE()")
    return Path(data, name).glob("*.ibd")


def test_an_idle_transaction_is_hidden_from_a_role_that_may_not_see_it(postgresql_db: AirflowDatabase) -> None:
    with postgresql_db.engine.connect() as session:
        began = session.exec_driver_sql("SELECT now()").scalar_one()
        hidden = collect(postgresql_db, "database")
        assert hidden.all(metrics.DB_OLDEST_TRANSACTION) == {}
        assert (hidden.one(metrics.DB_CONNECTIONS, "hidden") or 0) >= 1
        session.rollback()
    postgresql_db.execute("GRANT pg_read_all_stats TO airflow_obs")
    try:
        with postgresql_db.engine.connect() as session:
            began = session.exec_driver_sql("SELECT now()").scalar_one()
            seen = collect(postgresql_db, "database")
            assert seen.one(metrics.DB_OLDEST_TRANSACTION, "idle in transaction") == pytest.approx(began.timestamp())
            assert (seen.one(metrics.DB_CONNECTIONS, "idle in transaction") or 0) >= 1
            assert seen.one(metrics.DB_CONNECTIONS, "hidden") is None
    finally:
        postgresql_db.execute("REVOKE pg_read_all_stats FROM airflow_obs")


def test_connections_and_their_limit(postgresql_db: AirflowDatabase) -> None:
    seen = collect(postgresql_db, "database")
    limit = postgresql_db.execute(
        "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
    )[0][0]
    assert seen.all(metrics.DB_CONNECTIONS_MAX) == {("server",): limit}
    assert 1 <= sum(seen.all(metrics.DB_CONNECTIONS).values()) <= limit
    assert 0 < (seen.one(metrics.DB_XID_AGE) or 0) < 10_000_000


def test_sessions_that_wait_for_a_lock(postgresql_db: AirflowDatabase) -> None:
    assert collect(postgresql_db, "database").one(metrics.DB_BLOCKED) == 0
    with postgresql_db.engine.begin() as holder:
        holder.exec_driver_sql("LOCK TABLE variable IN ACCESS EXCLUSIVE MODE")
        waiting = threading.Thread(target=postgresql_db.execute, args=("SELECT count(*) FROM variable",))
        waiting.start()
        stuck = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while postgresql_db.execute(stuck)[0][0] == 0:
            pass
        assert collect(postgresql_db, "database").one(metrics.DB_BLOCKED) == 1
    waiting.join()


def test_a_deadlock_is_counted_until_the_counters_are_reset(postgresql_db: AirflowDatabase) -> None:
    before = collect(postgresql_db, "database")
    assert (before.one(metrics.DB_DEADLOCKS), before.one(metrics.DB_STATS_RESET)) == (0, None)
    a_deadlock(postgresql_db)
    eventually(lambda: collect(postgresql_db, "database").one(metrics.DB_DEADLOCKS) == 1, "the deadlock is counted")
    assert collect(postgresql_db, "database").one(metrics.DB_DEADLOCKS) == 1
    reset = postgresql_db.execute("SELECT pg_stat_reset(), clock_timestamp()")[0][1]
    postgresql_db.engine.dispose()
    seen = collect(postgresql_db, "database")
    assert seen.one(metrics.DB_DEADLOCKS) == 0
    assert abs((seen.one(metrics.DB_STATS_RESET) or 0) - reset.timestamp()) < 60


def test_files_of_queries_without_enough_memory(postgresql_db: AirflowDatabase) -> None:
    assert collect(postgresql_db, "database").one(metrics.DB_TEMP_FILES) == 0
    a_query_that_spills(postgresql_db)
    eventually(lambda: collect(postgresql_db, "database").one(metrics.DB_TEMP_FILES), "the files are counted")
    assert (collect(postgresql_db, "database").one(metrics.DB_TEMP_BYTES) or 0) > 100_000


@pytest.mark.parametrize("ahead", [0.0, 90.0, -90.0])
def test_a_clock_that_is_apart_from_ours(new_database: NewDatabase, ahead: float) -> None:
    """Our own is set wrong here, as that of the server cannot be."""
    db = new_database(POSTGRESQL_SCHEMAS[-2])
    seen = read(db, DatabaseServer(clock=lambda: time.time() - ahead))
    assert seen.one(metrics.DB_CLOCK_OFFSET) == pytest.approx(ahead, abs=30)


class Ticking:
    """A clock on which every look takes ten seconds."""

    def __init__(self, now: float) -> None:
        self._now = now

    def __call__(self) -> float:
        self._now += 10
        return self._now


def test_half_the_time_that_the_question_took_is_not_the_clock_s_fault(new_database: NewDatabase) -> None:
    db = new_database(POSTGRESQL_SCHEMAS[-2])
    now = time.time()
    offset = read(db, DatabaseServer(clock=Ticking(now - 15))).one(metrics.DB_CLOCK_OFFSET)
    passed = time.time() - now
    assert offset is not None
    assert -0.001 <= offset <= passed + 0.001


def limits(db: AirflowDatabase) -> dict[str, tuple[float, float]]:
    """Of each limit on connections: how many may be, and how many more."""
    seen = collect(db, "database")
    assert seen.one(metrics.DB_CONNECTIONS_RESERVED) == 3
    most, free = (seen.all(metric) for metric in (metrics.DB_CONNECTIONS_MAX, metrics.DB_CONNECTIONS_FREE))
    assert most.keys() == free.keys()
    assert free["server",] == most["server",] - sum(seen.all(metrics.DB_CONNECTIONS).values())
    return {limit: (most[limit,], free[limit,]) for (limit,) in most}


def test_connections_are_held_against_each_limit_that_is_set(postgresql_db: AirflowDatabase) -> None:
    """Those of others on the same server count towards the server's alone."""
    assert limits(postgresql_db).keys() == {"server"}
    url = postgresql_db.engine.url
    others = sa.create_engine(url.set(database="postgres"))
    postgresql_db.execute(f"ALTER DATABASE {url.database} CONNECTION LIMIT 5")
    postgresql_db.engine.dispose()
    with others.connect() as one, others.connect() as other:
        assert (one.exec_driver_sql("SELECT 1").scalar(), other.exec_driver_sql("SELECT 1").scalar()) == (1, 1)
        # The exporter itself has one; a superuser is never refused, though it counts.
        eventually(lambda: limits(postgresql_db)["database"] == (5, 4), "the database has room for four more")
        with postgresql_db.engine.connect() as own, postgresql_db.engine.connect() as second:
            assert (own.exec_driver_sql("SELECT 1").scalar(), second.exec_driver_sql("SELECT 1").scalar()) == (1, 1)
            assert limits(postgresql_db)["database"] == (5, 2)
    others.dispose()
    postgresql_db.execute(f"ALTER DATABASE {url.database} CONNECTION LIMIT -1")
    assert limits(postgresql_db).keys() == {"server"}


def test_the_limit_of_the_role_that_owns_the_tables(new_database: NewDatabase) -> None:
    db = new_database(POSTGRESQL_SCHEMAS[-2])
    db.execute("CREATE ROLE airflow_owner LOGIN CONNECTION LIMIT 7")
    db.execute("ALTER TABLE alembic_version OWNER TO airflow_owner")
    owner = sa.create_engine(db.engine.url.set(username="airflow_owner"), poolclass=sa.NullPool)
    try:
        assert limits(db)["role"] == (7, 7)
        with owner.connect() as one, owner.connect() as other:
            assert (one.exec_driver_sql("SELECT 1").scalar(), other.exec_driver_sql("SELECT 1").scalar()) == (1, 1)
            assert limits(db)["role"] == (7, 5)
            db.execute("ALTER ROLE airflow_owner CONNECTION LIMIT 1")
            assert limits(db)["role"] == (1, 0)
    finally:
        db.execute("ALTER TABLE alembic_version OWNER TO CURRENT_USER")
        db.execute("DROP ROLE airflow_owner")


def test_the_oldest_transaction_of_any_database_of_the_server_counts(new_database: NewDatabase) -> None:
    """PostgreSQL stops for all of them."""
    db = new_database(POSTGRESQL_SCHEMAS[-2])
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        session.exec_driver_sql("VACUUM (FREEZE)")
    own, oldest = db.execute(
        "SELECT (SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database()), max(age(datfrozenxid)) "
        "FROM pg_database"
    )[0]
    assert own < oldest
    assert (collect(db, "database").one(metrics.DB_XID_AGE) or 0) >= oldest


def test_sqlite_has_neither_counters_nor_a_clock(sqlite_db: AirflowDatabase) -> None:
    names = {reading.metric for reading in collect(sqlite_db, "database").readings}
    assert names == {metrics.AIRFLOW_INFO, metrics.DB_SIZE}
