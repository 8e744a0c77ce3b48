"""The nouns of the toolkit, as frozen values: what a metric is and what a sample of it is."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

PREFIX = "airflow_obs_"
RECORDED = "airflow_obs:slo_"
"""What the names of recorded families begin with."""


class Kind(StrEnum):
    """What Prometheus may do with a metric."""

    GAUGE = "gauge"
    COUNTER = "counter"
    INFO = "info"
    HISTOGRAM = "histogram"
    """A distribution of what has happened since the exporter started: its buckets only rise."""
    GAUGE_HISTOGRAM = "gaugehistogram"
    """A distribution of what exists now: its buckets go down as well as up, so never take their rate()."""
    SUMMARY = "summary"
    """Quantiles of what happened lately, and count and sum since the exporter started; only for names that are not ours."""


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
    also: str | None = None
    """The collector that feeds it where `collector` does not; the latter wins for good from its first sample on."""
    gap: tuple[str, str] | None = None
    """The first and the last release between these that have it not."""
    always: bool = False
    """Whether it has a series whenever its collector succeeds, even in an Airflow in which nothing ever happened."""

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


class Emission(StrEnum):
    """What Airflow's Stats call made: incr or decr, gauge, timing or timer."""

    COUNTER = "counter"
    GAUGE = "gauge"
    TIMER = "timer"


class Unit(StrEnum):
    """In which unit a timer is sent over StatsD, by how Airflow calls for it; what each means is in exporter.ingest.units."""

    TIMER = "timer"
    """Stats.timer(): milliseconds, but seconds with the Datadog client."""
    TIMING = "timing"
    """Stats.timing(): milliseconds, but seconds with the Datadog client of 2.x."""
    PARSE = "parse"
    """dag_processing.last_duration: as TIMING in 2.x, seconds since 3.2."""
    QUEUED = "queued"
    """task.queued_duration: seconds in 2.7, 2.8 and 2.11, milliseconds in 2.9, 2.10 and since 3.4."""


@dataclass(frozen=True)
class Signal:
    """One thing that Airflow emits over StatsD and OpenTelemetry, in all its spellings, and what becomes of it.

    `name` is Airflow's name without its prefix, which is the whole name where labels travel as tags ("pool.open_slots"); `legacy`
    are the spellings with ids in the name ("pool.open_slots.{pool_name}"), a {placeholder} standing for one or more characters.
    `labels` says, for each label of `to`, which tags or placeholders it is taken from, the first that is there winning;
    `constants` are labels with the same value always. Of a signal without `to`, `refused` says why nothing becomes of it.
    `since` and `until` are the first and last release that emit it ("3.1"), None for all that we know.

    `ago`: the value is an age in seconds, and what is kept is the moment, now - value. `factor` brings a value that is no timer
    into the unit of `to` (0.01 for per cent). `falls` is the counter that takes the decrements of this one, as positive numbers;
    a counter without it has none. A family that demands task_id is fed only where the policy wants series of tasks; of a gauge
    that loses task_id, or any label, `to` is the sum over what it lost. `parts` says what several processes that send the same
    series make of a gauge: the newest value of any of them, or the sum of each one's newest.
    """

    name: str
    kind: Emission
    to: Metric | None = None
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    constants: tuple[tuple[str, str], ...] = ()
    legacy: tuple[str, ...] = ()
    unit: Unit = Unit.TIMING
    since: str | None = None
    until: str | None = None
    refused: str | None = None
    ago: bool = False
    factor: float = 1.0
    falls: Metric | None = None
    parts: Literal["newest", "sum"] = "newest"

    def __post_init__(self) -> None:
        if (self.to is None) == (self.refused is None):
            raise ValueError(f"signal {self.name}: say where it goes, or why it is refused")
        named = {label for label, _ in self.labels} | {label for label, _ in self.constants}
        if self.to is None:
            return
        if missing := set(self.to.labels) - named:
            raise ValueError(
                f"signal {self.name}: label {', '.join(sorted(missing))} of {self.to.name} comes from nowhere"
            )
        if unknown := named - set(self.to.labels) - set(self.to.optional):
            raise ValueError(f"signal {self.name}: {self.to.name} has no label {', '.join(sorted(unknown))}")


@dataclass(frozen=True)
class Foreign:
    """A family that keeps a name which is not ours: of a statsd_exporter mapping, or of what Airflow emits and we do not know.

    Its series need not have the same labels. `buckets` as in `Metric`; `quantiles` belong to a summary; `unknown`: nobody said that
    it is to be kept, so that few series are enough.
    """

    name: str
    kind: Kind
    help: str
    buckets: tuple[float, ...] = ()
    quantiles: tuple[float, ...] = ()
    unknown: bool = False
    collector: str = "ingest"
    also: str | None = None

    @property
    def cumulates(self) -> bool:
        """As in `Metric`."""
        return self.kind in {Kind.COUNTER, Kind.HISTOGRAM, Kind.SUMMARY}


@dataclass(frozen=True)
class External:
    """A family of another exporter that alerts read: kube-state-metrics, cAdvisor, the kubelet, Prometheus itself.

    `source` is what must be scraped for it to be there: kube_state_metrics, cadvisor or kubelet. `labels` are those of its own that
    alerts may use; `reference` says where its meaning is written down.
    """

    name: str
    kind: Kind
    source: str
    labels: tuple[str, ...]
    reference: str


@dataclass(frozen=True)
class Recorded:
    """A family that Prometheus records itself, by rules of ours; its series carry the label airflow, and none of a target.

    `labels` are its own beside that. `signed`: its values may be negative.
    """

    name: str
    help: str
    labels: tuple[str, ...]
    signed: bool = False
    kind: Kind = Kind.GAUGE

    def __post_init__(self) -> None:
        if not re.fullmatch(f"{RECORDED}[a-z_]+:[a-z0-9_]+", self.name):
            raise ValueError(f"recorded {self.name}: a name is airflow_obs:what:over_which_time")


class Severity(StrEnum):
    """What an alert asks of whom it reaches."""

    CRITICAL = "critical"
    """Wake somebody."""
    WARNING = "warning"
    """A ticket for the next working day."""
    INFO = "info"
    """Good to know beside another alert."""
    NONE = "none"
    """Nothing: it only shows that alerts arrive."""


@dataclass(frozen=True)
class Knob:
    """One number of an alert that a site may choose.

    `default`, `low` and `high` are written as in the policy: a duration "10m", a ratio "80%", bytes "50GiB", a whole number 5, or a
    number 0.5.
    """

    name: str
    unit: Literal["duration", "ratio", "bytes", "count", "number"]
    default: str | int | float
    low: str | int | float
    high: str | int | float
    description: str


@dataclass(frozen=True)
class Failure:
    """One way in which an Airflow in production fails.

    `seen_in` names the sources whose answers show it (database, broker, workers, health, and ingest: what Airflow itself sends), or
    "exporter" when it is the exporter that cannot see; empty when only others know (Kubernetes, logs).
    """

    id: str
    name: str
    seen_in: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one series. Moments are Unix seconds."""

    metric: Metric | Foreign
    labels: tuple[tuple[str, str], ...]
    value: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """One distribution: how many observations fell into each bucket (not cumulative), and their sum."""

    metric: Metric | Foreign
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


@dataclass(frozen=True, slots=True)
class Quantiles:
    """One series of a summary: (quantile, value) of lately, NaN where nothing happened; all observations' number and sum."""

    metric: Foreign
    labels: tuple[tuple[str, str], ...]
    values: tuple[tuple[float, float], ...]
    count: float
    total: float


Reading = Sample | Distribution | Quantiles
"""What a collector yields."""
