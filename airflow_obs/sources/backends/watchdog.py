"""A deadline of the client's own for drivers that wait in plain sockets: when time is up, the line is cut."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_LOOK_UP_EVERY = 0.2
"""Seconds between looks at whether the process wants to stop."""
_USER_TIMEOUT = 10_000
"""Milliseconds after which what was sent and not acknowledged ends a connection, as for PostgreSQL."""


class Watchdog:
    """Watches over one socket at a time. Whoever waits in it when it is cut gets the error that its driver makes of that.

    `bit` then says why: "no answer in time" or "the exporter is stopping". Only name resolution cannot be cut short.
    """

    def __init__(self) -> None:
        self.bit: str | None = None
        self._line: socket.socket | None = None
        self._guard = threading.Lock()

    @contextmanager
    def watching(self, seconds: float, stop: threading.Event | None) -> Iterator[None]:
        """Within, the line is cut `seconds` from now, or soon after `stop` is set."""
        self.bit = None
        home = threading.Event()
        thread = threading.Thread(target=self._watch, args=(seconds, stop, home), name="watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            home.set()
            thread.join()

    def dial(self, host: str | None, port: int, path: str | None) -> socket.socket:
        """A connected socket, under watch: to the Unix socket at `path`, else to the first address of `host` that answers.

        Raises OSError.
        """
        if path is not None:
            return self._connected(socket.AF_UNIX, path)
        failure = OSError(f"{host} has no address")
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError:  # an empty part, or one that is too long
            raise OSError(f"{host} is no name of a host") from None
        for family, _, _, _, address in addresses:
            try:
                return self._connected(family, address)
            except OSError as error:
                failure = error
                if self.bit is not None:
                    break
        raise failure

    def hang_up(self) -> None:
        """Forget the line, which its driver has closed or is about to: as long as we hold it, it is not."""
        with self._guard:
            line, self._line = self._line, None
        if line is not None:
            line.close()

    def _connected(self, family: int, address: str | tuple[Any, ...]) -> socket.socket:
        line = socket.socket(family, socket.SOCK_STREAM)
        try:
            if family != socket.AF_UNIX:
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT)
            self._watch_over(line)
            line.connect(address)
        except BaseException:
            line.close()
            self.hang_up()
            raise
        return line

    def _watch_over(self, line: socket.socket) -> None:
        """A duplicate, since a driver that speaks TLS takes the socket's own number away from it."""
        self.hang_up()
        with self._guard:
            if self.bit is not None:
                raise TimeoutError(self.bit)
            self._line = line.dup()

    def _watch(self, seconds: float, stop: threading.Event | None, home: threading.Event) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if home.wait(min(left, _LOOK_UP_EVERY)):
                return
            if stop is not None and stop.is_set():
                self._bite("the exporter is stopping")
                return
        self._bite("no answer in time")

    def _bite(self, why: str) -> None:
        with self._guard:
            self.bit = why
            if self._line is not None:
                with suppress(OSError):  # not connected any more
                    self._line.shutdown(socket.SHUT_RDWR)
