"""Faults of the metadata database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from threading import Barrier
from typing import TYPE_CHECKING

from psycopg2.errors import DeadlockDetected

from airflow_obs.catalog import metrics
from airflow_obs.demo.faults.fault import Fault
from airflow_obs.demo.world import World

if TYPE_CHECKING:
    from psycopg2.extensions import connection


class IdleInTransaction(Fault):
    """A notebook that somebody left open: vacuum can remove no row that it might still see."""

    name = "idle-in-transaction"
    sick = "a session begins a transaction, changes a row and goes away for lunch"
    shows = (metrics.DB_OLDEST_TRANSACTION, metrics.DB_CONNECTIONS)

    def __init__(self) -> None:
        self._session: connection | None = None

    def begin(self, world: World) -> None:
        """Open the transaction."""
        self._session = world.connect("notebook of an analyst")
        with self._session.cursor() as cursor:
            cursor.execute("UPDATE slot_pool SET description = description WHERE pool = 'default_pool'")

    def end(self) -> None:
        """Close the session, and with it the transaction."""
        if self._session is not None:
            self._session.close()


class TableBloat(Fault):
    """Real dead rows: what a home-made clean-up leaves when autovacuum is off for the table."""

    name = "table-bloat"
    sick = "autovacuum is off for the table log, and a home-made archiver rewrites and deletes its rows in bulk"
    shows = (metrics.TABLE_DEAD_ROWS, metrics.TABLE_SIZE)

    _ROWS = 4000
    _ENOUGH = 400_000
    """Dead rows; the demo may run for hours and the disk is not ours."""

    def __init__(self) -> None:
        self._session: connection | None = None
        self._dead = 0

    def begin(self, world: World) -> None:
        """Switch autovacuum off for the table."""
        self._session = world.connect("log archiver")
        self._session.autocommit = True
        with self._session.cursor() as cursor:
            cursor.execute("ALTER TABLE log SET (autovacuum_enabled = off)")

    def step(self, world: World) -> None:
        """Insert and delete rows, some thousands a tick."""
        if self._session is None or self._dead >= self._ENOUGH:
            return
        with self._session.cursor() as cursor:
            cursor.execute(
                "INSERT INTO log (dttm, event, owner, extra) "
                "SELECT %s, 'restored', 'archiver', repeat('x', 200) FROM generate_series(1, %s)",
                [world.now, self._ROWS],
            )
            cursor.execute("DELETE FROM log WHERE dttm = %s AND event = 'restored'", [world.now])
            # The dead rows of a session that falls idle are counted up to 10 seconds later.
            cursor.execute("SELECT pg_stat_force_next_flush()")
        self._dead += self._ROWS

    def end(self) -> None:
        """Close the session."""
        if self._session is not None:
            self._session.close()


class VacuumHeldBack(Fault):
    """A prepared transaction belongs to no session that one could see or end, and outlives a restart of the server."""

    name = "vacuum-held-back"
    sick = (
        "a transaction was prepared and never committed: the busy task_instance is vacuumed, but no dead row of it goes"
    )
    shows = (metrics.DB_PREPARED, metrics.DB_PREPARED_OLDEST, metrics.DB_XMIN_AGE, metrics.TABLE_DEAD_ROWS)

    _TRANSACTION = "archiver-4711"
    _ROWS = 800
    _ENOUGH = 60_000
    """Dead rows; the demo may run for hours and the disk is not ours."""
    _VACUUM_EVERY = timedelta(seconds=5)

    def __init__(self) -> None:
        self._session: connection | None = None
        self._prepared = False
        self._dead = 0
        self._next: datetime | None = None

    def begin(self, world: World) -> None:
        """Prepare the transaction."""
        self._session = world.connect("run archiver")
        self._session.autocommit = True
        self._next = world.now + self._VACUUM_EVERY
        with self._session.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("INSERT INTO log (dttm, event, owner) VALUES (%s, 'archived', 'archiver')", [world.now])
            cursor.execute("PREPARE TRANSACTION %s", [self._TRANSACTION])
        self._prepared = True

    def step(self, world: World) -> None:
        """Mark ended task instances again and again, as the archiver does, and vacuum in vain."""
        if self._session is None or self._next is None:
            return
        with self._session.cursor() as cursor:
            if self._dead < self._ENOUGH:
                cursor.execute(
                    "UPDATE task_instance SET custom_operator_name = %s WHERE id IN "
                    "(SELECT id FROM task_instance WHERE state = 'success' ORDER BY id LIMIT %s)",
                    [f"archived {self._dead}", self._ROWS],
                )
                self._dead += cursor.rowcount
            if world.now >= self._next:
                self._next = world.now + self._VACUUM_EVERY
                cursor.execute("VACUUM task_instance")

    def end(self) -> None:
        """Roll the transaction back, and close the session."""
        if self._session is None:
            return
        if self._prepared:
            with self._session.cursor() as cursor:
                cursor.execute("ROLLBACK PREPARED %s", [self._TRANSACTION])
        self._session.close()


class Deadlocks(Fault):
    """PostgreSQL ends one of the two: where it is the scheduler's or a task's transaction, that fails."""

    name = "deadlocks"
    sick = "two scripts mark the same old runs, one from the first and one from the last: every 3 seconds they deadlock"
    shows = (metrics.DB_DEADLOCKS,)

    _EVERY = timedelta(seconds=3)
    _RUNS = (1, 2)
    _PATIENCE = 10.0
    """Seconds for both to have a row, which takes milliseconds."""

    def __init__(self) -> None:
        self._sessions: list[connection] = []
        self._next: datetime | None = None

    def begin(self, world: World) -> None:
        """Start the scripts."""
        self._next = world.now
        for application in ("run archiver", "run tagger"):
            session = world.connect(application)
            self._sessions.append(session)
            with session, session.cursor() as cursor:
                # Of a second by default, in which the demo would stand still.
                cursor.execute("SET deadlock_timeout = '50ms'")

    def step(self, world: World) -> None:
        """Let both take a row, and then wait for the other's."""
        if self._next is None or world.now < self._next:
            return
        self._next = world.now + self._EVERY
        both_have_one = Barrier(len(self._sessions), timeout=self._PATIENCE)
        with ThreadPoolExecutor(len(self._sessions)) as threads:
            orders = (self._RUNS, self._RUNS[::-1])
            scripts = [
                threads.submit(_mark, session, order, both_have_one)
                for session, order in zip(self._sessions, orders, strict=True)
            ]
            for script in scripts:
                script.result()

    def end(self) -> None:
        """Close the sessions."""
        for session in self._sessions:
            session.close()


def _mark(session: connection, runs: tuple[int, int], both_have_one: Barrier) -> None:
    with suppress(DeadlockDetected), session, session.cursor() as cursor:
        first, second = runs
        cursor.execute("UPDATE dag_run SET updated_at = updated_at WHERE id = %s", [first])
        both_have_one.wait()
        cursor.execute("UPDATE dag_run SET updated_at = updated_at WHERE id = %s", [second])
    with session, session.cursor() as cursor:
        # The deadlocks of a session that falls idle are counted up to 10 seconds later.
        cursor.execute("SELECT pg_stat_force_next_flush()")
