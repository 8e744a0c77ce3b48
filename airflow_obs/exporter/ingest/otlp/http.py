"""Takes OTLP metrics over HTTP: POST /v1/metrics, in a thread of its own, with a limit on all that a client may take up."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from google.rpc.status_pb2 import Status
from tornado.web import Application, RequestHandler, stream_request_body

from airflow_obs.exporter.ingest.accounts import Accounts, Refusal
from airflow_obs.exporter.ingest.otlp.decode import MAX_BYTES, Body, RequestRefused, unpacked
from airflow_obs.exporter.web.bounded import Bounded, room_for
from airflow_obs.exporter.web.listening import bound

PATH = "/v1/metrics"
MAX_HEADER_BYTES = 16_384
MAX_CONNECTIONS = 256
"""Those that have asked for nothing for longest make room for others."""
MAX_WAITING_BYTES = 64 * 1024 * 1024
"""Of bodies that arrive, or have arrived and wait to be read."""
MAX_DISCARDED_BYTES = 64 * 1024 * 1024
"""Of one body: so much is listened to, so that who sends too much hears why."""
MAX_LENGTH_DIGITS = 20
"""Of the length that a body says to have."""
MAX_OTHER_BYTES = 65_536
BUFFER_BYTES = 1024 * 1024
"""For each client, on top of its body."""
BODY_SECONDS = 30.0
HEAD_SECONDS = 10.0
RETRY_AFTER = "10"
"""Seconds."""

_CONTENT_TYPES: dict[str, Body] = {"application/x-protobuf": "protobuf", "application/json": "json"}
_STATUS = {
    Refusal.TOO_LARGE: 413,
    Refusal.MALFORMED: 400,
    Refusal.UNSUPPORTED: 415,
    Refusal.OVERLOADED: 503,
}
_MIME = {body: mime for mime, body in _CONTENT_TYPES.items()}

Take = Callable[[bytes], tuple[Body, bytes]]
"""Takes an unpacked body; gives how it was written, and the answer, written so. Raises RequestRefused."""


@dataclass
class _Shared:
    """What the handlers of one server share. `waiting` counts the bytes of bodies that have come and are not done with."""

    take: Take
    accounts: Accounts
    worker: ThreadPoolExecutor
    patience: float
    waiting: int = 0


@stream_request_body
class _Metrics(RequestHandler):
    def initialize(self, shared: _Shared) -> None:
        self._shared = shared
        self._chunks: list[bytes] = []
        self._size = 0
        self._refused: RequestRefused | None = None
        self._arrived = False
        self._began = 0.0

    def set_default_headers(self) -> None:
        self.set_header("Server", "airflow-obs")

    def prepare(self) -> None:
        if self.request.method != "POST":
            return
        self._shared.accounts.packets("otlp", "http")
        self._began = asyncio.get_running_loop().time()
        length = self.request.headers.get("Content-Length", "0")
        # Tornado would answer these without asking us.
        if not (length.isascii() and length.isdecimal()):
            self._refuse(Refusal.MALFORMED, "the content length is no number")
        elif len(length) > MAX_LENGTH_DIGITS or int(length) > MAX_DISCARDED_BYTES:
            self._refuse(Refusal.TOO_LARGE, f"more than {MAX_BYTES} bytes: send fewer metrics at a time")
        if self._refused is not None:
            self._arrived = True
            self._answer_refusal(self._refused)
            return
        self.request.connection.set_max_body_size(MAX_DISCARDED_BYTES)  # type: ignore[union-attr]  # there is one
        if (mime := self._mime) not in {*_CONTENT_TYPES, "application/octet-stream", ""}:
            self._refuse(Refusal.UNSUPPORTED, f"content type {mime[:40]!r}: send {' or '.join(_CONTENT_TYPES)}")

    def data_received(self, chunk: bytes) -> None:
        if self._refused is None and self._size + len(chunk) > MAX_BYTES:
            self._refuse(Refusal.TOO_LARGE, f"more than {MAX_BYTES} bytes: send fewer metrics at a time")
        if self._refused is None and self._shared.waiting + len(chunk) > MAX_WAITING_BYTES:
            self._refuse(Refusal.OVERLOADED, "too many requests at a time: send again later")
        if self._refused is None:
            self._size += len(chunk)
            self._shared.waiting += len(chunk)
            self._chunks.append(chunk)

    async def post(self) -> None:
        self._arrived = True
        if self._refused is None:
            loop = asyncio.get_running_loop()
            sent, self._chunks = b"".join(self._chunks), []
            try:
                body, answer = await loop.run_in_executor(self._shared.worker, self._taken, sent)
            except RequestRefused as error:
                self._refused = error
            else:
                self.set_header("Content-Type", _MIME[body])
                self.finish(answer)
        if self._refused is not None:
            self._answer_refusal(self._refused)

    def on_finish(self) -> None:
        self._let_go()

    def on_connection_close(self) -> None:
        if not self._arrived and self.request.method == "POST":
            late = asyncio.get_running_loop().time() - self._began >= self._shared.patience
            self._shared.accounts.request_refused("http", Refusal.TIMEOUT if late else Refusal.HUNG_UP)
        if not self._arrived:
            self._let_go()

    def write_error(self, status_code: int, **_: Any) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code} {self._reason}\n")

    @property
    def _mime(self) -> str:
        return self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def _taken(self, sent: bytes) -> tuple[Body, bytes]:
        """In the worker's thread, one request after the other, whether or not its sender still waits for the answer."""
        body = unpacked(sent, self.request.headers.get("Content-Encoding", ""))
        return self._shared.take(body or (b"{}" if self._mime == _MIME["json"] else b""))

    def _refuse(self, refusal: Refusal, text: str) -> None:
        self._refused = RequestRefused(refusal, text)
        self._let_go()

    def _let_go(self) -> None:
        self._shared.waiting -= self._size
        self._size = 0
        self._chunks = []

    def _answer_refusal(self, refused: RequestRefused) -> None:
        self._shared.accounts.request_refused("http", refused.refusal)
        self.set_status(_STATUS[refused.refusal])
        if refused.refusal is Refusal.OVERLOADED:
            self.set_header("Retry-After", RETRY_AFTER)
        if self._mime == _MIME["json"]:
            self.set_header("Content-Type", self._mime)
            self.finish(json.dumps({"message": str(refused)}))
        else:
            self.set_header("Content-Type", _MIME["protobuf"])
            self.finish(Status(message=str(refused)).SerializeToString())


class _NotFound(RequestHandler):
    def set_default_headers(self) -> None:
        self.set_header("Server", "airflow-obs")

    def prepare(self) -> None:
        self.set_status(404)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"404 Not Found: OTLP metrics go to {PATH}\n")


class HttpReceiver:
    """Listens from its making on, answers from `start` to `stop`. `address` is (host, port); raises UsageError."""

    def __init__(
        self, address: tuple[str, int], take: Take, accounts: Accounts, room: int = MAX_CONNECTIONS,
        body_patience: float = BODY_SECONDS,
    ) -> None:  # fmt: skip
        self._room, self._patience = room_for(room), body_patience
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="otlp-http")
        self._shared = _Shared(take, accounts, self._worker, body_patience)
        self._application = Application(
            [(PATH, _Metrics, {"shared": self._shared})],
            default_handler_class=_NotFound,
            log_function=lambda _: None,
        )
        self._sockets = bound("sources.otlp.listen_http", *address)
        self._thread = threading.Thread(target=self._run, name="otlp-http", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._started = threading.Event()

    @property
    def port(self) -> int:
        """The port listened on; the kernel's choice if 0 was asked for."""
        return int(self._sockets[0].getsockname()[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()
        self._started.wait()

    def stop(self) -> None:
        """Hang up, and listen no more."""
        if self._loop and self._stop:
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread.ident is not None:
            self._thread.join()
        for one in self._sockets:
            one.close()
        self._worker.shutdown(cancel_futures=True)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        finally:
            self._started.set()

    async def _serve(self) -> None:
        server = Bounded(
            self._application,
            max_header_size=MAX_HEADER_BYTES,
            # Processes that Airflow forks would go on with the connection of their parent, in the middle of its requests.
            no_keep_alive=True,
            # Of other requests, which nobody reads; for metrics, more is allowed when their head has been read.
            max_body_size=MAX_OTHER_BYTES,
            max_buffer_size=BUFFER_BYTES,
            body_timeout=self._patience,
            head_seconds=HEAD_SECONDS,
            room=self._room,
        )
        server.add_sockets(self._sockets)
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._started.set()
        await self._stop.wait()
        server.stop()
        await server.close_all_connections()
