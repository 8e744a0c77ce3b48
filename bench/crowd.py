"""What very many series take, and that a flood of further names makes no more of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict

import requests

from bench.cores import outcome, start_sender
from bench.figures import Figure, Note, Result
from bench.ingest_process import Account, IngestProcess, ingesting
from bench.line_sender import Sent, Stream, What

MANY = 20
PAGES = 3
"""After which the process has the size that it keeps."""
_TABLE = "a crowd of series, and a flood of names"


def measure(series: int, names: int, interval: int) -> Iterator[Result]:
    """`series` different counters, then `names` that there is no room for; a page every `interval` seconds."""
    # What it counts of itself takes no room in the store.
    with ingesting(series, interval, "datadog") as process:
        _pass(process, PAGES)
        empty, of_empty = process.exporter.rss_megabytes, _processor_time(process)
        _send(process, "crowd", series)
        _pass(process, PAGES)
        account = process.account()
        row, exporter = f"{series:,} series", process.exporter
        full = exporter.rss_megabytes
        yield Figure(_TABLE, row, "series", account.series)
        yield Figure(_TABLE, row, "RSS", full, "MB")
        yield Figure(_TABLE, row, "a series", (full - empty) * 1e6 / series, "B")
        yield Figure(_TABLE, row, "page", _page_bytes(exporter.port, "identity") / 1e6, "MB")
        yield Figure(_TABLE, row, "gzip", _page_bytes(exporter.port, "gzip") / 1e6, "MB")
        yield Figure(_TABLE, row, "CPU of a page", _processor_time(process) - of_empty, "s")
        yield from _flooded(process, names, account, full)
        yield Note(_TABLE, f"before any series it had {empty:.0f} MB, peak {exporter.peak_rss_megabytes:.0f} MB")


def _flooded(process: IngestProcess, names: int, before: Account, full: float) -> Iterator[Result]:
    row = f"and a flood of {names:,} names"
    sent = _send(process, "flood", names)
    _pass(process, PAGES)
    after, rss = process.account(), process.exporter.rss_megabytes
    yield Figure(_TABLE, row, "series", after.series)
    yield Figure(_TABLE, row, "RSS", rss, "MB")
    yield Figure(_TABLE, row, "RSS / before", rss / full)
    yield Figure(_TABLE, row, "counted", after.lines - before.lines)
    yield Figure(_TABLE, row, "dropped", after.samples["dropped"] - before.samples["dropped"])
    yield Figure(_TABLE, row, "unmapped", after.samples["unmapped"] - before.samples["unmapped"])
    yield Figure(_TABLE, row, "lines", sent.lines / sent.seconds, "/s")


def _send(process: IngestProcess, what: What, amount: int) -> Sent:
    """Over TCP, which waits for who is slow."""
    sent = Sent(**outcome(start_sender("bench.line_sender", asdict(Stream("tcp", process.tcp, what, amount, MANY)))))
    process.settled()
    return sent


def _pass(process: IngestProcess, pages: int) -> None:
    time.sleep(pages * process.interval)


def _processor_time(process: IngestProcess) -> float:
    """Seconds that one page takes while nothing comes."""
    busy = process.exporter.cpu_seconds
    _pass(process, PAGES)
    return (process.exporter.cpu_seconds - busy) / PAGES


def _page_bytes(port: int, encoding: str) -> int:
    answer = requests.get(f"http://127.0.0.1:{port}/metrics", headers={"Accept-Encoding": encoding}, timeout=60)
    return int(answer.headers["Content-Length"])
