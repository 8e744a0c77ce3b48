"""A receiver of OTLP that is away, that refuses, that hangs: nothing is lost that need not be, and nothing grows."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import grpc
import psutil
import pytest
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from airflow_obs.errors import PushFailed
from airflow_obs.exporter.push.otlp.destination import FULL, REFUSED, Otlp
from airflow_obs.policy.push import OtlpPush
from tests.eventually import DEADLINE, eventually
from tests.exporter.push.otlp_collector import MOMENT, Collector, Protocol, Refusal, collecting, snapshot
from tests.exporter.push.test_otlp_data import GAUGE
from tests.exporter.push.test_otlp_sending import PAGE, WHAT_WE_SAY, otlp, protocol

__all__ = ["protocol"]

DEAD = "no connection: Connection refused; does it run"
OVERLOADED = {"http": Refusal(503), "grpc": Refusal(grpc.StatusCode.UNAVAILABLE)}
POISONED = {"http": Refusal(400), "grpc": Refusal(grpc.StatusCode.INVALID_ARGUMENT)}
RETRY = Any()
RETRY.Pack(RetryInfo())
COMES_AGAIN = (("grpc-status-details-bin", Status(code=8, details=[RETRY]).SerializeToString()),)


def impatient(collector: Collector, timeout: float, buffer: int = 1_000_000) -> Otlp:
    """With less patience than a policy may have."""
    policy = OtlpPush(endpoint=f"http://127.0.0.1:{collector.port}", protocol=collector.protocol)
    return Otlp(policy.model_copy(update={"timeout": timeout, "buffer": buffer}), "blue", {})


def fails(sending: Otlp, after: float = 0.0, match: str | None = None) -> None:
    with pytest.raises(PushFailed, match=match):
        sending.send(snapshot(GAUGE.sample(1, place="here"), after=after))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_receiver_that_was_away_gets_all_in_order_and_with_its_moments(protocol: Protocol) -> None:
    port = free_port()
    sending = otlp(Collector(protocol, port))
    for minute in range(5):
        fails(sending, 60 * minute, f":{port}.*{DEAD}")
        assert sending.waiting == minute + 1
    with collecting(protocol, port=port) as collector:
        sending.send(snapshot(GAUGE.sample(1, place="here"), after=300))
    assert collector.moments() == [MOMENT + 60 * minute for minute in range(6)]
    assert sending.waiting == 0
    assert not sending.lost.total()


def test_oldest_make_way_when_the_buffer_is_full(protocol: Protocol) -> None:
    port = free_port()
    sending = impatient(Collector(protocol, port), 1.0, buffer=1000)
    for minute in range(10):
        fails(sending, 60 * minute)
        assert sending._buffer.bytes <= 1000
    kept = sending.waiting
    assert 0 < kept < 10
    assert sending.lost == {FULL: 10 - kept, REFUSED: 0}
    with collecting(protocol, port=port) as collector:
        sending.send(snapshot(GAUGE.sample(1, place="here"), after=600))
    assert collector.moments() == [MOMENT + 60 * minute for minute in range(10 - kept, 11)]


def test_snapshot_that_is_larger_than_the_buffer_is_sent_but_does_not_wait(protocol: Protocol) -> None:
    with collecting(protocol) as collector:
        sending = impatient(collector, 5.0, buffer=10)
        sending.send(PAGE)
        assert collector.series == WHAT_WE_SAY
        collector.answers = [OVERLOADED[protocol]]
        fails(sending)
    assert sending.waiting == 0
    assert sending.lost == {FULL: 1, REFUSED: 0}


def test_what_was_taken_of_a_snapshot_is_not_sent_again(protocol: Protocol, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_obs.exporter.push.otlp.data.POINTS", 1)
    with collecting(protocol) as collector:
        sending = otlp(collector)
        collector.answers = [None, OVERLOADED[protocol], None]
        with pytest.raises(PushFailed):
            sending.send(PAGE)
        assert sending.waiting == 1
        assert len(collector.requests) == 2  # it is not bothered with the rest
        collector.requests.pop()
        sending.send(snapshot(after=60))
    assert collector.series == WHAT_WE_SAY


KEPT = {"http": (401, 403, 404, 408, 429, 500, 501, 502, 503, 504, 302), "grpc": (
    grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.ABORTED,
    grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN,
)}  # fmt: skip
FOR_GOOD = {"http": (400, 413, 422), "grpc": (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)}  # fmt: skip


def test_what_may_yet_be_taken_is_kept(protocol: Protocol) -> None:
    for status in KEPT[protocol]:
        with collecting(protocol) as collector:
            sending = otlp(collector)
            collector.answers = [Refusal(status), None]
            fails(sending)
            assert sending.waiting == 1, status
            sending.send(snapshot(GAUGE.sample(1, place="here"), after=60))
        assert collector.moments() == [MOMENT, MOMENT, MOMENT + 60], status
        assert not sending.lost.total(), status


def test_what_is_refused_for_good_is_dropped_and_stands_in_nobodys_way(protocol: Protocol) -> None:
    for status in FOR_GOOD[protocol]:
        with collecting(protocol) as collector:
            sending = otlp(collector)
            collector.answers = [OVERLOADED[protocol], Refusal(status, "no such thing"), None]
            fails(sending)
            fails(sending, 60, "refuses what it is sent, which is dropped: .*no such thing")
            sending.send(snapshot(GAUGE.sample(1, place="here"), after=120))
        assert collector.moments() == [MOMENT, MOMENT, MOMENT + 60, MOMENT + 120], status
        assert sending.waiting == 0
        assert sending.lost == {FULL: 0, REFUSED: 1}, status


def test_snapshot_that_is_refused_in_parts_is_one_that_is_lost(
    protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_obs.exporter.push.otlp.data.POINTS", 1)
    with collecting(protocol) as collector:
        sending = otlp(collector)
        collector.answers = [POISONED[protocol], None, POISONED[protocol]]
        with pytest.raises(PushFailed):
            sending.send(PAGE)
    assert len(collector.requests) == 3
    assert sending.lost == {FULL: 0, REFUSED: 1}


def test_exhausted_receiver_that_says_when_to_come_again_is_sent_it_again() -> None:
    with collecting("grpc") as collector:
        sending = otlp(collector)
        collector.answers = [Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, trailers=COMES_AGAIN), None]
        fails(sending)
        sending.send(snapshot(GAUGE.sample(1, place="here"), after=60))
    assert collector.moments() == [MOMENT, MOMENT, MOMENT + 60]


def test_points_that_are_left_out_are_said_once(protocol: Protocol, caplog: pytest.LogCaptureFixture) -> None:
    answer = ExportMetricsServiceResponse()
    answer.partial_success.rejected_data_points = 2
    answer.partial_success.error_message = "too many labels"
    with collecting(protocol) as collector:
        collector.answers = [answer]
        sending = otlp(collector)
        for _ in range(3):
            sending.send(PAGE)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == 1
    assert "left out 2 data points of a request: too many labels" in said[0]
    assert not sending.lost.total()


def test_header_is_not_shown_though_the_receiver_says_it(protocol: Protocol, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    refusal = 401 if protocol == "http" else grpc.StatusCode.UNAUTHENTICATED
    with collecting(protocol) as collector:
        sending = otlp(collector, {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer hunter2"})
        collector.answers = [Refusal(refusal, "wrong: hunter2")]
        with pytest.raises(PushFailed) as failure:
            sending.send(PAGE)
    assert "wrong: ***" in str(failure.value)
    assert "check the headers" in str(failure.value)
    assert "hunter2" not in f"{sending.where} {sending.of} {caplog.text}"


ADVICE: dict[Protocol, dict[int | grpc.StatusCode, str]] = {
    "http": {
        302: "write into the endpoint",
        401: "headers",
        404: "path",
        407: "Collector",
        429: "`interval`",
        500: "its log",
    },
    "grpc": {
        grpc.StatusCode.UNAUTHENTICATED: "headers",
        grpc.StatusCode.UNIMPLEMENTED: "does it take metrics",
        grpc.StatusCode.INTERNAL: "its log",
        grpc.StatusCode.UNAVAILABLE: "its log",
    },
}


def test_refusal_says_what_to_do(protocol: Protocol) -> None:
    for status, advice in ADVICE[protocol].items():
        with collecting(protocol) as collector:
            collector.answers = [Refusal(status)]
            fails(otlp(collector), match=f":{collector.port}.*; .*{advice}")


def test_one_that_speaks_something_else_is_said_to_and_what_to_do(protocol: Protocol) -> None:
    with server(speaks_something_else) as port:
        fails(otlp(Collector(protocol, port)), match=r"does not speak .*; check the endpoint's port.*`protocol`")
        fails(otlp(Collector(protocol, port), scheme="https"), match=r"TLS failed.*does it speak TLS")


def test_host_that_there_is_not_is_said_to_and_what_to_do(protocol: Protocol) -> None:
    policy = {"endpoint": "http://no..host:4318", "timeout": "10s"}
    fails(
        otlp(Collector(protocol), **policy),
        match=r"no connection: .*; does it run, and is the endpoint its host and port",
    )


@contextmanager
def server(says: Callable[[socket.socket], None]) -> Iterator[int]:
    """Who takes one connection after the other, and deals with each as it is told."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=deal, args=[listening.accept()[0]], daemon=True).start()

    def deal(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            says(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def says_nothing(connection: socket.socket) -> None:
    while connection.recv(65_536):
        pass


def answers_by_the_byte(connection: socket.socket) -> None:
    never = threading.Event()
    for byte in b"HTTP/1.1 200 OK\r\nx-a: " + b"a" * 10_000:
        connection.sendall(bytes([byte]))
        never.wait(0.02)


def answers_without_end(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"a" * 65_536)


def speaks_something_else(connection: socket.socket) -> None:
    connection.sendall(b"220 mail.example.com ESMTP\r\n")
    connection.recv(1)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "says",
    [says_nothing, answers_by_the_byte, answers_without_end, speaks_something_else],
    ids=lambda one: one.__name__,
)
def test_push_ends_whatever_answers(protocol: Protocol, says: Callable[[socket.socket], None], scheme: str) -> None:
    with server(says) as port:
        policy = OtlpPush(endpoint=f"{scheme}://127.0.0.1:{port}", protocol=protocol)
        sending = Otlp(policy.model_copy(update={"timeout": 0.3}), "blue", {})
        for minute in range(3):
            fails(sending, 60 * minute)
    assert sending.waiting == 3


def test_receiver_that_hangs_costs_one_timeout_however_much_waits(protocol: Protocol) -> None:
    with collecting(protocol) as collector:
        collector.answering.clear()
        sending = impatient(collector, 0.2)
        for minute in range(4):
            fails(sending, 60 * minute, "no answer in time")
        # Each time only the oldest was tried.
        eventually(lambda: len(collector.requests) == 4, "the requests come")
        assert collector.moments() == [MOMENT] * 4


@contextmanager
def nobody_accepts(_: Protocol) -> Iterator[int]:
    """A port at which connections are not even begun: its queue is full."""
    with socket.socket() as listening, socket.socket() as first, socket.socket() as second:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for one in (first, second):
            one.settimeout(0)
            one.connect_ex(listening.getsockname())
        yield int(listening.getsockname()[1])


@contextmanager
def nobody_answers(protocol: Protocol) -> Iterator[int]:
    with collecting(protocol) as collector:
        collector.answering.clear()
        yield collector.port


@contextmanager
def nobody_says_a_word(_: Protocol) -> Iterator[int]:
    with server(says_nothing) as port:
        yield port


@pytest.mark.parametrize(
    ("hanging", "scheme"),
    [(nobody_accepts, "http"), (nobody_answers, "http"), (nobody_says_a_word, "http"), (nobody_says_a_word, "https")],
)
def test_close_interrupts_a_push_that_hangs(
    protocol: Protocol, hanging: Callable[[Protocol], AbstractContextManager[int]], scheme: str
) -> None:
    with hanging(protocol) as port:
        policy = OtlpPush(endpoint=f"{scheme}://127.0.0.1:{port}", protocol=protocol, timeout="30s")
        sending = Otlp(policy, "blue", {})
        failed = threading.Event()

        def push() -> None:
            with suppress(PushFailed):
                sending.send(PAGE)
            failed.set()

        thread = threading.Thread(target=push, daemon=True)
        thread.start()
        eventually(lambda: sending._call._end is not None, "it waits for the receiver")
        assert not failed.wait(0.3)
        sending.close()
        assert failed.wait(DEADLINE)  # which is less than its timeout
        fails(sending, match="given up")


@pytest.mark.parametrize("state", ["dead", "hangs"])
def test_hundreds_of_failures_leave_nothing_behind(protocol: Protocol, state: str) -> None:
    """No thread, no file, and no more memory than the buffer has room for."""
    process = psutil.Process()
    many = [GAUGE.sample(n, place=f"place {n}") for n in range(100)]

    def push(times: int) -> None:
        for n in range(times):
            with pytest.raises(PushFailed):
                sending.send(snapshot(*many, after=n))

    with server(says_nothing) as hanging:
        port = free_port() if state == "dead" else hanging
        sending = impatient(Collector(protocol, port), 1.0 if state == "dead" else 0.005, buffer=100_000)
        push(100)
        memory, files, threads = process.memory_info().rss, process.num_fds(), process.num_threads()
        push(500)
        grown = process.memory_info().rss - memory
        assert sending._buffer.bytes <= 100_000
        assert sending.lost[FULL] + sending.waiting == 600
        assert grown < 10_000_000
        eventually(lambda: process.num_threads() <= threads + 5, "no thread is left")
        eventually(lambda: process.num_fds() <= files + 5, "no file is left")
