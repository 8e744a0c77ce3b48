"""From a sample to the series that it has under a name that is not ours: a mapping file's, or its own."""

from __future__ import annotations

from airflow_obs.exporter.ingest.accounts import Outcome, Reason
from airflow_obs.exporter.ingest.foreign.families import Drop, StatsdType, Target
from airflow_obs.exporter.ingest.foreign.mapping import Mapping
from airflow_obs.exporter.ingest.statsd.canonical import Fate, Feed
from airflow_obs.exporter.ingest.statsd.lines import Type, Value
from airflow_obs.exporter.ingest.store import Store
from airflow_obs.model import Kind

_TYPES: dict[Type, StatsdType] = {"c": "counter", "g": "gauge", "ms": "observer", "h": "observer", "d": "observer"}


class ForeignFeeds:
    """Asks the mapping, if there is one, and gives a line that nobody knows a series of its own name, if that is wanted."""

    def __init__(self, store: Store, mapping: Mapping | None, *, keep_unmapped: bool) -> None:
        self._store, self._mapping = store, mapping
        self._names = (mapping or Mapping()) if keep_unmapped else None
        self.names_the_rest = keep_unmapped and mapping is not None and mapping.names_the_rest
        """Whether a line that the mapping has no rule for gets a series of its own name, whoever else knows it."""

    def feed(self, sample: Value) -> Feed | Fate | None:
        """What takes the sample's value where the mapping says so, or why nothing does; None if it says nothing."""
        if self._mapping is None:
            return None
        found = self._mapping.match(sample.name, _TYPES[sample.type], sample.tags)
        return self._taken(found, sample) if found else None

    def own_name(self, sample: Value) -> Feed | Fate | None:
        """What takes the sample's value under its own name, or why nothing does; None if that is not wanted."""
        if self._names is None:
            return None
        return self._taken(self._names.unmapped(sample.name, _TYPES[sample.type], sample.tags), sample)

    def _taken(self, found: Target | Drop, sample: Value) -> Feed | Fate:
        if isinstance(found, Drop):
            return Outcome.DROPPED, found.reason
        if not self._store.fits(found.family):
            return Outcome.DROPPED, Reason.NAME_TAKEN
        return self._series_feed(found, sample) or (Outcome.DROPPED, Reason.SERIES_LIMIT)

    def _series_feed(self, target: Target, sample: Value) -> Feed | Fate | None:
        """What takes the values as they come on the line; None at a cap."""
        family, labels, ttl, scale, times = target.family, target.labels, target.ttl, target.scale, sample.times
        if family.kind is Kind.COUNTER:
            # What the line brings later is looked at no more: with a negative scale all but zero would count down.
            if sample.value * scale < 0 or scale < 0 <= sample.value:
                return Outcome.INVALID, Reason.NEGATIVE_COUNT
            if counter := self._store.counter(family, labels, ttl):
                return counter.add if scale * times == 1 else lambda value: counter.add(value * scale * times)
            return None
        if family.kind is Kind.GAUGE:
            if gauge := self._store.gauge(family, labels, ttl):
                change = gauge.shift if sample.relative else gauge.set
                return change if scale == 1 else lambda value: change(value * scale)
            return None
        series = (
            self._store.summary(family, labels, target.window, ttl)
            if family.kind is Kind.SUMMARY
            else self._store.histogram(family, labels, ttl)
        )
        if series is None:
            return None
        # As statsd_exporter: what is called milliseconds becomes seconds, and a sampled value counts as a whole number of them.
        factor, whole = scale * (0.001 if sample.type == "ms" else 1), int(times)
        return lambda value: series.observe(value * factor, whole)
