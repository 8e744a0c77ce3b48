"""A real PgBouncer for the tests, from Debian's package, set up as the Helm charts of Airflow set it up."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg2

from airflow_obs.sources.backends.backend import APPLICATION_NAME
from tests.embedded_postgres import EmbeddedPostgres
from tests.eventually import eventually
from tests.redis_server import free_port
from tests.tools import tool

STATISTICIAN = ("statistician", "statistician-p@ss")
"""Who may ask PgBouncer how it is doing, and nothing else; no role of the server's."""


class Chart(StrEnum):
    """The Helm charts, which set up PgBouncer each in its own way; both in transaction mode."""

    OFFICIAL = "official"
    COMMUNITY = "community"


_OF_BOTH = {
    "pool_mode": "transaction",
    "ignore_startup_parameters": "extra_float_digits",
    "log_connections": "0",
    "log_disconnections": "0",
}
_OF_CHART = {
    Chart.OFFICIAL: {"auth_type": "scram-sha-256", "max_client_conn": "100", "server_tls_sslmode": "prefer"},
    Chart.COMMUNITY: {
        "auth_type": "md5", "max_client_conn": "1000", "default_pool_size": "20", "server_tls_sslmode": "prefer",
        "client_tls_sslmode": "disable",
    },
}  # fmt: skip
POOLED_AS = "airflow-metadata"
"""What the official chart calls Airflow's database (there RELEASE-metadata), whatever the server calls it."""
POOL_SIZE = 10
"""The official chart's metadataPoolSize."""


@dataclass
class PgBouncer:
    """A pooler before `postgres`, of this `database`, or of all for "*"; `users` are its passwords by role.

    The official chart's calls the database POOLED_AS, whatever the server calls it.
    """

    postgres: EmbeddedPostgres
    chart: Chart
    folder: Path
    port: int
    database: str
    users: dict[str, str]
    options: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None

    def url(self, database: str, user: str) -> str:
        """The URL of a database through it."""
        called = database if self.database == "*" else POOLED_AS
        return f"postgresql://{user}:{quote(self.users[user], safe='')}@127.0.0.1:{self.port}/{called}"

    def set_up(self) -> None:
        """Write its configuration and its passwords, which it reads when it starts, and when it is told to."""
        place = f"host={self.postgres.socket_folder} port=5432"
        every = f"* = {place}"
        one = f"{POOLED_AS} = {place} dbname={self.database} pool_size={POOL_SIZE}"
        settings = {
            **_OF_BOTH, **_OF_CHART[self.chart], "listen_addr": "127.0.0.1", "listen_port": str(self.port),
            "unix_socket_dir": "", "auth_file": str(self.folder / "users.txt"), "stats_users": STATISTICIAN[0], **self.options,
        }  # fmt: skip
        lines = [
            "[databases]",
            every if self.database == "*" else one,
            "[pgbouncer]",
            *(f"{name} = {value}" for name, value in settings.items()),
        ]
        (self.folder / "pgbouncer.ini").write_text("\n".join([*lines, ""]))
        (self.folder / "users.txt").write_text(
            "".join(f'"{name}" "{word.replace(chr(34), chr(34) * 2)}"\n' for name, word in self.users.items())
        )

    def start(self) -> None:
        """Start it, and wait until it lets clients in."""
        # It refuses to run as root; whose the server's data is, that user may go to the server's socket.
        owner = self.postgres.data.stat().st_uid
        command = [tool("pgbouncer", "/usr/sbin"), "-q", str(self.folder / "pgbouncer.ini")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd="/", stdout=log, stderr=log, user=owner if os.geteuid() == 0 else None
            )
        eventually(self._listens, f"PgBouncer listens: {(self.folder / 'log').read_text()[-2000:]}")

    def reload(self) -> None:
        """Have it read its configuration and its passwords anew."""
        self.set_up()
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """SIGKILL, as the kernel does when memory runs out."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within, it stands still."""
        assert self.process is not None
        process = psutil.Process(self.process.pid)
        process.suspend()
        try:
            yield
        finally:
            process.resume()

    @property
    def answers(self) -> bool:
        """Whether it runs and is not frozen."""
        return self.process is not None and psutil.Process(self.process.pid).status() != psutil.STATUS_STOPPED

    def sessions(self) -> int:
        """How many clients of it are exporters."""
        return sum(client["application_name"] == APPLICATION_NAME for client in self._show("CLIENTS"))

    def _show(self, what: str) -> list[dict[str, object]]:
        name, password = STATISTICIAN
        with closing(
            psycopg2.connect(host="127.0.0.1", port=self.port, dbname="pgbouncer", user=name, password=password)
        ) as console:
            console.autocommit = True  # it knows no BEGIN
            with console.cursor() as cursor:
                cursor.execute(f"SHOW {what}")
                names = [column.name for column in cursor.description or ()]
                return [dict(zip(names, row, strict=True)) for row in cursor]

    def _listens(self) -> bool:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False


@contextmanager
def pgbouncer(
    postgres: EmbeddedPostgres, users: Mapping[str, str], chart: Chart, database: str = "*", **options: str
) -> Iterator[PgBouncer]:
    """A running pooler of a database of this server, or with "*" of all of them, gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    try:
        if os.geteuid() == 0:
            os.chown(folder, postgres.data.stat().st_uid, -1)
        passwords = {**users, STATISTICIAN[0]: STATISTICIAN[1]}
        server = PgBouncer(postgres, chart, folder, free_port(), database, passwords, options)
        server.set_up()
        server.start()
        try:
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
