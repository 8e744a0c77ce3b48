"""Sessions of a PostgreSQL database that get into each other's way, each as long as its block lasts."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg2
import sqlalchemy as sa

from tests.airflow_database import AirflowDatabase
from tests.embedded_postgres import EmbeddedPostgres
from tests.eventually import eventually

_LOCK = "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE"


@contextmanager
def an_idle_transaction_with_a_lock(db: AirflowDatabase, table: str = "variable") -> Iterator[datetime]:
    """Somebody locks a table and goes away. Gives the moment at which the transaction began."""
    with db.engine.begin() as holder:
        began: datetime = holder.exec_driver_sql("SELECT now()").scalar_one()
        holder.exec_driver_sql(_LOCK.format(table))
        yield began


@contextmanager
def a_chain_of_waits(db: AirflowDatabase) -> Iterator[datetime]:
    """Three sessions: one idle in its transaction, one that waits for it, one that waits for that. Gives when the first began."""
    threads = []
    with an_idle_transaction_with_a_lock(db, "variable") as began:
        for number, tables in enumerate((("connection", "variable"), ("dag_warning", "connection")), 1):
            threads.append(threading.Thread(target=_lock, args=(db, *tables)))
            threads[-1].start()
            _until_waiting(db, number)
        yield began
    for thread in threads:
        thread.join()


@contextmanager
def a_migration_that_waits(db: AirflowDatabase) -> Iterator[None]:
    """It wants to change a table on which somebody idle has a lock; when that one goes it gets on."""
    migration = threading.Thread(target=_lock, args=(db, "variable"))
    with an_idle_transaction_with_a_lock(db, "variable"):
        migration.start()
        _until_waiting(db, 1)
        yield
    migration.join()


@contextmanager
def a_session_behind_a_prepared_transaction(db: AirflowDatabase) -> Iterator[None]:
    """A row is locked by a transaction that was prepared and forgotten, and a session wants to change it."""
    change = "UPDATE slot_pool SET slots = slots"
    waiting = threading.Thread(target=db.execute, args=(change,))
    with a_forgotten_prepared_transaction(db, change):
        waiting.start()
        _until_waiting(db, 1)
        yield
    waiting.join()


@contextmanager
def a_forgotten_prepared_transaction(
    db: AirflowDatabase, statement: str = "UPDATE slot_pool SET slots = slots"
) -> Iterator[None]:
    """A transaction that somebody prepared and never ended; it holds its locks without any session."""
    with closing(psycopg2.connect(db.url)) as session:
        session.tpc_begin("forgotten")
        with session.cursor() as cursor:
            cursor.execute(statement)
        session.tpc_prepare()
    try:
        yield
    finally:
        with closing(psycopg2.connect(db.url)) as session:
            session.tpc_rollback("forgotten")


@contextmanager
def a_snapshot_that_stays_open(db: AirflowDatabase) -> Iterator[None]:
    """A transaction that still sees what was there when it began: vacuum must keep all of it."""
    with db.engine.connect().execution_options(isolation_level="REPEATABLE READ") as session, session.begin():
        session.exec_driver_sql("SELECT count(*) FROM variable")
        yield


@contextmanager
def a_vacuum_at_work(db: AirflowDatabase, table: str = "log") -> Iterator[int]:
    """A VACUUM with very much to do, at leisure; the table is filled for it. Gives its process, and ends it."""
    db.execute(f"INSERT INTO {table} (event) SELECT repeat('x', 60) FROM generate_series(1, 50000)")
    db.execute(f"DELETE FROM {table}")
    with closing(psycopg2.connect(db.url)) as session:
        session.autocommit = True
        pid = session.info.backend_pid
        working = threading.Thread(target=_vacuum, args=(session, table))
        working.start()
        begun = f"SELECT 1 FROM pg_stat_progress_vacuum WHERE pid = {pid} AND heap_blks_scanned > 0"
        try:
            eventually(lambda: db.execute(begun), "the vacuum has begun")
            yield pid
        finally:
            db.execute(f"SELECT pg_cancel_backend({pid})")
            working.join()


def a_deadlock(db: AirflowDatabase) -> None:
    """Two sessions lock two tables in opposite order; the server ends one of them."""
    both, lost = threading.Barrier(2), []

    def lock(first: str, second: str) -> None:
        try:
            with db.engine.begin() as session:
                session.exec_driver_sql("SET LOCAL deadlock_timeout = '10ms'")
                session.exec_driver_sql(_LOCK.format(first))
                both.wait()
                session.exec_driver_sql(_LOCK.format(second))
        except sa.exc.OperationalError as error:
            lost.append(error)

    orders = (("variable", "connection"), ("connection", "variable"))
    threads = [threading.Thread(target=lock, args=order) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lost) == 1
    db.engine.dispose()  # a session that ends hands in what it has counted


def some_transactions(db: AirflowDatabase, number: int) -> None:
    """So many transactions that write."""
    for _ in range(number):
        db.execute("SELECT pg_current_xact_id()")


def a_query_that_spills(db: AirflowDatabase) -> None:
    """A query that sorts more than its memory holds, and so writes a file."""
    with db.engine.begin() as session:
        session.exec_driver_sql("SET LOCAL work_mem = '64kB'")
        session.exec_driver_sql("SELECT number FROM generate_series(1, 50000) AS number ORDER BY number DESC").all()
    db.engine.dispose()


@contextmanager
def an_abandoned_replication_slot(server: EmbeddedPostgres, name: str = "gone_replica") -> Iterator[None]:
    """A slot whose reader never came back: the server keeps all log from here on."""
    server.execute(f"SELECT pg_create_physical_replication_slot('{name}', true)")
    try:
        yield
    finally:
        server.execute(f"SELECT pg_drop_replication_slot('{name}')")


@contextmanager
def a_replica_that_hangs(server: EmbeddedPostgres, name: str = "standby") -> Iterator[None]:
    """One that receives the log under this name, and is frozen once it does."""
    with TemporaryDirectory() as folder:
        command = [f"{server.binaries}/pg_receivewal", "--synchronous", "--no-loop", "--status-interval", "1"]
        where = ["--host", f"{server.socket_folder}", "--username", "postgres", "--directory", folder]
        variables = {**os.environ, "PGAPPNAME": name}
        with (Path(folder) / "stderr").open("wb") as errors:
            receiver = subprocess.Popen([*command, *where], env=variables, stderr=errors)
        try:
            # What it measured of its lag last stays in the view only while it has had something to do of late.
            server_writes = "SELECT pg_logical_emit_message(true, 'test', 'x')"
            streams = f"SELECT 1 FROM pg_stat_replication WHERE application_name = '{name}' AND flush_lag IS NOT NULL"
            eventually(lambda: server.execute(server_writes) and server.execute(streams), "the replica streams")
            receiver.send_signal(signal.SIGSTOP)
            yield
        finally:
            receiver.kill()
            receiver.wait()
            gone = f"SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM pg_stat_replication WHERE application_name = '{name}')"
            eventually(lambda: server.execute(gone), "the server misses the replica")


def some_log(db: AirflowDatabase, bytes_at_least: int = 1_000_000) -> None:
    """Write that much write-ahead log."""
    db.execute(f"SELECT pg_logical_emit_message(false, 'test', repeat('x', {bytes_at_least}))")
    db.execute("SELECT pg_switch_wal()")  # what is only in memory is not counted


def _lock(db: AirflowDatabase, *tables: str) -> None:
    with db.engine.begin() as session:
        for table in tables:
            session.exec_driver_sql(_LOCK.format(table))


def _vacuum(session: psycopg2.extensions.connection, table: str) -> None:
    with session.cursor() as cursor:
        cursor.execute("SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1")
        with suppress(psycopg2.errors.QueryCanceled):
            cursor.execute(f"VACUUM {table}")


def _until_waiting(db: AirflowDatabase, sessions: int) -> None:
    waiting = (
        "SELECT count(DISTINCT pid) FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE NOT granted AND datname = current_database()"
    )
    eventually(lambda: db.execute(waiting)[0][0] >= sessions, f"{sessions} sessions wait for a lock")
