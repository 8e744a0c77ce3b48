"""The server: whose database it is, its connections, transactions and locks."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import release
from tests.airflow_database import AirflowDatabase
from tests.airflow_schemas import Kind
from tests.collectors.collected import Collected, collect
from tests.states import a_live_scheduler


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
    else:
        pages, page = (airflow_db.execute(f"PRAGMA {what}")[0][0] for what in ("page_count", "page_size"))
        assert size == pages * page


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
    assert seen.one(metrics.DB_CONNECTIONS_MAX) == limit
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
