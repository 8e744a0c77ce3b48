"""Sends the snapshot to a StatsD agent, over UDP or TCP, with or without DogStatsD's tags."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import chain
from typing import TypeVar

from airflow_obs.errors import PushFailed
from airflow_obs.exporter.board import Snapshot
from airflow_obs.exporter.push.statsd_clients import TcpClient, UdpClient, Unread
from airflow_obs.exporter.push.statsd_figures import Increments, gauges
from airflow_obs.exporter.push.statsd_names import Names
from airflow_obs.policy import addresses
from airflow_obs.policy.push import StatsdPush

T = TypeVar("T")

BATCH = 200
"""Series that are handed over together. What was handed over is never sent again: an increment that came twice would be false for
good, one that is lost is missing once."""
INTERRUPTED = "interrupted"
"""Why increments are lost."""
WHOLE = 2**53
"""Below this a float without a fraction is written without a point, since some agents read counters as whole numbers."""


class Statsd:
    """A StatsD agent. It is looked up, and connected to, anew for every push, so that it may move."""

    name = "statsd"

    def __init__(self, policy: StatsdPush, deployment: str) -> None:
        self.of = (policy, deployment)
        self.interval = policy.interval
        self.lost = Counter({INTERRUPTED: 0})
        self._address, self._transport = policy.address, policy.transport
        self._tagged = policy.tags == "datadog"
        self._names = Names(policy, deployment)
        self._increments = Increments()
        self._failures = 0
        self._client: UdpClient | TcpClient | None = None
        self._closed = False

    @property
    def where(self) -> str:
        return f"{self._address} over {self._transport}"

    @property
    def waiting(self) -> int:
        """No snapshot waits: gauges are true when they are sent, and increments add up."""
        return 0

    def send(self, snapshot: Snapshot, /) -> None:
        standing = [*gauges(snapshot, infos=self._tagged)]
        increments = self._increments.due(snapshot)
        news = [one for one in increments if any(value for _, value in one.parts)]
        names = self._names.of(
            chain((series for series, _ in standing), (series for one in increments for series, _ in one.parts))
        )
        begun = False
        try:
            with closing(self._made()) as client:
                client.connect()
                for some in _batches(standing):
                    with client.pipeline() as lines:
                        for series, value in some:
                            lines.gauge(names[series], _number(value))
                # Increments are handed over once. So they come after the gauges, and only to an agent that has read those and,
                # over TCP, lets itself be connected to again.
                client.confirm()
                if news:
                    client.connect()
                for added in _batches(news):
                    with client.pipeline() as lines:
                        begun = True
                        for one in added:
                            self._increments.sent(one)
                            for series, value in one.parts:
                                lines.incr(names[series], _number(value))
                client.confirm()
        except (OSError, UnicodeError) as error:  # UnicodeError: no host can be called that
            self._failures += 1
            self.lost[INTERRUPTED] += begun
            if isinstance(error, Unread):
                raise PushFailed(f"{self._address}: {error}") from None
            why = getattr(error, "strerror", None) or error
            raise PushFailed(
                f"{self._address}: {why}; is a StatsD agent there that takes {self._transport.upper()}?"
            ) from None

    def close(self) -> None:
        self._closed = True
        if self._client:
            self._client.interrupt()

    def _made(self) -> UdpClient | TcpClient:
        host, port = addresses.parse(self._address)
        kind, client = (socket.SOCK_DGRAM, UdpClient) if self._transport == "udp" else (socket.SOCK_STREAM, TcpClient)
        # As the package has it, IPv4 first; where that failed, the other next time.
        found = sorted({family for family, *_ in socket.getaddrinfo(host, port, type=kind)})
        family = found[self._failures % len(found)]
        if self._closed:
            raise InterruptedError("the exporter stops")
        self._client = client(host, port, ipv6=family == socket.AF_INET6)
        return self._client


def _batches(series: Sequence[T]) -> Iterator[Sequence[T]]:
    return (series[start : start + BATCH] for start in range(0, len(series), BATCH))


def _number(value: float) -> float:
    return int(value) if abs(value) < WHOLE and value == int(value) else value
