"""Takes OTLP metrics over gRPC: MetricsService/Export, with limits as the HTTP side has them."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

import grpc

from airflow_obs.errors import UsageError
from airflow_obs.exporter.ingest.accounts import Accounts, Refusal
from airflow_obs.exporter.ingest.otlp.decode import MAX_BYTES, RequestRefused, unpacked
from airflow_obs.exporter.ingest.otlp.http import Take
from airflow_obs.exporter.web.bounded import room_for

SERVICE = "opentelemetry.proto.collector.metrics.v1.MetricsService"
MAX_CALLS = 16
"""At a time; one more is told to come again."""
MAX_MESSAGE_BYTES = 2 * MAX_BYTES
"""What gRPC itself lets through; between the two limits, the refusal is counted."""
IDLE_MILLISECONDS = 150_000
"""After which a connection is closed: two intervals of Airflow and more. Each try of a task leaves one behind."""
MAX_CONNECTIONS = 500
"""One more is hung up on. Half of the files that this process may have are left to others, if they are fewer."""
HANDSHAKE_MILLISECONDS = 10_000
"""For who connects to say that it speaks HTTP/2."""
STOP_WITHIN = 1.0
"""Seconds for calls that are being answered."""

_CODES = {
    Refusal.TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Refusal.MALFORMED: grpc.StatusCode.INVALID_ARGUMENT,
}


class GrpcReceiver:
    """Listens from its making on, answers from `start` to `stop`. `address` is (host, port); raises UsageError."""

    def __init__(self, address: tuple[str, int], take: Take, accounts: Accounts) -> None:
        self._take, self._accounts = take, accounts
        self._server = grpc.server(
            ThreadPoolExecutor(1, thread_name_prefix="otlp-grpc"),
            maximum_concurrent_rpcs=MAX_CALLS,
            options=(
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_concurrent_streams", MAX_CALLS),
                ("grpc.max_connection_idle_ms", IDLE_MILLISECONDS),
                ("grpc.max_allowed_incoming_connections", room_for(2 * MAX_CONNECTIONS) // 2),
                ("grpc.server_handshake_timeout_ms", HANDSHAKE_MILLISECONDS),
                # Else two exporters could have the same port, each with a part of what is sent.
                ("grpc.so_reuseport", 0),
            ),
        )
        # Bytes in and out: reading them is counted, and so are those that cannot be read.
        export: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(self._export)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Export": export}),))
        host, port = address
        where = f"{f'[{host}]' if ':' in host else host or '[::]'}:{port}"
        try:
            # gRPC would not say why.
            socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise UsageError(
                f"sources.otlp.listen_grpc {where}: cannot listen there: {why}; name an address of this host"
            ) from None
        try:
            self.port = self._server.add_insecure_port(where)
        except RuntimeError:
            raise UsageError(
                f"sources.otlp.listen_grpc {where}: cannot listen there; is another exporter running? "
                "choose another address or port"
            ) from None

    def start(self) -> None:
        """Begin to answer."""
        self._server.start()

    def stop(self) -> None:
        """Hang up, and listen no more."""
        self._server.stop(STOP_WITHIN).wait()

    def _export(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        self._accounts.packets("otlp", "grpc")
        try:
            return self._take(unpacked(body, ""))[1]
        except RequestRefused as error:
            self._accounts.request_refused("grpc", error.refusal)
            context.abort(_CODES[error.refusal], str(error))
