"""What is known of a series by its name: its kind and its labels."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from airflow_obs.catalog import foreign, metrics, recording
from airflow_obs.errors import meant
from airflow_obs.model import PREFIX, RECORDED, External, Kind, Metric, Recorded
from airflow_obs.promql import TARGET

ADDED = TARGET | {"namespace", "pod", "container", "service", "endpoint", "node", "cluster", "prometheus", "replica"}
"""Labels that Prometheus, its operator or its external_labels give a series, beside those of its metric."""

_SIGNED = ("_clock_", "_offset", "_skew")
"""In names of metrics that are differences."""
_PER_EXPORTER = frozenset({"instance", "pod"})
_OF_SERVERS = frozenset({"database", "broker", "workers"})
"""Collectors whose counters are those of a server, and are there before the first event."""
_FROM_ZERO = frozenset({metrics.TASK_EVENTS, metrics.SLA_MISSES, metrics.DEADLINES_MISSED, metrics.SERIES_DROPPED})
"""Counters of ours that are there at 0 from the first page on."""


@dataclass(frozen=True)
class Known:
    """The series of one name; `labels` of None: any. `kind` of None: nobody said.

    `per_exporter` are the labels by which those of two exporters of one Airflow differ; empty for what is not ours.
    """

    name: str
    kind: Kind | None
    labels: frozenset[str] | None
    ours: bool = False
    per_exporter: frozenset[str] = frozenset()
    signed: bool = False
    """Whether it may be negative, as a difference of clocks is."""
    begins_late: bool = False
    """Whether the first event makes the series, so that it has no rise before the second."""

    @property
    def counts(self) -> bool:
        """Whether it only rises."""
        return self.kind in {Kind.COUNTER, Kind.HISTOGRAM}


def known(name: str) -> Known | None:
    """What the catalogue knows of the series called so; None if nothing."""
    return _by_name().get(name)


def guessed(name: str) -> Known:
    """What the name of a metric of somebody else says: counters end in _total, and Airflow's begin at the first event."""
    kind = Kind.COUNTER if name.endswith("_total") else Kind.INFO if name.endswith("_info") else None
    return Known(name, kind, None, begins_late=name.startswith("airflow_"))


def nearest(word: str, among: Iterable[str]) -> str:
    """The remedy for a word that is unknown: the one that is meant, if one is like it."""
    choices = sorted(among)
    if near := meant(word, choices):
        return f"did you mean {near}?"
    return (
        f"it is one of {', '.join(choices)}" if 0 < len(choices) <= 12 else "see exporters/metrics.md for what there is"
    )


def names() -> Iterable[str]:
    """The names of all known series."""
    return _by_name()


@functools.cache
def _by_name() -> Mapping[str, Known]:
    ours = {one.name: one for metric in metrics.ALL for one in _of_metric(metric)}
    recorded = {family.name: _of_recorded(family) for family in recording.ALL}
    return ours | recorded | {family.name: _of_external(family) for family in foreign.ALL}


def _of_metric(metric: Metric) -> Iterable[Known]:
    labels = frozenset({"airflow", *metric.labels, *metric.optional}) | ADDED
    late = metric.cumulates and metric.collector not in _OF_SERVERS and metric not in _FROM_ZERO
    signed = any(word in metric.name for word in _SIGNED)
    parts = ("_bucket", "_count", "_sum") if metric.buckets else ("",)
    for part in parts:
        own = labels | {"le"} if part == "_bucket" else labels
        yield Known(
            f"{metric.name}{part}",
            metric.kind,
            own,
            ours=True,
            per_exporter=_PER_EXPORTER - set(metric.labels),
            signed=signed,
            begins_late=late,
        )


def _of_recorded(family: Recorded) -> Known:
    return Known(family.name, family.kind, frozenset({"airflow", *family.labels}), ours=True, signed=family.signed)


def _of_external(family: External) -> Known:
    return Known(family.name, family.kind, frozenset(family.labels) | ADDED)


def is_ours(name: str) -> bool:
    """Whether the name is one of those that only we give."""
    return name.startswith((PREFIX, RECORDED))
