"""A server of a board in a thread of its own, and raw clients for it."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from airflow_obs.exporter.board import Board
from airflow_obs.exporter.web.access import Access
from airflow_obs.exporter.web.handlers import Reloads
from airflow_obs.exporter.web.listening import bound
from airflow_obs.exporter.web.server import Server

ANSWER_WITHIN = 30.0
"""Seconds after which a test gives up on an answer."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; the header names are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Address:
    """Where something listens on 127.0.0.1."""

    port: int

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Ask once; `accept_encoding` is Accept-Encoding. Nothing is unzipped, no header is added but Host."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_WITHIN)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value.encode("latin-1"))
            connection.endheaders()
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        """A raw connection; with a small `receive_buffer` (bytes), one that soon can take no more."""
        client = socket.socket()
        client.settimeout(ANSWER_WITHIN)
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.connect(("127.0.0.1", self.port))
        return client


def all_of(client: socket.socket) -> bytes:
    """What the server says until it hangs up."""
    heard = bytearray()
    try:
        while some := client.recv(65_536):
            heard += some
    except ConnectionResetError:
        pass
    return bytes(heard)


@contextmanager
def serving(
    board: Board,
    patience: float = 75.0,
    head_patience: float = 10.0,
    room: int = 800,
    access: Access | None = None,
    reload: Callable[[], str | None] | None = None,
) -> Iterator[Address]:
    """Serve the board on a free port; the patience (in seconds), the room (in connections) and `reload` are the server's."""
    [listening] = bound("test", "127.0.0.1", 0)
    server = Server(
        lambda: board.snapshot,
        [listening],
        access or Access(),
        Reloads(reload) if reload else None,
        patience=patience,
        head_patience=head_patience,
        room=room,
    )
    port = listening.getsockname()[1]
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    started = threading.Event()

    async def serve() -> None:
        running.append((asyncio.get_running_loop(), asyncio.Event()))
        started.set()
        await server.serve(running[0][1])

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    started.wait(ANSWER_WITHIN)
    try:
        yield Address(port)
    finally:
        loop, stop = running[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(ANSWER_WITHIN)
        assert not thread.is_alive()
