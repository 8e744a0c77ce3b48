"""The HTTP side: /metrics, /-/healthy, /-/ready, /-/reload and the status page, all from memory.

Tornado, because one server of it listens on several TCP addresses and Unix sockets, takes an ssl.SSLContext for every
connection anew, gives slow clients a time limit and bounds what it buffers for each, in pure Python without further
dependencies.
"""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from tornado.httputil import HTTPServerRequest
from tornado.web import Application

from airflow_obs.exporter.board import Snapshot
from airflow_obs.exporter.web import handlers
from airflow_obs.exporter.web.access import Access
from airflow_obs.exporter.web.bounded import Bounded, room_for
from airflow_obs.exporter.web.page.judgement import Judgement
from airflow_obs.exporter.web.page.status_page import Pages, status_page

MAX_HEADER_BYTES = 16_384
READ_BYTES = 16_384
"""At a time: a connection holds what the head may take and once this, whatever its client sends."""
MAX_CONNECTIONS = 800
"""Each takes up to 70 kB with TLS and 30 kB without, whatever its client does: 55 MB for all of them."""
HEAD_SECONDS = 10.0
"""Who has just connected has this long to send the head of a request."""
IDLE_SECONDS = 75.0
"""A client has this long to read an answer, and then to send another request; longer than any scrape interval in use."""


_ABSOLUTE = re.compile(r"https?://([^/]+)", re.IGNORECASE)


class _Paths(Application):
    """Knows paths in URLs, too, as servers must: RFC 9112, 3.2.2; the host is then the URL's."""

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        if url := _ABSOLUTE.match(request.path):
            request.host, request.path = url[1], request.path[url.end() :] or "/"
        return super().find_handler(request, **kwargs)


class Server:
    """Serves the newest snapshot on sockets that listen, until stopped; whom `access` lets in.

    `reloads` reads the policy again; None, and /-/reload is forbidden. `patience` is the seconds
    that a client has to take an answer and to send the next request, `head_patience` those for its first. At most `room`
    connections are open at a time; fewer, if this process may not have that many files. `judgement` is what the status page
    makes of the figures.
    """

    routes: ClassVar[Sequence[tuple[str, type[handlers.Handler]]]] = (
        ("/metrics", handlers.Metrics),
        ("/-/healthy", handlers.Healthy),
        ("/-/ready", handlers.Ready),
        ("/-/reload", handlers.Reload),
        ("/", handlers.StatusPage),
    )

    def __init__(
        self,
        newest: Callable[[], Snapshot],
        sockets: Sequence[socket.socket],
        access: Access,
        reloads: handlers.Reloads | None = None,
        *,
        patience: float = IDLE_SECONDS,
        head_patience: float = HEAD_SECONDS,
        room: int = MAX_CONNECTIONS,
        show_versions: bool = True,
        judgement: Callable[[], Judgement] = Judgement,
    ) -> None:
        self._patience = patience
        self._head_patience = head_patience
        self._room = room_for(room)
        self._access = access
        pages = Pages(lambda snapshot: status_page(snapshot, judgement(), show_versions=show_versions))
        serving = handlers.Serving(newest, access, reloads, patience, pages)
        arguments = {"serving": serving}
        self._application = _Paths(
            [(path, handler, arguments) for path, handler in self.routes],
            default_handler_class=handlers.NotFound,
            default_handler_args=arguments,
            log_function=lambda _: None,
        )
        self._sockets = sockets

    async def serve(self, stop: asyncio.Event) -> None:
        """Answer until `stop` is set; then close what is open, and return."""
        server = Bounded(
            self._application,
            max_header_size=MAX_HEADER_BYTES,
            max_body_size=sys.maxsize,  # the handlers count, and say what is wrong
            max_buffer_size=MAX_HEADER_BYTES + 2 * READ_BYTES,
            chunk_size=READ_BYTES,
            idle_connection_timeout=self._patience,
            body_timeout=self._patience,
            head_seconds=self._head_patience,
            room=self._room,
            context=self._access.context,
            refused=self._access.refused,
        )
        server.add_sockets(self._sockets)
        await stop.wait()
        server.stop()
        await server.close_all_connections()
