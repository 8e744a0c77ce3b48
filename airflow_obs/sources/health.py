"""Asks Airflow's health endpoint, wherever and in whichever release it is."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from airflow_obs.errors import SourceUnreachable, redact

log = logging.getLogger(__name__)

PATHS = ("/api/v2/monitor/health", "/health", "/api/v1/health")
"""3.x, 2.x, and 2.x where a proxy lets only the API through. 3.x answers 404 on the second."""
MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class Answer:
    """One health report as Airflow sent it (component → its fields), and the seconds it took."""

    report: Mapping[str, Mapping[str, Any]]
    seconds: float


class HealthEndpoint:
    """Airflow's health endpoint as a source. `find` gives the base URLs to try, and whether a setting named them.

    `known` is false as long as its place is only a guess that nobody has answered at.
    """

    name = "health"

    def __init__(self, find: Callable[[], tuple[list[str], bool]]) -> None:
        self._find = find
        self._url: str | None = None
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
        urls = [self._url] if self._url else [base.rstrip("/") + path for base in bases for path in PATHS]
        failures: list[str] = []
        for url in urls:
            try:
                answer = _get(url, until)
            except (requests.RequestException, ValueError) as error:
                failures.append(f"{redact(url)}: {_reason(error)}")
                if not isinstance(error, requests.RequestException):
                    self._url = None  # somebody else answers there: Airflow was upgraded, and its endpoint moved
                continue
            if not self._url:
                log.info("health: found at %s", redact(url))
            self._url, self.known = url, True
            return answer
        self.known = self.known or named
        if not self.known:
            return None
        raise SourceUnreachable(
            f"health: {'; '.join(dict.fromkeys(failures))}; is the web server (3.x: API server) up, and the URL right? "
            "(`sources.health.url` in the policy, or AIRFLOW__API__BASE_URL / AIRFLOW__WEBSERVER__BASE_URL)"
        )


def _get(url: str, until: float) -> Answer:
    started = time.monotonic()
    left = until - started
    if left <= 0:
        raise requests.Timeout("no answer in time")
    body = bytearray()
    with requests.get(url, timeout=left, stream=True, headers={"Accept": "application/json"}) as response:
        if response.status_code != requests.codes.ok:
            raise ValueError(f"HTTP status {response.status_code}")
        # The timeout of requests is per read: a server that sends a byte now and then must not hold us.
        # Byte by byte, since a read of more waits until all of it is there.
        for chunk in response.iter_content(1):
            body += chunk
            if len(body) > MAX_BYTES or time.monotonic() > until:
                raise ValueError("its answer is too long, or too slow, for a health report")
    return Answer(_report(bytes(body)), time.monotonic() - started)


def _report(body: bytes) -> Mapping[str, Mapping[str, Any]]:
    try:
        report = json.loads(body)
    except ValueError:
        report = None
    if not isinstance(report, dict) or not isinstance(report.get("metadatabase"), dict):
        raise ValueError("its answer is not an Airflow health report")
    return {name: fields for name, fields in report.items() if isinstance(fields, dict)}


def _reason(error: Exception) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "cannot connect"
    return redact(str(error))
