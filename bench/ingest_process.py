"""The exporter as a process that takes StatsD and OTLP, and what its page says of what came."""

from __future__ import annotations

import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from airflow_obs.catalog import metrics
from airflow_obs.model import Metric
from bench.airflow_lines import RELEASE
from bench.cores import RECEIVER, pin
from bench.exporter_process import ExporterProcess, exporter

LOOK_EVERY = 0.5
SETTLE = 1.0
"""Seconds for what waits in the kernel and in the exporter after the last line was sent."""
READ_WITHIN = 600.0

POLICY = """\
deployments:
  - name: airflow
    airflow: {{version: {release}}}
    sources:
      statsd: {{listen_udp: "127.0.0.1:{udp}", listen_tcp: "127.0.0.1:{tcp}", tags: {tags}}}
      otlp: {{listen_http: "127.0.0.1:{http}", listen_grpc: "127.0.0.1:{grpc}"}}
collectors:
  ingest: {{interval: {interval}s, timeout: {interval}s, max_series: {most}, max_total: {most}}}
"""

_LINE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")


@dataclass(frozen=True)
class Account:
    """What the exporter says came, since it started."""

    samples: Counter[str]
    """By outcome."""
    lost: int
    """Datagrams that the kernel dropped."""
    series: int

    @property
    def lines(self) -> int:
        return self.samples.total()


@dataclass(frozen=True)
class IngestProcess:
    """An exporter on a processor of its own, and the ports that it takes things at."""

    exporter: ExporterProcess
    interval: int
    """Seconds from page to page."""
    udp: int
    tcp: int
    http: int
    grpc: int

    def account(self) -> Account:
        """As of the newest page."""
        return _account(self.exporter.page())

    def settled(self) -> Account:
        """As of a page that shows all that was sent before; raises RuntimeError if no such page comes."""
        time.sleep(SETTLE)
        asked, until = time.time(), time.monotonic() + READ_WITHIN
        while time.monotonic() < until:
            page = self.exporter.page()
            if _value(page, metrics.COLLECTOR_LAST_SUCCESS, 'collector="ingest"') > asked + self._reads(page):
                return _account(page)
            time.sleep(LOOK_EVERY)
        raise RuntimeError("bench: the exporter made no page of what was sent")

    @staticmethod
    def _reads(page: str) -> float:
        """Seconds that making the readings takes: a success is noted when it is over, of what was there when it began."""
        return _value(page, metrics.COLLECTOR_DURATION, 'collector="ingest"')


@contextmanager
def ingesting(most: int, interval: int, tags: str = "none") -> Iterator[IngestProcess]:
    """Start one for at most so many series, with a page every `interval` seconds; stop it at the end."""
    udp, tcp, http, grpc = _free_ports(4)
    policy = POLICY.format(
        release=RELEASE, udp=udp, tcp=tcp, http=http, grpc=grpc, tags=tags, interval=interval, most=most
    )
    with exporter(policy) as process:
        pin(process.process.pid, RECEIVER)
        yield IngestProcess(process, interval, udp, tcp, http, grpc)


def _account(page: str) -> Account:
    samples: Counter[str] = Counter()
    for labels, value in _lines(page, metrics.INGEST_SAMPLES):
        found = re.search(r'outcome="(\w+)"', labels)
        samples[found[1] if found else ""] += round(value)
    lost = sum(value for _, value in _lines(page, metrics.INGEST_LOST))
    return Account(samples, round(lost), round(_value(page, metrics.INGEST_SERIES, "")))


def _value(page: str, metric: Metric, having: str) -> float:
    return next((value for labels, value in _lines(page, metric) if having in labels), 0.0)


def _lines(page: str, metric: Metric) -> Iterator[tuple[str, float]]:
    for line in page.splitlines():
        if line.startswith(metric.name) and (found := _LINE.fullmatch(line)) and found[1] == metric.name:
            yield found[2] or "", float(found[3])


def _free_ports(count: int) -> list[int]:
    """Ports that nobody has now: all are taken at once, so that no two are the same."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
