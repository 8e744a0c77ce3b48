"""The labels of a sample, out of its tags and of what its legacy name says, as far as the policy wants them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from string import Formatter

from airflow_obs.catalog.airflow import NO_STATE
from airflow_obs.catalog.emitted import SIGNALS
from airflow_obs.catalog.emitted.match import Match
from airflow_obs.collectors.dag_patterns import Patterns
from airflow_obs.exporter.ingest.accounts import Reason
from airflow_obs.exporter.ingest.series import Labels, Parts
from airflow_obs.model import Metric, Signal
from airflow_obs.policy.dags import DagsPolicy

TASK = "task_id"


class Form(Enum):
    """In which spelling a sample of a signal came, and what that one tells."""

    LEGACY = "its labels are in the name"
    TOLD = "its labels are tags, and it has them"
    WHOLE = "without tags, of which it needs none"
    BARE = "without the tags that it needs"


@dataclass(frozen=True, slots=True)
class Labelled:
    """A series' labels, in the family's order; `lost` is what else Airflow told it apart by, and the series does not."""

    labels: Labels
    lost: tuple[str, ...] = ()


class Labeller:
    """Applies `dags` of the policy: which DAGs may have series, and whether tasks have."""

    def __init__(self, dags: DagsPolicy) -> None:
        self._patterns = Patterns(dags)
        self._task_level = dags.task_level

        self._summed = frozenset(
            signal.to for signal in SIGNALS if signal.to and (signal.parts == "sum" or self._loses(signal))
        )

    def parts(self, metric: Metric) -> Parts:
        """What its gauges are of: of the whole family, since one sample may have lost something and the next have not."""
        return "sum" if metric in self._summed else "newest"

    def _loses(self, signal: Signal) -> bool:
        return bool(_untaken(signal)) or (not self._task_level and any(label == TASK for label, _ in signal.labels))

    def labels(self, match: Match, tags: Mapping[str, str], metric: Metric) -> Labelled | Reason:
        """The labels of a sample of `metric`, or why it can have none."""
        signal = match.signal
        found = dict(signal.constants)
        for label, sources in signal.labels:
            # Tags first: ids in a name have been changed where they had dots.
            if value := _first(sources, tags, match.values):
                found[label] = NO_STATE if label == "state" and value.lower() == "none" else value
        if (dag_id := found.get("dag_id")) and not self._patterns.wanted(dag_id):
            return Reason.EXCLUDED
        lost = [_first((name,), tags, match.values) for name in _untaken(signal)]
        if not self._task_level:
            if TASK in metric.labels:
                return Reason.NO_TASKS
            lost.append(found.pop(TASK, None))
        if any(label not in found for label in metric.labels):
            return Reason.NO_LABELS if tags or not match.tagged else Reason.LOST_TAGS
        labels = tuple((key, found[key]) for key in metric.labels + metric.optional if key in found)
        return Labelled(labels, tuple(value or "" for value in lost) if any(lost) else ())


def form(match: Match, tags: Mapping[str, str]) -> Form:
    """How this sample tells its labels."""
    if not match.tagged:
        return Form.LEGACY
    signal = match.signal
    if not signal.labels:
        return Form.TOLD
    told = {label for label, sources in signal.labels if _first(sources, tags, {})}
    if missing := _required(signal) - told:
        return Form.TOLD if tags and len(missing) < len(_required(signal)) else Form.BARE
    return Form.TOLD if told else Form.WHOLE


def has_twin(signal: Signal) -> bool:
    """Whether Airflow may send each of its samples in two spellings."""
    return bool(signal.legacy) and "{" not in signal.name


@cache
def _untaken(signal: Signal) -> tuple[str, ...]:
    """The placeholders that no label is taken from."""
    taken = {source for _, sources in signal.labels for source in sources}
    named = (name for text in signal.legacy for _, name, _, _ in Formatter().parse(text) if name)
    return tuple(dict.fromkeys(name for name in named if name not in taken))


def _required(signal: Signal) -> set[str]:
    needed = set(signal.to.labels) if signal.to else set()
    return needed - {label for label, _ in signal.constants}


def _first(sources: tuple[str, ...], *places: Mapping[str, str]) -> str | None:
    for place in places:
        for source in sources:
            if value := place.get(source):
                return value
    return None
