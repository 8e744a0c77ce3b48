"""One series of each kind, as the store holds it: adding to it is the hot path of everything that is ingested."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Sequence
from math import isfinite
from typing import Literal, Protocol, TypeVar

from airflow_obs.model import Distribution, Foreign, Metric, Quantiles, Reading, Sample

Labels = tuple[tuple[str, str], ...]
Family = Metric | Foreign
Parts = Literal["newest", "sum"]
"""What a gauge shows that several senders set: what was set last, or the sum of what each of them set last."""

MOST_PARTS = 1_000
"""Senders that one summed gauge remembers; a sender more is refused."""


class Home(Protocol):
    """Where a series lives: its family in the store."""

    @property
    def metric(self) -> Family: ...

    def admit(self, series: Series, /) -> bool:
        """Take back a series that had expired; False at a cap."""


class Window(Protocol):
    """The observations of lately, of which a summary tells quantiles."""

    def observe(self, value: float, times: float, /) -> None: ...

    def frozen(self) -> Callable[[Sequence[float]], Sequence[tuple[float, float]]]:
        """Tells (quantile, value) as of now for each that is wanted, NaN where nothing was observed; may be called at any time."""


class Series:
    """What all kinds share: when it was last used, and its way back when it had expired.

    Whoever changes a series holds the store's lock. All that change it say whether they did: they do not at a cap, when it had
    expired and there is no room for it any more; then the sample is lost, and the caller counts that.
    """

    __slots__ = ("__weakref__", "_home", "expired", "fresh", "labels", "touched", "ttl")

    def __init__(self, home: Home, labels: Labels, ttl: float, now: float) -> None:
        self._home = home
        self.labels = labels
        self.ttl = ttl
        self.touched = now
        self.fresh = True
        """Used since the store last looked. A flag, since asking a clock for each sample would cost more than the sample."""
        self.expired = False

    def age(self, now: float) -> bool:
        """Note whether it was used since the last call; True if it has not been for its ttl (0: it never expires)."""
        if self.fresh:
            self.fresh, self.touched = False, now
        return 0 < self.ttl < now - self.touched

    def reset(self) -> None:
        """Begin again: what comes back to life is a new series to who reads it."""
        raise NotImplementedError

    def reading(self) -> Callable[[], Reading]:
        """What it says now: the call freezes the values, under the lock; the answer makes a reading of them, in one's own time."""
        raise NotImplementedError

    def _touch(self) -> bool:
        if self.expired and not self._home.admit(self):
            return False
        self.fresh = True
        return True


AnySeries = TypeVar("AnySeries", bound=Series)


class CounterSeries(Series):
    """What has happened since it began."""

    __slots__ = ("value",)

    def __init__(self, home: Home, labels: Labels, ttl: float, now: float) -> None:
        super().__init__(home, labels, ttl, now)
        self.value = 0.0

    def add(self, value: float) -> bool:
        """Count `value` more; it must not be negative."""
        if not self.fresh and not self._touch():
            return False
        self.value += value
        return True

    def reset(self) -> None:
        self.value = 0.0

    def reading(self) -> Callable[[], Reading]:
        metric, labels, value = self._home.metric, self.labels, self.value
        return lambda: Sample(metric, labels, value)


class GaugeSeries(Series):
    """What is so now; of several senders the newest word wins."""

    __slots__ = ("value",)

    def __init__(self, home: Home, labels: Labels, ttl: float, now: float) -> None:
        super().__init__(home, labels, ttl, now)
        self.value = 0.0

    def set(self, value: float) -> bool:
        """It is `value` now."""
        if not self.fresh and not self._touch():
            return False
        self.value = value
        return True

    def shift(self, delta: float, _stream: Hashable = None) -> bool:
        """It is `delta` more than it was; what was never set was 0."""
        if not self.fresh and not self._touch():
            return False
        self.value += delta
        return True

    def part(self, _stream: Hashable, value: float) -> bool:
        """One of several senders says `value`."""
        return self.set(value)

    def forget(self, stream: Hashable) -> None:
        """That sender is gone: what it said no longer counts, where senders are told apart."""

    def reset(self) -> None:
        self.value = 0.0

    def reading(self) -> Callable[[], Reading]:
        metric, labels, value = self._home.metric, self.labels, self.value
        return lambda: Sample(metric, labels, value)


class SummedGauge(GaugeSeries):
    """As above, but what several senders said last is summed; who sets or shifts it without a name is one sender more."""

    __slots__ = ("_parts",)

    def __init__(self, home: Home, labels: Labels, ttl: float, now: float) -> None:
        super().__init__(home, labels, ttl, now)
        self._parts: dict[Hashable, tuple[float, bool, float]] = {}
        """By sender: what it said last, whether since the store last looked, and else when."""

    def set(self, value: float) -> bool:
        return self.part(None, value)

    def shift(self, delta: float, stream: Hashable = None) -> bool:
        before, *_ = self._parts.get(stream, (0.0,))
        return self.part(stream, before + delta)

    def part(self, stream: Hashable, value: float) -> bool:
        if (not self.fresh and not self._touch()) or (stream not in self._parts and len(self._parts) >= MOST_PARTS):
            return False
        before, *_ = self._parts.get(stream, (0.0,))
        self._parts[stream] = value, True, 0.0
        self.value += value - before
        if not isfinite(self.value):
            self._sum()  # nothing can be taken away from infinity
        return True

    def forget(self, stream: Hashable) -> None:
        if self._parts.pop(stream, None):
            self._sum()

    def age(self, now: float) -> bool:
        for stream, (value, fresh, since) in list(self._parts.items()):
            if fresh:
                self._parts[stream] = value, False, now
            elif 0 < self.ttl < now - since:
                self.forget(stream)
        return super().age(now)

    def reset(self) -> None:
        super().reset()
        self._parts.clear()

    def _sum(self) -> None:
        self.value = sum(said for said, *_ in self._parts.values())


class HistogramSeries(Series):
    """How what has happened since it began is distributed over the family's buckets."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, home: Home, labels: Labels, ttl: float, now: float) -> None:
        super().__init__(home, labels, ttl, now)
        self._bounds = home.metric.buckets
        self.counts = [0.0] * (len(self._bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, times: float = 1) -> bool:
        """`value` happened, `times` times (a sampled one stands for several)."""
        if not self.fresh and not self._touch():
            return False
        self.counts[bisect_left(self._bounds, value)] += times
        self.total += value * times
        return True

    def add(self, counts: Sequence[float], total: float) -> bool:
        """`counts` per bucket more (not cumulative, the last one above every bound), whose sum is `total`."""
        if len(counts) != len(self.counts):
            raise ValueError(f"{self._home.metric.name}: {len(counts)} counts for {len(self.counts)} buckets")
        if not self.fresh and not self._touch():
            return False
        self.counts = [mine + more for mine, more in zip(self.counts, counts, strict=True)]
        self.total += total
        return True

    def reset(self) -> None:
        self.counts = [0.0] * len(self.counts)
        self.total = 0.0

    def reading(self) -> Callable[[], Reading]:
        metric, labels, counts, total = self._home.metric, self.labels, tuple(self.counts), self.total
        return lambda: Distribution(metric, labels, counts, total)


class SummarySeries(Series):
    """Quantiles of lately, and how much has happened since it began."""

    __slots__ = ("_make", "_window", "count", "total")

    def __init__(self, home: Home, labels: Labels, ttl: float, now: float, window: Callable[[], Window]) -> None:
        super().__init__(home, labels, ttl, now)
        self._make, self._window = window, window()
        self.count = self.total = 0.0

    def observe(self, value: float, times: float = 1) -> bool:
        """`value` happened, `times` times (a sampled one stands for several)."""
        if not self.fresh and not self._touch():
            return False
        self._window.observe(value, times)
        self.count += times
        self.total += value * times
        return True

    def reset(self) -> None:
        self._window = self._make()
        self.count = self.total = 0.0

    def reading(self) -> Callable[[], Reading]:
        metric, labels, count, total = self._home.metric, self.labels, self.count, self.total
        assert isinstance(metric, Foreign)  # noqa: S101 (the store makes summaries of nothing else)
        wanted, told = metric.quantiles, self._window.frozen()
        return lambda: Quantiles(metric, labels, tuple(told(wanted)), count, total)
