"""A receiver of OTLP like a Collector's, over HTTP or gRPC, and what it got, read with the code of our own ingest."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import accumulate
from pathlib import Path
from typing import Literal

import grpc
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from prometheus_client.utils import floatToGoString

from airflow_obs.exporter.board import Snapshot
from airflow_obs.exporter.exposition import render
from airflow_obs.exporter.ingest.otlp.decode import decode, unpacked
from airflow_obs.exporter.ingest.otlp.distributions import Explicit
from airflow_obs.exporter.ingest.otlp.grpc import SERVICE
from airflow_obs.exporter.ingest.otlp.points import Gauge, Observations, Point, Sum
from airflow_obs.model import Reading
from tests.certificates import Certificate
from tests.exporter.pages import Page

Protocol = Literal["http", "grpc"]
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]
PROTOBUF = "application/x-protobuf"
MOMENT = 1_790_000_000.0
"""Unix seconds of a test's first snapshot."""


@dataclass
class Refusal:
    """An answer that is no success: an HTTP status, or a gRPC code."""

    status: int | grpc.StatusCode
    text: str = "because"
    trailers: tuple[tuple[str, bytes], ...] = ()


Answer = Refusal | ExportMetricsServiceResponse


@dataclass(frozen=True)
class Request:
    """A request that was taken, or refused: unpacked; its headers by lower-case name."""

    body: bytes
    headers: Mapping[str, str]
    path: str

    @property
    def message(self) -> ExportMetricsServiceRequest:
        return ExportMetricsServiceRequest.FromString(self.body)

    @property
    def points(self) -> Sequence[Point]:
        return decode(self.body).points

    @property
    def metrics(self) -> dict[str, pb.Metric]:
        (resource,) = self.message.resource_metrics
        (scope,) = resource.scope_metrics
        return {metric.name: metric for metric in scope.metrics}

    @property
    def resource(self) -> dict[str, str]:
        (resource,) = self.message.resource_metrics
        return {one.key: one.value.string_value for one in resource.resource.attributes}


@dataclass
class Collector:
    """`answers` are given one after the other, the last one for good; None is success. It answers when `answering` is set."""

    protocol: Protocol
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    answers: list[Answer | None] = field(default_factory=lambda: [None])
    judge: Callable[[Request], Answer | None] | None = None
    """Who says what is answered, instead of that."""
    answering: threading.Event = field(default_factory=threading.Event)
    closing: bool = False
    """Whether it hangs up after each answer, over HTTP."""

    def take(self, request: Request) -> Answer | None:
        """Keep a request, and say what to answer."""
        self.requests.append(request)
        self.answering.wait()
        if self.judge:
            return self.judge(request)
        return self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)

    def moments(self) -> list[float]:
        """The Unix seconds of every request's points, in the order in which they came."""
        return [request.points[0].time / 1e9 for request in self.requests]

    @property
    def series(self) -> Series:
        """What all of it shows, as the Prometheus text format would have it."""
        return series_of(point for request in self.requests for point in request.points)


def series_of(points: Iterator[Point]) -> Series:
    """Points as series of numbers, but for those without a value; raises if one says what our ingest would refuse."""
    found: Series = {}
    for point in points:
        for name, more, value in _numbers(point):
            key = name, frozenset((*point.attributes, *more))
            assert key not in found, key
            found[key] = value
    return found


def _numbers(point: Point) -> Iterator[tuple[str, tuple[tuple[str, str], ...], float]]:
    match point.value:
        case Gauge(value=value) | Sum(value=value, delta=False):
            yield point.name, (), value
        case Observations(distribution=Explicit(bounds=bounds, counts=counts, total=float(total)), delta=False):
            for bound, count in zip((*bounds, float("inf")), accumulate(counts), strict=True):
                yield f"{point.name}_bucket", (("le", floatToGoString(bound)),), count
            yield f"{point.name}_count", (), sum(counts)
            yield f"{point.name}_sum", (), total
        case None:
            pass
        case _:
            raise AssertionError(point)


def series_on(page: str) -> Series:
    """What a page in the Prometheus text format shows."""
    return {(sample.name, frozenset(_as_text(sample.labels))): sample.value for sample in Page(page).samples}


def _as_text(labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Bounds in one spelling, since on a page there are two."""
    for name, value in labels.items():
        yield name, floatToGoString(float(value)) if name == "le" else value


def snapshot(*readings: Reading, after: float = 0.0, deployment: str = "blue") -> Snapshot:
    """A snapshot of these, made so many seconds after the first."""
    page = render(readings, deployment)
    return Snapshot(deployment, MOMENT + after, (), (readings,), page.text, page.openmetrics, b"", b"")


@contextmanager
def collecting(
    protocol: Protocol, certificate: Certificate | None = None, clients: str | None = None, port: int = 0
) -> Iterator[Collector]:
    """A receiver on a port of localhost, over TLS where it has a certificate; `clients` is who signs those of its clients."""
    collector = Collector(protocol, port)
    collector.answering.set()
    with (_http if protocol == "http" else _grpc)(collector, certificate, clients):
        try:
            yield collector
        finally:
            collector.answering.set()


@contextmanager
def _http(collector: Collector, certificate: Certificate | None, clients: str | None) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = unpacked(body, headers.get("content-encoding", ""))
            answer = collector.take(Request(body, headers, self.path))
            status, said = 200, answer.SerializeToString() if isinstance(answer, ExportMetricsServiceResponse) else b""
            if isinstance(answer, Refusal):
                assert isinstance(answer.status, int)
                status, said = answer.status, Status(message=answer.text).SerializeToString()
            self.send_response(status)
            self.send_header("content-type", PROTOBUF)
            if collector.closing:
                self.send_header("connection", "close")
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that hangs up is what is tested."""

    with Server(("127.0.0.1", collector.port), Handler) as server:
        if certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients)
            context.load_cert_chain(certificate.pem, certificate.key)
            context.verify_mode = ssl.CERT_REQUIRED if clients else ssl.CERT_NONE
            # The handshake in the thread of the connection, lest one that hangs there holds all.
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        collector.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def _grpc(collector: Collector, certificate: Certificate | None, clients: str | None) -> Iterator[None]:
    def export(body: bytes, context: grpc.ServicerContext) -> bytes:
        headers = {name: str(value) for name, value in context.invocation_metadata()}
        answer = collector.take(Request(body, headers, SERVICE))
        if isinstance(answer, Refusal):
            assert isinstance(answer.status, grpc.StatusCode)
            context.set_trailing_metadata(answer.trailers)
            context.abort(answer.status, answer.text)
        return answer.SerializeToString() if answer else b""

    server = grpc.server(ThreadPoolExecutor(4), options=(("grpc.so_reuseport", 0),))
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(export)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Export": handler}),))
    where = f"127.0.0.1:{collector.port}"
    if certificate:
        pair = certificate.key.read_bytes(), certificate.pem.read_bytes()
        trusted = Path(clients).read_bytes() if clients else None
        credentials = grpc.ssl_server_credentials([pair], trusted, require_client_auth=bool(clients))
        collector.port = server.add_secure_port(where, credentials)
    else:
        collector.port = server.add_insecure_port(where)
    server.start()
    try:
        yield
    finally:
        collector.answering.set()
        server.stop(0).wait()
