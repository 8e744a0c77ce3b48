"""Takes what Airflow sends over OpenTelemetry: HTTP and gRPC in, series and an account of every point out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from airflow_obs.catalog import metrics
from airflow_obs.exporter.ingest.accounts import Accounts, Outcome, Reason
from airflow_obs.exporter.ingest.otlp.decode import Body, decode
from airflow_obs.exporter.ingest.otlp.http import HttpReceiver
from airflow_obs.exporter.ingest.otlp.mapper import OtlpMapper, Tally, outcome
from airflow_obs.model import Reading

if TYPE_CHECKING:
    from airflow_obs.exporter.ingest.otlp.grpc import GrpcReceiver

_NO_ROOM = frozenset({Reason.STREAM_LIMIT, Reason.SERIES_LIMIT})


class Otlp:
    """Listens from its making on, takes from `start` to `stop`. Addresses are (host, port), None for none; raises UsageError."""

    def __init__(
        self, http: tuple[str, int] | None, grpc: tuple[str, int] | None, mapper: OtlpMapper, accounts: Accounts
    ) -> None:
        self._mapper, self._accounts = mapper, accounts
        self._lock = threading.Lock()
        """Requests are taken one at a time: the mapper wants it so, and it bounds what they take up."""
        self.http = HttpReceiver(http, self.take, accounts) if http else None
        try:
            self.grpc = self._grpc(grpc) if grpc else None
        except BaseException:
            if self.http:
                self.http.stop()
            raise
        if self.http:
            accounts.expect("otlp", "http")
        if self.grpc:
            accounts.expect("otlp", "grpc")

    @property
    def where(self) -> str:
        """What it takes where, for the log."""
        receivers = {"http": self.http, "grpc": self.grpc}
        return "OTLP on " + ", ".join(f"{name} port {one.port}" for name, one in receivers.items() if one)

    def start(self) -> None:
        """Begin to take what comes."""
        for receiver in (self.http, self.grpc):
            if receiver:
                receiver.start()

    def stop(self) -> None:
        """Listen no more."""
        for receiver in (self.http, self.grpc):
            if receiver:
                receiver.stop()

    def readings(self) -> Iterator[Reading]:
        """What it says of itself."""
        yield metrics.INGEST_STREAMS.sample(len(self._mapper.streams))

    def take(self, body: bytes) -> tuple[Body, bytes]:
        """Take an unpacked request; gives how it was written, and the answer. Raises RequestRefused."""
        with self._lock:
            request = decode(body)
            tally = self._mapper.take(request.points)
        for reason, n in tally.items():
            self._accounts.count("otlp", outcome(reason), n, reason)
        answer = _answer(tally)
        if request.body == "json":
            return "json", json_format.MessageToJson(answer, indent=None).encode()
        return "protobuf", answer.SerializeToString()

    def _grpc(self, address: tuple[str, int]) -> GrpcReceiver:
        # Here, since it takes a tenth of a second and some megabytes, which few need.
        from airflow_obs.exporter.ingest.otlp.grpc import GrpcReceiver

        return GrpcReceiver(address, self.take, self._accounts)


def _answer(tally: Tally) -> ExportMetricsServiceResponse:
    """Tells the sender what cannot be read or has no room; what is left out on purpose is no fault of its own."""
    rejected = {
        reason: n
        for reason, n in tally.items()
        if reason is not None and (outcome(reason) is Outcome.INVALID or reason in _NO_ROOM)
    }
    answer = ExportMetricsServiceResponse()
    if rejected:
        answer.partial_success.rejected_data_points = sum(rejected.values())
        answer.partial_success.error_message = "; ".join(f"{n} {reason}" for reason, n in sorted(rejected.items()))
    return answer
