"""Streams of points, and which series of them there were: one that is there no more has ended, which is to be said once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    NumberDataPoint,
    Sum,
)

_CUMULATIVE = AggregationTemporality.CUMULATIVE

Points = Sequence[NumberDataPoint] | Sequence[HistogramDataPoint]
Data = Gauge | Sum | Histogram
_Attributes = tuple[tuple[str, Any], ...]


def cumulative_sum(points: Sequence[NumberDataPoint]) -> Sum:
    """The data of a counter."""
    return Sum(points, _CUMULATIVE, is_monotonic=True)


def cumulative_histogram(points: Sequence[HistogramDataPoint]) -> Histogram:
    """The data of a histogram."""
    return Histogram(points, _CUMULATIVE)


@dataclass(frozen=True)
class Stream:
    """What the points of one metric have in common; `data` makes the metric's data of some of them."""

    name: str
    about: str
    data: Callable[[Sequence[Any]], Data]
    unit: str
    bounds: tuple[float, ...] = ()
    """Of a histogram's buckets."""


class Present:
    """Shown every stream of every snapshot; remembers the series of the newest, and of the one before until the next."""

    def __init__(self) -> None:
        self._now: dict[tuple[str, object], tuple[Stream, set[_Attributes]]] = {}
        self._before = self._now

    def next(self) -> None:
        """Go on to the next snapshot."""
        self._before, self._now = self._now, {}

    def seen(self, of: tuple[Stream, Points]) -> tuple[Stream, Points]:
        """Remember the series of these points; gives what it was given."""
        stream, points = of
        _, series = self._now.setdefault((stream.name, stream.data), (stream, set()))
        series.update(tuple((point.attributes or {}).items()) for point in points)
        return of

    def ended(self, moment: int) -> Iterator[tuple[Stream, Points]]:
        """Of every series that was there and is not now, a point of that moment (Unix nanoseconds) without a value.

        To be asked when all streams of the snapshot were seen. Each by itself: of several such points of a metric, a Collector's
        Prometheus exporter reads the first alone.
        """
        for key, (stream, before) in self._before.items():
            _, now = self._now.get(key, (stream, set()))
            for series in before - now:
                yield stream, _ended(stream, dict(series), moment)
        self._before = {}


def _ended(stream: Stream, attributes: dict[str, Any], moment: int) -> Points:
    if stream.data is cumulative_histogram:
        # With its buckets, which are series of their own to some stores.
        none = [0] * (len(stream.bounds) + 1)
        return [HistogramDataPoint(attributes, moment, moment, 0, 0.0, none, stream.bounds, 0.0, 0.0)]
    return [NumberDataPoint(attributes, moment, moment, 0.0)]
