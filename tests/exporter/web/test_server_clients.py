"""Clients that are slow, many, rude or gone: the others are served, and none is waited for."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from airflow_obs.catalog import metrics
from airflow_obs.exporter.board import Board
from airflow_obs.exporter.scrape import run
from airflow_obs.exporter.web.bounded import MAX_FILES
from airflow_obs.exporter.web.server import MAX_HEADER_BYTES
from tests.eventually import eventually
from tests.exporter.fakes import gives, job
from tests.exporter.web.serving import ANSWER_WITHIN, Address, all_of, serving
from tests.exporter_process import Exporter, started

SERIES = 20_000
REQUEST = b"GET /metrics HTTP/1.1\r\nHost: exporter\r\n\r\n"
LAST_REQUEST = b"GET /-/healthy HTTP/1.1\r\nHost: exporter\r\nConnection: close\r\n\r\n"
ROOM = 10
"""Connections, where a test fills them all."""
SHORT = 0.3
"""Seconds of patience where a test waits for its end."""


@pytest.fixture(scope="module")
def board() -> Board:
    many = (metrics.POOL_SLOTS.sample(number, pool=f"pool-{number:050}") for number in range(SERIES))
    large = job("pools", gives(*many), max_series=SERIES)
    board = Board("prod", [large])
    board.record(run(large))
    return board


@pytest.fixture(scope="module")
def exporter(board: Board) -> Iterator[Address]:
    with serving(board) as address:
        yield address


@contextmanager
def clients(address: Address, number: int, receive_buffer: int | None = None) -> Iterator[list[socket.socket]]:
    """So many open connections."""
    with ExitStack() as stack:
        yield [stack.enter_context(address.connect(receive_buffer)) for _ in range(number)]


def test_large_page_arrives_whole(exporter: Address, board: Board) -> None:
    body = exporter.get("/metrics").body
    assert len(body) > 2_000_000
    assert body == board.snapshot.text


def test_connection_is_kept_for_the_next_request(exporter: Address) -> None:
    with exporter.connect() as client:
        client.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        client.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert all_of(client).count(b"HTTP/1.1 200 OK") == 3


def test_500_idle_connections_keep_nobody_from_an_answer(exporter: Address) -> None:
    with clients(exporter, 500):
        assert exporter.get("/metrics").status == 200


def test_idle_clients_make_room_for_a_scraper(board: Board) -> None:
    with serving(board, room=ROOM) as exporter, clients(exporter, 3 * ROOM) as idle:
        for _ in range(2 * ROOM):
            assert exporter.get("/-/healthy").status == 200
        assert exporter.get("/metrics").body == board.snapshot.text
        assert [all_of(one) for one in idle[: 2 * ROOM]] == [b""] * 2 * ROOM


def test_client_that_is_being_answered_keeps_its_place(board: Board) -> None:
    with serving(board, room=ROOM) as exporter, exporter.connect(receive_buffer=4096) as slow:
        slow.sendall(REQUEST)
        first = slow.recv(100)
        with clients(exporter, 3 * ROOM):
            assert exporter.get("/-/healthy").status == 200
            slow.sendall(LAST_REQUEST)
            answers = first + all_of(slow)
    assert answers.count(b"HTTP/1.1 200 OK") == 2


def test_clients_that_read_nothing_make_room_for_a_scraper(board: Board) -> None:
    with serving(board, room=ROOM) as exporter, clients(exporter, ROOM, receive_buffer=4096) as slow:
        for client in slow:
            client.sendall(REQUEST)
            assert client.recv(15) == b"HTTP/1.1 200 OK"
        assert exporter.get("/metrics").body == board.snapshot.text


def test_kept_connection_may_be_idle_for_longer_than_a_new_one(board: Board) -> None:
    with serving(board, head_patience=SHORT) as exporter, exporter.connect() as kept:
        kept.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kept.recv(15) == b"HTTP/1.1 200 OK"
        with exporter.connect() as new:
            assert all_of(new) == b""
        kept.sendall(LAST_REQUEST)
        assert b"HTTP/1.1 200 OK" in all_of(kept)


def test_few_files_are_enough_for_many_idle_clients(tmp_path: Path) -> None:
    with with_64_files(tmp_path, "-n") as running, clients(Address(running.port), 100):
        for _ in range(20):
            assert running.get("/-/healthy").status_code == 200
        assert running.get().status_code == 200
        assert "Too many open files" not in running.log


def test_more_files_are_asked_for(tmp_path: Path) -> None:
    with with_64_files(tmp_path, "-S -n") as running:
        soft, hard = psutil.Process(running.process.pid).rlimit(psutil.RLIMIT_NOFILE)
        assert soft == (MAX_FILES if hard == psutil.RLIM_INFINITY else min(hard, MAX_FILES))


def with_64_files(folder: Path, limit: str) -> AbstractContextManager[Exporter]:
    """An exporter that may have 64 files open, where `limit` are the options of ulimit; no Airflow is there for it."""
    return started(folder, before=("sh", "-c", f'ulimit {limit} 64; exec "$@"', "sh"))


def test_server_out_of_files_waits_and_says_so_once(board: Board, caplog: pytest.LogCaptureFixture) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving(board) as exporter, socket.socket() as client:
        client.settimeout(ANSWER_WITHIN)
        assert exporter.get("/-/healthy").status == 200  # it runs, and has imported what it needs
        free = os.dup(0)
        os.close(free)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
            client.connect(("127.0.0.1", exporter.port))
            client.sendall(LAST_REQUEST)
            eventually(lambda: caplog.messages, "the server says that it has no file left")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert b"HTTP/1.1 200 OK" in all_of(client)
    assert [message for message in caplog.messages if "ulimit -n" in message] == caplog.messages
    assert len(caplog.messages) == 1


def test_clients_that_read_nothing_share_one_page_in_memory(exporter: Address, board: Board) -> None:
    process = psutil.Process()
    with clients(exporter, 60, receive_buffer=4096) as slow:
        before = process.memory_info().rss
        for client in slow:
            client.sendall(REQUEST)
        for client in slow:
            assert client.recv(15) == b"HTTP/1.1 200 OK"
        assert exporter.get("/-/healthy").status == 200
        grown = process.memory_info().rss - before
    assert grown < len(board.snapshot.text) * 10


def test_client_that_does_not_read_is_cut_off(board: Board) -> None:
    with serving(board, SHORT) as exporter, exporter.connect(receive_buffer=4096) as client:
        client.sendall(REQUEST)
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        mine = client.getsockname()[1]
        eventually(lambda: not _held(mine), "the server hangs up")
        # What the kernel's buffers had taken until then still arrives.
        assert 0 < len(all_of(client)) < len(board.snapshot.text)


def _held(port: int) -> bool:
    """Whether this process, which is also the server's, holds the server's end of the connection from that port."""
    return any(found.raddr[1:] == (port,) for found in psutil.Process().net_connections("tcp4"))


@pytest.mark.parametrize("sent", [b"", b"GET /metr", b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_client_that_does_not_finish_its_request_is_cut_off(board: Board, sent: bytes) -> None:
    with serving(board, head_patience=SHORT) as exporter, exporter.connect() as client:
        client.sendall(sent)
        assert b"200 OK" not in all_of(client)


def test_client_that_does_not_send_its_body_is_cut_off(board: Board) -> None:
    with serving(board, SHORT) as exporter, exporter.connect() as client:
        client.sendall(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx")
        assert b"200 OK" not in all_of(client)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Big: " + b"x" * 2 * MAX_HEADER_BYTES + b"\r\n\r\n",
        b"GET /" + b"x" * 2 * MAX_HEADER_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nBad Header\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello\r\n\r\n",
        b"\r\n\r\n\r\n\r\n",
    ],
    ids=["header", "path", "body", "negative body", "two lengths", "no colon", "TLS", "nothing"],
)
@pytest.mark.usefixtures("caplog")
def test_request_too_big_or_malformed_is_refused(exporter: Address, request_: bytes) -> None:
    with exporter.connect() as client:
        try:
            client.sendall(request_)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # already hung up on
        assert b"200 OK" not in all_of(client)
    assert exporter.get("/-/healthy").status == 200


def test_client_that_leaves_in_mid_answer_troubles_nobody(exporter: Address, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(20):
        with exporter.connect(receive_buffer=4096) as client:
            client.sendall(REQUEST)
            client.recv(100)
    assert exporter.get("/metrics").status == 200
    assert caplog.messages == []


def test_server_stops_while_clients_read_and_idle(board: Board) -> None:
    with ExitStack() as stack:
        exporter = stack.enter_context(serving(board))
        slow = stack.enter_context(exporter.connect(receive_buffer=4096))
        stack.enter_context(exporter.connect())
        slow.sendall(REQUEST)
        assert slow.recv(15) == b"HTTP/1.1 200 OK"


def test_no_file_is_left_open(board: Board) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (names alone: a Path would need the entry to stay)
    with serving(board) as exporter, clients(exporter, 20):
        exporter.get("/metrics")
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208 (names alone: a Path would need the entry to stay)
