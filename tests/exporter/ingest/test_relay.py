"""The relay: every line arrives elsewhere, in datagrams that fit a frame, and nothing ever waits for it."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.exporter.ingest.accounts import Accounts, Relayed
from airflow_obs.exporter.ingest.statsd import relay as module
from airflow_obs.exporter.ingest.statsd.listener import Statsd
from airflow_obs.exporter.ingest.statsd.relay import LARGEST, MOST_WAITING, Relay
from airflow_obs.model import Sample
from tests.eventually import eventually
from tests.exporter.ingest.ingesting import Ingesting

HERE = "127.0.0.1"


@pytest.fixture
def target() -> Iterator[socket.socket]:
    """Another StatsD."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind((HERE, 0))
        listening.settimeout(30)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        yield listening


@pytest.fixture
def reserved() -> Iterator[tuple[str, int]]:
    """Where nobody listens, and nobody but who asks to share the address can."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as owner:
        owner.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        owner.bind((HERE, 0))
        owner.connect(owner.getsockname())  # it takes what it says itself, and nothing else
        yield owner.getsockname()


def outcomes(accounts: Accounts) -> dict[str, float]:
    return {
        reading.labels[0][1]: reading.value
        for reading in accounts.readings()
        if isinstance(reading, Sample) and reading.metric is metrics.INGEST_RELAYED
    }


def received(target: socket.socket, lines: int) -> tuple[list[bytes], list[int]]:
    """So many lines, and the sizes of the datagrams that they came in."""
    found: list[bytes] = []
    sizes = []
    while len(found) < lines:
        datagram = target.recv(65_535)
        sizes.append(len(datagram))
        found += datagram.split(b"\n")
    return found, sizes


def test_every_line_arrives_in_datagrams_that_fit(target: socket.socket) -> None:
    accounts = Accounts()
    relay = Relay(target.getsockname(), accounts)
    assert outcomes(accounts) == dict.fromkeys(Relayed, 0)
    lines = [b"airflow.line.%d:%d|c|#tag:value" % (number, number) for number in range(500)]
    relay.start()
    relay.pass_on(lines[:100])
    relay.pass_on([b"\n".join(lines[100:120]) + b"\n", b"\n".join(lines[120:]), b"", b"\n"])
    relay.stop()
    found, sizes = received(target, 500)
    assert found == lines
    assert max(sizes) <= LARGEST
    assert len(sizes) < 20, "they share datagrams"
    assert outcomes(accounts) == {Relayed.SENT: 500, Relayed.DROPPED: 0}


def test_lines_do_not_wait_for_others_for_long(target: socket.socket) -> None:
    relay = Relay(target.getsockname(), Accounts())
    relay.start()
    with closing(target):
        relay.pass_on([b"airflow.job_start:1|c"])
        assert target.recv(65_535) == b"airflow.job_start:1|c"
    relay.stop()


def test_line_larger_than_a_datagram_goes_alone(target: socket.socket) -> None:
    relay = Relay(target.getsockname(), Accounts())
    relay.start()
    large = b"x" * 3_000 + b":1|c"
    relay.pass_on([b"a:1|c\n" + large + b"\nb:1|c"])
    relay.stop()
    assert [target.recv(65_535) for _ in range(3)] == [b"a:1|c", large, b"b:1|c"]


@pytest.mark.parametrize("host", ["fe80::1%none", "255.255.255.255"], ids=["not found", "not allowed"])
def test_what_cannot_be_sent_is_dropped_and_said_once(host: str, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody on a network is asked about these hosts."""
    accounts = Accounts()
    relay = Relay((host, 8125), accounts)
    with caplog.at_level(logging.INFO):
        relay.start()
        for _ in range(3):
            relay.pass_on([b"x" * (LARGEST - 1)])
        relay.stop()
    assert outcomes(accounts) == {Relayed.SENT: 0, Relayed.DROPPED: 3}
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"statsd relay to {host}:8125" in caplog.text


def test_that_nobody_listens_is_said_once(
    reserved: tuple[str, int], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = Accounts()
    relay = Relay(reserved, accounts)

    def passed_on() -> dict[str, float]:
        relay.pass_on([b"x" * (LARGEST - 1)] * 2)
        return outcomes(accounts)

    with caplog.at_level(logging.INFO):
        relay.start()
        # Every other datagram seems to be taken.
        eventually(lambda: min(passed_on().values()) >= 5, "some are taken, and some refused")
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(reserved)
            sent = outcomes(accounts)[Relayed.SENT]
            eventually(lambda: passed_on()[Relayed.SENT] > sent + 20, "somebody listens")
            monkeypatch.setattr(module, "QUIET", 0.0)
            eventually(lambda: passed_on() and "sends again" in caplog.text, "it is heard of")
            relay.stop()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_queue_is_bounded() -> None:
    accounts = Accounts()
    relay = Relay((HERE, 9), accounts)  # not started: nobody sends
    for _ in range(MOST_WAITING + 11):
        relay.pass_on([b"x" * (LARGEST - 1)])
    assert outcomes(accounts)[Relayed.DROPPED] == 10


def test_name_is_looked_up_again(target: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESOLVED_FOR", 0.0)
    accounts = Accounts()
    relay = Relay(("localhost", target.getsockname()[1]), accounts)
    relay.start()
    for number in range(3):
        relay.pass_on([b"line.%d:1|c" % number])
        eventually(lambda number=number: outcomes(accounts)[Relayed.SENT] == number + 1, "it is sent")  # type: ignore[misc]  # bound here
    relay.stop()
    assert len(received(target, 3)[0]) == 3


def test_listener_passes_on_all_that_comes_even_what_it_cannot_read(target: socket.socket) -> None:
    ingesting = Ingesting()
    relay = Relay(target.getsockname(), ingesting.accounts)
    listener = Statsd((HERE, 0), None, ingesting.mapper, ingesting.accounts, relay)
    listener.start()
    lines = [b"airflow.job_start:1|c", b"nonsense", b"other.name:1|g"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for line in lines:
            sender.sendto(line, (HERE, listener.udp_port or 0))
    listener.stop()
    assert received(target, 3)[0] == lines
