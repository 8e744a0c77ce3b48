"""What the exporter takes, and how fast it answers scrapes, while StatsD lines come in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, replace

from bench.cores import outcome, start_sender
from bench.figures import Figure, Result
from bench.ingest_process import IngestProcess, ingesting
from bench.line_sender import Sent, Stream
from bench.scrapers import Load, Outcome
from bench.throughput import DAGS, SERIES, warm

SCRAPERS = 4
EVERY = 0.25
"""Seconds from scrape to scrape of each."""
_TABLE = "while StatsD lines come in, one a packet"


def measure(rates: list[int], seconds: float, interval: int) -> Iterator[Result]:
    """At each of these rates (lines per second; 0: none come), `seconds` without scrapes and as many with them."""
    with ingesting(SERIES, interval) as process:
        stream = Stream("udp", process.udp, "plain", DAGS, 1, seconds=seconds)
        warm(process, "plain")
        for rate in (0, *rates):
            yield from _at(process, replace(stream, rate=rate), f"{rate:,} lines/s" if rate else "no lines")


def _at(process: IngestProcess, stream: Stream, row: str) -> Iterator[Figure]:
    before = process.settled()
    sent, cpu = _alone(process, stream)
    yield Figure(_TABLE, row, "CPU", cpu, "% of one")
    sending = start_sender("bench.line_sender", asdict(stream)) if stream.rate else None
    load = Load(process.exporter.port, "/metrics", SCRAPERS, stream.seconds, EVERY, "gzip")
    scraped = Outcome(**outcome(start_sender("bench.scrapers", asdict(load))))
    sent += Sent(**outcome(sending)).lines if sending else 0
    took = scraped.milliseconds
    yield Figure(_TABLE, row, "scrape p50", took[len(took) // 2], "ms")
    yield Figure(_TABLE, row, "p99", took[len(took) * 99 // 100], "ms")
    yield Figure(_TABLE, row, "max", took[-1], "ms")
    yield Figure(_TABLE, row, "page gzip", scraped.body_bytes / 1e3, "kB")
    after = process.settled()
    yield Figure(_TABLE, row, "sent", sent)
    yield Figure(_TABLE, row, "lost", sent - (after.lines - before.lines))
    yield Figure(_TABLE, row, "series", after.series)
    yield Figure(_TABLE, row, "RSS", process.exporter.rss_megabytes, "MB")


def _alone(process: IngestProcess, stream: Stream) -> tuple[int, float]:
    """(lines sent, per cent of a processor that the exporter took) while nobody scrapes."""
    busy, started = process.exporter.cpu_seconds, time.perf_counter()
    if stream.rate:
        lines = Sent(**outcome(start_sender("bench.line_sender", asdict(stream)))).lines
    else:
        lines = 0
        time.sleep(stream.seconds)
    return lines, (process.exporter.cpu_seconds - busy) / (time.perf_counter() - started) * 100
