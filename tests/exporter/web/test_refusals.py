"""Who is refused is counted by reason and said in the log, of which no attack writes more than a line a minute for each."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_obs.exporter.board import Board
from airflow_obs.exporter.web.access import Access
from airflow_obs.exporter.web.endpoint import Endpoint
from airflow_obs.exporter.web.handlers import MAX_BODY_BYTES
from airflow_obs.exporter.web.listening import listening
from airflow_obs.exporter.web.refusals import NAMED, OF_UNIX_SOCKETS, QUIET_SECONDS, REASONS, Refusals
from airflow_obs.exporter.web.server import MAX_HEADER_BYTES, Server
from tests.exporter.fakes import gives, job
from tests.exporter.web.guarded import PASSWORD, Guarded, basic, guarded, hashed, with_users
from tests.exporter.web.serving import ANSWER_WITHIN, all_of

HEAD = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Guarded]:
    """Nobody is asked for anything."""
    config = tmp_path / "web.yml"
    config.write_text("")
    with guarded(config) as found:
        yield found


def answered(endpoint: Guarded, *parts: bytes) -> bytes:
    """What is answered to one who sends this and waits."""
    with endpoint.connect_raw() as client:
        for part in parts:
            client.sendall(part)
        return all_of(client)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (HEAD + b"X: " + b"x" * MAX_HEADER_BYTES, b"431 Request Header Fields Too Large"),
        (HEAD + b"X: 1\r\n" * (MAX_HEADER_BYTES // 6), b"431 Request Header Fields Too Large"),
        (b"GET /" + b"x" * MAX_HEADER_BYTES, b"431 Request Header Fields Too Large"),
        (HEAD + b"no colon\r\n\r\n", b"400 Bad Request"),
        (b"GET /metrics HTTP/1.1\r\n\r\n", b"400 Bad Request"),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400 Bad Request"),
    ],
    ids=["header", "headers", "path", "malformed", "no host", "two lengths"],
)
def test_head_that_cannot_be_is_answered_and_counted(endpoint: Guarded, sent: bytes, status: bytes) -> None:
    assert answered(endpoint, sent).startswith(b"HTTP/1.1 " + status + b"\r\n")
    assert endpoint.refused("head") == 1
    assert endpoint.refused("body") == 0


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (HEAD + f"Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n".encode(), b"413 Request Entity Too Large"),
        (CHUNKED + b"10000\r\n" + b"x" * 65536 + b"\r\n1\r\nx", b"413 Request Entity Too Large"),
        (CHUNKED + b"10001\r\n" + b"x" * 65537, b"413 Request Entity Too Large"),
        (CHUNKED + b"x\r\n", b"400 Bad Request"),
        (CHUNKED + b"1\r\nxy\r\n", b"400 Bad Request"),
        (CHUNKED + b"1" * 100, b"400 Bad Request"),
    ],
    ids=["length", "chunks", "a chunk", "malformed", "chunk too long", "endless length of a chunk"],
)
def test_body_that_cannot_be_is_answered_and_counted(endpoint: Guarded, sent: bytes, status: bytes) -> None:
    answer = answered(endpoint, sent)
    assert answer.startswith(b"HTTP/1.1 " + status + b"\r\n")
    assert answer.count(b"HTTP/1.1") == 1
    assert endpoint.refused("body") == 1
    assert endpoint.refused("head") == 0


def test_body_in_chunks_that_ends_in_time_is_let_pass(endpoint: Guarded) -> None:
    body = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    assert answered(
        endpoint, CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), body * 4, b"0\r\n\r\n"
    ).startswith(b"HTTP/1.1 200 OK")
    assert endpoint.refused("body") == 0


def test_client_that_leaves_or_says_nothing_is_not_counted(endpoint: Guarded) -> None:
    for sent in (b"", HEAD, HEAD + b"Content-Length: 9\r\n\r\n", CHUNKED + b"9\r\n"):
        with endpoint.connect_raw() as client:
            client.sendall(sent)
    assert endpoint.status() == 200
    assert not any(map(endpoint.refused, REASONS))


def test_log_says_from_where_but_not_who(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = tmp_path / "web.yml"
    config.write_text(with_users(alice=hashed(PASSWORD)))
    with guarded(config) as endpoint:
        for _ in range(20):
            assert endpoint.status(headers=basic("mallory", "guess")) == 401
        assert endpoint.refused("unauthenticated") == 20
    assert caplog.messages == ["web: refused (unauthenticated), 1 since this was last said: 127.0.0.1"]


def test_line_a_minute_counts_what_came_meanwhile_and_names_some(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    refusals = Refusals(lambda: now)
    refusals.count("rate", "::1")
    for number in range(100_000):
        refusals.count("rate", f"10.0.{number // 256}.{number % 256}")
    refusals.count("busy", OF_UNIX_SOCKETS)
    assert len(caplog.messages) == 2
    now += QUIET_SECONDS
    refusals.count("rate", "::1")
    refusals.count("rate", "::1")
    now += QUIET_SECONDS
    refusals.count("rate", "::1")
    assert [message.removeprefix("web: refused ") for message in caplog.messages] == [
        "(rate), 1 since this was last said: ::1",
        "(busy), 1 since this was last said: a Unix socket",
        f"(rate), 100001 since this was last said: {', '.join(f'10.0.0.{number}' for number in range(NAMED))}, others",
        "(rate), 2 since this was last said: ::1",
    ]


def test_client_of_a_unix_socket_is_said_to_be_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = tmp_path / "web.yml"
    config.write_text(with_users(alice=hashed(PASSWORD)))
    board = Board("prod", [job("pools", gives())])
    path = tmp_path / "web"
    answers: list[bytes] = []

    def ask(request: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(ANSWER_WITHIN)
            client.connect(str(path))
            client.sendall(request)
            return all_of(client)

    async def story() -> None:
        [one] = listening(Endpoint((f"unix:{path}",)))
        stop = asyncio.Event()
        server = asyncio.create_task(Server(lambda: board.snapshot, [one], Access(config)).serve(stop))
        answers.append(await asyncio.to_thread(ask, HEAD + b"\r\n"))
        answers.append(await asyncio.to_thread(ask, b"\0\r\n\r\n"))
        stop.set()
        await server

    asyncio.run(story())
    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 401", b"HTTP/1.1 400"]
    assert caplog.messages == [
        f"web: refused ({reason}), 1 since this was last said: a Unix socket" for reason in ("unauthenticated", "head")
    ]
