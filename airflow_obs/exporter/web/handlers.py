"""What is answered at each path, to those whom access lets in."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import responses
from typing import Any, ClassVar

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, gzip_accepted
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS
from tornado.concurrent import Future
from tornado.httputil import HTTPServerRequest
from tornado.iostream import StreamClosedError
from tornado.web import Application, Finish, RequestHandler, stream_request_body

from airflow_obs.errors import redact
from airflow_obs.exporter.board import Snapshot
from airflow_obs.exporter.web.access import Access
from airflow_obs.exporter.web.page.status_page import CONTENT_SECURITY_POLICY, Pages

TEXT = "text/plain; charset=utf-8"
MAX_BODY_BYTES = 65_536
"""Of a request. Nobody reads it, and it is kept nowhere."""
MAX_RELOADS = 2
"""One, and one that waits: it reads all that was written until it begins."""
RETRY_AFTER_SECONDS = 5

_REFUSED = re.compile(r";\s*[qQ]\s*=\s*0(\.0*)?\s*(;|$)")


class Reloads:
    """Reads the policy again, a time after the other, in a thread; `reload` says what is wrong with it, or None."""

    def __init__(self, reload: Callable[[], str | None]) -> None:
        self._reload = reload
        self._turn = asyncio.Lock()
        self._asked = 0

    @property
    def full(self) -> bool:
        """Whether one more would be one too many."""
        return self._asked >= MAX_RELOADS

    async def reload(self) -> str | None:
        """What is wrong with it, or None."""
        self._asked += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(self._reload)
        finally:
            self._asked -= 1


@dataclass(frozen=True)
class Serving:
    """What the handlers of one server share. `patience` is the seconds that a client has to take an answer."""

    newest: Callable[[], Snapshot]
    access: Access
    reloads: Reloads | None
    patience: float
    pages: Pages


@stream_request_body  # so that who is refused is refused before the body comes
class Handler(RequestHandler):
    """Asks access first, then answers those methods that it has."""

    methods: ClassVar[Sequence[str]] = ("GET", "HEAD")

    def __init__(self, application: Application, request: HTTPServerRequest, *, serving: Serving) -> None:
        self.serving = serving
        self._deadline: asyncio.TimerHandle | None = None
        self._received = 0
        # Any: else Tornado would refuse it before access is asked, and `consider` says what there is.
        self.SUPPORTED_METHODS = (str(request.method),)
        super().__init__(application, request)

    def set_default_headers(self) -> None:
        self.set_header("Server", "airflow-obs")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        for name, value in self.serving.access.headers.items():
            self.set_header(name, value)

    async def prepare(self) -> None:
        if refusal := await self.serving.access.refusal(self.request):
            await self.refuse(refusal.status, headers=refusal.headers)
        else:
            await self.consider()

    async def consider(self) -> None:
        """Refuse what is not to be had."""
        length = self.request.headers.get("Content-Length", "")
        if self.request.method not in self.methods:
            await self.refuse(405, headers={"Allow": ", ".join(self.methods)})
        elif length.isdecimal() and (len(length) > len(str(MAX_BODY_BYTES)) or int(length) > MAX_BODY_BYTES):
            await self.refuse_body()

    async def data_received(self, chunk: bytes) -> None:
        """Of a body, which nobody reads; one whose length was not said ends here if it is too long."""
        self._received += len(chunk)
        if self._received > MAX_BODY_BYTES:
            with suppress(Finish):
                await self.refuse_body()

    async def refuse_body(self) -> None:
        """Refuse it as too long."""
        self.serving.access.refused("body", str(self.request.remote_ip))
        await self.refuse(413)

    def compute_etag(self) -> str | None:
        """None: hashing a large page for every scrape would buy nothing."""
        return None

    def write_error(self, status_code: int, **_: Any) -> None:
        self.set_header("Content-Type", TEXT)
        self.finish(f"{status_code} {self._reason}\n")

    def flush(self, include_footers: bool = False) -> Future[None]:
        """As Tornado's; from the first time on a client has so long to take the answer, and then is hung up on."""
        if self._deadline is None:
            stream = self.request.connection.stream  # type: ignore[union-attr]  # there is one
            self._deadline = asyncio.get_running_loop().call_later(self.serving.patience, stream.close)
        return super().flush(include_footers)

    def finish(self, chunk: Any = None) -> Future[None]:
        """As Tornado's; it is done when the answer has been taken."""
        taken = super().finish(chunk)
        if self._deadline is not None:  # it has been flushed
            deadline = self._deadline
            taken.add_done_callback(lambda _: deadline.cancel())
        return taken

    async def send(self, body: bytes) -> None:
        """Answer with `body`; raises Finish, so that nothing follows, if the client is gone.

        The head goes first: together with it Tornado would copy the body for every client, and slow ones would pile up.
        """
        self.set_header("Content-Length", str(len(body)))
        try:
            await self.flush()
            self.write(body)
            await self.finish()
        except StreamClosedError:
            raise Finish from None

    async def say(self, text: str) -> None:
        """Answer with that text."""
        self.set_header("Content-Type", TEXT)
        await self.send(text.encode("utf-8", "backslashreplace"))

    async def refuse(self, status: int, why: str = "", headers: Mapping[str, str] | None = None) -> None:
        """Answer with that status, and what it means."""
        self.set_status(status)
        for name, value in (headers or {}).items():
            self.set_header(name, value)
        await self.say(f"{status} {responses[status]}{why and f': {why}'}\n")


class Metrics(Handler):
    """The page, in the format and the encoding that the client would have."""

    async def get(self) -> None:
        snapshot = self.serving.newest()
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


class Healthy(Handler):
    """Whether it answers at all."""

    async def get(self) -> None:
        await self.say("airflow-obs exporter is healthy\n")

    head = get


class Ready(Handler):
    """Whether every collector has been attempted."""

    async def get(self) -> None:
        if self.serving.newest().ready:
            await self.say("airflow-obs exporter is ready\n")
        else:
            self.set_status(503)
            await self.say("not every collector has been attempted yet\n")

    head = get


class Reload(Handler):
    """Reads the policy again, if a flag allows it; else forbidden, as Prometheus has it."""

    methods = ("POST", "PUT")

    async def post(self) -> None:
        reloads = self.serving.reloads
        if reloads is None:
            await self.refuse(403, "start the exporter with --web.enable-lifecycle to allow this")
        elif _of_another_site(self.request):
            await self.refuse(403, "a page of another site may not ask for this")
        elif reloads.full:
            await self.refuse(503, "it is being read again already", {"Retry-After": str(RETRY_AFTER_SECONDS)})
        elif error := await reloads.reload():
            self.set_status(500)
            await self.say(f"the policy was not taken, the one before holds:\n{redact(error)}\n")
        else:
            await self.say("the policy was taken\n")

    put = post


class StatusPage(Handler):
    """The page for people."""

    def set_default_headers(self) -> None:
        self.set_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        super().set_default_headers()  # the site's own instead

    async def get(self) -> None:
        page = await self.serving.pages.of(self.serving.newest())
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        await self.send(page)

    head = get


class NotFound(Handler):
    """Any path that is no other's."""

    async def consider(self) -> None:
        await self.refuse(404)


def _of_another_site(request: HTTPServerRequest) -> bool:
    """Whether a browser asks for a page of another site's, or says not whose; who is no browser has neither header."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        return site not in {"same-origin", "none"}
    return origin is not None and origin.partition("://")[2].lower() != request.host.lower()


def _accepted(header: str) -> str:
    """The header without what it says no to; prometheus_client does not know that q=0 does."""
    return ",".join(one for one in header.split(",") if not _REFUSED.search(one))


def _gzip_accepted(accept_encoding: str) -> bool:
    """As prometheus_client has it."""
    return gzip_accepted(_accepted(accept_encoding))


def _content_type(accept: str) -> str:
    """What our page is, not what version the client would like it to be."""
    try:
        wanted = choose_encoder(_accepted(accept))[1]
    except (TypeError, ValueError):  # a version that is no number
        wanted = CONTENT_TYPE_PLAIN_0_0_4
    return OPENMETRICS if wanted.startswith("application/openmetrics-text") else CONTENT_TYPE_PLAIN_0_0_4
