"""Sends OTLP metrics as several of Airflow's processes would, each at once again, and prints how long each request took."""

from __future__ import annotations

import http
import http.client
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Literal

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

from airflow_obs.exporter.ingest.otlp.grpc import SERVICE
from bench.airflow_lines import RELEASE, SENT
from tests.exporter.ingest.otlp_requests import attributes, exponential, gauge, request, total

Send = Callable[[bytes], bytes]
BUCKETS = 40
"""Of an exponential histogram; the SDK's have up to 160."""


@dataclass(frozen=True)
class Senders:
    """`processes` senders, each with so many `metrics` in a request, for `seconds`."""

    protocol: Literal["http", "grpc"]
    port: int
    processes: int
    metrics: int
    seconds: float


@dataclass(frozen=True)
class Answered:
    """Milliseconds of every request, ascending; bytes of one, points of all, and of these those that were refused."""

    milliseconds: list[float]
    body_bytes: int
    points: int
    refused: int
    seconds: float


def airflow_request(metrics: int, process: int) -> ExportMetricsServiceRequest:
    """A request as a process of Airflow's sends it: so many of the metrics of the capture, evenly spread over it."""
    rows = [line.split("\t") for line in (SENT / f"{RELEASE}-otlp.tsv").read_text().splitlines()]
    chosen = [rows[index * len(rows) // metrics] for index in range(min(metrics, len(rows)))]
    return request(*map(_metric, chosen), resource={"service.name": "airflow", "process.pid": str(process)})


def _metric(row: list[str]) -> pb.Metric:
    name, kind, _unit, monotonic, tags, *_ = [*row, "", "", "", ""]
    name = name.removeprefix("airflow.")
    if kind == "sum":
        made = total(name, 0.0, 0.0, monotonic=monotonic == "True")
    elif kind == "gauge":
        made = gauge(name, 1.0)
    else:
        made = exponential(name, dict.fromkeys(range(100, 100 + BUCKETS), 1), 1.0, 0.0, scale=3)
    for point in _points(made):
        point.attributes.extend(attributes({tag: f"some_{tag}" for tag in tags.split(",") if tag}))
    return made


Point = pb.NumberDataPoint | pb.ExponentialHistogramDataPoint


def _points(metric: pb.Metric) -> Iterator[Point]:
    for of in (metric.sum, metric.gauge, metric.exponential_histogram):
        yield from of.data_points


def _go_on(points: list[Point]) -> None:
    """What a process has counted and measured since its last request."""
    now = time.time_ns()
    for point in points:
        point.time_unix_nano = now
        if isinstance(point, pb.NumberDataPoint):
            point.as_double += 1
        else:
            buckets = point.positive.bucket_counts
            buckets[point.count % len(buckets)] += 1
            point.count += 1
            point.sum += 250.0


class _Process(threading.Thread):
    """One sender: what it sent, until it is time; `error` is what stopped it before."""

    def __init__(self, load: Senders, number: int) -> None:
        super().__init__()
        self._load = load
        self._request = airflow_request(load.metrics, number)
        self.points = [
            point
            for of in self._request.resource_metrics
            for scope in of.scope_metrics
            for metric in scope.metrics
            for point in _points(metric)
        ]
        self.milliseconds: list[float] = []
        self.refused = self.body_bytes = 0
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with _connected(self._load) as send:
                self._send(send)
        except (OSError, http.client.HTTPException, grpc.RpcError, RuntimeError) as error:
            self.error = error

    def _send(self, send: Send) -> None:
        began = time.time_ns()
        for point in self.points:
            if point.start_time_unix_nano:
                point.start_time_unix_nano = began
        until = time.perf_counter() + self._load.seconds
        while time.perf_counter() < until:
            _go_on(self.points)
            body = self._request.SerializeToString()
            self.body_bytes = len(body)
            asked = time.perf_counter()
            answer = ExportMetricsServiceResponse.FromString(send(body))
            self.milliseconds.append((time.perf_counter() - asked) * 1000)
            self.refused += answer.partial_success.rejected_data_points


@contextmanager
def _connected(load: Senders) -> Iterator[Send]:
    if load.protocol == "grpc":
        with grpc.insecure_channel(f"127.0.0.1:{load.port}") as channel:
            export: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/Export")
            yield export
        return
    connection = http.client.HTTPConnection("127.0.0.1", load.port)

    def post(body: bytes) -> bytes:
        connection.request("POST", "/v1/metrics", body, {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"bench: the exporter answered {answer.status} {text!r}")
        return text

    try:
        yield post
    finally:
        connection.close()


def send(load: Senders) -> Answered:
    """Raises RuntimeError when a request is not answered well."""
    processes = [_Process(load, number) for number in range(load.processes)]
    started = time.perf_counter()
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.error:
            raise RuntimeError(f"bench: OTLP over {load.protocol}: {process.error}") from process.error
    took = time.perf_counter() - started
    return Answered(
        sorted(one for process in processes for one in process.milliseconds),
        processes[0].body_bytes,
        sum(len(process.milliseconds) * len(process.points) for process in processes),
        sum(process.refused for process in processes),
        took,
    )


def main() -> None:
    """The load comes as JSON on stdin; the outcome goes as JSON to stdout."""
    json.dump(asdict(send(Senders(**json.load(sys.stdin)))), sys.stdout)


if __name__ == "__main__":
    main()
