"""Sessions of a MariaDB database that get into each other's way, each as long as its block lasts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import sqlalchemy as sa

from tests.airflow_database import AirflowDatabase
from tests.eventually import eventually
from tests.states.surroundings import a_pool

CACHED = 0.15
"""Seconds after which InnoDB looks at its transactions anew: who asks sooner gets, and prolongs, what the last one got."""
_POOLS = ("default_pool", "second")


@contextmanager
def an_idle_transaction_with_a_row(db: AirflowDatabase) -> Iterator[datetime]:
    """Somebody changes the default pool and goes away. Gives when, in whole seconds as InnoDB tells it."""
    with db.engine.connect() as holder:
        began = holder.exec_driver_sql("SELECT UTC_TIMESTAMP()").scalar_one().replace(tzinfo=UTC)
        _change(holder, _POOLS[0])
        time.sleep(CACHED)
        yield began
        holder.rollback()
    time.sleep(CACHED)


@contextmanager
def a_chain_of_row_waits(db: AirflowDatabase) -> Iterator[datetime]:
    """Three sessions: one idle in its transaction, one that waits for it, one that waits for that. Gives when the first began."""
    a_pool(db, _POOLS[1], 1)
    threads = []
    with an_idle_transaction_with_a_row(db) as began:
        for number, pools in enumerate((reversed(_POOLS), _POOLS[1:]), 1):
            threads.append(threading.Thread(target=_change_all, args=(db, *pools)))
            threads[-1].start()
            _until(db, number, "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")
        time.sleep(CACHED)
        yield began
    _end(threads)
    time.sleep(CACHED)


@contextmanager
def a_change_of_a_table_that_waits(db: AirflowDatabase) -> Iterator[None]:
    """A migration wants to change a table that an idle transaction has used, and whoever comes later waits behind it."""
    change = threading.Thread(target=db.execute, args=("ALTER TABLE slot_pool ADD COLUMN added INT",))
    reader = threading.Thread(target=db.execute, args=("SELECT COUNT(*) FROM slot_pool",))
    with an_idle_transaction_with_a_row(db):
        for number, thread in enumerate((change, reader), 1):
            thread.start()
            _until(db, number, "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE '%metadata lock'")
        time.sleep(CACHED)
        yield
    _end([change, reader])
    time.sleep(CACHED)


@contextmanager
def a_session_behind_a_forgotten_xa_transaction(db: AirflowDatabase) -> Iterator[None]:
    """A row is locked by a transaction that was prepared and never ended, without any session; one wants to change it."""
    waiting = threading.Thread(target=_change_all, args=(db, _POOLS[0]))
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        session.exec_driver_sql("XA START 'forgotten'")
        _change(session, _POOLS[0])
        session.exec_driver_sql("XA END 'forgotten'")
        session.exec_driver_sql("XA PREPARE 'forgotten'")
        session.invalidate()
    waiting.start()
    _until(db, 1, "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")
    time.sleep(CACHED)
    try:
        yield
    finally:
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
            session.exec_driver_sql("XA ROLLBACK 'forgotten'")
        waiting.join()
    time.sleep(CACHED)


@contextmanager
def an_old_view_of_the_rows(db: AirflowDatabase) -> Iterator[None]:
    """A transaction that still sees what was there when it began: InnoDB must keep every older version of a row."""
    with db.engine.connect().execution_options(isolation_level="REPEATABLE READ") as session:
        session.exec_driver_sql("SELECT COUNT(*) FROM slot_pool")
        yield
        session.rollback()


def some_changes(db: AirflowDatabase, number: int) -> None:
    """So many transactions, each of which changes a row."""
    for _ in range(number):
        db.execute(f"UPDATE slot_pool SET slots = slots + 1 WHERE pool = '{_POOLS[0]}'")


def a_deadlock_of_rows(db: AirflowDatabase) -> None:
    """Two sessions change two rows in opposite order; the server ends one of them."""
    a_pool(db, _POOLS[1], 1)
    both, lost = threading.Barrier(2), []

    def change(first: str, second: str) -> None:
        try:
            with db.engine.begin() as session:
                _change(session, first)
                both.wait()
                _change(session, second)
        except sa.exc.OperationalError as error:
            lost.append(error)

    _end([_started(threading.Thread(target=change, args=order)) for order in (_POOLS, _POOLS[::-1])])
    assert len(lost) == 1


def _change(session: sa.Connection, pool: str) -> None:
    session.exec_driver_sql(f"UPDATE slot_pool SET slots = slots + 1 WHERE pool = '{pool}'")


def _change_all(db: AirflowDatabase, *pools: str) -> None:
    with db.engine.begin() as session:
        for pool in pools:
            _change(session, pool)


def _started(thread: threading.Thread) -> threading.Thread:
    thread.start()
    return thread


def _end(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join()


def _until(db: AirflowDatabase, sessions: int, count: str) -> None:
    eventually(lambda: int(db.execute(count)[0][-1]) >= sessions, f"{sessions} sessions wait")
