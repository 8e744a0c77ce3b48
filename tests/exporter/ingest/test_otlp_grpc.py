"""OTLP over gRPC: the real SDK is understood, and nobody else does harm."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from airflow_obs.catalog import metrics
from airflow_obs.errors import UsageError
from airflow_obs.exporter.ingest.accounts import Accounts, Refusal
from airflow_obs.exporter.ingest.otlp import grpc as module
from airflow_obs.exporter.ingest.otlp.decode import MAX_BYTES, Body
from airflow_obs.exporter.ingest.otlp.grpc import MAX_MESSAGE_BYTES, SERVICE, GrpcReceiver
from tests.eventually import eventually
from tests.exporter.ingest.otlp_requests import SCOPE_3, gauge, request
from tests.exporter.ingest.otlp_server import Receiver, receiving

NEVER = 1e12
"""Milliseconds between exports: a test says when."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(http=False, grpc=True) as receiver:
        yield receiver


def export(port: int, body: bytes, compression: grpc.Compression = grpc.Compression.NoCompression) -> bytes:
    """Call Export with these bytes; raises grpc.RpcError."""
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options, compression) as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/Export")
        return call(body, timeout=30)


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_sdk_sends_and_every_point_is_mapped(receiver: Receiver, compression: grpc.Compression | None) -> None:
    exporter = OTLPMetricExporter(f"127.0.0.1:{receiver.grpc_port}", insecure=True, compression=compression)
    provider = MeterProvider([PeriodicExportingMetricReader(exporter, NEVER)], shutdown_on_exit=False)
    try:
        heartbeats = provider.get_meter(SCOPE_3).create_counter("airflow.scheduler_heartbeat")
        for _ in range(3):
            heartbeats.add(2)
            assert provider.force_flush()
    finally:
        provider.shutdown()
    assert receiver.shows(metrics.SCHEDULER_HEARTBEATS) == 6
    assert receiver.shows(metrics.INGEST_SAMPLES, "mapped") == receiver.shows(metrics.INGEST_SAMPLES) >= 3
    assert receiver.shows(metrics.INGEST_PACKETS, "grpc") >= 3


def test_answer_says_which_points_are_rejected(receiver: Receiver) -> None:
    sent = request(gauge("pool.open_slots", float("nan"), pool_name="p"), gauge("pool.open_slots", 2, pool_name="p"))
    answer = ExportMetricsServiceResponse.FromString(export(receiver.grpc_port, sent.SerializeToString()))
    assert answer.partial_success.rejected_data_points == 1
    assert answer.partial_success.error_message == "1 not a finite number"
    assert receiver.shows(metrics.POOL_OPEN, "p") == 2


@pytest.mark.parametrize(
    ("body", "code", "refusal"),
    [
        (b"\xff", grpc.StatusCode.INVALID_ARGUMENT, Refusal.MALFORMED),
        (bytes(MAX_BYTES + 1), grpc.StatusCode.RESOURCE_EXHAUSTED, Refusal.TOO_LARGE),
    ],
)
def test_what_cannot_be_taken_is_refused_and_counted(
    receiver: Receiver, body: bytes, code: grpc.StatusCode, refusal: Refusal
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        export(receiver.grpc_port, body)
    error: Any = caught.value  # of a private class, which is a Call too
    assert error.code() is code
    assert "Traceback" not in error.details()
    assert receiver.shows(metrics.INGEST_REQUESTS_REFUSED, "grpc", refusal) == 1
    assert receiver.shows(metrics.INGEST_REQUESTS_REFUSED) == 1


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_message_beyond_all_limits_does_not_arrive(receiver: Receiver, compression: grpc.Compression) -> None:
    """Nor does what is small only while it is compressed."""
    with pytest.raises(grpc.RpcError) as caught:
        export(receiver.grpc_port, bytes(10 * MAX_MESSAGE_BYTES), compression)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert receiver.shows(metrics.INGEST_PACKETS, "grpc") == 0
    export(receiver.grpc_port, request(gauge("pool.open_slots", 2, pool_name="p")).SerializeToString())
    assert receiver.shows(metrics.POOL_OPEN, "p") == 2


def nothing(_body: bytes) -> tuple[Body, bytes]:
    return "protobuf", b""


def test_address_that_is_taken_is_a_usage_error(receiver: Receiver) -> None:
    with pytest.raises(UsageError, match=r"listen_grpc.*cannot listen there"):
        GrpcReceiver(("127.0.0.1", receiver.grpc_port), nothing, Accounts())


@pytest.mark.parametrize("host", ["nohost.invalid", "no..host"])
def test_address_that_is_none_is_a_usage_error(host: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=r"listen_grpc no.*cannot listen there: ") as caught:
        GrpcReceiver((host, 0), nothing, Accounts())
    assert "another exporter" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_connections_beyond_number_are_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would take the files that the exporter needs to be scraped."""
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 20)
    monkeypatch.setattr(module, "HANDSHAKE_MILLISECONDS", 600_000)
    with receiving(http=False, grpc=True) as receiver, ExitStack() as stack:
        address = ("127.0.0.1", receiver.grpc_port)
        clients = [stack.enter_context(socket.create_connection(address, timeout=30)) for _ in range(60)]

        def hung_up() -> int:
            ready, _, _ = select.select(clients, [], [], 0)
            return sum(not client.recv(1, socket.MSG_PEEK) for client in ready)

        eventually(lambda: hung_up() == 40, "those beyond the limit are hung up on")


def test_what_can_happen_is_shown_from_the_start(receiver: Receiver) -> None:
    shown = {one.labels for one in receiver.accounts.readings() if one.metric == metrics.INGEST_REQUESTS_REFUSED}
    assert {dict(labels)["reason"] for labels in shown} == {Refusal.TOO_LARGE, Refusal.MALFORMED}


def test_stop_frees_the_port() -> None:
    with receiving(http=False, grpc=True) as receiver:
        port = receiver.grpc_port
    again = GrpcReceiver(("127.0.0.1", port), nothing, Accounts())
    assert again.port == port
    again.stop()


def test_both_ways_in_feed_the_same_series() -> None:
    with receiving(http=True, grpc=True) as receiver:
        export(receiver.grpc_port, request(gauge("pool.open_slots", 2, pool_name="p")).SerializeToString())
        assert receiver.shows(metrics.POOL_OPEN, "p") == 2
        assert receiver.shows(metrics.INGEST_PACKETS, "http") == 0
