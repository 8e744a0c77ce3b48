"""The HTTP side: /metrics, /-/healthy, /-/ready and the front page, all from memory.

Tornado, because one server of it listens on several TCP addresses and Unix sockets, takes an ssl.SSLContext whose
certificates can be reloaded in place, gives slow clients a time limit and bounds what it buffers for each, in pure
Python without further dependencies.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, gzip_accepted
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS
from tornado.iostream import StreamClosedError
from tornado.web import Application, RequestHandler

from airflow_obs.exporter.board import Board
from airflow_obs.exporter.front_page import front_page
from airflow_obs.exporter.listening import Bounded, bound, room_for

MAX_HEADER_BYTES = 16_384
MAX_BODY_BYTES = 65_536
MAX_CONNECTIONS = 800
HEAD_SECONDS = 10.0
"""Who has just connected has this long to send the head of a request."""
IDLE_SECONDS = 75.0
"""A client has this long to read an answer, and then to send another request; longer than any scrape interval in use."""

_REFUSED = re.compile(r";\s*[qQ]\s*=\s*0(\.0*)?\s*$")


class _Handler(RequestHandler):
    def initialize(self, board: Board, patience: float) -> None:
        self.board = board
        self.patience = patience

    def set_default_headers(self) -> None:
        self.set_header("Server", "airflow-obs")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")

    def compute_etag(self) -> str | None:
        """None: hashing a large page for every scrape would buy nothing."""
        return None

    def write_error(self, status_code: int, **_: Any) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code} {self._reason}\n")

    async def send(self, body: bytes) -> None:
        """Answer with `body`; a client that does not take it in time is cut off.

        The head goes first: together with it Tornado would copy the body for every client, and slow ones would pile up.
        """
        self.set_header("Content-Length", str(len(body)))
        stream = self.request.connection.stream  # type: ignore[union-attr]  # there is one
        with suppress(StreamClosedError):
            self.flush()
            self.write(body)
            try:
                await asyncio.wait_for(self.finish(), self.patience)
            except TimeoutError:
                stream.close()


class _Metrics(_Handler):
    async def get(self) -> None:
        snapshot = self.board.snapshot
        content_type = _content_type(self.request.headers.get("Accept", ""))
        zipped = _gzip_accepted(self.request.headers.get("Accept-Encoding", ""))
        self.set_header("Content-Type", content_type)
        self.set_header("Vary", "Accept, Accept-Encoding")
        if zipped:
            self.set_header("Content-Encoding", "gzip")
        if content_type.startswith("application/openmetrics-text"):
            await self.send(snapshot.openmetrics_gzip if zipped else snapshot.openmetrics)
        else:
            await self.send(snapshot.text_gzip if zipped else snapshot.text)

    head = get


class _Healthy(_Handler):
    def get(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.write("airflow-obs exporter is healthy\n")

    head = get


class _Ready(_Handler):
    def get(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        if self.board.snapshot.ready:
            self.write("airflow-obs exporter is ready\n")
        else:
            self.set_status(503)
            self.write("not every collector has been attempted yet\n")

    head = get


class _FrontPage(_Handler):
    async def get(self) -> None:
        self.set_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        await self.send(front_page(self.board.deployment, self.board.snapshot).encode("utf-8", "backslashreplace"))

    head = get


class _NotFound(_Handler):
    def prepare(self) -> None:
        self.send_error(404)


class Server:
    """Serves a board on one address until stopped.

    `address` is (host, port); an empty host is every interface. `patience` is the seconds that a client has to take an
    answer and to send the next request, `head_patience` those for its first. At most `room` connections are open at a
    time; fewer, if this process may not have that many files.
    """

    routes: ClassVar[Sequence[tuple[str, type[_Handler]]]] = (
        ("/metrics", _Metrics),
        ("/-/healthy", _Healthy),
        ("/-/ready", _Ready),
        ("/", _FrontPage),
    )

    def __init__(
        self,
        board: Board,
        address: tuple[str, int],
        patience: float = IDLE_SECONDS,
        head_patience: float = HEAD_SECONDS,
        room: int = MAX_CONNECTIONS,
    ) -> None:
        self._patience = patience
        self._head_patience = head_patience
        self._room = room_for(room)
        arguments = {"board": board, "patience": patience}
        self._application = Application(
            [(path, handler, arguments) for path, handler in self.routes],
            default_handler_class=_NotFound,
            default_handler_args=arguments,
            log_function=lambda _: None,
        )
        self._sockets = bound("--web.listen-address", *address)

    @property
    def port(self) -> int:
        """The port listened on; the kernel's choice if 0 was asked for."""
        return int(self._sockets[0].getsockname()[1])

    async def serve(self, stop: asyncio.Event) -> None:
        """Answer until `stop` is set; then close what is open, and return."""
        server = Bounded(
            self._application,
            max_header_size=MAX_HEADER_BYTES,
            max_body_size=MAX_BODY_BYTES,
            max_buffer_size=MAX_BODY_BYTES * 2,
            idle_connection_timeout=self._patience,
            body_timeout=self._patience,
            head_seconds=self._head_patience,
            room=self._room,
        )
        server.add_sockets(self._sockets)
        await stop.wait()
        server.stop()
        await server.close_all_connections()


def _gzip_accepted(accept_encoding: str) -> bool:
    """As prometheus_client has it, which does not know that q=0 is a no."""
    return gzip_accepted(",".join(one for one in accept_encoding.split(",") if not _REFUSED.search(one)))


def _content_type(accept: str) -> str:
    """What our page is, not what version the client would like it to be."""
    try:
        wanted = choose_encoder(accept)[1]
    except (TypeError, ValueError):  # a version that is no number
        wanted = CONTENT_TYPE_PLAIN_0_0_4
    return OPENMETRICS if wanted.startswith("application/openmetrics-text") else CONTENT_TYPE_PLAIN_0_0_4
