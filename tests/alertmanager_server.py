"""A real Alertmanager for the tests, as a process of its own, and a sink that keeps what it sends over HTTP."""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import requests

from tests.e2e.processes import answers, free_port
from tests.eventually import eventually
from tests.tools import tool

PATIENCE = 30.0
"""Seconds that one answer is waited for."""


@dataclass
class AlertmanagerServer:
    """A running Alertmanager without peers. Its configuration may be replaced; alerts and what was told of them stay."""

    folder: Path
    process: subprocess.Popen[bytes]
    port: int

    @property
    def address(self) -> str:
        """HOST:PORT, as Prometheus wants it in static_configs."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def log(self) -> str:
        """What it said so far; a template that fails is among that."""
        return (self.folder / "alertmanager.log").read_text(errors="replace")

    def configure(self, config: str) -> None:
        """Take another configuration (the text of alertmanager.yml). AssertionError if it is refused."""
        (self.folder / "alertmanager.yml").write_text(config)
        answer = requests.post(f"{self.url}/-/reload", timeout=PATIENCE)
        assert answer.ok, f"{answer.text}\n{self.log[-2000:]}"

    def fire(self, *alerts: Mapping[str, str], since: float | None = None, **annotations: str) -> None:
        """These alerts (their labels) fire since a minute ago, or `since` (Unix seconds), all with these annotations.

        Alertmanager does not wait for others to group with an alert that began longer ago than group_wait.
        """
        self.post([_alert(labels, annotations, since) for labels in alerts])

    def resolve(self, *alerts: Mapping[str, str], since: float | None = None, **annotations: str) -> None:
        """These alerts are over, from now on."""
        self.post([{**_alert(labels, annotations, since), "endsAt": _moment(time.time())} for labels in alerts])

    def post(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        """Take these alerts, each as the API v2 has it."""
        answer = requests.post(f"{self.url}/api/v2/alerts", json=alerts, timeout=PATIENCE)
        assert answer.ok, answer.text

    def alerts(self, *matchers: str) -> list[dict[str, Any]]:
        """The alerts that are there, as the API v2 has them: labels, receivers, status {state, inhibitedBy, silencedBy}…"""
        asked = {"filter": list(matchers)}
        found: list[dict[str, Any]] = requests.get(f"{self.url}/api/v2/alerts", asked, timeout=PATIENCE).json()
        return found


@contextmanager
def alertmanager(folder: Path, config: str) -> Iterator[AlertmanagerServer]:
    """An Alertmanager with this configuration (the text of alertmanager.yml), ended at the end.

    `folder` holds its configuration, log and state; paths in the configuration are relative to it.
    """
    (folder / "alertmanager.yml").write_text(config)
    port = free_port()
    with (folder / "alertmanager.log").open("ab") as log:
        process = subprocess.Popen(
            [
                _program(), f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'state'}",
                f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
            ],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    server = AlertmanagerServer(folder, process, port)
    try:
        eventually(lambda: process.poll() is not None or answers(f"{server.url}/-/ready"), "Alertmanager is ready")
        assert process.poll() is None, server.log[-3000:]
        yield server
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()


def _program() -> str:
    """Debian calls it otherwise than its makers do."""
    with suppress(StopIteration):
        folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
        return next(str(path) for folder in folders if os.access(path := Path(folder, "alertmanager"), os.X_OK))
    return tool("prometheus-alertmanager")


def _alert(labels: Mapping[str, str], annotations: Mapping[str, str], since: float | None) -> dict[str, Any]:
    began = time.time() - 60 if since is None else since
    return {"labels": labels, "annotations": annotations, "startsAt": _moment(began)}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


@dataclass(frozen=True)
class Received:
    """One request: where to (with its query), its body read as JSON, when it came (Unix seconds), its headers and method."""

    path: str
    body: Any
    moment: float
    headers: Mapping[str, str]
    method: str = "POST"


@dataclass
class Sink:
    """An HTTP server that says yes to every POST and PUT and keeps it. For a `with`."""

    received: list[Received] = field(default_factory=list)

    def __enter__(self) -> Self:
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sink.received.append(
                    Received(self.path, json.loads(body), time.time(), dict(self.headers), self.command)
                )
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"ok")

            def do_PUT(self) -> None:
                self.do_POST()

            def log_message(self, *_: object) -> None:
                """It keeps what it is sent, which says more."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        serve(self._server)
        return self

    def __exit__(self, *_: object) -> None:
        end(self._server)

    @property
    def url(self) -> str:
        """Without a path: a test gives each receiver one of its own."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def at(self, path: str) -> list[Received]:
        """What came to this path (its query left aside), the oldest first."""
        return [one for one in self.received if one.path.partition("?")[0] == path]

    def until(self, path: str, count: int = 1) -> list[Received]:
        """What came to this path, once it is at least that many."""
        return eventually(lambda: found if len(found := self.at(path)) >= count else [], f"{count} come to {path}")


def serve(server: socketserver.BaseServer) -> None:
    """Serve in a thread, until `end`."""
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


def end(server: socketserver.BaseServer) -> None:
    """Serve no more."""
    server.shutdown()
    server.server_close()
