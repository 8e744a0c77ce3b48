"""A server of which one client cannot take another's place, and whose TLS is as new as each connection."""

from __future__ import annotations

import copy
import os
import resource
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from tornado.concurrent import Future
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPConnection, HTTPMessageDelegate
from tornado.iostream import IOStream, SSLIOStream, StreamClosedError, UnsatisfiableReadError
from tornado.netutil import add_accept_handler

from airflow_obs.exporter.web.refusals import OF_UNIX_SOCKETS

MIN_CONNECTIONS = 8
MAX_FILES = 2048
"""Open files that this process asks for, if it may have them: enough for the connections and for what follows."""
SPARE_FILES = 100
"""Kept from the connections, so that the sources can still be reached."""

_LEFT = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
_NOT_ENCRYPTED = b"HTTP/1.0 400 Bad Request\r\n\r\nthis port speaks HTTPS: write https://\n"
_HEAD_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_MALFORMED = b"HTTP/1.1 400 Bad Request\r\n\r\n"
"""Tornado's answer to what is no HTTP."""


class _Crowded(ConnectionAbortedError):
    """Others need the room."""


class Bounded(HTTPServer):
    """Hangs up on one client for each who comes when `room` connections are open, so that a scraper always gets in.

    It is the one who has been waited for longest, for a request or the rest of one; if all wait for answers or are reading them,
    the one for whom that takes longest. From its coming a client has `head_seconds` for the TLS handshake and the head of a
    request together. `context` is asked for every connection, None is plain HTTP; `refused` is told of what address was refused
    for what reason: "connections" is who was hung up on, "handshake", "head" and "body" who sent one that is too large or
    malformed.
    """

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        self._room: int = kwargs.pop("room")
        self._context: Callable[[], ssl.SSLContext | None] = kwargs.pop("context", lambda: None)
        self._refused: Callable[[str, str], None] = kwargs.pop("refused", lambda *_: None)
        self._answered: dict[IOStream, bool] = {}  # whether ever, in the order in which they came or last were
        self._accepting: list[tuple[socket.socket, Callable[[], None]]] = []
        head_seconds: float = kwargs.pop("head_seconds")
        super().initialize(*args, **kwargs)
        self._first_params = copy.copy(self.conn_params)
        self._first_params.header_timeout = head_seconds

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Take the connections that come there. Tornado's own gives all of them one and the same TLS context."""
        self._accepting += [(one, add_accept_handler(one, self._take)) for one in sockets]

    def stop(self) -> None:
        """Take no more, and close the sockets."""
        for one, end in self._accepting:
            end()
            one.close()
        self._accepting.clear()

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        if len(self._answered) >= self._room:
            # Who has just come is not read from yet; later on nothing is read while a request waits for its answer.
            waited_for = (
                one for one, ever in self._answered.items() if not ever or (one.reading() and not one.writing())
            )
            last = next(waited_for, None) or next(iter(self._answered))
            del self._answered[last]
            last.close(_Crowded())
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

    def _take(self, connection: socket.socket, address: Any) -> None:
        context = self._context()
        who = str(address[0]) if isinstance(address, tuple) else OF_UNIX_SOCKETS
        settings: dict[str, Any] = {
            "refused": partial(self._refuse, who),
            "max_buffer_size": self.max_buffer_size,
            "read_chunk_size": self.read_chunk_size,
        }
        if context is None:
            self.handle_stream(_Plain(connection, **settings), address)
            return
        try:
            encrypted = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        except OSError:  # who came has left
            connection.close()
            return
        stream = _Encrypted(encrypted, **settings)
        stream.wait_for_handshake().add_done_callback(partial(self._shaken, who))
        self.handle_stream(stream, address)

    def _refuse(self, who: str, reason: str) -> None:
        self._refused(reason, who)

    def _shaken(self, who: str, handshake: Future[SSLIOStream]) -> None:
        """Count it if it failed, or took too long; not if the client left, as probes of the port do, or had to."""
        error = handshake.exception()
        if isinstance(error, (StreamClosedError, ssl.SSLError)) and not isinstance(error, _LEFT):
            self._refuse(who, "handshake")


class _Plain(IOStream):
    """Tells `refused` why, when a client is hung up on for what it sent, or for others.

    Reads no request for who is gone: Tornado would answer hundreds that came before, from each one's buffer, to nobody.
    """

    def __init__(self, *args: Any, refused: Callable[[str], None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._refused = refused
        self._part = "head"

    def read_until_regex(self, regex: bytes, max_bytes: int | None = None) -> Awaitable[bytes]:
        """Tornado reads heads so, and nothing else."""
        if self.closed():
            raise StreamClosedError(self.error)
        self._part = "head"
        return super().read_until_regex(regex, max_bytes)

    def read_until(self, delimiter: bytes, max_bytes: int | None = None) -> Awaitable[bytes]:
        """The length of a chunk."""
        self._part = "body"
        return super().read_until(delimiter, max_bytes)

    def write(self, data: bytes | memoryview) -> Future[None]:
        if data == _MALFORMED:
            self._refused(self._part)
        return super().write(data)

    def close(self, exc_info: Any = False) -> None:
        if isinstance(exc_info, _Crowded):
            self._refused("connections")
        elif isinstance(exc_info, UnsatisfiableReadError) and not self.closed():
            self._refused(self._part)
            with suppress(OSError):
                self.socket.send(_HEAD_TOO_LARGE if self._part == "head" else _MALFORMED)
        super().close(exc_info)


class _Encrypted(_Plain, SSLIOStream):
    """Tells who speaks plain HTTP what is spoken here, as Go's server does."""

    def close(self, exc_info: Any = False) -> None:
        if isinstance(exc_info, ssl.SSLError) and exc_info.reason == "HTTP_REQUEST" and not self.closed():
            with suppress(OSError):
                os.write(self.socket.fileno(), _NOT_ENCRYPTED)
        super().close(exc_info)


def room_for(connections: int) -> int:
    """So many connections, or fewer if this process may not have that many files."""
    return min(connections, max(MIN_CONNECTIONS, _open_files() - SPARE_FILES))


def _open_files() -> int:
    """How many this process may have, after asking for MAX_FILES."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return MAX_FILES if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
