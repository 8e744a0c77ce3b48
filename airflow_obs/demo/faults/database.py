"""Faults of the metadata database."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
