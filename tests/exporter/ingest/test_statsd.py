"""The StatsD listener on real sockets, fed by a real client and by ill-mannered ones."""

from __future__ import annotations

import logging
import random
import resource
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import pairwise

import pytest
import statsd

from airflow_obs.catalog import metrics
from airflow_obs.exporter.ingest.accounts import Outcome, Reason
from airflow_obs.exporter.ingest.foreign.families import Drop, StatsdType, Target
from airflow_obs.exporter.ingest.foreign.mapping import Mapping, Tags
from airflow_obs.exporter.ingest.statsd import listener as module
from airflow_obs.exporter.ingest.statsd import tcp as statsd_tcp
from airflow_obs.exporter.ingest.statsd.listener import Statsd
from airflow_obs.exporter.ingest.statsd.mapper import Mapper
from airflow_obs.model import Sample
from tests.eventually import eventually
from tests.exporter.ingest.ingesting import Ingesting
from tests.tools import lacking

HERE = "127.0.0.1"


class Listening(Ingesting):
    """Takes lines from sockets."""

    def __init__(self, stack: ExitStack) -> None:
        super().__init__(style="none")
        self.statsd = Statsd((HERE, 0), (HERE, 0), self.mapper, self.accounts)
        stack.callback(self.statsd.stop)
        self.statsd.start()

    def datagram(self, *lines: bytes) -> None:
        assert self.statsd.udp_port
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"\n".join(lines), (HERE, self.statsd.udp_port))

    def connection(self) -> socket.socket:
        assert self.statsd.tcp_port
        return socket.create_connection((HERE, self.statsd.tcp_port))

    def until(self, what: Callable[[], object]) -> None:
        eventually(what, f"{self.outcomes()} {self.refused()}")

    def counted(self, metric: object) -> dict[str, float]:
        """Values of a family of the accounts, by the value of the last label."""
        return {
            r.labels[-1][1]: r.value for r in self.accounts.readings() if isinstance(r, Sample) and r.metric is metric
        }


@pytest.fixture
def listening() -> Iterator[Listening]:
    with ExitStack() as stack:
        yield Listening(stack)


def starts(listening: Ingesting) -> float:
    return sum(listening.values(metrics.TRIES_STARTED).values())


def test_zeros_are_shown_before_anything_comes(listening: Listening) -> None:
    assert listening.counted(metrics.INGEST_SAMPLES) == dict.fromkeys(Outcome, 0)
    assert listening.counted(metrics.INGEST_PACKETS) == {"udp": 0, "tcp": 0}
    assert listening.counted(metrics.INGEST_LOST) == {"udp": 0}
    assert [dict(reading.labels) for reading in listening.statsd.readings()] == [{"style": "plain"}]


def test_client_that_airflow_uses(listening: Listening) -> None:
    assert listening.statsd.udp_port
    with closing(statsd.StatsClient(HERE, listening.statsd.udp_port, prefix="airflow")) as client:
        client.incr("ti.start.etl.load")
        client.gauge("pool.open_slots.default_pool", 17)
        client.timing("scheduler.scheduler_loop_duration", 250)
        with client.pipeline() as pipeline:
            pipeline.incr("ti.start.etl.load", 2)
            pipeline.gauge("pool.open_slots.other", -3)
    listening.until(lambda: sum(listening.outcomes().values()) >= 6)
    assert listening.values(metrics.TRIES_STARTED) == {("etl",): 3}
    assert listening.values(metrics.POOL_OPEN) == {("default_pool",): 17, ("other",): -3}
    assert listening.total(metrics.SCHEDULER_LOOP) == 0.25
    assert listening.counted(metrics.INGEST_PACKETS)["udp"] == 4


def test_tcp_client_that_airflow_uses(listening: Listening) -> None:
    with closing(statsd.TCPStatsClient(HERE, listening.statsd.tcp_port, prefix="airflow")) as client:
        for _ in range(10):
            client.incr("ti.start.etl.load")
        listening.until(lambda: starts(listening) == 10)


def test_lines_of_a_stream_may_be_cut_anywhere(listening: Listening) -> None:
    text = (
        b"airflow.ti.start.etl.load:1|c\r\nairflow.ti.start.etl.load:10|c\n" * 50 + b"airflow.ti.start.etl.load:1000|c"
    )
    cuts = random.Random(5).sample(range(1, len(text)), 40)  # noqa: S311 (the same cuts every time)
    cuts.sort()
    with listening.connection() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
            client.sendall(text[start:end])
    listening.until(lambda: starts(listening) == 550 + 1000)
    assert listening.outcomes() == {Outcome.MAPPED: 101}


def test_streams_do_not_mix(listening: Listening) -> None:
    with listening.connection() as one, listening.connection() as other:
        one.sendall(b"airflow.ti.start.etl.")
        other.sendall(b"airflow.ti.start.etl.load:1|c\nairflow.ti")
        listening.until(lambda: starts(listening) == 1)
        one.sendall(b"load:1|c\n")
        listening.until(lambda: starts(listening) == 2)
    listening.until(lambda: listening.outcomes() == {Outcome.MAPPED: 2, Outcome.INVALID: 1})


def test_line_without_end_takes_no_memory(listening: Listening) -> None:
    with listening.connection() as client:
        for _ in range(200):
            client.sendall(b"x" * 65_536)
        client.sendall(b":1|c\nairflow.ti.start.etl.load:1|c\n")
        listening.until(lambda: starts(listening) == 1)
    assert listening.refused() == {Reason.TOO_LONG: 1}


def test_connections_have_a_cap(listening: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statsd_tcp, "MOST_CLIENTS", 3)
    with ExitStack() as stack:
        clients = [stack.enter_context(listening.connection()) for _ in range(4)]
        clients[0].settimeout(30)
        assert clients[0].recv(1) == b"", "the one that was silent for longest is hung up on"
        for client in clients[1:]:
            client.sendall(b"airflow.ti.start.etl.load:1|c\n")
        listening.until(lambda: starts(listening) == 3)


def test_silent_connections_are_closed(listening: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening.connection() as client:
        client.settimeout(30)
        client.sendall(b"airflow.ti.start.etl.load:1|c")
        monkeypatch.setattr(statsd_tcp, "IDLE_SECONDS", 0.5)
        assert client.recv(1) == b""
    assert starts(listening) == 1, "what it said last counts"


class Held(Mapper):
    """A mapper that is busy with its second packet until it is released."""

    def __init__(self, ingesting: Ingesting) -> None:
        super().__init__(ingesting.store, ingesting.accounts, style="none")
        self._packets = 0
        self.busy, self.released = threading.Event(), threading.Event()

    def take(self, packets: Sequence[bytes]) -> None:
        self._packets += 1
        if self._packets == 2:
            self.busy.set()
            self.released.wait(30)
        super().take(packets)


def test_connection_that_speaks_while_it_is_closed_for_another_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its line is found together with the new connection, and comes after it."""
    monkeypatch.setattr(statsd_tcp, "MOST_CLIENTS", 1)
    ingesting = Ingesting()
    mapper = Held(ingesting)
    listener = Statsd((HERE, 0), (HERE, 0), mapper, ingesting.accounts)
    address = HERE, listener.tcp_port or 0
    line = b"airflow.ti.start.etl.load:1|c\n"
    listener.start()
    try:
        with socket.create_connection(address) as first, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            first.sendall(line)
            eventually(lambda: starts(ingesting) == 1, "the first is heard")
            sender.sendto(line, (HERE, listener.udp_port or 0))
            eventually(mapper.busy.is_set, "the listener is busy")
            with socket.create_connection(address) as second:
                first.sendall(line)
                mapper.released.set()
                second.sendall(line)
                eventually(lambda: starts(ingesting) == 3, "the second is heard")
    finally:
        mapper.released.set()
        listener.stop()


class Clumsy(Statsd):
    """A listener with a bug where it takes connections."""

    def _accept(self, listening: socket.socket) -> None:
        listening.accept()[0].close()
        raise ZeroDivisionError


def test_bug_outside_the_mapper_does_not_end_the_listening(caplog: pytest.LogCaptureFixture) -> None:
    ingesting = Ingesting(style="none")
    listener = Clumsy((HERE, 0), (HERE, 0), ingesting.mapper, ingesting.accounts)
    listener.start()
    try:
        with socket.create_connection((HERE, listener.tcp_port or 0)):
            eventually(lambda: "bug of the exporter" in caplog.text, "it is said")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"airflow.ti.start.etl.load:1|c", (HERE, listener.udp_port or 0))
        eventually(lambda: starts(ingesting) == 1, "datagrams still count")
    finally:
        listener.stop()


def test_stopping_takes_what_has_come_over_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statsd_tcp, "READ_BYTES", 50)
    ingesting = Ingesting(style="none")
    listener = Statsd(None, (HERE, 0), ingesting.mapper, ingesting.accounts)  # not started: nobody reads
    with socket.create_connection((HERE, listener.tcp_port or 0)) as client:
        client.sendall(b"airflow.ti.start.etl.load:1|c\n" * 50 + b"airflow.ti.start.etl.load:1|c")
        listener.start()
        listener.stop()
    assert starts(ingesting) == 51


def test_what_the_kernel_does_not_say_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    said = iter([7, None, 9, None])
    monkeypatch.setattr(module, "dropped", lambda _: next(said, 9))
    ingesting = Ingesting(style="none")
    listener = Statsd((HERE, 0), None, ingesting.mapper, ingesting.accounts)
    for _ in range(4):
        listener._count_lost()
    listener.stop()
    assert Sample(metrics.INGEST_LOST, (("transport", "udp"),), 9) in list(ingesting.accounts.readings())


def test_stopping_takes_what_has_come() -> None:
    with ExitStack() as stack:
        listening = Listening(stack)
        for _ in range(200):  # as many as fit into any kernel's buffer
            listening.datagram(b"airflow.ti.start.etl.load:1|c")
    assert starts(listening) == 200


def test_stopping_decides_what_waits() -> None:
    ingesting = Ingesting()
    listener = Statsd((HERE, 0), None, ingesting.mapper, ingesting.accounts)
    listener.start()
    assert listener.tcp_port is None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"airflow.ti.start.etl.load:1|c", (HERE, listener.udp_port or 0))
    listener.stop()
    assert starts(ingesting) == 1


def test_what_is_undecided_is_decided_in_time() -> None:
    ingesting = Ingesting()
    listener = Statsd((HERE, 0), None, ingesting.mapper, ingesting.accounts)
    listener.start()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"airflow.ti.start.etl.load:1|c\nairflow.job_start:1|c", (HERE, listener.udp_port or 0))
        eventually(lambda: ingesting.outcomes(), "the packet came")
        ingesting.clock.now += 60
        eventually(lambda: starts(ingesting) == 1, "nobody but the clock decides")
    finally:
        listener.stop()


class Ticking(Mapper):
    """A mapper that notes when the listener ticks."""

    def __init__(self, ingesting: Ingesting, events: list[str]) -> None:
        super().__init__(ingesting.store, ingesting.accounts, style="none")
        self._events = events

    def tick(self) -> None:
        self._events.append("tick")
        super().tick()


class Refusals(logging.Handler):
    """Notes when a connection could not be taken."""

    def __init__(self, events: list[str]) -> None:
        super().__init__()
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        if "a connection could not be taken" in record.getMessage():
            self._events.append("refused")


def test_without_files_connections_wait_and_are_asked_for_once_a_tick(caplog: pytest.LogCaptureFixture) -> None:
    """Else the listener would ask without end."""
    events: list[str] = []
    ingesting = Ingesting()
    listener = Statsd(None, (HERE, 0), Ticking(ingesting, events), ingesting.accounts)
    caplog.set_level(logging.DEBUG, logger=module.log.name)
    handler = Refusals(events)
    module.log.addHandler(handler)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    listener.start()
    try:
        with socket.socket() as client, socket.socket() as last:
            resource.setrlimit(resource.RLIMIT_NOFILE, (last.fileno() + 1, hard))
            try:
                client.connect((HERE, listener.tcp_port or 0))
                eventually(lambda: events.count("refused") >= 3, "it tries again")
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            client.sendall(b"airflow.ti.start.etl.load:1|c\n")
            eventually(lambda: starts(ingesting) == 1, "there are files again")
    finally:
        module.log.removeHandler(handler)
        listener.stop()
    assert ("refused", "refused") not in pairwise(events)


def test_datagrams_that_the_kernel_drops_are_counted() -> None:
    if sys.platform != "linux":
        lacking("only Linux says how many datagrams it dropped")
    ingesting = Ingesting(style="none")
    listener = Statsd((HERE, 0), None, ingesting.mapper, ingesting.accounts)  # not started: nobody reads
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        packet = b"airflow.ti.start.etl.load:1|c\n" * 1_000
        for _ in range(2_000):
            sent += sender.sendto(packet, (HERE, listener.udp_port or 0)) > 0
    listener.start()
    listener.stop()
    counts = {
        reading.metric.name: reading.value for reading in ingesting.accounts.readings() if isinstance(reading, Sample)
    }
    lost, packets = counts[metrics.INGEST_LOST.name], counts[metrics.INGEST_PACKETS.name]
    assert lost > 0
    assert lost + packets == sent
    assert starts(ingesting) == packets * 1_000


class Unlucky(Mapping):
    """A mapping with a bug."""

    def match(self, name: str, type_: StatsdType, tags: Tags) -> Target | Drop | None:
        if "unlucky" in name:
            raise ZeroDivisionError
        return super().match(name, type_, tags)


def test_bug_does_not_end_the_listening(caplog: pytest.LogCaptureFixture) -> None:
    ingesting = Ingesting(style="none", mapping=Unlucky())
    listener = Statsd((HERE, 0), None, ingesting.mapper, ingesting.accounts)
    listener.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect((HERE, listener.udp_port or 0))
        for line in (b"airflow.ti.start.unlucky.load:1|c", b"airflow.ti.start.etl.load:1|c"):
            sender.send(line)
            eventually(lambda: "bug of the exporter" in caplog.text, "it is said")
    listener.stop()
    assert starts(ingesting) == 1
    assert caplog.text.count("bug of the exporter") == 1
