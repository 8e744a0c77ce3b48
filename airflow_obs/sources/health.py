"""Asks Airflow's health endpoint, wherever and in whichever release it is.

With http.client, which lets us hold the socket: a server that answers by the byte is hung up on at the deadline. And it
knows no proxies and no ~/.netrc, which are never wanted on the way to a web server next to us.
"""

from __future__ import annotations

import json
import logging
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from airflow_obs.errors import SourceUnreachable

log = logging.getLogger(__name__)

PATHS = ("/api/v2/monitor/health", "/health", "/api/v1/health")
"""3.x, 2.x, and 2.x where a proxy lets only the API through. 3.x answers 404 on the second."""
MAX_BYTES = 1_000_000
MAX_REDIRECTS = 3
"""Airflow sends nobody elsewhere, but an ingress in front of it may, to https."""
REDIRECTS = (301, 302, 303, 307, 308)
AS_IT_IS = "/%:@!$&'()*+,;=~?"
"""What is left alone when a path or query is percent-encoded."""


@dataclass(frozen=True)
class Answer:
    """One health report as Airflow sent it (component → its fields), and the seconds it took."""

    report: Mapping[str, Mapping[str, Any]]
    seconds: float


class _NoReport(Exception):
    """Somebody answers there, but not with a health report; its text is ours."""


class HealthEndpoint:
    """Airflow's health endpoint as a source. `find` gives the base URLs to try, and whether a setting named them.

    `known` is false as long as its place is only a guess that nobody has answered at.
    """

    name = "health"

    def __init__(self, find: Callable[[], tuple[list[str], bool]]) -> None:
        self._find = find
        self._url: SplitResult | None = None
        self.known = False

    @contextmanager
    def session(self, budget: float) -> Iterator[Callable[[], Answer | None]]:
        """A function that asks once, within `budget` seconds.

        It returns None while nobody has told us where the endpoint is and the guessed places have never answered (nothing
        to report), and raises SourceUnreachable when a known endpoint does not answer with a health report.
        """
        until = time.monotonic() + budget
        yield lambda: self._ask(until)

    def close(self) -> None:
        """Nothing is kept open."""

    def _ask(self, until: float) -> Answer | None:
        bases, named = self._find()
        urls = [self._url] if self._url else [_health_url(base, path) for base in bases for path in PATHS]
        failures: list[str] = []
        for url in urls:
            if not url:  # nothing of it may be shown: any part of it may be part of a password
                failures.append("its URL is not like http://HOST:PORT (percent-encode a password in it)")
                continue
            try:
                answer = _get(url, until)
            except _NoReport as error:
                failures.append(f"{_shown(url)}: {error}")
                self._url = None  # somebody else answers there: Airflow was upgraded, and its endpoint moved
                continue
            except (OSError, HTTPException, ValueError) as error:  # ValueError: no host can be called that
                failures.append(f"{_shown(url)}: {_reason(error, until)}")
                continue
            if not self._url:
                log.info("health: found at %s", _shown(url))
            self._url, self.known = url, True
            return answer
        self.known = self.known or named
        if not self.known:
            return None
        raise SourceUnreachable(
            f"health: {'; '.join(dict.fromkeys(failures))}; is the web server (3.x: API server) up, and the URL right? "
            "(`sources.health.url` in the policy, or AIRFLOW__API__BASE_URL / AIRFLOW__WEBSERVER__BASE_URL)"
        )


def _health_url(base: str, path: str) -> SplitResult | None:
    """None if `base` is no URL of a web server, or may not be: an @ after the host can be the end of a password."""
    url = _split(base)
    if not url or "@" in url.path + url.query + url.fragment:
        return None
    return url._replace(path=quote(url.path.rstrip("/") + path, AS_IT_IS), query="", fragment="")


def _split(url: str, base: str = "") -> SplitResult | None:
    try:
        parts = urlsplit(urljoin(base, url.strip()))
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return None
    usable = parts.scheme in {"http", "https"} and host.isprintable() and host and " " not in host
    return parts if usable else None


def _shown(url: SplitResult) -> str:
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"


def _origin(url: SplitResult) -> tuple[str, str, int]:
    return url.scheme, url.hostname or "", url.port or (443 if url.scheme == "https" else 80)


def _get(url: SplitResult, until: float) -> Answer:
    started = time.monotonic()
    headers = {"Accept": "application/json", "User-Agent": "airflow-obs", "Connection": "close"}
    if url.username:
        login = f"{unquote(url.username)}:{unquote(url.password or '')}"
        headers["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
    for _ in range(MAX_REDIRECTS + 1):
        with _response(url, headers, until) as response:
            if response.status == 200:
                return Answer(_report(_body(response, until)), time.monotonic() - started)
            if response.status not in REDIRECTS:
                raise _NoReport(f"HTTP status {response.status}")
            target = _split(response.headers.get("Location", ""), url.geturl())
        if not target:
            raise _NoReport("it redirects to what is no web server")
        if _origin(target) not in (_origin(url), ("https", url.hostname, 443)):
            headers.pop("Authorization", None)
        url = target
    raise _NoReport("it redirects too often")


@contextmanager
def _response(url: SplitResult, headers: Mapping[str, str], until: float) -> Iterator[HTTPResponse]:
    """Everything ends at `until` but the look-up of the host's name: that is the C library's, with a limit of its own."""
    scheme, host, port = _origin(url)
    sock = _connected(host, port, until)
    connection = HTTPConnection(host, port)
    if scheme == "https":
        # Made anew each time: the authorities' certificates that it reads may be replaced while we run.
        context = ssl.create_default_context()
        sock = context.wrap_socket(sock, server_hostname=host)
        connection = HTTPSConnection(host, port, context=context)
    connection.sock = sock
    # A socket's own time limit is for each read: a server that sends a byte now and then would hold us.
    end = threading.Timer(until - time.monotonic(), _hang_up, [sock])
    end.daemon = True
    end.start()
    try:
        query = f"?{quote(url.query, AS_IT_IS)}" if url.query else ""
        connection.request("GET", quote(url.path or "/", AS_IT_IS) + query, headers=headers)
        with connection.getresponse() as response:
            yield response
    finally:
        end.cancel()
        connection.close()


def _connected(host: str, port: int, until: float) -> socket.socket:
    """To the first of the host's addresses that takes us; each gets its share of the time."""
    failure = OSError()
    places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for number, (*_, address) in enumerate(places):
        try:
            sock = socket.create_connection((str(address[0]), port), _left(until) / (len(places) - number))
            sock.settimeout(_left(until))
        except OSError as error:
            failure = error
        else:
            return sock
    raise failure


def _left(until: float) -> float:
    if (left := until - time.monotonic()) <= 0:
        raise TimeoutError
    return left


def _hang_up(sock: socket.socket) -> None:
    with suppress(OSError):  # it is closed already
        # Not the method of ssl.SSLSocket, which would take the session away from the thread that reads.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _body(response: HTTPResponse, until: float) -> bytes:
    body = bytearray()
    while some := response.read1(65_536):
        body += some
        if len(body) > MAX_BYTES:
            raise _NoReport("its answer is too long for a health report")
    _left(until)  # else it may be half of the body: we have hung up
    return bytes(body)


def _report(body: bytes) -> Mapping[str, Mapping[str, Any]]:
    try:
        report = json.loads(body)
    except ValueError:
        report = None
    if not isinstance(report, dict) or not isinstance(report.get("metadatabase"), dict):
        raise _NoReport("its answer is not an Airflow health report")
    return {name: fields for name, fields in report.items() if isinstance(fields, dict)}


def _reason(error: Exception, until: float) -> str:
    """Not str(error), which can quote what a password is in."""
    if isinstance(error, TimeoutError) or time.monotonic() >= until:
        return "no answer in time"
    if isinstance(error, HTTPException):
        return "it breaks off, or does not speak HTTP"
    return f"cannot connect: {getattr(error, 'strerror', None) or 'is that a host?'}"
