"""A hot standby for the tests: a streaming replica of an embedded PostgreSQL, which takes readers and can be promoted."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa

from tests.embedded_postgres import EmbeddedPostgres
from tests.eventually import eventually


@dataclass(frozen=True)
class Standby:
    """`postgres` is the standby itself, `primary` the server that it copies."""

    postgres: EmbeddedPostgres
    primary: EmbeddedPostgres

    def catch_up(self) -> None:
        """Wait until it has applied all that the primary has written so far."""
        # What was committed without waiting for the disk is only sent once it is there, as what comes after it is.
        self.primary.execute(
            "SET synchronous_commit = on; SELECT pg_logical_emit_message(true, 'tests', 'to the disk')"
        )
        [(written,)] = self.primary.execute("SELECT pg_current_wal_flush_lsn()")
        applied = f"SELECT pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '{written}') >= 0"
        eventually(lambda: self.postgres.execute(applied) == [(True,)], "the standby has applied everything")

    def url_of(self, url: str) -> str:
        """The URL of a database of the primary, changed to lead here."""
        here = sa.make_url(url).update_query_dict({"host": str(self.postgres.socket_folder)})
        return here.render_as_string(hide_password=False)

    def set(self, name: str, value: str) -> None:
        """Change a setting of it that a running server takes."""
        self.postgres.execute(f"ALTER SYSTEM SET {name} = {value}")
        self.postgres.execute("SELECT pg_reload_conf()")
        eventually(lambda: self.postgres.execute(f"SHOW {name}") == [(value.strip("'"),)], f"{name} is {value}")

    def promote(self) -> None:
        """Make it a primary of its own, as a failover does."""
        assert self.postgres.execute("SELECT pg_promote()") == [(True,)]


@contextmanager
def hot_standby(primary: EmbeddedPostgres) -> Iterator[Standby]:
    """A running standby of `primary`, in a folder beside it that goes away with it."""
    # Short, because the path of a unix socket has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="airflow-obs-", dir=primary.data.parent.parent))
    data = folder / "data"
    try:
        # PostgreSQL refuses to run as root; the primary's folder says as whom it runs.
        owner = primary.data.stat().st_uid
        if os.geteuid() == 0:
            os.chown(folder, owner, -1)
        postgres = replace(primary, socket_folder=folder, data=data)
        _run(
            primary,
            "pg_basebackup",
            "-h",
            str(primary.socket_folder),
            "-U",
            "postgres",
            "-D",
            str(data),
            "-R",
            "-c",
            "fast",
        )
        listening = f"-h '' -k '{folder}'"
        _run(primary, "pg_ctl", "-w", "-D", str(data), "-o", listening, "-l", str(folder / "log"), "start")
        try:
            yield Standby(replace(postgres, process_id=int((data / "postmaster.pid").read_text().split()[0])), primary)
        finally:
            if (data / "postmaster.pid").exists():
                _run(primary, "pg_ctl", "-w", "-D", str(data), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(primary: EmbeddedPostgres, program: str, *arguments: str) -> None:
    subprocess.run(
        [str(primary.binaries / program), *arguments],
        cwd="/",
        stdout=subprocess.DEVNULL,
        check=True,
        user=primary.data.stat().st_uid if os.geteuid() == 0 else None,
    )
