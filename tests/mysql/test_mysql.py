"""What the exporter asks of MySQL otherwise than of MariaDB, asked of a real one, as an account with the exporter's grants."""

from __future__ import annotations

from contextlib import closing

import pytest
import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.errors import SourceError
from airflow_obs.exporter.scrape import Job, run
from tests.collectors.collected import collect, every_collector, source
from tests.eventually import eventually
from tests.exporter import fakes
from tests.mysql.conftest import MysqlDatabase
from tests.states.sessions_mysql import (
    a_chain_of_row_waits,
    a_change_of_a_table_that_waits,
    a_deadlock_of_rows,
    a_session_behind_a_forgotten_xa_transaction,
    an_old_view_of_the_rows,
    some_changes,
)

pytestmark = pytest.mark.mysql
_SLOW = "SELECT COUNT(*) FROM information_schema.columns a, information_schema.columns b, information_schema.columns c"


def test_every_collector_reads_it(db: MysqlDatabase) -> None:
    every = every_collector()
    with closing(source(db.exporter_url)) as database:
        for _ in range(2):  # they remember, and ask otherwise the next time
            failed = {
                one.name: ran.error
                for one in every
                if (ran := run(Job(one, fakes.policy(10_000, timeout="10s"), database))).error
            }
            assert not failed


def test_its_sessions_have_their_limits_and_know_what_they_may_not_read(db: MysqlDatabase) -> None:
    with closing(source(db.exporter_url)) as database, database.session(2.5) as session:
        limits = session.one(sa.text("SELECT @@max_execution_time, @@lock_wait_timeout, @@time_zone"))
        assert (session.kind, session.mariadb, *limits) == ("mysql", False, 2500, 1, "+00:00")
        assert ("connection", "password") in session.schema.withheld
        assert ("task_instance", "state") not in session.schema.withheld


def test_a_statement_that_takes_too_long_is_given_up(db: MysqlDatabase) -> None:
    with (
        closing(source(db.exporter_url)) as database,
        pytest.raises(SourceError, match=r"more than its timeout of 0\.2s"),
        database.session(0.2) as session,
    ):
        session.rows(sa.text(_SLOW))


def test_tables_are_as_large_as_they_are_now(db: MysqlDatabase) -> None:
    """MySQL's own answer to others is a day old."""
    asked = (
        "SELECT table_rows FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'slot_pool'"
    )
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as others:
        before = others.exec_driver_sql(asked).scalar_one()
    values = ", ".join(f"('pool {number}', 1, 0)" for number in range(50))
    db.execute(f"INSERT INTO slot_pool (pool, slots, include_deferred) VALUES {values}")
    eventually(lambda: (collect(db, "tables").one(metrics.TABLE_ROWS, "slot_pool") or 0) >= 50, "they are seen")
    assert db.execute(asked) == [(before,)], "the server remembers nothing, and the setting is not tested"
    assert {name for (name,) in collect(db, "tables").all(metrics.TABLE_SIZE)} == set(
        sa.inspect(db.engine).get_table_names()
    )


def test_who_blocks_whom_by_rows(db: MysqlDatabase) -> None:
    with a_chain_of_row_waits(db) as began:
        seen, server = collect(db, "locks"), collect(db, "database")
    assert seen.all(metrics.DB_BLOCKING) == {("active",): 0, ("idle in transaction",): 1, ("prepared",): 0}
    assert seen.one(metrics.DB_LOCK_CHAIN) == 3
    for since in (
        seen.one(metrics.DB_BLOCKING_OLDEST),
        seen.one(metrics.DB_LOCK_WAIT_OLDEST),
        server.one(metrics.DB_OLDEST_TRANSACTION, "idle in transaction"),
    ):
        assert began.timestamp() <= (since or 0) <= began.timestamp() + 60
    assert server.one(metrics.DB_BLOCKED) == 2
    assert not collect(db, "locks").all(metrics.DB_BLOCKING_OLDEST)


def test_who_blocks_whom_by_a_table(db: MysqlDatabase) -> None:
    with a_change_of_a_table_that_waits(db):
        seen = collect(db, "locks")
    assert seen.all(metrics.DB_BLOCKING) == {("active",): 0, ("idle in transaction",): 1, ("prepared",): 0}
    assert seen.one(metrics.DB_LOCK_CHAIN) == 3
    assert seen.one(metrics.DB_BLOCKING_OLDEST)


@pytest.mark.parametrize("lacking", ["data_lock_waits", "metadata_locks"])
def test_without_the_grant_the_head_is_hidden(db: MysqlDatabase, lacking: str) -> None:
    db.execute(f"REVOKE SELECT ON performance_schema.{lacking} FROM {db.role}@'%'")
    by_rows = lacking == "data_lock_waits"
    with a_chain_of_row_waits(db) if by_rows else a_change_of_a_table_that_waits(db):
        seen = collect(db, "locks")
    assert (seen.one(metrics.DB_BLOCKING, "hidden"), seen.one(metrics.DB_LOCK_CHAIN)) == (1, 2)


def test_behind_a_prepared_transaction(db: MysqlDatabase) -> None:
    with a_session_behind_a_forgotten_xa_transaction(db):
        seen = collect(db, "locks")
    assert (seen.one(metrics.DB_BLOCKING, "prepared"), seen.one(metrics.DB_LOCK_CHAIN)) == (1, 2)


def test_deadlocks_and_history_are_counted(db: MysqlDatabase) -> None:
    before = collect(db, "database").one(metrics.DB_DEADLOCKS)
    a_deadlock_of_rows(db)
    assert collect(db, "database").one(metrics.DB_DEADLOCKS) == (before or 0) + 1
    with an_old_view_of_the_rows(db):
        some_changes(db, 50)
        assert (collect(db, "vacuum").one(metrics.DB_HISTORY) or 0) >= 50
