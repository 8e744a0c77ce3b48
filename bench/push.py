"""What a push over OTLP of a large page takes, and what a receiver that stays away costs in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from itertools import count, islice
from typing import get_args

import psutil

from airflow_obs.catalog import metrics
from airflow_obs.errors import PushFailed
from airflow_obs.exporter.board import Snapshot
from airflow_obs.exporter.push.otlp.buffer import Packed
from airflow_obs.exporter.push.otlp.data import Requests
from airflow_obs.exporter.push.otlp.destination import Otlp
from airflow_obs.exporter.push.otlp.settings import resource
from airflow_obs.model import Kind, Reading
from airflow_obs.policy.push import OtlpPush
from bench.figures import Figure, Result
from tests.exporter.push.otlp_collector import Protocol, collecting

BUFFERED = 20
"""Snapshots that the buffer holds in the measurement of memory; it is filled ten times."""
NOBODY = "http://127.0.0.1:1"


def measure(series: int, runs: int) -> Iterator[Result]:
    """A page of so many series, pushed `runs` times."""
    page = Snapshot("bench", time.time(), (), (list(islice(_readings(), series)),), b"", b"", b"", b"")
    requests = Requests(resource(OtlpPush(), "bench"))
    table = f"OTLP out, {series:,} series"
    packed = Packed(requests.of(page))
    yield Figure(table, "made", "CPU", _milliseconds(lambda: Packed(requests.of(page)), runs), "ms")
    yield Figure(table, "made", "requests", len(packed.requests))
    yield Figure(table, "made", "packed", packed.bytes / 1e3, "kB")
    for protocol in get_args(Protocol):
        with collecting(protocol) as collector:
            policy = OtlpPush(endpoint=f"http://127.0.0.1:{collector.port}", protocol=protocol)
            sending = Otlp(policy, "bench", {})

            def push(sending: Otlp = sending) -> None:
                sending.send(page)
                collector.requests.clear()

            yield Figure(table, f"pushed over {protocol}, with the receiver", "CPU", _milliseconds(push, runs), "ms")
    for protocol in get_args(Protocol):
        yield from _without_receiver(protocol, page, packed.bytes)


def _without_receiver(protocol: Protocol, page: Snapshot, size: int) -> Iterator[Figure]:
    policy = OtlpPush(endpoint=NOBODY, protocol=protocol)
    sending = Otlp(policy.model_copy(update={"buffer": Decimal(BUFFERED * size)}), "bench", {})
    process = psutil.Process()
    table = f"A receiver that stays away, buffer of {BUFFERED} pushes"
    before = process.memory_info().rss
    for pushes in (BUFFERED, 10 * BUFFERED):
        while sending.waiting + sending.lost.total() < pushes:
            with suppress(PushFailed):
                sending.send(page)
        grown = process.memory_info().rss - before
        yield Figure(table, f"{protocol}, after {pushes} pushes", "memory", grown / 1e6, "MB")
        yield Figure(table, f"{protocol}, after {pushes} pushes", "buffer", sending.waiting * size / 1e6, "MB")
        yield Figure(table, f"{protocol}, after {pushes} pushes", "lost", sending.lost.total())


def _readings() -> Iterator[Reading]:
    """Of all families that have labels and one value, in turn."""
    families = [one for one in metrics.ALL if one.labels and one.kind in {Kind.GAUGE, Kind.COUNTER}]
    for number in count():
        for family in families:
            yield family.sample(number * 1.5, **{label: f"some_{label}_{number}" for label in family.labels})


def _milliseconds(what: Callable[[], object], runs: int) -> float:
    """CPU of this process, of the middle one of so many runs."""
    took = []
    for _ in range(runs):
        began = time.process_time()
        what()
        took.append(time.process_time() - began)
    return sorted(took)[len(took) // 2] * 1000
