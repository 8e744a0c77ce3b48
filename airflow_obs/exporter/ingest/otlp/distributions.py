"""Distributions as OTLP has them, with given bounds or with exponential buckets: what came on top, and where that falls."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

MAX_EXPONENT = 1023
MIN_EXPONENT = -1074
"""Powers of two that a float can hold."""


@dataclass(frozen=True, slots=True)
class Explicit:
    """Observations per bucket (upper bounds ascending, one count more than bounds, not cumulative) and their sum.

    `total` is None where the sender does not say.
    """

    bounds: tuple[float, ...]
    counts: array[float]
    total: float | None

    def since(self, older: Explicit | Exponential) -> Explicit | None:
        """What was observed after `older`; None if this does not continue it."""
        if not isinstance(older, Explicit) or older.bounds != self.bounds:
            return None
        more = array("d", (now - then for now, then in zip(self.counts, older.counts, strict=True)))
        return Explicit(self.bounds, more, _more(self.total, older.total)) if min(more) >= 0 else None

    @property
    def count(self) -> float:
        return sum(self.counts)

    def values(self) -> Iterator[tuple[float, float]]:
        """(a value in the middle of the bucket, how many) for each bucket that has any.

        What is above the last bound has no middle; there it is the mean of what the others leave of the sum.
        """
        told = 0.0
        for index, (upper, count) in enumerate(zip(self.bounds, self.counts, strict=False)):
            if count:
                lower = self.bounds[index - 1] if index else min(0.0, upper)
                middle = lower + (upper - lower) / 2
                told += middle * count
                yield middle, count
        if above := self.counts[-1]:
            least = math.nextafter(self.bounds[-1], math.inf) if self.bounds else 0.0
            yield least if self.total is None else max(least, (self.total - told) / above), above


@dataclass(frozen=True, slots=True)
class Exponential:
    """Observations by their logarithm: bucket `index` holds what is above base ** index, up to base ** (index + 1).

    base is 2 ** 2 ** -scale; `counts` go with `indexes`, which ascend. `low` counts what was zero or less. `total` as in Explicit.
    """

    scale: int
    low: float
    indexes: array[int]
    counts: array[float]
    total: float | None

    def since(self, older: Explicit | Exponential) -> Exponential | None:
        """As in Explicit; between points a sender may have gone to a coarser scale."""
        if not isinstance(older, Exponential) or self.low < older.low:
            return None
        scale = min(self.scale, older.scale)
        more = self._at(scale)
        for index, count in older._at(scale).items():
            more[index] = more.get(index, 0.0) - count
        if any(count < 0 for count in more.values()):
            return None
        total = _more(self.total, older.total)
        return exponential(scale, self.low - older.low, ((index, more[index]) for index in sorted(more)), total)

    @property
    def count(self) -> float:
        return self.low + sum(self.counts)

    def values(self) -> Iterator[tuple[float, float]]:
        """As in Explicit; the middle is that of the logarithms."""
        if self.low:
            yield 0.0, self.low
        width = 2.0**-self.scale
        for index, count in zip(self.indexes, self.counts, strict=True):
            exponent = (index + 0.5) * width
            yield math.inf if exponent > MAX_EXPONENT else 2.0 ** max(exponent, MIN_EXPONENT), count

    def _at(self, scale: int) -> dict[int, float]:
        """The buckets, at a scale that is no finer."""
        if scale == self.scale:  # as nearly always
            return dict(zip(self.indexes, self.counts, strict=True))
        found: dict[int, float] = {}
        for index, count in zip(self.indexes, self.counts, strict=True):
            coarse = index >> (self.scale - scale)
            found[coarse] = found.get(coarse, 0.0) + count
        return found


def exponential(scale: int, low: float, buckets: Iterable[tuple[int, float]], total: float | None) -> Exponential:
    """An Exponential of (index, count) pairs, of which those without any are left out."""
    kept = [(index, count) for index, count in buckets if count]
    return Exponential(
        scale, low, array("q", (index for index, _ in kept)), array("d", (count for _, count in kept)), total
    )


def spread(of: Explicit | Exponential, bounds: Sequence[float], factor: float) -> tuple[list[float], float]:
    """Counts per bucket of `bounds` (one more than there are bounds), and the sum; every value is multiplied by `factor`.

    Where there is a single observation, its value is known: it is the sum.
    """
    counts = [0.0] * (len(bounds) + 1)
    if of.count == 1 and of.total is not None:
        counts[bisect_left(bounds, of.total * factor)] = 1.0
        return counts, of.total * factor
    total = 0.0
    for value, times in of.values():
        counts[bisect_left(bounds, value * factor)] += times
        total += value * factor * times if math.isfinite(value) else 0.0
    return counts, total if of.total is None else of.total * factor


def _more(total: float | None, older: float | None) -> float | None:
    return None if total is None or older is None else total - older
