"""Sends OTLP over HTTP.

With http.client, as the health endpoint is asked: it lets us hold the socket, so that a receiver which answers by the byte, or
never, is hung up on at the deadline, and when the exporter stops. And it knows no proxies and no ~/.netrc.
"""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse

from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from airflow_obs.exporter.push.otlp import tls
from airflow_obs.exporter.push.otlp.receiver import LATE, USER_AGENT, Call, Fault, NotTaken, Post, answer_of, shown
from airflow_obs.exporter.push.otlp.settings import Place
from airflow_obs.policy.push import OtlpPush

PROTOBUF = "application/x-protobuf"
MAX_BYTES = 65_536
"""Of an answer."""
KEPT = frozenset({401, 403, 404, 405, 407, 408, 429, 502, 503, 504})
"""Statuses after which the same is sent again: those of the specification, and those that are not about what was sent.

https://opentelemetry.io/docs/specs/otlp/#failures-1"""
REFUSED = frozenset({400, 413, 422})
"""Statuses after which the same is never sent again. Of what is in neither nobody knows: a proxy says 500, too."""
REMEDIES = {
    401: "check the headers",
    403: "check the headers",
    404: "check the endpoint's path",
    405: "check the endpoint's path",
    407: "a proxy is in the way: put a Collector there",
    429: "give it more room, or raise the `interval`",
}


class HttpReceiver:
    """A receiver at a place, as the policy says."""

    def __init__(self, policy: OtlpPush, place: Place) -> None:
        self._policy = policy
        self._place = place

    @contextmanager
    def connected(self, call: Call, headers: Mapping[str, str]) -> Iterator[Post]:
        ours = {"content-type": PROTOBUF, "user-agent": USER_AGENT}
        if self._policy.compression == "gzip":
            ours["content-encoding"] = "gzip"
        context = tls.context(self._policy) if self._place.encrypted else None
        connection = HTTPConnection(self._place.host, self._place.port)
        connection.auto_open = 0  # it would know nothing of TLS
        # A socket's own limit is for each read: a receiver that answers by the byte would hold us.
        timer = threading.Timer(call.left, call.interrupt)
        timer.daemon = True
        timer.start()

        def post(request: bytes) -> ExportMetricsServiceResponse:
            with _told(call):
                if connection.sock is None:  # the first time, and when the receiver hangs up after each answer
                    connection.sock = _connected(self._place, context, call)
                return self._post(connection, request, {**headers, **ours}, call)

        try:
            yield post
        finally:
            timer.cancel()
            connection.close()

    def _post(
        self, connection: HTTPConnection, request: bytes, headers: Mapping[str, str], call: Call
    ) -> ExportMetricsServiceResponse:
        connection.sock.settimeout(call.left)
        # Who has seen enough answers before everything is sent, and hangs up.
        with suppress(BrokenPipeError, ConnectionResetError):
            body = request if self._policy.compression == "gzip" else gzip.decompress(request)
            connection.request("POST", self._place.path, body, headers)
        with connection.getresponse() as response:
            answer = response.read(MAX_BYTES)
        call.check()  # else it may be half of the answer: we have hung up
        if len(answer) == MAX_BYTES:
            raise NotTaken("its answer is too long for one of OTLP; check the endpoint")
        if 200 <= response.status < 300:
            return answer_of(answer)
        raise _refusal(response, answer)


def _refusal(response: HTTPResponse, answer: bytes) -> NotTaken:
    why = f"HTTP status {response.status}"
    if response.headers.get_content_type() == PROTOBUF:
        with suppress(DecodeError):
            why += f" ({shown(Status.FromString(answer).message)})"
    status = response.status
    elsewhere = "it sends us elsewhere: write into the endpoint where it is, the path too"
    remedy = REMEDIES.get(status) or (elsewhere if status < 400 else "see what its log says")
    fault = Fault.REQUEST if status in REFUSED else Fault.UNKNOWN
    return NotTaken(f"{why}; {remedy}", Fault.RECEIVER if status < 400 or status in KEPT else fault)


@contextmanager
def _told(call: Call) -> Iterator[None]:
    """What may go wrong on the way, as NotTaken."""
    try:
        yield
    except (OSError, HTTPException, ValueError) as error:  # ValueError: no host can be called that
        call.check()
        raise NotTaken(_reason(error)) from None


def _reason(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate cannot be trusted: {error.verify_message}; check `ca_file`"
        case ssl.SSLError():
            why = (error.reason or "broken off").replace("_", " ").lower()
            return f"TLS failed: {why}; does it speak TLS, and does it want a certificate of ours?"
        case TimeoutError():
            return LATE
        case HTTPException():
            return "it breaks off, or does not speak HTTP; check the endpoint's port, and the `protocol`"
        case _:
            why = getattr(error, "strerror", None) or "no such host"
            return f"no connection: {why}; does it run, and is the endpoint its host and port?"


def _connected(place: Place, context: ssl.SSLContext | None, call: Call) -> socket.socket:
    """To the first of the host's addresses that takes us, each of which gets its share of the time.

    It can be hung up on, but for the look-up of the host's name: that is the C library's, with a limit of its own.
    """
    failure = OSError()
    places = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    for number, (family, kind, protocol, _, address) in enumerate(places):
        sock = socket.socket(family, kind, protocol)
        try:
            call.ends_by(partial(_hang_up, sock))
            sock.settimeout(call.left / (len(places) - number))
            sock.connect(address)
            sock.settimeout(call.left)
            return _encrypted(sock, context, place.host, call) if context else sock
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
    raise failure


def _encrypted(sock: socket.socket, context: ssl.SSLContext, host: str, call: Call) -> socket.socket:
    # The handshake apart from the wrapping, so that what hangs in it is known and can be hung up on.
    encrypted = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    try:
        call.ends_by(partial(_hang_up, encrypted))
        encrypted.do_handshake()
    except BaseException:
        encrypted.close()
        raise
    return encrypted


def _hang_up(sock: socket.socket) -> None:
    with suppress(OSError):  # it is closed already
        # Not the method of ssl.SSLSocket, which would take the session away from the thread that reads.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
