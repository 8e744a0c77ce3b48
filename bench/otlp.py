"""How many OTLP requests per second the exporter takes on one processor, over HTTP and over gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Literal, get_args

from bench.cores import outcome, start_sender
from bench.figures import Figure, Result
from bench.ingest_process import IngestProcess, ingesting
from bench.otlp_sender import Answered, Senders

METRICS = 60
"""In a request: about as many as a scheduler's."""
PROCESSES = 4
SERIES = 200_000
_TABLE = f"OTLP on one processor, {PROCESSES} senders, {METRICS} metrics a request"
Protocol = Literal["http", "grpc"]


def measure(seconds: float, interval: int) -> Iterator[Result]:
    """Each protocol for so many seconds, with a page of the exporter's every `interval` seconds."""
    with ingesting(SERIES, interval) as process:
        for protocol in get_args(Protocol):
            yield from _over(process, protocol, seconds)


def _over(process: IngestProcess, protocol: Protocol, seconds: float) -> Iterator[Figure]:
    port = process.http if protocol == "http" else process.grpc
    before, busy = process.settled(), process.exporter.cpu_seconds
    load = Senders(protocol, port, PROCESSES, METRICS, seconds)
    answered = Answered(**outcome(start_sender("bench.otlp_sender", asdict(load))))
    cpu = process.exporter.cpu_seconds - busy
    after = process.settled()
    took = answered.milliseconds
    yield Figure(_TABLE, protocol, "requests", len(took) / answered.seconds, "/s")
    yield Figure(_TABLE, protocol, "points", answered.points / answered.seconds, "/s")
    yield Figure(_TABLE, protocol, "p50", took[len(took) // 2], "ms")
    yield Figure(_TABLE, protocol, "p99", took[len(took) * 99 // 100], "ms")
    yield Figure(_TABLE, protocol, "max", took[-1], "ms")
    yield Figure(_TABLE, protocol, "CPU", cpu / len(took) * 1000, "ms/request")
    yield Figure(_TABLE, protocol, "body", answered.body_bytes / 1e3, "kB")
    yield Figure(_TABLE, protocol, "refused", answered.refused)
    yield Figure(_TABLE, protocol, "not accounted for", answered.points - (after.lines - before.lines))
    mapped = after.samples["mapped"] - before.samples["mapped"]
    yield Figure(_TABLE, protocol, "mapped", mapped / answered.points * 100, "%")
