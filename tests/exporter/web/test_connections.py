"""Connections with TLS: each by the newest context, hung up on like others, and counted where they were refused."""

from __future__ import annotations

import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from tornado.httputil import HTTPServerRequest

from airflow_obs.exporter.board import Board
from airflow_obs.exporter.web.access import Access
from tests.certificates import Authority, Certificate
from tests.eventually import eventually
from tests.exporter.fakes import gives, job
from tests.exporter.web.serving import Address, all_of, serving

SHORT = 0.3
"""Seconds of patience where a test waits for its end."""
ROOM = 10
REQUEST = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n"
LAST_REQUEST = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Encrypted(Access):
    """Gives each connection the context that `certificate` makes; counts what is refused."""

    def __init__(self, certificate: Certificate, clients: Path | None = None) -> None:
        super().__init__()
        self.certificate = certificate
        self.clients = clients
        self.counted: Counter[str] = Counter()

    def context(self) -> ssl.SSLContext | None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.clients)
        context.load_cert_chain(self.certificate.pem, self.certificate.key)
        if self.clients:
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def refused(self, reason: str, address: str) -> None:
        assert address == "127.0.0.1"
        self.counted[reason] += 1


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.founded(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def access(authority: Authority) -> Encrypted:
    return Encrypted(authority.issue("server"))


@pytest.fixture
def board() -> Board:
    return Board("a", [job("pools", gives())])


@pytest.fixture
def exporter(board: Board, access: Encrypted) -> Iterator[Address]:
    with serving(board, access=access) as address:
        yield address


def encrypted(address: Address, authority: Authority, client: Certificate | None = None) -> ssl.SSLSocket:
    """A connection whose handshake is done, as far as the client can tell."""
    context = ssl.create_default_context(cafile=authority.ca)
    if client is not None:
        context.load_cert_chain(client.pem, client.key)
    return context.wrap_socket(address.connect(), server_hostname="localhost")


def test_each_connection_gets_the_newest_certificate(
    exporter: Address, access: Encrypted, authority: Authority, tmp_path: Path
) -> None:
    other = Authority.founded(tmp_path / "other")
    with encrypted(exporter, authority) as kept:
        access.certificate = other.issue("server")
        with encrypted(exporter, other) as new:
            for client in (kept, new):
                client.sendall(LAST_REQUEST)
                assert all_of(client).startswith(b"HTTP/1.1 200 OK")
        with pytest.raises(ssl.SSLCertVerificationError):
            encrypted(exporter, authority)
    eventually(lambda: access.counted == {"handshake": 1}, "who does not trust us is counted")


def test_client_without_a_certificate_is_refused_and_counted(board: Board, authority: Authority) -> None:
    access = Encrypted(authority.issue("server"), authority.ca)
    with serving(board, access=access) as exporter:
        with encrypted(exporter, authority, authority.issue("client")) as client:
            client.sendall(LAST_REQUEST)
            assert all_of(client).startswith(b"HTTP/1.1 200 OK")
        # In TLS 1.3 a client hears of it only after its own part.
        with encrypted(exporter, authority) as client, pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            client.recv(1)
        eventually(lambda: access.counted == {"handshake": 1}, "it is counted")


def test_plain_request_hears_what_is_spoken_here(exporter: Address, access: Encrypted) -> None:
    with exporter.connect() as client:
        client.sendall(REQUEST)
        assert all_of(client).startswith(b"HTTP/1.0 400 Bad Request\r\n\r\nthis port speaks HTTPS")
    eventually(lambda: access.counted == {"handshake": 1}, "it is counted")


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["nothing", "half of a hello"])
def test_handshake_that_takes_too_long_is_cut_off_and_counted(board: Board, access: Encrypted, said: bytes) -> None:
    with serving(board, head_patience=SHORT, access=access) as exporter, exporter.connect() as client:
        client.sendall(said)
        assert all_of(client) == b""
        eventually(lambda: access.counted == {"handshake": 1}, "it is counted")


def test_handshake_and_head_have_their_time_together(board: Board, access: Encrypted, authority: Authority) -> None:
    with serving(board, head_patience=SHORT, access=access) as exporter, encrypted(exporter, authority) as client:
        client.sendall(REQUEST[:10])
        with suppress(ssl.SSLEOFError):  # no word of leave
            assert all_of(client) == b""
    assert access.counted == {}


def test_probe_that_connects_and_leaves_is_not_counted(
    exporter: Address, access: Encrypted, authority: Authority
) -> None:
    for _ in range(5):
        exporter.connect().close()
    with encrypted(exporter, authority) as client:
        client.sendall(LAST_REQUEST)
        assert all_of(client).startswith(b"HTTP/1.1 200 OK")
    assert access.counted == {}


def test_handshakes_that_hang_make_room_for_a_scraper(board: Board, access: Encrypted, authority: Authority) -> None:
    with serving(board, room=ROOM, access=access) as exporter, ExitStack() as stack:
        hanging = [stack.enter_context(exporter.connect()) for _ in range(3 * ROOM)]
        with encrypted(exporter, authority) as client:
            client.sendall(LAST_REQUEST)
            assert all_of(client).startswith(b"HTTP/1.1 200 OK")
        assert [all_of(one) for one in hanging[: 2 * ROOM]] == [b""] * 2 * ROOM
        assert access.counted == {"connections": 2 * ROOM + 1}


def test_requests_of_who_is_gone_are_not_answered(board: Board) -> None:
    """Of thousands in the buffers of many clients a server would know no end, and could not be stopped."""
    asked = Counter[str]()

    class Asked(Access):
        async def refusal(self, request: HTTPServerRequest) -> None:
            asked[request.path] += 1

    with serving(board, access=Asked()) as exporter:
        for _ in range(50):
            with exporter.connect() as client:
                client.settimeout(0)
                with suppress(BlockingIOError):
                    client.sendall(REQUEST * 1000)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # it leaves at once
        assert exporter.get("/-/healthy").status == 200
        before = asked["/-/healthy"]
        assert exporter.get("/-/healthy").status == 200
        assert asked["/-/healthy"] == before + 1
