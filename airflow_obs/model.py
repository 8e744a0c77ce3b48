"""The nouns of the toolkit, as frozen values: what a metric is and what a sample of it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

PREFIX = "airflow_obs_"


class Kind(StrEnum):
    """What Prometheus may do with a metric."""

    GAUGE = "gauge"
    COUNTER = "counter"
    INFO = "info"
    HISTOGRAM = "histogram"
    """A distribution of what has happened since the exporter started: its buckets only rise."""
    GAUGE_HISTOGRAM = "gaugehistogram"
    """A distribution of what exists now: its buckets go down as well as up, so never take their rate()."""


@dataclass(frozen=True)
class Metric:
    """One metric family: its full name, its labels and what it means.

    `labels` are on every sample; `optional` ones only where the source has them. `buckets` (upper bounds, ascending,
    without +Inf) belong to distributions. `collector` names who feeds it ("exporter" for the exporter itself). `since` is the
    first release of Airflow that has what it reads ("3.1"), None for all that we know, and `until` the last one ("2.11"), None for
    no end; `shows` names the failure modes of `catalog.failures` that it shows, by id, first the one that it shows best.
    Raises ValueError at import for a name that breaks the naming rules (https://prometheus.io/docs/practices/naming/).
    """

    name: str
    kind: Kind
    help: str
    collector: str
    labels: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    since: str | None = None
    until: str | None = None
    shows: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wrong = [
            (not self.name.startswith(PREFIX), f"does not start with {PREFIX}"),
            (
                self.name.endswith("_total") != (self.kind is Kind.COUNTER),
                "must end in _total if, and only if, a counter",
            ),
            (self.name.endswith("_info") != (self.kind is Kind.INFO), "must end in _info if, and only if, an info"),
            (
                bool(self.buckets) != (self.kind in {Kind.HISTOGRAM, Kind.GAUGE_HISTOGRAM}),
                "buckets belong to distributions, and only there",
            ),
            (list(self.buckets) != sorted(set(self.buckets)), "buckets must ascend"),
            ("airflow" in self.labels + self.optional, "the label airflow is added to every series by the exporter"),
        ]
        if found := [text for bad, text in wrong if bad]:
            raise ValueError(f"metric {self.name}: {'; '.join(found)}")

    @property
    def cumulates(self) -> bool:
        """Whether it counts what has happened, so that its newest value still holds while nothing new is known."""
        return self.kind in {Kind.COUNTER, Kind.HISTOGRAM}

    def sample(self, value: float, **labels: str | None) -> Sample:
        """A sample of this metric; an optional label given as None, or not at all, is left out.

        Raises ValueError when a label is missing or unknown, so that a misspelt label never reaches a series.
        """
        return Sample(self, self._checked(labels), float(value))

    def distribution(self, counts: Sequence[float], total: float, **labels: str | None) -> Distribution:
        """A sample of a distribution: `counts` per bucket (not cumulative, the last one above every bound) and their sum."""
        if len(counts) != len(self.buckets) + 1:
            raise ValueError(f"metric {self.name}: {len(counts)} counts for {len(self.buckets)} buckets and +Inf")
        return Distribution(self, self._checked(labels), tuple(map(float, counts)), float(total))

    def _checked(self, labels: dict[str, str | None]) -> tuple[tuple[str, str], ...]:
        given = {name: value for name, value in labels.items() if value is not None}
        if missing := set(self.labels) - set(given):
            raise ValueError(f"metric {self.name}: label {', '.join(sorted(missing))} is missing")
        if unknown := set(given) - set(self.labels) - set(self.optional):
            raise ValueError(f"metric {self.name}: it has no label {', '.join(sorted(unknown))}")
        return tuple((name, given[name]) for name in self.labels + self.optional if name in given)


@dataclass(frozen=True)
class Failure:
    """One way in which an Airflow in production fails.

    `seen_in` names the sources whose answers show it (database, broker, workers, health), or "exporter" when it is the exporter
    that cannot see; empty when only others know (Kubernetes, StatsD, logs).
    """

    id: str
    name: str
    seen_in: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one series. Moments are Unix seconds."""

    metric: Metric
    labels: tuple[tuple[str, str], ...]
    value: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """One distribution: how many observations fell into each bucket (not cumulative), and their sum."""

    metric: Metric
    labels: tuple[tuple[str, str], ...]
    counts: tuple[float, ...]
    total: float

    def cumulative(self) -> list[tuple[float, float]]:
        """(upper bound, observations at or below it) per bucket, the last bound being +Inf."""
        running, pairs = 0.0, []
        for bound, count in zip((*self.metric.buckets, math.inf), self.counts, strict=True):
            running += count
            pairs.append((bound, running))
        return pairs


Reading = Sample | Distribution
"""What a collector yields."""
