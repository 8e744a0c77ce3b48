"""OTLP points to the catalogue's series: which signal a point is of, which of two spellings counts, and what it adds."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import islice
from string import Formatter
from typing import Any

from airflow_obs.catalog.emitted import SIGNALS
from airflow_obs.catalog.emitted.match import MAX_ID, Match, Matcher
from airflow_obs.exporter.ingest.accounts import Outcome, Reason
from airflow_obs.exporter.ingest.labels import Labelled, Labeller, has_twin
from airflow_obs.exporter.ingest.opinion import KnownRelease
from airflow_obs.exporter.ingest.otlp.distributions import spread
from airflow_obs.exporter.ingest.otlp.points import Gauge, Observations, Point, Sum
from airflow_obs.exporter.ingest.otlp.streams import Streams
from airflow_obs.exporter.ingest.otlp.units import later_than_3_1, seconds_per_unit
from airflow_obs.exporter.ingest.store import Store
from airflow_obs.model import Emission, Kind, Metric
from airflow_obs.policy.dags import DagsPolicy

BATCH = 500
"""Points for which the store is kept from its readers."""
SENDER_TTL = 180.0
"""Seconds after which a silent sender is no longer part of a sum: three times the interval in which Airflow sends. One that was
started anew is another sender, and is counted beside itself until then."""
MOST_KNOWN = 50_000
"""Names with their attributes whose series are remembered."""
MOST_SPELT = 20_000
"""Spellings learned."""
_IN_NAMES = frozenset(
    placeholder
    for signal in SIGNALS
    for text in (signal.name, *signal.legacy)
    for _, placeholder, _, _ in Formatter().parse(text)
    if placeholder
)
"""What names say that tags do, too."""

_OUTCOMES = {
    **dict.fromkeys((Reason.UNKNOWN_NAME, Reason.OTHER_TYPE), Outcome.UNMAPPED),
    **dict.fromkeys(
        (
            Reason.NO_NUMBER, Reason.TOO_LONG, Reason.EMPTY_NAME, Reason.NEGATIVE_COUNT,
            Reason.BAD_TEMPORALITY, Reason.BAD_BUCKETS, Reason.NO_TIME,
        ),
        Outcome.INVALID,
    ),
}  # fmt: skip
"""What became of points that are not mapped; of all other reasons: dropped."""

Tally = Counter[Reason | None]
"""Points by the reason for which they are not mapped, None for those that are."""


def outcome(reason: Reason | None) -> Outcome:
    """What became of a point, by the reason that it has none (mapped) or has."""
    return Outcome.MAPPED if reason is None else _OUTCOMES.get(reason, Outcome.DROPPED)


@dataclass(frozen=True, slots=True)
class _Target:
    """Where points of one name with the same attributes go."""

    match: Match
    metric: Metric
    labelled: Labelled


class OtlpMapper:
    """Takes the points of requests into the store. Not thread-safe, but for the store.

    `prefix` is what all of Airflow's names begin with, before a dot; `release` knows (major, minor) of Airflow, or does not; `dags`
    is applied as everywhere. `clock` gives seconds that never go back.
    """

    def __init__(
        self,
        store: Store,
        *,
        prefix: str,
        release: Callable[[], tuple[int, int] | None],
        dags: DagsPolicy,
        streams: Streams | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.streams = Streams(clock=clock) if streams is None else streams
        self._store, self._clock = store, clock
        self._prefix = f"{prefix}." if prefix else ""
        self._matcher = Matcher()
        self._labeller = Labeller(dags)
        self._release = KnownRelease(release)
        self._targets: dict[int, _Target | Reason] = {}
        """By hash of names and attributes."""
        self._revision = 0
        self._spelt: dict[str, str] = {}
        """What tags say, by what becomes of it in names, which are in small letters."""
        self._learned = 0
        """How often something was added to it."""
        self._seen: set[tuple[str, bool]] = set()
        """Signals that came, and whether under the name whose labels are tags."""

    def take(self, points: Sequence[Point]) -> Tally:
        """What became of the points of one request."""
        self.streams.expire()
        self._release.ask()
        self._look_up(points)
        if self._matcher.revision + self._learned != self._revision:
            # What this request taught may be the meaning of names that came before it.
            self._revision = self._matcher.revision + self._learned
            self._targets.clear()
            self._look_up(points)
        tally: Tally = Counter()
        rest = iter(points)
        while batch := list(islice(rest, BATCH)):
            with self._store.lock:
                tally.update(map(self._take, batch))
        return tally

    def _look_up(self, points: Sequence[Point]) -> None:
        """Note which spellings the request has, before any of it counts."""
        for point in points:
            target = self._target(point)
            if isinstance(target, _Target):
                self._seen.add((target.match.signal.name, target.match.tagged))

    def _target(self, point: Point) -> _Target | Reason:
        key = hash((point.name, point.attributes))
        if (known := self._targets.get(key)) is not None:
            return known
        if len(self._targets) >= MOST_KNOWN:
            _make_room(self._targets)
        self._targets[key] = target = self._looked_up(point)
        return target

    def _looked_up(self, point: Point) -> _Target | Reason:
        if not point.name.startswith(self._prefix):
            return Reason.UNKNOWN_NAME
        tags = dict(point.attributes)
        self._learn(tags)
        match = self._matcher.match(point.name[len(self._prefix) :])
        if match is None:
            return Reason.UNKNOWN_NAME
        self._release.learn(match.signal, self._clock())
        if match.values:
            match = Match(match.signal, match.tagged, {k: self._spelt.get(v, v) for k, v in match.values.items()})
        if match.signal.to is None:
            return Reason.REFUSED
        labelled = self._labeller.labels(match, tags, match.signal.to)
        return labelled if isinstance(labelled, Reason) else _Target(match, match.signal.to, labelled)

    def _learn(self, tags: dict[str, str]) -> None:
        if dag_id := tags.get("dag_id"):
            self._matcher.learn(dag_id)
        for name in _IN_NAMES & tags.keys():
            value = tags[name]
            if len(value) <= MAX_ID and value != (small := value.lower()) and small not in self._spelt:
                if len(self._spelt) >= MOST_SPELT:
                    _make_room(self._spelt)
                self._spelt[small] = value
                self._learned += 1

    def _take(self, point: Point) -> Reason | None:
        if isinstance(point.value, Reason):
            return point.value
        target = self._target(point)
        if isinstance(target, Reason):
            return target
        if reason := self._other_spelling(point, target):
            return reason
        signal = target.match.signal
        match signal.kind, point.value:
            case _, None:
                # Its sender has nothing to say for now. Should it go on, that is compared with what it said before.
                return None
            case Emission.COUNTER, Sum() as value:
                return self._count(point, value, target)
            case Emission.GAUGE, Gauge(value):
                return self._show(point, value * signal.factor, target)
            case Emission.TIMER, (Gauge() | Observations()) as value:
                factor = seconds_per_unit(signal.unit, point.unit, point.origin.scope, self._release.release)
                if factor is None:
                    return Reason.UNIT_UNKNOWN
                if isinstance(value, Gauge):
                    return self._time(point, value.value * factor, target)
                return self._observe(point, value, factor, target)
            case _:
                return Reason.OTHER_TYPE

    def _other_spelling(self, point: Point, target: _Target) -> Reason | None:
        """Why this spelling does not count, if so: Airflow sends most of what it says in two.

        The one with tags has the ids as they are, so it counts. But as gauges those of 2.x show only one of several label sets:
        there both spellings are taken, into the same series; of a timer that comes as a gauge only the legacy one, since both
        together would be two observations.
        """
        signal, tagged = target.match.signal, target.match.tagged
        if not has_twin(signal):
            return None
        release = self._release.release
        loses_sets = isinstance(point.value, Gauge) and not (
            later_than_3_1(point.origin.scope) or (release is not None and release[0] >= 3)
        )
        if loses_sets and tagged:
            twice = signal.kind is Emission.TIMER and (signal.name, False) in self._seen
            return Reason.LEGACY_SAYS_IT if twice else None
        return Reason.TWIN_SAYS_IT if not loses_sets and not tagged and (signal.name, True) in self._seen else None

    def _count(self, point: Point, value: Sum, target: _Target) -> Reason | None:
        more = self.streams.counted(point, value)
        if isinstance(more, Reason):
            return more
        match, metric = target.match, target.metric
        if metric.kind is not Kind.COUNTER:
            gauge = self._store.gauge(metric, target.labelled.labels)
            return None if gauge and gauge.shift(more * match.signal.factor) else Reason.SERIES_LIMIT
        labels = target.labelled.labels
        if more < 0:
            if (falls := match.signal.falls) is None:
                return Reason.NEGATIVE_COUNT
            found = self._labeller.labels(match, dict(point.attributes), falls)
            if isinstance(found, Reason):
                return found
            metric, labels = falls, found.labels
        counter = self._store.counter(metric, labels)
        return None if counter and counter.add(abs(more) * match.signal.factor) else Reason.SERIES_LIMIT

    def _show(self, point: Point, value: float, target: _Target) -> Reason | None:
        signal, labelled = target.match.signal, target.labelled
        if signal.ago:
            moment = self.streams.moment(_sender(point, target), value, point.time / 1e9 - value)
            if isinstance(moment, Reason):
                return moment
            value = moment
        by_sender = signal.parts == "sum"
        series = self._store.gauge(
            target.metric, labelled.labels, SENDER_TTL if by_sender else None, self._labeller.parts(target.metric)
        )
        part = (point.origin if by_sender else None, labelled.lost)
        return None if series and series.part(part, value) else Reason.SERIES_LIMIT

    def _time(self, point: Point, seconds: float, target: _Target) -> Reason | None:
        """A timer that comes as a gauge, which shows the newest of several durations."""
        if target.metric.kind is not Kind.HISTOGRAM:
            return self._show(point, seconds, target)
        new = self.streams.changed(_sender(point, target), seconds)
        if isinstance(new, Reason):
            return new
        series = self._store.histogram(target.metric, target.labelled.labels)
        return None if series and (not new or series.observe(max(0.0, seconds))) else Reason.SERIES_LIMIT

    def _observe(self, point: Point, value: Observations, factor: float, target: _Target) -> Reason | None:
        more = self.streams.observed(point, value)
        if isinstance(more, Reason):
            return more
        if target.metric.kind is not Kind.HISTOGRAM:
            # The family shows one value: the mean of what is new.
            count = more.count if more else 0.0
            return self._show(point, spread(more, (), factor)[1] / count, target) if more and count else None
        counts, total = spread(more, target.metric.buckets, factor) if more else ([], 0.0)
        series = self._store.histogram(target.metric, target.labelled.labels)
        # Two clocks that differ make negative durations, which would make the sum fall.
        return None if series and (not counts or series.add(counts, max(0.0, total))) else Reason.SERIES_LIMIT


def _make_room(known: dict[Any, Any]) -> None:
    """Forget the tenth that came first."""
    for key in list(islice(known, len(known) // 10 + 1)):
        del known[key]


def _sender(point: Point, target: _Target) -> Hashable:
    """Who says this of which series, in either spelling."""
    return (point.origin, target.match.signal.name, target.labelled)
