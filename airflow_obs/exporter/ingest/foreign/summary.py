"""Quantiles of what was observed lately, each as exact as it was asked for, in little memory."""

from __future__ import annotations

import math
import time
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, starmap

EXACT = 500
"""So many observations of a step are told exactly; Prometheus' own clients begin to condense there, too."""

_FINEST = 0.0005
"""The smallest error of a rank: what must be exact could never be condensed."""


@dataclass(frozen=True, slots=True)
class Objectives:
    """(quantile, error of its rank), both from 0 to 1; how many seconds an observation counts, and in how many steps they pass."""

    quantiles: tuple[tuple[float, float], ...] = ((0.5, 0.05), (0.9, 0.01), (0.99, 0.001))
    max_age: float = 600.0
    age_buckets: int = 5


class Window:
    """The observations of the last `max_age` seconds.

    The time falls into `age_buckets` steps, and the observations of a step are forgotten together, so that what is told is of the
    last max_age less at most one step. `clock` gives seconds that never go back. Not safe to use from several threads at once.
    """

    __slots__ = ("_clock", "_ends", "_length", "_steps", "_targets")

    def __init__(self, objectives: Objectives, clock: Callable[[], float] = time.monotonic) -> None:
        self._targets, self._clock = objectives.quantiles, clock
        self._length = objectives.max_age / objectives.age_buckets
        self._ends = clock() + self._length
        self._steps = deque([_Step(self._targets)], maxlen=objectives.age_buckets)

    def observe(self, value: float, times: float = 1) -> None:
        """`value` happened, `times` times (a sampled one stands for several)."""
        self._turn()
        self._steps[-1].add(value, times)

    def quantiles(self, wanted: Sequence[float]) -> Sequence[tuple[float, float]]:
        """(quantile, value) for each that is wanted, NaN where nothing was observed."""
        return self.frozen()(wanted)

    def frozen(self) -> Callable[[Sequence[float]], Sequence[tuple[float, float]]]:
        """Tells the quantiles of now, whatever is observed after this; that takes much longer, and may be in another thread."""
        self._turn()
        steps = [step.copied() for step in self._steps]
        return lambda wanted: _quantiles(sorted(chain.from_iterable(starmap(zip, steps))), wanted)

    def _turn(self) -> None:
        """Begin a new step when the time of the newest is over; the oldest falls out."""
        late = self._clock() - self._ends
        if late <= 0:
            return
        over = math.ceil(late / self._length)
        self._ends += over * self._length
        self._steps.extend(_Step(self._targets) for _ in range(min(over, self._steps.maxlen or over)))


def _quantiles(points: Sequence[tuple[float, float]], wanted: Sequence[float]) -> Sequence[tuple[float, float]]:
    if not points:
        return [(quantile, math.nan) for quantile in wanted]
    ranks = list(accumulate(weight for _, weight in points))
    return [(q, points[min(bisect_left(ranks, q * ranks[-1]), len(points) - 1)][0]) for q in wanted]


class _Step:
    """The observations of one step, each with how often it happened; when there are many, condensed.

    Neighbours are condensed into their mean, with their number as its weight: many where no wanted quantile is near, few where one
    is (the bound is that of Cormode et al., Effective Computation of Biased Quantiles over Data Streams, 2005).
    """

    __slots__ = ("_new", "_targets", "_values", "_weights")

    def __init__(self, targets: tuple[tuple[float, float], ...]) -> None:
        self._targets = targets
        self._new = 0
        self._values = array("d")
        self._weights = array("d")

    def add(self, value: float, times: float) -> None:
        self._values.append(value)
        self._weights.append(times)
        self._new += 1
        if self._new > EXACT:
            self._condense()

    def copied(self) -> tuple[array[float], array[float]]:
        """The values and their weights, as they are now."""
        return self._values[:], self._weights[:]

    def points(self) -> Iterable[tuple[float, float]]:
        """(value, observations that it stands for), in no order."""
        return zip(self._values, self._weights, strict=True)

    def _condense(self) -> None:
        points = sorted(self.points())
        total = sum(weight for _, weight in points)
        self._new, self._values, self._weights = 0, array("d"), array("d")
        before, (mean, gathered), most = 0.0, points[0], self._most(0.0, total)
        for value, weight in points[1:]:
            if gathered + weight <= most:
                gathered += weight
                mean += (value - mean) * weight / gathered
                continue
            self._values.append(mean)
            self._weights.append(gathered)
            before += gathered
            mean, gathered, most = value, weight, self._most(before, total)
        self._values.append(mean)
        self._weights.append(gathered)

    def _most(self, rank: float, total: float) -> float:
        """How many observations may be one, where `rank` of `total` are less."""
        bounds = (
            max(error, _FINEST) * (rank / quantile if rank >= quantile * total else (total - rank) / (1 - quantile))
            for quantile, error in self._targets
            if 0 < quantile < 1
        )
        return min(bounds, default=total) / 2
