"""Holds the series made of what Airflow sends, under a cap per family and one for all, each until nobody uses it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from weakref import WeakValueDictionary

from airflow_obs.exporter.ingest.foreign.families import lines_of
from airflow_obs.exporter.ingest.series import (
    AnySeries,
    CounterSeries,
    Family,
    GaugeSeries,
    HistogramSeries,
    Labels,
    Parts,
    Series,
    SummarySeries,
    SummedGauge,
    Window,
)
from airflow_obs.model import Foreign, Kind, Reading

TURN = 1_000
"""Series that are looked at before the lock is given up: after a millisecond or so, of full summaries some 20."""


class Store:
    """The series of all families, made when they are asked for.

    `max_series` caps a family and `max_total` all of them, in lines of the page: a distribution takes one for each bucket, +Inf,
    count and sum; `max_unknown` those of foreign families that nobody asked for. A gauge that was not used for `ttl` seconds (0:
    never) goes at the next `expire()`, so it may stay for the time between two of those more; what counts, after `ttl_of_counts`
    (None: `ttl`), since it would begin anew. `clock` gives seconds that never go back.

    `lock` is held by whoever makes or changes series, for a batch of samples; `readings()` and `expire()` take it themselves, for
    some series at a time.
    """

    def __init__(
        self,
        max_series: int,
        max_total: int,
        ttl: float,
        clock: Callable[[], float] = time.monotonic,
        max_unknown: int | None = None,
        ttl_of_counts: float | None = None,
    ) -> None:
        self.lock = threading.Lock()
        self._clock = clock
        self.limit(max_series, max_total, ttl, max_unknown, ttl_of_counts)
        self._families: dict[str, _Family] = {}
        self._lines: set[str] = set()
        """The names that lines of foreign families have on the page, where no two families may share one."""
        self._size = self._unknown = 0
        self.freed = 0
        """Series and names that are free again: whoever remembers that there was no room asks again when this rises."""

    def limit(
        self,
        max_series: int,
        max_total: int,
        ttl: float,
        max_unknown: int | None = None,
        ttl_of_counts: float | None = None,
    ) -> None:
        """Other limits from now on, as at the making, for series that are new; what is there stays."""
        self._max_series, self._max_total, self._ttl = max_series, max_total, ttl
        self._ttl_of_counts = ttl if ttl_of_counts is None else ttl_of_counts
        self._max_unknown = max_total if max_unknown is None else max_unknown

    @property
    def size(self) -> int:
        """Series held, as lines of the page."""
        return self._size

    def fits(self, family: Family) -> bool:
        """Whether its name is free, or belongs to a family of the same kind: else no series of it can be kept."""
        known = self._families.get(family.name)
        if known is not None:
            return known.holds(family)
        return not isinstance(family, Foreign) or self._lines.isdisjoint(lines_of(family))

    def counter(self, family: Family, labels: Labels, ttl: float | None = None) -> CounterSeries | None:
        """The series of these labels (in the family's order), made if it is new.

        None at a cap, or if the name belongs to a family of another kind: the sample is lost then, which the caller counts.
        """
        _check(family, Kind.COUNTER)
        return self._series(family, labels, ttl, CounterSeries, CounterSeries)

    def gauge(
        self, family: Family, labels: Labels, ttl: float | None = None, parts: Parts = "newest"
    ) -> GaugeSeries | None:
        """As `counter`; `parts` says what becomes of several senders' values given to `GaugeSeries.part`."""
        _check(family, Kind.GAUGE, Kind.INFO)
        return self._series(family, labels, ttl, GaugeSeries, SummedGauge if parts == "sum" else GaugeSeries)

    def histogram(self, family: Family, labels: Labels, ttl: float | None = None) -> HistogramSeries | None:
        """As `counter`."""
        _check(family, Kind.HISTOGRAM)
        return self._series(family, labels, ttl, HistogramSeries, HistogramSeries)

    def summary(
        self, family: Foreign, labels: Labels, window: Callable[[], Window], ttl: float | None = None
    ) -> SummarySeries | None:
        """As `counter`; `window` makes what remembers the observations of lately."""
        _check(family, Kind.SUMMARY)
        return self._series(
            family, labels, ttl, SummarySeries,
            lambda home, labels, ttl, now: SummarySeries(home, labels, ttl, now, window),
        )  # fmt: skip

    def readings(self) -> list[Reading]:
        """What all live series say."""
        found: list[Reading] = []
        for _, some in self._in_turns():
            with self.lock:
                frozen = [series.reading() for series in some if not series.expired]
            found.extend(reading() for reading in frozen)
        return found

    def expire(self) -> None:
        """Drop what nobody used for its ttl. To be called now and then."""
        now = self._clock()
        for family, some in self._in_turns():
            with self.lock:
                for series in some:
                    if not series.expired and series.age(now):
                        self._drop(family, series)
            # Whoever waits for the lock gets it, instead of us again.
            time.sleep(0)
        with self.lock:
            for name, family in list(self._families.items()):
                if not family.series and not family.expired:
                    del self._families[name]
                    self.freed += 1
                    if isinstance(family.metric, Foreign):
                        self._lines.difference_update(lines_of(family.metric))

    def _in_turns(self) -> Iterator[tuple[_Family, list[Series]]]:
        """All live series, as many at a time as who adds samples can wait for."""
        with self.lock:
            families = list(self._families.values())
        for family in families:
            with self.lock:
                series = list(family.series.values())
            for start in range(0, len(series), TURN):
                yield family, series[start : start + TURN]

    def _series(
        self,
        metric: Family,
        labels: Labels,
        ttl: float | None,
        kind: type[AnySeries],
        make: Callable[[_Family, Labels, float, float], AnySeries],
    ) -> AnySeries | None:
        if not self.fits(metric):
            return None
        family = self._families.get(metric.name) or _Family(self, metric)
        series = family.series.get(labels) or family.expired.get(labels)
        if series is None:
            default = self._ttl_of_counts if metric.cumulates else self._ttl
            series = make(family, labels, default if ttl is None else ttl, self._clock())
            series.expired = True
        # Of one kind, since the family is.
        return series if isinstance(series, kind) and (not series.expired or self._admit(family, series)) else None

    def _admit(self, family: _Family, series: Series) -> bool:
        if (len(family.series) + 1) * family.weight > self._max_series or self._size + family.weight > self._max_total:
            return False
        if family.unknown and self._unknown + family.weight > self._max_unknown:
            return False
        self._families[family.metric.name] = family
        if isinstance(family.metric, Foreign):
            self._lines.update(lines_of(family.metric))
        self._size += family.weight
        self._unknown += family.weight * family.unknown
        family.series[series.labels] = series
        family.expired.pop(series.labels, None)
        series.expired, series.fresh = False, True
        return True

    def _drop(self, family: _Family, series: Series) -> None:
        del family.series[series.labels]
        family.expired[series.labels] = series
        self._size -= family.weight
        self._unknown -= family.weight * family.unknown
        self.freed += 1
        series.expired = True
        series.reset()


class _Family:
    """The series of one family, and those that expired while somebody still holds them: one only for each set of labels."""

    def __init__(self, store: Store, metric: Family) -> None:
        self._store = store
        self.metric = metric
        self.series: dict[Labels, Series] = {}
        self.expired: WeakValueDictionary[Labels, Series] = WeakValueDictionary()
        quantiles = metric.quantiles if isinstance(metric, Foreign) else ()
        self.unknown = isinstance(metric, Foreign) and metric.unknown
        distribution = metric.kind in {Kind.HISTOGRAM, Kind.SUMMARY}
        self.weight = len(metric.buckets) + len(quantiles) + 2 + (metric.kind is Kind.HISTOGRAM) if distribution else 1

    def holds(self, metric: Family) -> bool:
        """Whether series of `metric` may stand with these: the same kind, over the same buckets."""
        return self.metric is metric or (self.metric.kind, self.metric.buckets) == (metric.kind, metric.buckets)

    def admit(self, series: Series) -> bool:
        return self._store._admit(self, series)


def _check(family: Family, *kinds: Kind) -> None:
    if family.kind not in kinds:
        raise ValueError(f"{family.name}: a {family.kind} cannot be kept as a {kinds[0]}")
