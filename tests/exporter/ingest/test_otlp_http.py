"""OTLP over HTTP: the real SDK is understood, and nobody else does harm."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from google.protobuf import json_format
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from airflow_obs.catalog import metrics
from airflow_obs.errors import UsageError
from airflow_obs.exporter.ingest.accounts import Accounts, Refusal
from airflow_obs.exporter.ingest.otlp import http as module
from airflow_obs.exporter.ingest.otlp.decode import MAX_BYTES, Body
from airflow_obs.exporter.ingest.otlp.http import MAX_WAITING_BYTES, PATH, HttpReceiver
from airflow_obs.model import Metric, Sample
from tests.eventually import eventually
from tests.exporter.ingest.otlp_requests import SCOPE_3, gauge, request, total
from tests.exporter.ingest.otlp_server import HERE, Receiver, receiving
from tests.exporter.web.serving import Answer, all_of

PROTOBUF, JSON = "application/x-protobuf", "application/json"
NEVER = 1e12
"""Milliseconds between exports: a test says when."""
FORKS = f"""
import os, sys
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

# No export by itself: its lock would stay taken in a process that is forked meanwhile.
provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(sys.argv[1]), {NEVER})])
heartbeats = provider.get_meter("{SCOPE_3}").create_counter("airflow.scheduler_heartbeat")
heartbeats.add(5)
provider.force_flush()
if not (child := os.fork()):
    for _ in range(5):
        provider.force_flush()
    os._exit(0)
for _ in range(10):
    heartbeats.add(1)
    provider.force_flush()
os.waitpid(child, 0)
provider.force_flush()
provider.shutdown()
"""
"""A sender that counts 15 heartbeats, and forks after the first 5 of them."""


@pytest.fixture(scope="module")
def module_receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def post(
    port: int, body: bytes, content_type: str | None = PROTOBUF, method: str = "POST", path: str = PATH, **more: str
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {name.replace("_", "-"): value for name, value in more.items()}
    try:
        connection.request(method, path, body, headers | ({"Content-Type": content_type} if content_type else {}))
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip, Compression.Deflate])
def test_sdk_sends_and_every_point_is_mapped(receiver: Receiver, compression: Compression) -> None:
    exporter = OTLPMetricExporter(f"http://127.0.0.1:{receiver.http_port}{PATH}", compression=compression)
    provider = MeterProvider([PeriodicExportingMetricReader(exporter, NEVER)], shutdown_on_exit=False)
    try:
        meter = provider.get_meter(SCOPE_3)
        heartbeats = meter.create_counter("airflow.scheduler_heartbeat")
        for _ in range(3):
            heartbeats.add(2)
            meter.create_gauge("airflow.pool.open_slots").set(7, {"pool_name": "p"})
            assert provider.force_flush()
    finally:
        provider.shutdown()
    assert receiver.shows(metrics.SCHEDULER_HEARTBEATS) == 6
    assert receiver.shows(metrics.POOL_OPEN, "p") == 7
    sent = receiver.shows(metrics.INGEST_SAMPLES, "mapped")
    assert sent == receiver.shows(metrics.INGEST_SAMPLES) >= 6
    assert receiver.shows(metrics.INGEST_PACKETS, "http") >= 3
    assert receiver.shows(metrics.INGEST_STREAMS) == 1


def test_answer_is_written_as_the_request_was(module_receiver: Receiver) -> None:
    sent = request(gauge("pool.open_slots", 1, pool_name="p"))
    answer = post(module_receiver.http_port, sent.SerializeToString())
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, PROTOBUF, b"")
    written = json_format.MessageToJson(sent).encode()
    for content_type in (JSON, f"{JSON}; charset=utf-8", PROTOBUF, "application/octet-stream", None):
        answer = post(module_receiver.http_port, written, content_type)
        assert (answer.status, answer.headers["content-type"], json.loads(answer.body)) == (200, JSON, {})
    lie = post(module_receiver.http_port, sent.SerializeToString(), JSON)
    assert (lie.status, lie.headers["content-type"]) == (200, PROTOBUF)


def test_forked_process_says_nothing_twice_and_garbles_nothing(receiver: Receiver) -> None:
    """The real SDK goes on in it with what its parent had counted, and would with the connection."""
    # Newer releases of Python warn of any fork where there are threads.
    sender = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS]
    sender.append(f"http://127.0.0.1:{receiver.http_port}{PATH}")
    done = subprocess.run(sender, check=True, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert receiver.shows(metrics.SCHEDULER_HEARTBEATS) == 15
    assert receiver.shows(metrics.INGEST_REQUESTS_REFUSED) == 0


def test_connection_ends_with_the_answer(module_receiver: Receiver) -> None:
    """A process forked by the sender cannot go on with it, too, and mix up the requests of both."""
    sent = request(gauge("pool.open_slots", 1, pool_name="p")).SerializeToString()
    with socket.create_connection((HERE[0], module_receiver.http_port), timeout=30) as connection:
        connection.sendall(
            b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (PATH.encode(), len(sent)) + sent
        )
        answer = all_of(connection)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nConnection: close\r\n" in answer


def test_answer_says_which_points_are_rejected(receiver: Receiver) -> None:
    sent = request(
        gauge("pool.open_slots", float("nan"), pool_name="p"),
        gauge("unheard_of", 1),
        total("ti.start", 1, 5, temporality=0),
    )
    partial = ExportMetricsServiceResponse.FromString(
        post(receiver.http_port, sent.SerializeToString()).body
    ).partial_success
    assert partial.rejected_data_points == 2
    assert partial.error_message == "1 not a finite number; 1 unknown temporality"
    assert receiver.shows(metrics.INGEST_SAMPLES, "invalid") == 2
    assert receiver.shows(metrics.INGEST_REFUSED, "unmapped", "unknown name") == 1
    of_json = post(receiver.http_port, json_format.MessageToJson(sent).encode(), JSON)
    assert json.loads(of_json.body)["partialSuccess"]["rejectedDataPoints"] == "2"


@pytest.mark.parametrize(
    ("body", "headers", "status", "refusal"),
    [
        (b"\xff", {}, 400, Refusal.MALFORMED),
        (b"{]", {"content_type": JSON}, 400, Refusal.MALFORMED),
        (b"no gzip", {"Content_Encoding": "gzip"}, 400, Refusal.MALFORMED),
        (b"", {"Content_Encoding": "br"}, 415, Refusal.UNSUPPORTED),
        (b"", {"content_type": "text/html"}, 415, Refusal.UNSUPPORTED),
        (bytes(MAX_BYTES + 1), {}, 413, Refusal.TOO_LARGE),
        (gzip.compress(bytes(2 * MAX_BYTES)), {"Content_Encoding": "gzip"}, 413, Refusal.TOO_LARGE),
    ],
)
def test_what_cannot_be_taken_is_refused_and_counted(
    module_receiver: Receiver, body: bytes, headers: dict[str, str], status: int, refusal: Refusal
) -> None:
    before = module_receiver.shows(metrics.INGEST_REQUESTS_REFUSED, refusal)
    answer = post(module_receiver.http_port, body, **headers)
    assert answer.status == status
    assert b"Traceback" not in answer.body
    if answer.headers["content-type"] == JSON:
        assert json.loads(answer.body)["message"]
    else:
        assert Status.FromString(answer.body).message
    assert module_receiver.shows(metrics.INGEST_REQUESTS_REFUSED, refusal) == before + 1


@pytest.mark.parametrize(
    ("length", "status", "refusal"),
    [
        (b"-1", b"400", Refusal.MALFORMED),
        (b"many", b"400", Refusal.MALFORMED),
        (b"100000000", b"413", Refusal.TOO_LARGE),
        (b"9" * 5_000, b"413", Refusal.TOO_LARGE),
    ],
)
def test_length_that_cannot_be_is_refused_and_counted(
    receiver: Receiver, length: bytes, status: bytes, refusal: Refusal
) -> None:
    head = b"POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Length: %s\r\n\r\n" % length
    with socket.create_connection(("127.0.0.1", receiver.http_port), timeout=30) as client:
        client.sendall(head)
        answer = all_of(client)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert PROTOBUF.encode() in answer
    assert receiver.shows(metrics.INGEST_REQUESTS_REFUSED, refusal) == 1
    assert receiver.shows(metrics.INGEST_REQUESTS_REFUSED) == 1


def test_empty_request_is_answered_as_it_says_it_is_written(module_receiver: Receiver) -> None:
    answer = post(module_receiver.http_port, b"", JSON)
    assert (answer.status, answer.headers["content-type"]) == (200, JSON)
    assert json.loads(answer.body) == {}


def test_only_posts_of_metrics_are_taken(module_receiver: Receiver) -> None:
    port = module_receiver.http_port
    assert post(port, b"", path="/").headers["server"] == "airflow-obs"
    assert post(port, b"", method="GET").status == 405
    assert post(port, b"", path="/v1/traces").status == 404
    assert post(port, b"", path="/").status == 404


@pytest.mark.parametrize("request_line", [b"POST /v1/traces", b"PUT /v1/metrics"])
def test_body_that_nobody_reads_is_not_kept(module_receiver: Receiver, request_line: bytes) -> None:
    head = request_line + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", module_receiver.http_port), timeout=30) as client:
        client.sendall(head)
        assert all_of(client).startswith(b"HTTP/1.1 4")


def test_chunked_bodies_are_taken(receiver: Receiver) -> None:
    body = request(gauge("pool.open_slots", 3, pool_name="p")).SerializeToString()
    with socket.create_connection(("127.0.0.1", receiver.http_port), timeout=30) as client:
        client.sendall(
            b"POST /v1/metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for byte in body:
            client.sendall(b"1\r\n" + bytes([byte]) + b"\r\n")
        client.sendall(b"0\r\n\r\n")
        assert all_of(client).startswith(b"HTTP/1.1 200")
    assert receiver.shows(metrics.POOL_OPEN, "p") == 3


def nothing(_body: bytes) -> tuple[Body, bytes]:
    return "protobuf", b""


def accounted(accounts: Accounts, metric: Metric) -> dict[str, float]:
    """Values of a family of the accounts, by the value of the last label."""
    return {
        one.labels[-1][1]: one.value for one in accounts.readings() if isinstance(one, Sample) and one.metric == metric
    }


def test_bodies_that_are_never_finished_fill_no_memory() -> None:
    """Those beyond what may wait are told to come again; when the slow ones are gone, there is room again."""
    accounts = Accounts()
    receiver = HttpReceiver(HERE, nothing, accounts, body_patience=600)
    receiver.start()
    head = b"POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % MAX_BYTES
    slow, few = MAX_WAITING_BYTES // MAX_BYTES, bytes(100)
    try:
        with ExitStack() as stack:
            for _ in range(slow):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", receiver.port), timeout=30))
                client.sendall(head + bytes(MAX_BYTES - 1))
            # Whoever asks before would take the room of the last of them.
            eventually(lambda: receiver._shared.waiting == slow * (MAX_BYTES - 1), "all have come")
            answer = post(receiver.port, few)
            assert answer.status == 503, "a body too many is told to come again"
            assert int(answer.headers["retry-after"]) > 0
        eventually(lambda: post(receiver.port, few).status == 200, "there is room again")
        eventually(
            lambda: accounted(accounts, metrics.INGEST_REQUESTS_REFUSED).get(Refusal.HUNG_UP) == slow,
            "those that hung up are counted",
        )
        assert accounted(accounts, metrics.INGEST_REQUESTS_REFUSED)[Refusal.OVERLOADED] >= 1
    finally:
        receiver.stop()


def test_request_whose_sender_hangs_up_while_it_waits_is_taken_and_takes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING_BYTES", 1_000)
    taken: list[bytes] = []
    busy, released = threading.Event(), threading.Event()

    def take(body: bytes) -> tuple[Body, bytes]:
        busy.set()
        released.wait(30)
        taken.append(body)
        return "protobuf", b""

    accounts = Accounts()
    receiver = HttpReceiver(HERE, take, accounts)
    receiver.start()
    address = "127.0.0.1", receiver.port
    head = b"POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    try:
        with socket.create_connection(address, timeout=30) as first:
            first.sendall(head % 1 + b"a")
            eventually(busy.is_set, "the worker is busy")
            with socket.create_connection(address, timeout=30) as second:
                second.sendall(head % 900 + bytes(900))
                eventually(lambda: accounted(accounts, metrics.INGEST_PACKETS) == {"http": 2}, "the second has come")
                assert post(receiver.port, bytes(200)).status == 503, "it takes nearly all of the room"
            assert post(receiver.port, b"", path="/").status == 404, "the loop has come round"
            assert post(receiver.port, bytes(200)).status == 503, "what nobody waits for still takes room"
            released.set()
            assert all_of(first).startswith(b"HTTP/1.1 200")
        eventually(lambda: post(receiver.port, bytes(200)).status == 200, "there is room again")
        assert taken == [b"a", bytes(900), bytes(200)]
        assert accounted(accounts, metrics.INGEST_REQUESTS_REFUSED).keys() == {Refusal.OVERLOADED}
    finally:
        released.set()
        receiver.stop()


class Broken(HttpReceiver):
    """A receiver that cannot serve."""

    async def _serve(self) -> None:
        raise ZeroDivisionError


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_who_starts_it_does_not_wait_for_what_cannot_serve() -> None:
    receiver = Broken(HERE, nothing, Accounts())
    starts = threading.Thread(target=receiver.start, daemon=True)
    starts.start()
    eventually(lambda: not starts.is_alive(), "it has started, or failed to")
    receiver.stop()


class LateToBreak(HttpReceiver):
    """A receiver that cannot serve, and takes a while to say so."""

    async def _serve(self) -> None:
        self._started.set()
        await asyncio.sleep(0.2)
        raise ZeroDivisionError


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_stopped_it_has_ended_even_if_it_could_not_serve() -> None:
    receiver = LateToBreak(HERE, nothing, Accounts())
    before = set(threading.enumerate())
    receiver.start()
    [own] = set(threading.enumerate()) - before
    receiver.stop()
    assert not own.is_alive()


def test_slow_body_is_cut_off() -> None:
    accounts = Accounts()
    receiver = HttpReceiver(HERE, nothing, accounts, body_patience=0.3)
    receiver.start()
    try:
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=30) as client:
            client.sendall(b"POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nslow")
            assert all_of(client) == b""
        refused = eventually(
            lambda: [one.labels for one in accounts.readings() if one.metric == metrics.INGEST_REQUESTS_REFUSED],
            "the request is counted",
        )
        assert refused == [(("transport", "http"), ("reason", Refusal.TIMEOUT))]
    finally:
        receiver.stop()


def test_idle_clients_make_room_for_others() -> None:
    receiver = HttpReceiver(HERE, nothing, Accounts(), room=8)
    receiver.start()
    try:
        with ExitStack() as stack:
            for _ in range(30):
                stack.enter_context(socket.create_connection(("127.0.0.1", receiver.port), timeout=30))
                assert post(receiver.port, b"").status == 200
    finally:
        receiver.stop()


# Tornado leaves a socket that it cannot bind to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_address_that_is_taken_is_a_usage_error(module_receiver: Receiver) -> None:
    with pytest.raises(UsageError, match=r"listen_http.*cannot listen there"):
        HttpReceiver(("127.0.0.1", module_receiver.http_port), nothing, Accounts())


def test_stop_hangs_up_and_frees_the_port() -> None:
    with receiving() as receiver:
        port = receiver.http_port
        client = socket.create_connection(("127.0.0.1", port), timeout=30)
    with client:
        assert all_of(client) == b""
    again = HttpReceiver(("127.0.0.1", port), nothing, Accounts())
    again.stop()
