"""How many StatsD lines per second the exporter takes on one processor without losing any, beside a plain loop."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Protocol

import psutil

from bench.cores import RECEIVER, SENDER, outcome, pin, start_sender
from bench.figures import Figure, Note, Result
from bench.ingest_process import IngestProcess, ingesting
from bench.line_sender import Sent, Stream, Transport, What
from bench.plain_loop import PlainLoop, plain_loop

DAGS = 200
MANY = 20
"""Lines in a packet of those who pack them."""
STEP = 0.93
"""What the rate is multiplied by while lines are lost."""
SERIES = 200_000
DECIDED_WITHIN = 60.0
"""Seconds; what could be sent in another spelling, too, waits for that for ten."""
STYLES: dict[What, str] = {"plain": "none", "datadog": "datadog", "influxdb": "influxdb"}
"""Styles of lines, and what the policy calls them."""
_TABLE = "StatsD lines on one processor"


class Receiver(Protocol):
    """Who is measured."""

    @property
    def process_id(self) -> int: ...

    def port(self, transport: Transport) -> int: ...

    def lines(self) -> int:
        """Lines that it has counted, of all that were sent before."""


@dataclass(frozen=True)
class Exporter:
    """Ours."""

    process: IngestProcess

    @property
    def process_id(self) -> int:
        return self.process.exporter.process.pid

    def port(self, transport: Transport) -> int:
        return self.process.udp if transport == "udp" else self.process.tcp

    def lines(self) -> int:
        return self.process.settled().lines


@dataclass(frozen=True)
class Loop:
    """The floor."""

    loop: PlainLoop

    @property
    def process_id(self) -> int:
        return self.loop.process_id

    def port(self, _transport: Transport) -> int:
        return self.loop.port

    def lines(self) -> int:
        return self.loop.lines()


@dataclass(frozen=True)
class Trial:
    """What was sent, how much of it was counted, and the seconds of processor time that took."""

    sent: Sent
    counted: int
    cpu: float

    @property
    def lost(self) -> int:
        return self.sent.lines - self.counted

    @property
    def per_second(self) -> float:
        """Lines counted per second of sending."""
        return self.counted / self.sent.seconds


def measure(styles: Sequence[What], seconds: float, interval: int, trials: int) -> Iterator[Result]:
    """At most so many trials of so many seconds for each figure, with a page of the exporter's every `interval` seconds."""
    best: dict[tuple[str, int], float] = {}
    for style in styles:
        with ingesting(SERIES, interval, STYLES[style]) as process:
            receiver = Exporter(process)
            warm(process, style)
            for transport, packing in _ways(style):
                stream = Stream(transport, receiver.port(transport), style, DAGS, packing, seconds=seconds)
                flat_out, kept_up = sustained(receiver, stream, trials)
                yield from _figures(f"{style}, {transport}, {packing} a packet", flat_out, kept_up)
                if style == "plain" and transport == "udp":
                    best["exporter", packing] = kept_up.per_second
            account = process.account()
            share = account.samples["mapped"] / max(1, account.lines)
            yield Note(_TABLE, f"{style}: {account.series:,} series, {share:.0%} of the lines mapped")
    with plain_loop() as loop:
        pin(loop.process_id, RECEIVER)
        for packing in (1, MANY):
            flat_out, kept_up = sustained(
                Loop(loop), Stream("udp", loop.port, "plain", DAGS, packing, seconds=seconds), trials
            )
            yield from _figures(f"plain loop, udp, {packing} a packet", flat_out, kept_up)
            if "plain" in styles:
                ratio = best["exporter", packing] / kept_up.per_second
                yield Figure(_TABLE, f"exporter / plain loop, {packing} a packet", "ratio", ratio)
    if RECEIVER == SENDER:
        yield Note(_TABLE, "there is only one processor: who sends and who receives share it", loud=True)


def warm(process: IngestProcess, style: What) -> None:
    """Every line once, until all are decided: finding out what a line becomes takes longer than anything after."""
    sent = Sent(**outcome(start_sender("bench.line_sender", asdict(Stream("tcp", process.tcp, style, DAGS, MANY)))))
    until = time.monotonic() + DECIDED_WITHIN
    while process.settled().lines < sent.lines:
        if time.monotonic() > until:
            raise RuntimeError(f"bench: of {sent.lines} lines over TCP, not all were accounted for")


def sustained(receiver: Receiver, stream: Stream, trials: int) -> tuple[Trial, Trial]:
    """A trial as fast as it goes, and the fastest of a few of which nothing was lost, from above; the last one if none was."""
    trial = flat_out = tried(receiver, stream)
    rate = flat_out.per_second
    for _ in range(trials):
        if not trial.lost:
            break
        trial = tried(receiver, replace(stream, rate=rate))
        rate *= STEP
    return flat_out, trial


def tried(receiver: Receiver, stream: Stream) -> Trial:
    """Send it, and see what came of it."""
    before, process = receiver.lines(), psutil.Process(receiver.process_id)
    busy = process.cpu_times()
    sent = Sent(**outcome(start_sender("bench.line_sender", asdict(stream))))
    after = process.cpu_times()
    counted = receiver.lines() - before
    return Trial(sent, counted, after.user + after.system - busy.user - busy.system)


def _ways(style: What) -> tuple[tuple[Transport, int], ...]:
    return (("udp", 1), ("udp", MANY), ("tcp", MANY)) if style == "plain" else (("udp", 1), ("udp", MANY))


def _figures(row: str, flat_out: Trial, kept_up: Trial) -> Iterator[Figure]:
    aim = "" if row.startswith("plain loop") else ">= 150,000"
    yield Figure(_TABLE, row, "without loss", kept_up.per_second, "/s", aim)
    yield Figure(_TABLE, row, "lost", kept_up.lost)
    yield Figure(_TABLE, row, "CPU", kept_up.cpu / kept_up.counted * 1e6, "us/line")
    yield Figure(_TABLE, row, "sent as fast as it goes", flat_out.sent.lines / flat_out.sent.seconds, "/s")
    yield Figure(_TABLE, row, "of these counted", flat_out.per_second, "/s")
