"""A real MariaDB for the tests, from Debian's mariadb-server-core, that may be frozen, killed and started again."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pymysql
from pymysql.constants import CLIENT, ER

from tests.eventually import eventually
from tests.tools import tool

SETTINGS = (
    "--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync", "--innodb-doublewrite=0", "--skip-log-bin",
    "--innodb-log-file-size=16M", "--innodb-buffer-pool-size=128M", "--innodb-buffer-pool-dump-at-shutdown=0",
    "--aria-log-file-size=8M", "--key-buffer-size=1M", "--performance-schema=0",
    "--skip-name-resolve", "--explicit-defaults-for-timestamp=1", "--character-set-server=utf8mb4",
    "--collation-server=utf8mb4_general_ci",
)  # fmt: skip
"""What is committed outlives the process, when it is killed, but not the machine; for the rest, what Airflow asks of a server."""


@dataclass
class MariaDBServer:
    """A server, reached through a Unix socket (and a port of 127.0.0.1, where it has one) as `root` without a password.

    `options` are given to mariadbd after those above, and `environment` on top of ours.
    """

    folder: Path
    port: int | None = None
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """Its Unix socket."""
        return self.folder / "socket"

    @property
    def log(self) -> str:
        """What it wrote, the last of it."""
        return (self.folder / "log").read_text()[-4000:]

    @property
    def process_id(self) -> int:
        """Of the server, which is one process."""
        assert self.process is not None, "it was killed"
        return self.process.pid

    def url(self, database: str, user: str = "root", password: str = "", driver: str = "pymysql") -> str:
        """The URL of a database through the socket, in the form SQLAlchemy, Airflow and the exporter take."""
        return f"mysql+{driver}://{user}:{password}@/{database}?unix_socket={self.socket}&charset=utf8mb4"

    def execute(self, statements: str, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run plain SQL as root, each statement committed by itself; returns the rows of the first, if it has any."""
        with closing(self.connect(database=database)) as connection, connection.cursor() as cursor:
            cursor.execute(statements)
            rows = list(cursor.fetchall())
            while cursor.nextset():  # else an error in a later statement is never told
                pass
            return rows

    def end_sessions(self, condition: str) -> None:
        """End those sessions, `condition` being about a row of information_schema.processlist, as an administrator does."""
        for (session,) in self.execute(f"SELECT id FROM information_schema.processlist WHERE {condition}"):
            try:
                self.execute(f"KILL HARD {session}")
            except pymysql.OperationalError as gone:
                if gone.args[0] != ER.NO_SUCH_THREAD:
                    raise

    def connect(self, **options: Any) -> pymysql.Connection[Any]:
        """A session of root's in UTC, as Airflow's are, with these options of PyMySQL too; the caller closes it."""
        through = {"unix_socket": str(self.socket), "user": "root", "charset": "utf8mb4", "autocommit": True}
        here = {"client_flag": CLIENT.MULTI_STATEMENTS, "init_command": "SET time_zone = '+00:00'"}
        return pymysql.connect(**{**through, **here, **options})

    def start(self, *more: str, answers: bool = True) -> None:
        """Start it, with more options than ever before, and wait until it answers."""
        # Temporary tables of its own: each server deletes, when it starts, those that it finds in /tmp, others' too.
        network = ("--skip-networking",) if self.port is None else (f"--port={self.port}", "--bind-address=127.0.0.1")
        command = [
            mariadbd(), "--no-defaults", *as_user(), f"--datadir={self.folder / 'data'}", f"--socket={self.socket}",
            f"--pid-file={self.folder / 'pid'}", f"--tmpdir={self.folder}", *SETTINGS, *network, *self.options, *more,
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **self.environment})
        if answers:
            eventually(self._answers, "MariaDB answers")

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"MariaDB ended: {self.log}"
        # Not by PyMySQL, which leaves a socket behind that it cannot connect.
        with socket.socket(socket.AF_UNIX) as line, suppress(OSError):
            line.connect(str(self.socket))
            return True
        return False

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within, the server and all its sessions stand still."""
        process = psutil.Process(self.process_id)
        process.suspend()
        # It has many threads, and while one still runs it may answer.
        eventually(lambda: _stands_still(process), "all its threads stand still")
        try:
            yield
        finally:
            process.resume()

    def kill(self) -> None:
        """SIGKILL, as the kernel does when memory runs out."""
        if self.process is not None:
            self.process.kill()
        self._gone()

    def stop(self) -> None:
        """Shut it down in order, as an administrator does."""
        if self.process is not None:
            self.process.terminate()
        self._gone()

    def _gone(self) -> None:
        if self.process is not None:
            self.process.wait()
            self.process = None


def _stands_still(process: psutil.Process) -> bool:
    return all(psutil.Process(thread.id).status() == psutil.STATUS_STOPPED for thread in process.threads())


def mariadbd() -> str:
    """The server's program."""
    return tool("mariadbd", "/usr/sbin")


def as_user() -> tuple[str, ...]:
    """As whom it runs: it refuses to run as root unless told to."""
    return ("--user=root",) if os.geteuid() == 0 else ()


@contextmanager
def mariadb_server(
    parent: Path | None = None,
    port: int | None = None,
    options: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[MariaDBServer]:
    """A running server with new data in a new folder under `parent` (default: the system's temporary folder)."""
    # Short, because the path of a Unix socket has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="airflow-obs-", dir=parent))
    server = MariaDBServer(folder, port, options, environment or {})
    try:
        install(folder / "data")
        server.start()
        yield server
        assert server.process is None or server.process.poll() is None, f"MariaDB ended by itself: {server.log}"
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def install(data: Path) -> None:
    """Make the data folder of a server, with its own tables in it: a second's work."""
    command = [
        tool("mariadb-install-db"), "--no-defaults", *as_user(), f"--datadir={data}", f"--tmpdir={data.parent}",
        "--skip-test-db", "--auth-root-authentication-method=normal", *SETTINGS,
    ]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, f"mariadb-install-db failed: {done.stdout[-2000:]}"
