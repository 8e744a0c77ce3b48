"""From a sample of Airflow's to the series of ours that it belongs to, or to the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from airflow_obs.catalog.emitted.match import Match, Matcher
from airflow_obs.exporter.ingest.accounts import Outcome, Reason
from airflow_obs.exporter.ingest.labels import Form, Labelled, Labeller, form, has_twin
from airflow_obs.exporter.ingest.opinion import PATIENCE, KnownRelease
from airflow_obs.exporter.ingest.statsd.lines import Type, Value
from airflow_obs.exporter.ingest.statsd.style import StyleOpinion
from airflow_obs.exporter.ingest.statsd.twins import MOST_HELD, Held, Twins, verdict
from airflow_obs.exporter.ingest.store import Store
from airflow_obs.exporter.ingest.units import Style, seconds_per_unit
from airflow_obs.model import Emission, Kind, Metric
from airflow_obs.policy.dags import DagsPolicy

Feed = Callable[[float], bool | None]
"""Takes the value of a sample: True if it is in its series, False if that had no room, None if it counted the sample itself."""
Fate = tuple[Outcome, Reason]
"""What becomes of a sample that has no series."""

_CLIENT = "datadog.dogstatsd.client."
"""What Datadog's client sends of itself."""
_TYPES: dict[Emission, set[Type]] = {
    Emission.COUNTER: {"c"},
    Emission.GAUGE: {"g"},
    Emission.TIMER: {"ms", "h", "d"},
}


class Canonical:
    """Knows what the stream is like: which spelling of a signal counts, how its client sends tags, of which release it is.

    To be used under the store's lock. `clock` gives seconds that never go back, `wall` Unix seconds.
    """

    def __init__(
        self,
        store: Store,
        *,
        prefix: str,
        style: Style | None,
        release: Callable[[], tuple[int, int] | None],
        dags: DagsPolicy,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._store, self._clock, self._wall = store, clock, wall
        self._prefix = f"{prefix}." if prefix else ""
        self._matcher = Matcher()
        self._labeller = Labeller(dags)
        self._twins = Twins()
        self._style = StyleOpinion(style)
        self._release = KnownRelease(release)
        self._revision = 0
        self._without_style: list[Held] = []
        self.settled: list[tuple[Held, Feed | Fate]] = []
        """Samples that waited, and what has become of them: for the caller to take away."""

    @property
    def style(self) -> Style | None:
        return self._style.value

    @property
    def revision(self) -> int:
        """Rises whenever what a line would become may have changed."""
        return self._revision + self._style.revision + self._twins.revision + self._matcher.revision

    def match(self, name: str) -> Match | None:
        """The signal that a name belongs to, None if it is not Airflow's."""
        return self._matcher.match(name[len(self._prefix) :]) if name.startswith(self._prefix) else None

    def labels(self, match: Match, tags: Mapping[str, str], metric: Metric) -> Labelled | Reason:
        """The labels of a sample of `metric`, or why it has none."""
        if dag_id := tags.get("dag_id"):
            self._matcher.learn(dag_id)
        return self._labeller.labels(match, tags, metric)

    def feed(self, sample: Value, *, counted: bool = False) -> Feed | Fate | None:
        """What takes the sample's value, or why nothing does; None if it waits, to be `settled` later."""
        now = self._clock()
        match = self.match(sample.name)
        if match is None:
            if sample.name.startswith(_CLIENT):
                self._hear_style(Style.DATADOG, now)
                return Outcome.DROPPED, Reason.CLIENT
            return Outcome.UNMAPPED, Reason.UNKNOWN_NAME
        signal = match.signal
        self._revision += self._release.learn(signal, now)
        if signal.to is None:
            return Outcome.DROPPED, Reason.REFUSED
        if sample.type not in _TYPES[signal.kind]:
            return Outcome.UNMAPPED, Reason.OTHER_TYPE
        shape = form(match, sample.tags)
        held = Held(sample, match, shape, counted)
        self._hear_style(sample.style or (Style.PLAIN if shape is Form.BARE else None), now)
        if has_twin(signal):
            waits, reason = self._twins.decide(signal.name, shape, plain=self.style is Style.PLAIN, now=now)
            self._settle(signal.name, now)
            if waits:
                return None if self._twins.hold(signal.name, held, now) else (Outcome.DROPPED, Reason.HOLD_LIMIT)
            if reason:
                return Outcome.DROPPED, reason
        elif shape is Form.BARE:
            return Outcome.DROPPED, Reason.LOST_TAGS
        return self._placed(held)

    def tick(self, patience: float = PATIENCE) -> None:
        """Decide what has waited for too long, and ask for the release again."""
        now = self._clock()
        self._revision += self._release.ask()
        if self._style.tick(now, patience):
            self._place_timers()
        self._twins.reconsider(now)
        for name in list(self._twins.overdue(now, patience)):
            self._settle(name, now)

    def _hear_style(self, word: Style | None, now: float) -> None:
        if self._style.hear(word, now):
            self._place_timers()

    def _place_timers(self) -> None:
        waiting, self._without_style = self._without_style, []
        for held in waiting:
            self._settle_one(held)

    def _settle(self, name: str, now: float) -> None:
        if (decided := self._twins.decided(name)) is None:
            return
        counts, waited = decided
        if any(held.form is Form.WHOLE for held in waited) and any(held.form is Form.LEGACY for held in waited):
            self._hear_style(Style.PLAIN, now)
        for held in waited:
            if reason := verdict(counts, held.form):
                self.settled.append((held, (Outcome.DROPPED, reason)))
            else:
                self._settle_one(held)

    def _settle_one(self, held: Held) -> None:
        placed = self._placed(held)
        if placed is not None:
            self.settled.append((held, placed))

    def _placed(self, held: Held) -> Feed | Fate | None:
        """What takes the value of a sample that counts; None if it waits for the style that its unit depends on."""
        sample, match = held.sample, held.match
        signal, metric = match.signal, match.signal.to
        if metric is None:
            return Outcome.DROPPED, Reason.REFUSED
        times, factor = sample.times, signal.factor
        if sample.value < 0 and metric.kind is Kind.COUNTER:
            if signal.falls is None:
                return Outcome.INVALID, Reason.NEGATIVE_COUNT
            metric, times = signal.falls, -times
        style = sample.style or self.style
        if signal.kind is Emission.TIMER:
            if style is None:
                if len(self._without_style) >= MOST_HELD:
                    return Outcome.DROPPED, Reason.HOLD_LIMIT
                self._without_style.append(held)
                return None
            bundle = "bundle_name" in match.values or "bundle_name" in sample.tags
            seconds = seconds_per_unit(signal.unit, style, self._release.release, bundle=bundle)
            if seconds is None:
                return Outcome.DROPPED, Reason.UNIT_UNKNOWN
            factor *= seconds
        labelled = self.labels(match, sample.tags, metric)
        if isinstance(labelled, Reason):
            return Outcome.DROPPED, labelled
        return self._series_feed(held, metric, labelled, factor, times) or (Outcome.DROPPED, Reason.SERIES_LIMIT)

    def _series_feed(self, held: Held, metric: Metric, labelled: Labelled, factor: float, times: float) -> Feed | None:
        """What takes the values as they come on the line, None at a cap."""
        labels, lost, signal = labelled.labels, labelled.lost, held.match.signal
        if metric.kind is Kind.COUNTER:
            counter = self._store.counter(metric, labels)
            if counter is None:
                return None
            return counter.add if times * factor == 1 else lambda value: counter.add(value * times * factor)
        if metric.kind is Kind.HISTOGRAM:
            histogram = self._store.histogram(metric, labels)
            if histogram is None:
                return None
            # Two clocks that differ make negative durations, which would make the sum fall.
            return lambda value: histogram.observe(value * factor if value > 0 else 0.0, times)
        gauge = self._store.gauge(metric, labels, parts=self._labeller.parts(metric))
        if gauge is None:
            return None
        if signal.ago:
            return lambda value: gauge.set(self._wall() - value)
        # What Datadog's client sends of a gauge is its value, whatever its sign.
        relative = held.sample.relative and (held.sample.style or self.style) is not Style.DATADOG
        if signal.kind is Emission.COUNTER:
            return lambda value: gauge.shift(value * times * factor)
        if relative and signal.kind is Emission.GAUGE:
            return lambda value: gauge.shift(value * factor, lost)
        if lost:
            return lambda value: gauge.part(lost, value * factor)
        return gauge.set if factor == 1 else lambda value: gauge.set(value * factor)
