"""The exporter under attack: 10,000 slow clients, endless bodies and heads; others are served, and memory is bounded."""

from __future__ import annotations

import base64
import re
import resource
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import pytest

from airflow_obs.exporter.web.handlers import MAX_BODY_BYTES
from airflow_obs.exporter.web.server import MAX_CONNECTIONS, MAX_HEADER_BYTES
from tests.certificates import Authority
from tests.exporter.web.serving import ANSWER_WITHIN, all_of
from tests.exporter_process import Exporter, started

SERVED_IN_THE_RUSH = 0.9
"""Of the scrapes by a new connection each, so many at least while 10,000 others come: on a busy machine 800 may come while one
that is new shakes hands, which then is the one that makes room."""
MANY = 10_000
SPARE_FILES = 300
"""Of this process, which are not for clients."""
LINGERING = 1_500
"""Clients at a time that send another byte: more than there is room for."""
GIGABYTE = 1 << 30
BLOCK = b"x" * 65_536
TAKEN = 32 << 20
"""Bytes that the kernel's buffers may have taken from who is no longer listened to; those of a gigabyte would be far more."""
GROWTH = 120 << 20
"""Bytes. MAX_CONNECTIONS of 70 kB are 55 MB, however many come and whatever they send, and 70 MB with what the allocator keeps."""

HEAD = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"
REQUEST = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n"
LAST_REQUEST = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

_OF_AIRFLOW = re.compile(r" (source|collector) \w+: ")
_REFUSED = re.compile(r" web: refused \((\w+)\), ")


@dataclass(frozen=True)
class Attacked:
    """An exporter, and how one talks to it."""

    running: Exporter
    at_rest: int
    """Its memory before all attacks (bytes)."""
    encryption: ssl.SSLContext | None = None
    scrape: bytes = HEAD + b"Connection: close\r\n\r\n"
    """What the scraper says."""

    def connect(self, *, encrypted: bool = True) -> socket.socket:
        """A connection, after the TLS handshake if there is one and it is wanted."""
        plain = socket.create_connection(("127.0.0.1", self.running.port), timeout=ANSWER_WITHIN)
        if self.encryption is None or not encrypted:
            return plain
        return self.encryption.wrap_socket(plain, server_hostname="localhost")

    def hello(self) -> bytes:
        """What a client says first: with TLS its ClientHello, else the beginning of a head."""
        if self.encryption is None:
            return HEAD
        outgoing = ssl.MemoryBIO()
        client = self.encryption.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()
        return outgoing.read()

    @property
    def written(self) -> list[str]:
        """What its log says, but of Airflow, and of refusals, of which test_refusals.py tells how often."""
        lines = self.running.log.splitlines()
        return [line for line in lines if not _OF_AIRFLOW.search(line) and not _REFUSED.search(line)]

    def asked(self, request: bytes = LAST_REQUEST) -> bytes:
        """All that is answered to one who sends this, until hung up on."""
        with self.connect() as client:
            with suppress(OSError):  # hung up on already
                client.sendall(request)
            return all_of(client)


@pytest.fixture(scope="module", params=["http", "https"])
def attacked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    folder = tmp_path_factory.mktemp(request.param)
    flags: tuple[str, ...] = ()
    encryption = None
    if request.param == "https":
        authority = Authority.founded(folder / "authority")
        issued = authority.issue("server")
        (folder / "web.yaml").write_text(f"tls_server_config: {{cert_file: {issued.pem}, key_file: {issued.key}}}\n")
        flags = ("--web.config.file", "web.yaml")
        encryption = ssl.create_default_context(cafile=authority.ca)
    with started(folder, "--web.enable-lifecycle", *flags) as running:
        yield Attacked(running, _peak(_process(running)), encryption)


@pytest.fixture
def files() -> Iterator[int]:
    """How many clients may be open here at a time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY + SPARE_FILES
    most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    yield most - SPARE_FILES
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def unharmed(attacked: Attacked, served: float = 1.0) -> Iterator[None]:
    """Meanwhile a scraper that comes anew every time is served (at least this share of times), memory stays in bounds, and the
    log names but whom it refuses.
    """
    process = _process(attacked.running)
    answers: Counter[str] = Counter()
    over = threading.Event()

    def scrape() -> None:
        while not over.is_set() or not answers:
            try:
                answer = attacked.asked(attacked.scrape)
            except OSError as error:
                answers[str(error)] += 1
            else:
                whole = answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"\n")
                answers["served" if whole else answer[:40].decode("latin-1")] += 1

    written = attacked.written
    (process / "clear_refs").write_text("5")  # the peak is what it has now
    scraper = threading.Thread(target=scrape)
    scraper.start()
    try:
        yield
    finally:
        over.set()
        scraper.join()
    assert answers["served"] >= served * answers.total(), answers
    assert _peak(process) - attacked.at_rest < GROWTH
    assert attacked.written == written, "\n".join(attacked.written)


def _process(running: Exporter) -> Path:
    return Path(f"/proc/{running.process.pid}")


def _peak(process: Path) -> int:
    """The most memory that it has had (bytes)."""
    [line] = [line for line in (process / "status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("say", ["nothing", "hello", "half of it", "head"])
def test_10_000_slow_connections(attacked: Attacked, files: int, say: str) -> None:
    hello = attacked.hello()
    said = {"nothing": b"", "hello": hello, "half of it": hello[: len(hello) // 2], "head": HEAD}[say]
    with unharmed(attacked, SERVED_IN_THE_RUSH if attacked.encryption else 1.0):
        for begun in range(0, MANY, files):
            clients = []
            for _ in range(min(files, MANY - begun)):
                client = attacked.connect(encrypted=say == "head")
                clients.append(client)
                with suppress(OSError):  # hung up on already
                    client.sendall(said)
            for client in clients:
                client.close()
    assert b"healthy" in attacked.asked()


def test_heads_that_come_byte_by_byte(attacked: Attacked) -> None:
    with unharmed(attacked):
        clients = [attacked.connect() for _ in range(LINGERING)]
        for byte in HEAD:
            for client in clients:
                with suppress(OSError):  # hung up on already
                    client.sendall(bytes([byte]))
        for client in clients:
            client.close()


@pytest.mark.parametrize("path", ["/metrics", "/-/reload", "/", "/nothing"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_gigabyte_of_a_body(attacked: Attacked, path: str, method: str, framing: str) -> None:
    start = f"{method} {path} HTTP/1.1\r\nHost: x\r\n".encode()
    if framing == "length":
        start += f"Content-Length: {GIGABYTE}\r\n\r\n".encode()
        block = BLOCK
    else:
        start += b"Transfer-Encoding: chunked\r\n\r\n"
        block = f"{len(BLOCK):x}\r\n".encode() + BLOCK + b"\r\n"
    with unharmed(attacked):
        _hung_up_on(attacked, start, block)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_gigabyte_of_whom_nobody_knows(tmp_path: Path, framing: str) -> None:
    password = bcrypt.hashpw(b"secret", bcrypt.gensalt(10)).decode()
    (tmp_path / "web.yaml").write_text(f"basic_auth_users: {{prometheus: '{password}'}}\n")
    known = b"Authorization: Basic " + base64.b64encode(b"prometheus:secret") + b"\r\n"
    said = f"Content-Length: {GIGABYTE}" if framing == "length" else "Transfer-Encoding: chunked"
    start = f"POST /-/reload HTTP/1.1\r\nHost: x\r\n{said}\r\n\r\n".encode()
    with started(tmp_path, "--web.enable-lifecycle", "--web.config.file", "web.yaml") as running:
        attacked = Attacked(running, _peak(_process(running)), scrape=HEAD + known + b"Connection: close\r\n\r\n")
        assert attacked.asked(start).startswith(b"HTTP/1.1 401 ")  # before any of it comes
        with unharmed(attacked):
            _hung_up_on(attacked, start, BLOCK)


def test_one_chunk_of_a_gigabyte(attacked: Attacked) -> None:
    with unharmed(attacked):
        start = b"POST /-/reload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        _hung_up_on(attacked, start + f"{GIGABYTE:x}\r\n".encode(), BLOCK)


@pytest.mark.parametrize(
    ("start", "block"),
    [
        (HEAD + b"X-Big: ", BLOCK),
        (HEAD, b"X-Small: 1\r\n" * 5_000),
        (b"GET /", BLOCK),
        (b"", b"\r\n" * 32_768),
        (b"", b"\0" * 65_536),
        (HEAD, b"a" * 65_536),
    ],
    ids=["one header", "many headers", "request line", "empty lines", "NULs", "name of a header"],
)
def test_gigabyte_of_a_head(attacked: Attacked, start: bytes, block: bytes) -> None:
    with unharmed(attacked):
        _hung_up_on(attacked, start, block)


def _hung_up_on(attacked: Attacked, start: bytes, block: bytes) -> None:
    """Send this, and a gigabyte in such blocks: it ends early, and with no answer that it could have been meant for."""
    sent = 0
    with attacked.connect() as client:
        with suppress(OSError):
            client.sendall(start)
            while sent < GIGABYTE:
                client.sendall(block)
                sent += len(block)
        with suppress(OSError):
            answer = client.recv(65_536)
            assert not answer or answer.startswith(b"HTTP/1.1 4")
    assert sent < TAKEN


def test_body_that_ends_in_time_is_let_pass(attacked: Attacked) -> None:
    head = f"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {MAX_BODY_BYTES}\r\n\r\n"
    assert b" 200 OK" in attacked.asked(head.encode() + b"x" * MAX_BODY_BYTES)


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (HEAD + b"X-Big: " + b"x" * MAX_HEADER_BYTES + b"\r\n\r\n", b"HTTP/1.1 431 "),
        (HEAD + b"X-Small: 1\r\n" * 100_000 + b"\r\n", b""),
        (b"GET /" + b"x" * (16 << 20) + b" HTTP/1.1\r\nHost: x\r\n\r\n", b""),
        (b"GET /-/healthy HTTP/1.0\r\n\r\n", b"HTTP/1.1 200 OK"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + REQUEST, b"HTTP/1.1 400 Bad Request"),
        (b"\0" + REQUEST, b"HTTP/1.1 400 Bad Request"),
        (HEAD + b"X: a\0b\r\n\r\n" + REQUEST, b"HTTP/1.1 400 Bad Request"),
        (b"GET /metrics HTTP/1.1\r\n\r\n" + REQUEST, b"HTTP/1.1 400 Bad Request"),
        (HEAD + b"Host: y\r\n\r\n" + REQUEST, b"HTTP/1.1 400 Bad Request"),
        (HEAD + b"X: a\r\n b\r\n\r\n" + REQUEST, b"HTTP/1.1 400 Bad Request"),
        (HEAD + b"Content-Length : 4\r\n\r\n" + REQUEST, b"HTTP/1.1 400 Bad Request"),
        (HEAD + b"Content-Length: +4\r\n\r\n" + REQUEST, b"HTTP/1.1 400 Bad Request"),
        (HEAD + b"Content-Length: 4\r\nContent-Length: 40\r\n\r\n" + REQUEST, b"HTTP/1.1 400 Bad Request"),
        (HEAD + b"Content-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + REQUEST, b"HTTP/1.1 400 Bad Request"),
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + REQUEST, b"HTTP/1.1 400 Bad Request"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + REQUEST, b"HTTP/1.1 400 Bad Request"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n" + REQUEST, b"HTTP/1.1 400 Bad Request"),
    ],
    ids=[
        "big header", "100,000 headers", "long line", "HTTP/1.0", "HTTP/2", "NUL", "NUL in a header", "no host",
        "two hosts", "folded header", "space before colon", "signed length", "two lengths", "length and chunked",
        "gzip and chunked", "negative chunk", "chunk too long",
    ],
)  # fmt: skip
def test_request_of_which_two_servers_could_think_differently(
    attacked: Attacked, request_: bytes, answer: bytes
) -> None:
    """What hides behind it, a request of another's behind a proxy, is never answered."""
    with unharmed(attacked):
        heard = attacked.asked(request_)
    assert heard.startswith(answer)
    assert heard.count(b"HTTP/1.1 ") <= 1


def test_100_000_requests_of_who_reads_no_answer(attacked: Attacked) -> None:
    with unharmed(attacked), attacked.connect() as client:
        client.settimeout(1)
        # The server reads the next one when the answer is taken: so it ends with full buffers on both sides.
        sent = 0
        with suppress(TimeoutError):
            while sent < 1_000:
                client.sendall((HEAD + b"\r\n") * 100)
                sent += 1
        assert sent < 1_000


def test_requests_one_behind_the_other_are_answered_in_turn(attacked: Attacked) -> None:
    requests = 2_000
    with unharmed(attacked):
        assert attacked.asked(REQUEST * (requests - 1) + LAST_REQUEST).count(b"HTTP/1.1 200 OK") == requests


def test_clients_that_read_nothing_and_send_on(attacked: Attacked) -> None:
    with unharmed(attacked):
        clients = [attacked.connect() for _ in range(MAX_CONNECTIONS + 100)]
        for client in clients:
            _send_what_goes(client, (HEAD + b"\r\n") * 1_000)
        for client in clients:
            client.close()


def _send_what_goes(client: socket.socket, data: bytes) -> None:
    client.settimeout(0)
    with suppress(OSError):  # its buffer is full, or it has been hung up on
        while data:
            data = data[client.send(data) :]
