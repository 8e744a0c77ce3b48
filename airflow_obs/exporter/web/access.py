"""Who gets in: TLS, client certificates, passwords and rates, as --web.config.file says, read again whenever it changes."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import math
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPServerRequest

from airflow_obs.catalog import metrics
from airflow_obs.errors import PolicyError, Problem
from airflow_obs.exporter.web import config, tls
from airflow_obs.exporter.web.config import TLS, USERS, Written
from airflow_obs.exporter.web.passwords import Passwords
from airflow_obs.exporter.web.rate import Bucket
from airflow_obs.exporter.web.refusals import Refusals
from airflow_obs.exporter.web.turns import Busy
from airflow_obs.exporter.web.watch import Watch
from airflow_obs.model import Reading

log = logging.getLogger(__name__)

CONFIG = "web"
CHALLENGE = {"WWW-Authenticate": 'Basic realm="airflow-obs", charset="UTF-8"'}
BUSY_SECONDS = 1
"""After which who was one too many may come again."""

_NAMES = ("DNS", "email", "URI")


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered: the HTTP status, the `reason` of web_refused_total, and headers to send with it."""

    status: int
    reason: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _InForce:
    """A file that was taken, and what was made of it."""

    written: Written
    pem: tls.Pem | None
    context: tls.Context | None
    passwords: Passwords | None
    bucket: Bucket | None

    @classmethod
    def made(cls, written: Written, pem: tls.Pem | None, before: _InForce | None) -> _InForce:
        """Of this file; what it leaves as `before` it was goes on: passwords known, requests counted. Raises PolicyError."""
        said, was = written.said, before.written.said if before else None
        context = tls.context(written, pem) if pem else None
        known = before.passwords if before else None
        if was and said.basic_auth_users == was.basic_auth_users:
            passwords = known
        else:
            passwords = Passwords(said.basic_auth_users, known) if said.basic_auth_users else None
        if before and was and said.rate_limit == was.rate_limit:
            bucket = before.bucket
        else:
            bucket = Bucket(said.rate_limit.interval, said.rate_limit.burst) if said.rate_limit.interval else None
        return cls(written, pem, context, passwords, bucket)


class Access:
    """Guards one endpoint. Raises PolicyError, with file:line:col, for a file that cannot be used; None lets everybody in.

    When a connection or a request comes it looks whether the file, or one that it names, has changed. A change that cannot be used
    changes nothing; nor does one that would add TLS, or take away altogether TLS, passwords, or what is asked of certificates, as a
    file does that is empty because somebody is writing it: for that the exporter is started anew. Whoever asks next waits until
    `news` has been called, in a thread, which makes the page that tells it.
    """

    def __init__(self, config_file: Path | None = None) -> None:
        self.news: Callable[[], object] = lambda: None
        self._untold = False
        self._refusals = Refusals()
        self._watch = Watch()
        self._watched = [config_file] if config_file else []
        self._in_force: _InForce | None = None
        self._wrong: str | None = None
        self._taken = 0.0
        if config_file:
            self._watch.changed(self._watched)
            self._take(config_file)

    @property
    def encrypted(self) -> bool:
        """Whether connections are TLS; that never changes."""
        return bool(self._in_force and self._in_force.context)

    @property
    def headers(self) -> Mapping[str, str]:
        """What every answer carries."""
        if not self._in_force:
            return {}
        given = self._in_force.written.said.http_server_config.headers.model_dump(by_alias=True)
        return {name: value for name, value in given.items() if value}

    def context(self) -> ssl.SSLContext | None:
        """For a connection that has just come, by the newest certificates that can be used; None without TLS."""
        self._look()
        return self._in_force.context if self._in_force else None

    async def refusal(self, request: HTTPServerRequest) -> Refusal | None:
        """Why this request is not answered; None if it is."""
        self._look()
        if self._untold:
            self._untold = False
            await asyncio.to_thread(self.news)
        refusal = await _judged(self._in_force, request) if self._in_force else None
        if refusal:
            self.refused(refusal.reason, str(request.remote_ip))
        return refusal

    def refused(self, reason: str, address: str) -> None:
        """Count what was refused, here or elsewhere: a handshake, a connection too many; of whom, goes into the log."""
        self._refusals.count(reason, address)

    def readings(self) -> Iterator[Reading]:
        """What was refused, and whether the newest file was taken."""
        yield from self._refusals.readings()
        if self._in_force:
            yield metrics.CONFIG_RELOADED.sample(self._wrong is None, config=CONFIG)
            yield metrics.CONFIG_LOADED.sample(self._taken, config=CONFIG)

    def _look(self) -> None:
        """Take what has changed, if it can be used."""
        if not self._in_force or not self._watch.changed(self._watched):
            return
        try:
            self._take(self._in_force.written.path)
        except PolicyError as error:
            if str(error) == self._wrong:
                return
            self._wrong, self._untold = str(error), True
            for line in self._wrong.splitlines():
                log.error("web: not taken, what was before holds: %s", line)

    def _take(self, path: Path) -> None:
        """Go on with what the file says now, and what those hold that it names; raises PolicyError and changes nothing."""
        before = self._in_force
        written = config.read(path)
        named = (written.file(f"{name}_file") for name in tls.NAMES)
        self._watched = [path, *filter(None, named)]
        pem = tls.read(written)
        if before and (wrong := list(_taken_away(before.written, written))):
            raise PolicyError(wrong)
        if before and (written, pem) == (before.written, before.pem):
            if self._wrong is None:
                return
        else:
            self._in_force = _InForce.made(written, pem, before)
        self._wrong, self._taken = None, time.time()
        if before:
            self._untold = True
            log.info("web: %s was read again, and holds from now on", path)
        if pem:
            tls.warn(written, pem)
        elif not written.root.entries:
            log.warning("web: %s says nothing: everybody gets in, without encryption", path)


def _taken_away(before: Written, after: Written) -> Iterator[Problem]:
    """What a file lacks (or has) that it may not while the exporter runs."""
    was, now = before.said.tls_server_config, after.said.tls_server_config
    restart = "while the exporter runs: start it anew if that is meant"
    if bool(was) != bool(now):
        yield after.wrong(f"TLS cannot be {'added' if now else 'taken away'} {restart}", TLS)
    if before.said.basic_auth_users and not after.said.basic_auth_users:
        yield after.wrong(f"the passwords of all users cannot be taken away {restart}", USERS)
    if was and now:
        if was.requires > now.requires or was.verifies > now.verifies:
            yield after.wrong(f"certificates of clients cannot be done without {restart}", TLS, "client_auth_type")
        if (was.client_ca or was.client_ca_file) and not (now.client_ca or now.client_ca_file):
            yield after.wrong(f"clients' authorities cannot become all that the system trusts {restart}", TLS)
        if was.client_allowed_sans and not now.client_allowed_sans:
            yield after.wrong(f"the list of allowed names cannot be taken away {restart}", TLS, "client_allowed_sans")


async def _judged(rules: _InForce, request: HTTPServerRequest) -> Refusal | None:
    """Names in certificates first, which exporter-toolkit checks in the handshake, then the rate, then passwords."""
    if rules.context and not _comes_by(rules.context, rules.written, request):
        return Refusal(403, "certificate", {"Connection": "close"})
    if rules.bucket and (seconds := rules.bucket.take()):
        return Refusal(429, "rate", {"Retry-After": str(math.ceil(seconds))})
    if rules.passwords is None:
        return None
    try:
        admitted = await rules.passwords.admit(request.headers.get("Authorization", ""), str(request.remote_ip))
    except Busy:
        return Refusal(503, "busy", {"Retry-After": str(BUSY_SECONDS)})
    return None if admitted else Refusal(401, "unauthenticated", CHALLENGE)


def _comes_by(context: tls.Context, written: Written, request: HTTPServerRequest) -> bool:
    """Whether the request comes by a connection that would be let in now, with a certificate of an allowed name.

    A certificate may have expired since the handshake, or since that of a session of TLS 1.2 which was taken up again.
    """
    settings = written.said.tls_server_config
    if settings is None or not settings.verifies:
        return True
    connection = request.connection
    if not isinstance(connection, HTTP1Connection):
        return False
    by = getattr(connection.stream.socket, "context", None)
    certificate = request.get_ssl_certificate() if by else None
    if not isinstance(by, tls.Context) or by.lets_in != context.lets_in or _expired(certificate):
        # Hung up on without a word, as if it had been idle for too long: most clients then come again by a new connection.
        connection.stream.close()
        return False
    if not settings.client_allowed_sans:
        return True
    return not _names(certificate).isdisjoint(settings.client_allowed_sans)


def _expired(certificate: Any) -> bool:
    """Whether a certificate, as ssl gives it, is valid no more; none is always."""
    return bool(certificate) and ssl.cert_time_to_seconds(certificate["notAfter"]) < time.time()


def _names(certificate: Any) -> set[str]:
    """The alternative names of a certificate, as ssl gives it, that exporter-toolkit compares; addresses as Go writes them."""
    found = set()
    for kind, value in (certificate or {}).get("subjectAltName", ()):
        if kind in _NAMES:
            found.add(value)
        elif kind == "IP Address":
            address = ipaddress.ip_address(value.strip())
            mapped = getattr(address, "ipv4_mapped", None)
            found.add(str(mapped or address))
    return found
