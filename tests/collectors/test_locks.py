"""Who locks what, who waits for whom, and since when."""

from __future__ import annotations

import threading

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.collectors.lock_queues import Waiting, longest_chain
from tests.airflow_database import AirflowDatabase
from tests.airflow_schemas import POSTGRESQL_SCHEMAS
from tests.collectors.collected import Collected, collect
from tests.collectors.conftest import AllSeeing
from tests.conftest import NewDatabase
from tests.eventually import eventually
from tests.states import a_chain_of_waits, a_session_behind_a_prepared_transaction, an_idle_transaction_with_a_lock

HEAVIEST = "AccessExclusiveLock"


def _quiet(seen: Collected) -> bool:
    return (
        not any(seen.all(metrics.DB_BLOCKING).values())
        and not seen.all(metrics.DB_LOCK_WAIT_OLDEST)
        and not seen.all(metrics.DB_BLOCKING_OLDEST)
        and seen.one(metrics.DB_LOCK_CHAIN) == 0
        and seen.one(metrics.DB_LOCKS, HEAVIEST, "awaited") == 0
    )


def test_a_lock_that_nobody_waits_for(postgresql_db: AirflowDatabase) -> None:
    assert set(collect(postgresql_db, "locks").all(metrics.DB_LOCKS).values()) == {0}
    with an_idle_transaction_with_a_lock(postgresql_db):
        seen = collect(postgresql_db, "locks")
        assert seen.one(metrics.DB_LOCKS, HEAVIEST, "held") == 1
        assert _quiet(seen)
    assert set(collect(postgresql_db, "locks").all(metrics.DB_LOCKS).values()) == {0}


def test_a_chain_of_waits(postgresql_db: AirflowDatabase, all_seeing: AllSeeing) -> None:
    all_seeing(postgresql_db)
    before = postgresql_db.execute("SELECT now()")[0][0].timestamp()
    with a_chain_of_waits(postgresql_db) as began:
        seen = collect(postgresql_db, "locks")
        assert seen.one(metrics.DB_LOCKS, HEAVIEST, "held") == 3
        assert seen.one(metrics.DB_LOCKS, HEAVIEST, "awaited") == 2
        assert seen.all(metrics.DB_BLOCKING) == {("active",): 0, ("idle in transaction",): 1, ("prepared",): 0}
        assert seen.one(metrics.DB_BLOCKING_OLDEST) == pytest.approx(began.timestamp(), abs=1e-3)
        assert seen.one(metrics.DB_LOCK_CHAIN) == 3
        since = seen.one(metrics.DB_LOCK_WAIT_OLDEST)
        assert since is not None
        assert before <= since <= postgresql_db.execute("SELECT now()")[0][0].timestamp()
    assert _quiet(collect(postgresql_db, "locks"))


def test_who_waits_is_no_secret_but_who_blocks_is(postgresql_db: AirflowDatabase) -> None:
    assert postgresql_db.exporter_url  # grants, which must not wait
    with a_chain_of_waits(postgresql_db):
        seen = collect(postgresql_db, "locks")
        assert seen.one(metrics.DB_BLOCKING, "hidden") == 1
        assert seen.one(metrics.DB_BLOCKING_OLDEST) is None
        assert seen.one(metrics.DB_LOCK_CHAIN) == 3
        assert seen.one(metrics.DB_LOCK_WAIT_OLDEST)


def test_a_session_behind_a_prepared_transaction(postgresql_db: AirflowDatabase) -> None:
    assert postgresql_db.exporter_url
    with a_session_behind_a_prepared_transaction(postgresql_db):
        seen = collect(postgresql_db, "locks")
        assert seen.one(metrics.DB_BLOCKING, "prepared") == 1
        assert seen.one(metrics.DB_LOCK_CHAIN) == 2
    assert _quiet(collect(postgresql_db, "locks"))


def test_another_database_is_not_ours(postgresql_db: AirflowDatabase, elsewhere: AirflowDatabase) -> None:
    with a_chain_of_waits(elsewhere):
        seen = collect(postgresql_db, "locks")
        assert _quiet(seen)
        assert seen.one(metrics.DB_LOCKS, HEAVIEST, "held") == 0


def test_who_waits_for_an_advisory_lock_waits_on_purpose(new_database: NewDatabase) -> None:
    """As the second of two migrations does."""
    db = new_database(POSTGRESQL_SCHEMAS[-2])
    assert db.exporter_url  # grants, which must not wait
    with db.engine.connect() as holder:
        holder.exec_driver_sql("SELECT pg_advisory_lock(1)")
        second = threading.Thread(target=db.execute, args=("SELECT pg_advisory_lock(1)",))
        second.start()
        waits = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        eventually(lambda: db.execute(waits), "the second waits")
        assert _quiet(collect(db, "locks"))
        holder.exec_driver_sql("SELECT pg_advisory_unlock(1)")
        second.join()


def test_sqlite_shows_no_locks(sqlite_db: AirflowDatabase) -> None:
    assert collect(sqlite_db, "locks").readings == ()


@pytest.mark.parametrize(
    ("waits", "length"),
    [
        ({}, 0),
        ({2: (1,)}, 2),
        ({2: (1,), 3: (2,), 4: (1,), 5: (3, 4)}, 4),
        ({1: (2,), 2: (1,)}, 2),
        ({1: (1,)}, 1),
    ],
)
def test_the_longest_chain(waits: dict[int, tuple[int, ...]], length: int) -> None:
    assert longest_chain({pid: Waiting(None, blockers) for pid, blockers in waits.items()}) == length
