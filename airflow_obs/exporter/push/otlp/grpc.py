"""Sends OTLP over gRPC."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from airflow_obs.exporter.push.otlp import tls
from airflow_obs.exporter.push.otlp.receiver import LATE, USER_AGENT, Call, Fault, NotTaken, Post, answer_of, shown
from airflow_obs.exporter.push.otlp.settings import Place
from airflow_obs.policy.push import OtlpPush

METHOD = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
KEPT = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
"""Codes after which the same is sent again: those of the specification, and those that are not about what was sent.

https://opentelemetry.io/docs/specs/otlp/#failures"""
REFUSED = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED})
"""Codes after which the same is never sent again. Of what is in neither nobody knows: a proxy's 500 is UNKNOWN."""
REMEDIES = {
    grpc.StatusCode.UNAUTHENTICATED: "check the headers",
    grpc.StatusCode.PERMISSION_DENIED: "check the headers",
    grpc.StatusCode.UNIMPLEMENTED: "check the endpoint, does it take metrics?",
}
NO_CONNECTION = {
    r"CERTIFICATE_VERIFY_FAILED: (.*?)(?:: OK)?$": r"its certificate cannot be trusted: \1; check `ca_file`",
    r"Hostname Verification Check failed": "its certificate cannot be trusted: it is not for the endpoint's host; check the "
    "endpoint and `ca_file`",
    r"security handshaker": "its certificate cannot be trusted: nobody is; check `ca_file`",
    r"[Hh]andshake": "TLS failed; does it speak TLS, and does it want a certificate of ours?",
    r"remote host: (.*)$": r"no connection: \1; does it run, and is the endpoint its host and port?",
    r"^failed to connect": "it breaks off, or does not speak gRPC; check the endpoint's port, https:// and `protocol`, and "
    "whether it wants a certificate of ours",
    r"": "no connection: no such host; does it run, and is the endpoint its host and port?",
}
"""By what is in the words of gRPC's core, what they mean: they name one of the host's addresses, now this one, now that one."""
OPTIONS = (
    ("grpc.primary_user_agent", USER_AGENT),
    # What failed is sent again at the next push, to a connection of its own.
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    # As over HTTP: the proxies in an Airflow's environment are for its tasks.
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", 65_536),
)


class GrpcReceiver:
    """A receiver at a place, as the policy says."""

    def __init__(self, policy: OtlpPush, place: Place) -> None:
        self._policy = policy
        self._place = place

    @contextmanager
    def connected(self, call: Call, headers: Mapping[str, str]) -> Iterator[Post]:
        host = f"[{self._place.host}]" if ":" in self._place.host else self._place.host
        target = f"{host}:{self._place.port}"
        packing = grpc.Compression.Gzip if self._policy.compression == "gzip" else grpc.Compression.NoCompression
        # Else gRPC goes on connecting for 20 s when we have given up long since.
        options = (*OPTIONS, ("grpc.min_reconnect_backoff_ms", round(self._policy.timeout * 1000)))
        channel = (
            grpc.secure_channel(target, tls.credentials(self._policy), options, packing)
            if self._place.encrypted
            else grpc.insecure_channel(target, options, packing)
        )
        export: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        metadata = tuple(headers.items())

        def post(request: bytes) -> ExportMetricsServiceResponse:
            future = export.future(gzip.decompress(request), timeout=call.left, metadata=metadata)
            call.ends_by(future.cancel)
            try:
                return answer_of(future.result())
            except grpc.RpcError:
                call.check()
                raise _refusal(future) from None
            except grpc.FutureCancelledError:
                call.check()
                raise NotTaken("given up") from None

        with channel:
            yield post


def _refusal(call: grpc.Call) -> NotTaken:
    code, details = call.code(), call.details() or ""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return NotTaken(LATE)
    if code is grpc.StatusCode.UNAVAILABLE and (why := _no_connection(details)):
        return NotTaken(why)
    fault = Fault.REQUEST if code in REFUSED else Fault.UNKNOWN
    if code in KEPT or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and _may_be_retried(call)):
        fault = Fault.RECEIVER
    return NotTaken(f"gRPC status {code.name} ({shown(details)}); {REMEDIES.get(code, 'see what its log says')}", fault)


def _no_connection(details: str) -> str:
    """What gRPC's core says of a connection that was not made, in the words that HTTP has for it; nothing if it was."""
    if not re.match("failed to connect to all addresses|errors resolving|DNS resolution failed", details):
        return ""
    return next(found.expand(why) for said, why in NO_CONNECTION.items() if (found := re.search(said, details)))


def _may_be_retried(call: grpc.Call) -> bool:
    """Whether it says when: else what is exhausted is what a request may hold, and the same never will be taken."""
    for key, value in call.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            try:
                details = Status.FromString(value).details
            except DecodeError:
                return False
            return any(one.Is(RetryInfo.DESCRIPTOR) for one in details)
    return False
