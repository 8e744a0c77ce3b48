"""The health endpoint over real HTTP: it is found, redirected to, given up on in time, and no secret is shown."""

from __future__ import annotations

import base64
import logging
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from airflow_obs.errors import SourceUnreachable
from airflow_obs.sources.health import Answer, HealthEndpoint
from tests.tools import tool

REPORT = b'{"metadatabase": {"status": "healthy"}}'
ANSWER = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + REPORT
BUDGET = 10.0
"""Seconds; far more than an answer takes."""
SHORT = 0.5
"""Seconds, where a test waits for their end."""
DRIPS = 80
"""Bytes that come one each tenth of a second, before the rest of an answer does: far more than SHORT has room for."""


class _Airflow(BaseHTTPRequestHandler):
    """Answers at /health, and sends on who asks below a path that is in `moved`; `asked` is what it was asked for."""

    moved: ClassVar[dict[str, str]] = {}
    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["Authorization"]))
        for path, target in self.moved.items():
            if self.path.startswith(path):
                self.send_response(308)
                self.send_header("Location", target)
                self.end_headers()
                return
        self.send_response(200 if self.path.startswith("/health") else 404)
        self.end_headers()
        self.wfile.write(REPORT)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its base class's)
        """Say nothing."""


@contextmanager
def airflow(context: ssl.SSLContext | None = None, **moved: str) -> Iterator[int]:
    """The port of a web server; who asks for a path that starts with /NAME is sent to where `moved` says."""
    _Airflow.moved = {f"/{name}": target for name, target in moved.items()}
    _Airflow.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Airflow) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def dripping(start: bytes, end: bytes) -> Iterator[int]:
    """The port of a server that sends `start`, for some seconds a byte at a time, and `end`, to everybody."""
    left = threading.Event()

    def serve(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.sendall(start)
            for _ in range(DRIPS):
                if left.wait(0.1):
                    return
                client.sendall(b"x")
            client.sendall(end)

    def accept(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listening.accept()[0],)).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=accept, args=(listening,))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            left.set()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def ask(base: str, budget: float = BUDGET) -> Answer | None:
    """Ask the endpoint below that URL, which a setting names."""
    with HealthEndpoint(lambda: ([base], True)).session(budget) as once:
        return once()


def failure(base: str, budget: float = BUDGET) -> str:
    """What is said when it does not answer."""
    with pytest.raises(SourceUnreachable) as raised:
        ask(base, budget)
    return str(raised.value)


def test_report_is_read_and_its_place_kept() -> None:
    with airflow() as port:
        endpoint = HealthEndpoint(lambda: ([f"http://127.0.0.1:{port}/"], False))
        for _ in range(2):
            with endpoint.session(BUDGET) as once:
                answer = once()
            assert answer
            assert answer.report == {"metadatabase": {"status": "healthy"}}
        assert [path for path, _ in _Airflow.asked] == ["/api/v2/monitor/health", "/health", "/health"]


@pytest.mark.parametrize(
    ("scheme", "start", "end"),
    [
        ("http", b"HTTP/1.0 200 ", ANSWER.removeprefix(b"HTTP/1.0 200 ")),
        ("http", b"HTTP/1.0 200 OK\r\nX-Slow: ", b"\r\n" + ANSWER.partition(b"\r\n")[2]),
        ("http", ANSWER.removesuffix(REPORT) + b'{"x": "', b'", ' + REPORT[1:]),
        ("https", b"\x16\x03\x03\x3f\x00", b""),
    ],
    ids=["status", "headers", "body", "TLS"],
)
def test_server_that_drips_is_given_up_on(scheme: str, start: bytes, end: bytes) -> None:
    with dripping(start, end) as port:
        assert f"{scheme}://127.0.0.1:{port}/api/v2/monitor/health: no answer in time" in failure(
            f"{scheme}://127.0.0.1:{port}", SHORT
        )


def test_redirect_that_drips_is_given_up_on() -> None:
    end = b"\r\n" + ANSWER.partition(b"\r\n")[2]
    with dripping(b"HTTP/1.0 200 OK\r\nX-Slow: ", end) as slow, airflow(api=f"http://127.0.0.1:{slow}/") as port:
        assert "no answer in time" in failure(f"http://127.0.0.1:{port}", SHORT)


def test_redirects_are_followed_three_times() -> None:
    with airflow(api="/one", one="/two?a=b", two="/health?c=d e") as port:
        assert ask(f"http://127.0.0.1:{port}")
        assert [path for path, _ in _Airflow.asked][-1] == "/health?c=d%20e"
    with airflow(api="/api", health="/health") as port:
        assert "it redirects too often" in failure(f"http://127.0.0.1:{port}")
    for nowhere in ("ftp://127.0.0.1/", "file:///etc/passwd", "http://127.0.0.1:no", "http://["):
        with airflow(api=nowhere, health=nowhere) as port:
            assert "it redirects to what is no web server" in failure(f"http://127.0.0.1:{port}")


def test_password_is_sent_to_its_own_server_only() -> None:
    login = "Basic " + base64.b64encode("me:pä/ss".encode()).decode()
    with airflow(api="/health") as port:
        ask(f"http://me:p%C3%A4%2Fss@127.0.0.1:{port}")
        assert _Airflow.asked == [("/api/v2/monitor/health", login), ("/health", login)]
    with airflow() as port, airflow() as other:
        _Airflow.moved["/api"] = f"http://127.0.0.1:{other}/health"
        ask(f"http://me:p%C3%A4%2Fss@127.0.0.1:{port}")
        assert _Airflow.asked == [("/api/v2/monitor/health", login), ("/health", None)]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a certificate for 127.0.0.1, its own authority, and its key."""
    openssl = tool("openssl")
    file = tmp_path_factory.mktemp("tls") / "certificate"
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(file) + ".key")
    name = ("-subj", "/CN=airflow", "-addext", "subjectAltName=IP:127.0.0.1")
    subprocess.run([openssl, "req", "-x509", *key, *name, "-out", str(file)], check=True, capture_output=True)
    return file


def test_redirect_to_https_is_followed_if_the_certificate_is_trusted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, str(certificate) + ".key")
    with airflow() as port, airflow(context) as other:
        _Airflow.moved["/api"] = f"https://127.0.0.1:{other}/health"
        said = failure(f"https://127.0.0.1:{other}")
        assert "cannot connect: [SSL: CERTIFICATE_VERIFY_FAILED]" in said
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert ask(f"http://127.0.0.1:{port}")
        assert [path for path, _ in _Airflow.asked] == ["/api/v2/monitor/health", "/health"]
        del _Airflow.moved["/api"]
        assert ask(f"https://127.0.0.1:{other}")


@pytest.mark.parametrize(
    "base",
    [
        "http://me:topsecret@127.0.0.1:1",
        "http://me:top secret@127.0.0.1:1",
        "http://me:top/secret@127.0.0.1:1",
        "http://me:12/secret@127.0.0.1:1",
        "http://me:12?secret@127.0.0.1:1",
        "http://me:12#secret@127.0.0.1:1",
        "http://me:top@secret@127.0.0.1:1",
        "http://me:top[secret@127.0.0.1:1",
        "http://me:secret@127.0.0.1:port",
        "http://secret@127.0.0.1:1",
        "http://127.0.0.1:1?token=secret",
        "http://127.0.0.1:1/#secret",
        "http://me:secret@\u2100:1",
        "http://me:secret@.:1",
        "http://me:secret@\x1b[1m:1",
        "me:secret@127.0.0.1:1",
    ],
)
def test_no_secret_of_the_url_is_shown(base: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    said = failure(base, SHORT) + caplog.text
    for secret in ("secret", "top", "me:", "12/", ":12", "\x1b"):
        assert secret not in said
    assert "cannot connect" in said or "its URL is not like http://HOST:PORT" in said


def test_answer_at_a_url_with_secrets_shows_none(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with airflow() as port:
        assert ask(f"http://me:topsecret@127.0.0.1:{port}?token=secret")
        assert f"health: found at http://127.0.0.1:{port}/health" in caplog.messages
    assert "secret" not in caplog.text


def test_proxies_and_netrc_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password topsecret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://me:top/secret@127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with airflow() as port:
        assert ask(f"http://127.0.0.1:{port}")
        assert {login for _, login in _Airflow.asked} == {None}
