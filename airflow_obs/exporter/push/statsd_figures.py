"""What of a snapshot goes out as StatsD: gauges as they stand, and of what is counted the increments."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from prometheus_client.utils import floatToGoString

from airflow_obs.exporter.board import Snapshot
from airflow_obs.exporter.push.statsd_names import Series
from airflow_obs.model import Distribution, Kind, Quantiles, Reading, Sample


def gauges(snapshot: Snapshot, *, infos: bool) -> Iterator[tuple[Series, float]]:
    """What stands now; `infos` too where labels can be sent, since they are all that an info says. Finite, as StatsD wants it."""
    for reading in chain.from_iterable(snapshot.readings_of_airflow):
        for series, value in _standing(reading, infos):
            if math.isfinite(value):
                yield series, value


def _standing(reading: Reading, infos: bool) -> Iterator[tuple[Series, float]]:
    name, kind, labels = reading.metric.name, reading.metric.kind, reading.labels
    match reading:
        case Sample(value=value) if kind is Kind.GAUGE or (kind is Kind.INFO and infos):
            yield (name, labels), value
        case Distribution(counts=counts, total=total) if kind is Kind.GAUGE_HISTOGRAM:
            yield (f"{name}_gcount", labels), sum(counts)
            yield (f"{name}_gsum", labels), total
        case Quantiles(values=values):
            for quantile, value in values:
                yield (name, (*labels, ("quantile", floatToGoString(quantile)))), value
        case _:
            pass


def totals(reading: Reading) -> tuple[tuple[Series, float], ...]:
    """What it has counted; of a distribution how many were observed, and their sum. Empty for what stands."""
    name, labels = reading.metric.name, reading.labels
    match reading:
        case Sample(value=value) if reading.metric.kind is Kind.COUNTER:
            return (((name, labels), value),)
        case Distribution(counts=counts, total=total) if reading.metric.kind is Kind.HISTOGRAM:
            return ((f"{name}_count", labels), sum(counts)), ((f"{name}_sum", labels), total)
        case Quantiles(count=count, total=total):
            return ((f"{name}_count", labels), count), ((f"{name}_sum", labels), total)
        case _:
            return ()


@dataclass(frozen=True, slots=True)
class Increment:
    """What a reading has counted since it was last sent; `of` is the reading and `upto` what it says now."""

    of: Series
    upto: tuple[float, ...]
    parts: tuple[tuple[Series, float], ...]


class Increments:
    """Remembers of every series that exists how much of it was sent; what was not adds up.

    What the first snapshot counts was counted before anybody took it: nothing of it is sent. So it is with the series of a
    collector that knew nothing until now, for a server's own counters are old. What any other collector has for the first time
    began at 0. What has fallen began anew.
    """

    def __init__(self) -> None:
        self._sent: dict[Series, tuple[float, ...]] = {}
        self._known: frozenset[str] | None = None
        """The collectors that have succeeded before; None before the first snapshot."""

    def due(self, snapshot: Snapshot) -> list[Increment]:
        """Of all that counts, what is to be sent, even if it is nothing. What no longer exists is forgotten."""
        names = {status.job.name for status in snapshot.statuses}
        silent = names if self._known is None else names - self._known
        found: dict[Series, Increment] = {}
        sent: dict[Series, tuple[float, ...]] = {}
        for reading in chain.from_iterable(snapshot.readings_of_airflow):
            counted = totals(reading)
            if not counted or not all(math.isfinite(value) for _, value in counted):
                continue
            of, upto = counted[0][0], tuple(value for _, value in counted)
            before = self._sent.get(of)
            if before is None and (self._known is None or {reading.metric.collector, reading.metric.also} & silent):
                before = upto
            elif before is None or upto[0] < before[0]:
                before = (0.0,) * len(upto)
            sent[of] = before
            parts = ((series, now - then) for (series, now), then in zip(counted, before, strict=True))
            found[of] = Increment(of, upto, tuple(parts))
        self._sent = sent
        self._known = frozenset(status.job.name for status in snapshot.statuses if status.last_success is not None)
        return [*found.values()]

    def sent(self, increment: Increment) -> None:
        """It has been, or will never be."""
        self._sent[increment.of] = increment.upto
