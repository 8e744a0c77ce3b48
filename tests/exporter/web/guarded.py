"""An endpoint that a web configuration guards, clients with certificates and passwords, and what they are told."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt

from airflow_obs.catalog import metrics
from airflow_obs.exporter.board import Board
from airflow_obs.exporter.web.access import Access
from airflow_obs.model import Metric
from tests.certificates import Authority, Certificate
from tests.exporter.fakes import gives, job
from tests.exporter.web.serving import ANSWER_WITHIN, Answer, serving

PASSWORD = "correct horse"
CHEAP = 4
"""The least cost of a hash that bcrypt knows."""


def hashed(password: str, cost: int = CHEAP) -> str:
    """A bcrypt hash, as htpasswd makes it."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode().replace("$2b$", "$2y$")


def basic(user: str, password: str = PASSWORD) -> dict[str, str]:
    """The header of a client that has these."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def with_tls(certificate: Certificate, *more: str) -> str:
    """A configuration that serves this certificate, with these lines more about TLS."""
    lines = [f"cert_file: {certificate.pem}", f"key_file: {certificate.key}", *more]
    return "tls_server_config:\n" + "".join(f"  {line}\n" for line in lines)


def with_users(**hashes: str) -> str:
    """A configuration with these users."""
    return "basic_auth_users:\n" + "".join(f"  {user}: {one}\n" for user, one in hashes.items())


def replace(path: Path, text: str) -> None:
    """Put another file in this one's place, all at once."""
    renewed = path.with_suffix(".renewed")
    renewed.write_text(text)
    renewed.replace(path)


def trusting(authority: Authority | None, own: Certificate | None = None) -> ssl.SSLContext:
    """What a client goes by that trusts this authority, or whom it meets, and has this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authority is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(authority.ca)
    if own:
        context.load_cert_chain(own.pem, own.key)
    return context


@dataclass
class Guarded:
    """Where a guarded endpoint listens on 127.0.0.1."""

    access: Access
    port: int
    said: list[str] = field(default_factory=list)
    """Every answer, with its head."""

    def connect(
        self, tls: ssl.SSLContext | None = None, session: ssl.SSLSession | None = None
    ) -> http.client.HTTPConnection:
        """A connection that may be used several times, which goes on with that session."""
        if tls is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_WITHIN)
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=ANSWER_WITHIN, context=tls)
        connection.sock = tls.wrap_socket(self.connect_raw(), server_hostname="localhost", session=session)
        return connection

    def connect_raw(self, by: str = "127.0.0.1") -> socket.socket:
        """A connection on which nothing has been said, from that address."""
        return socket.create_connection(("127.0.0.1", self.port), ANSWER_WITHIN, (by, 0))

    def get(
        self, tls: ssl.SSLContext | None = None, headers: Mapping[str, str] | None = None, path: str = "/metrics"
    ) -> Answer:
        """Ask once, by a connection of its own."""
        connection = self.connect(tls)
        try:
            return self.ask(connection, headers, path)
        finally:
            connection.close()

    def ask(
        self, connection: http.client.HTTPConnection, headers: Mapping[str, str] | None = None, path: str = "/metrics"
    ) -> Answer:
        """Ask by this connection."""
        connection.request("GET", path, headers=dict(headers or {}))
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        answer = Answer(response.status, found, response.read())
        self.said.append(f"{response.status} {response.reason} {response.getheaders()} {answer.body!r}")
        return answer

    def status(self, tls: ssl.SSLContext | None = None, headers: Mapping[str, str] | None = None) -> int:
        """The status of an answer to that."""
        return self.get(tls, headers).status

    def refused(self, reason: str) -> float:
        """How many have been, for that reason."""
        return self.account(metrics.WEB_REFUSED, reason)

    def taken(self) -> float:
        """Whether the newest file was."""
        return self.account(metrics.CONFIG_RELOADED, "web")

    def account(self, metric: Metric, label: str) -> float:
        """The value of the series with this label."""
        [value] = [one.value for one in self.access.readings() if one.metric is metric and one.labels[0][1] == label]  # type: ignore[union-attr]  # samples all
        return value


@contextmanager
def guarded(config: Path) -> Iterator[Guarded]:
    """A small board behind this file."""
    access = Access(config)
    pools = job("pools", gives(metrics.POOL_SLOTS.sample(1, pool="one")))
    board = Board("prod", [pools], accounts=access.readings)
    access.news = board.publish
    with serving(board, access=access) as address:
        yield Guarded(access, address.port)
