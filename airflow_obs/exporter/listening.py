"""Listening for HTTP: addresses that can be had or not, and a server of which one client cannot take another's place."""

from __future__ import annotations

import copy
import errno
import logging
import resource
import socket
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPConnection, HTTPMessageDelegate
from tornado.ioloop import IOLoop
from tornado.iostream import IOStream
from tornado.netutil import bind_sockets

from airflow_obs.errors import UsageError

MIN_CONNECTIONS = 8
MAX_FILES = 2048
"""Open files that this process asks for, if it may have them: enough for the connections and for what follows."""
SPARE_FILES = 100
"""Kept from the connections, so that the sources can still be reached."""
SEND_BUFFER_BYTES = 131_072
"""Of the kernel, for each client; left to itself it would take megabytes for one that reads nothing."""
ACCEPT_AGAIN_SECONDS = 1.0

log = logging.getLogger(__name__)


class Bounded(HTTPServer):
    """Hangs up on one client for each who comes when `room` connections are open, so that a scraper always gets in.

    It is the one who has asked for nothing for longest; if all are being answered, the one for whom that takes longest.
    """

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        self._room: int = kwargs.pop("room")
        self._answered: dict[IOStream, bool] = {}  # whether ever, in the order in which they came or last were
        head_seconds: float = kwargs.pop("head_seconds")
        super().initialize(*args, **kwargs)
        self._first_params = copy.copy(self.conn_params)
        self._first_params.header_timeout = head_seconds

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        if len(self._answered) >= self._room:
            idle = (one for one in self._answered if not one.writing())
            last = next(idle, None) or next(iter(self._answered))
            del self._answered[last]
            last.close()
        self._answered[stream] = False
        super().handle_stream(stream, address)

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Called before a request is waited for, the first one too."""
        stream = server_conn.stream  # type: ignore[attr-defined]  # Tornado calls it an object
        if stream in self._answered:  # else it has been hung up on
            if not self._answered.pop(stream):
                request_conn.params = self._first_params  # type: ignore[attr-defined]  # it is HTTP/1
            self._answered[stream] = True
        return super().start_request(server_conn, request_conn)

    def on_close(self, server_conn: object) -> None:
        self._answered.pop(server_conn.stream, None)  # type: ignore[attr-defined]  # as above
        super().on_close(server_conn)


class _Listening(socket.socket):
    """Takes a rest when no file can be opened; Tornado would try, and log it, without end."""

    complained = False

    def accept(self) -> tuple[socket.socket, Any]:
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                raise
            if not self.complained:
                log.warning("web: cannot take a connection: %s; raise the limit (ulimit -n)", error.strerror)
            self.complained = True
            loop = IOLoop.current()
            loop.update_handler(self, 0)
            loop.call_later(ACCEPT_AGAIN_SECONDS, self._accept_again)
            raise BlockingIOError from error  # for Tornado: nobody is waiting

    def _accept_again(self) -> None:
        if self.fileno() >= 0:
            IOLoop.current().update_handler(self, IOLoop.READ)


def room_for(connections: int) -> int:
    """So many connections, or fewer if this process may not have that many files."""
    return min(connections, max(MIN_CONNECTIONS, _open_files() - SPARE_FILES))


def bound(setting: str, host: str, port: int) -> list[socket.socket]:
    """Sockets that listen there; an empty host is every interface. UsageError, naming the setting, if that cannot be had."""
    try:
        listening: list[socket.socket] = [_Listening(fileno=one.detach()) for one in bind_sockets(port, host or None)]
    except (OSError, UnicodeError) as error:  # UnicodeError: no host can be called that
        where, why = f"{host or '*'}:{port}", getattr(error, "strerror", None) or error
        raise UsageError(
            f"{setting} {where}: cannot listen there: {why}; is another exporter running? "
            "choose another address or port"
        ) from None
    for one in listening:
        one.settimeout(0)
        # What is accepted from it inherits this.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    return listening


def _open_files() -> int:
    """How many this process may have, after asking for MAX_FILES."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return MAX_FILES if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
