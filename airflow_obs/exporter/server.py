"""The HTTP side: /metrics, /-/healthy, /-/ready and the front page, all from memory.

Tornado, because one server of it listens on several TCP addresses and Unix sockets, takes an ssl.SSLContext whose
certificates can be reloaded in place, gives slow clients a time limit and bounds what it buffers for each, in pure
Python without further dependencies.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any, ClassVar

from prometheus_client.exposition import choose_encoder, gzip_accepted
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from airflow_obs.errors import UsageError
from airflow_obs.exporter.board import Board
from airflow_obs.exporter.front_page import front_page

MAX_HEADER_BYTES = 16_384
MAX_BODY_BYTES = 65_536
IDLE_SECONDS = 75
"""A client has this long to send a request, and then to read the answer; longer than any scrape interval in use."""


class _Handler(RequestHandler):
    def initialize(self, board: Board) -> None:
        self.board = board

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


class _Metrics(_Handler):
    def get(self) -> None:
        snapshot = self.board.snapshot
        content_type = _content_type(self.request.headers.get("Accept", ""))
        zipped = gzip_accepted(self.request.headers.get("Accept-Encoding", ""))
        self.set_header("Content-Type", content_type)
        self.set_header("Vary", "Accept, Accept-Encoding")
        if zipped:
            self.set_header("Content-Encoding", "gzip")
        if content_type.startswith("application/openmetrics-text"):
            self.write(snapshot.openmetrics_gzip if zipped else snapshot.openmetrics)
        else:
            self.write(snapshot.text_gzip if zipped else snapshot.text)

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
    def get(self) -> None:
        self.set_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        self.write(front_page(self.board.deployment, self.board.snapshot))

    head = get


class _NotFound(_Handler):
    def prepare(self) -> None:
        self.send_error(404)


class Server:
    """Serves a board on one address until stopped. `address` is (host, port); an empty host is every interface."""

    routes: ClassVar[Sequence[tuple[str, type[_Handler]]]] = (
        ("/metrics", _Metrics),
        ("/-/healthy", _Healthy),
        ("/-/ready", _Ready),
        ("/", _FrontPage),
    )

    def __init__(self, board: Board, address: tuple[str, int]) -> None:
        self._application = Application(
            [(path, handler, {"board": board}) for path, handler in self.routes],
            default_handler_class=_NotFound,
            default_handler_args={"board": board},
            log_function=lambda _: None,
        )
        self._sockets = _bound(*address)

    @property
    def port(self) -> int:
        """The port listened on; the kernel's choice if 0 was asked for."""
        return int(self._sockets[0].getsockname()[1])

    async def serve(self, stop: asyncio.Event) -> None:
        """Answer until `stop` is set; then close what is open, and return."""
        server = HTTPServer(
            self._application,
            max_header_size=MAX_HEADER_BYTES,
            max_body_size=MAX_BODY_BYTES,
            max_buffer_size=MAX_BODY_BYTES * 2,
            idle_connection_timeout=IDLE_SECONDS,
            body_timeout=IDLE_SECONDS,
        )
        server.add_sockets(self._sockets)
        await stop.wait()
        server.stop()
        await server.close_all_connections()


def _bound(host: str, port: int) -> list[socket.socket]:
    try:
        return bind_sockets(port, host or None)
    except OSError as error:
        where = f"{host or '*'}:{port}"
        raise UsageError(
            f"--web.listen-address {where}: cannot listen there: {error.strerror or error}; is another exporter running? "
            "choose another address or port"
        ) from None


def _content_type(accept: str) -> str:
    try:
        return choose_encoder(accept)[1]
    except ValueError:  # a version that is no number
        return choose_encoder("")[1]
