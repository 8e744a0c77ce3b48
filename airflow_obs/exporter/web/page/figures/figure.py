"""What a figure is, and the snapshot's series from which figures are read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from airflow_obs.catalog.alerts import BY_NAME
from airflow_obs.exporter.web.page.instant import Moment
from airflow_obs.exporter.web.page.judgement import Judged, Judgement, Test
from airflow_obs.model import Metric, Reading, Sample

Labels = dict[str, str]


@dataclass(frozen=True)
class Figure:
    """One line of the page: `text` is its value with a unit, `metric` where it is from.

    `judging` are the alerts in force that look at it, `wrong` is the first of them that holds, or for which, where that takes
    longer than a moment, it is beyond its threshold.
    """

    name: str
    text: str
    metric: Metric
    judging: tuple[Judged, ...] = ()
    wrong: Judged | None = None


@dataclass(frozen=True)
class Topic:
    """Figures that belong together."""

    title: str
    figures: tuple[Figure, ...]


class Seen:
    """The series of a snapshot as they are `now` (Unix seconds), asked by metric object."""

    def __init__(self, readings: Iterable[Sequence[Reading]], judgement: Judgement, now: float) -> None:
        self._judgement = judgement
        self._now = now
        self._samples: defaultdict[str, list[Sample]] = defaultdict(list)
        self._labelled: dict[str, list[tuple[Labels, float]]] = {}
        for part in readings:
            for reading in part:
                if isinstance(reading, Sample):
                    self._samples[reading.metric.name].append(reading)
        self.holding, self.ambiguous = judgement.asked(Moment(self._named, now))
        """The alerts of those that one moment decides that hold, and the names of those that this one does not decide."""
        self._held = {one.judged.alert.name for one in self.holding}

    def _named(self, family: str) -> list[tuple[Labels, float]]:
        if family not in self._labelled:
            self._labelled[family] = [(dict(of.labels), of.value) for of in self._samples.get(family, ())]
        return self._labelled[family]

    def _is_wrong(self, one: Judged, test: Test) -> bool:
        if one.query is not None:
            return one.alert.name in self._held
        return test if isinstance(test, bool) else test(one.at)

    def series(self, metric: Metric, **labels: str) -> list[tuple[Labels, float]]:
        """(labels, value) of the series whose labels have these values."""
        wanted = labels.items()
        return [(of, value) for of, value in self._named(metric.name) if wanted <= of.items()]

    def values(self, metric: Metric, **labels: str) -> list[float]:
        """The values of those."""
        return [value for _, value in self.series(metric, **labels)]

    def value(self, metric: Metric, **labels: str) -> float | None:
        """The greatest of them; None for none."""
        return max(self.values(metric, **labels), default=None)

    def total(self, metric: Metric, **labels: str) -> float:
        """Their sum; 0 for none."""
        return sum(self.values(metric, **labels))

    def by(self, metric: Metric, label: str, **labels: str) -> dict[str, float]:
        """Their values by one label that all have: the greatest, where several have it alike."""
        # There may be thousands: a metric's own labels stand in its order.
        at = metric.labels.index(label)
        wanted = labels.items()
        found: dict[str, float] = {}
        for sample in self._samples.get(metric.name, ()):
            if not wanted or wanted <= dict(sample.labels).items():
                name = sample.labels[at][1]
                found[name] = max(sample.value, found[name]) if name in found else sample.value
        return found

    def ages(self, metric: Metric, **labels: str) -> list[tuple[float, Labels]]:
        """How many seconds ago these moments were, and their labels; the oldest first."""
        found = [(self.since(value), of) for of, value in self.series(metric, **labels)]
        return sorted(found, key=lambda one: one[0], reverse=True)

    def oldest(self, metric: Metric, **labels: str) -> tuple[float, Labels] | None:
        """The first of those, if there is any."""
        return next(iter(self.ages(metric, **labels)), None)

    def since(self, moment: float) -> float:
        """Seconds since then."""
        return self._now - moment

    def figure(self, name: str, text: str, metric: Metric, *alerts: str, **tests: Test) -> Figure:
        """A figure, and the alerts on it, the worst first.

        By `tests`, each called as the alert whose threshold it takes, it is judged where that alert needs more than one moment.
        """
        of = {**dict.fromkeys(alerts, False), **tests}
        judging = tuple(self._judgement.alerts[name] for name in of if BY_NAME[name].name in self._judgement.alerts)
        wrong = next((one for one in judging if self._is_wrong(one, of[one.alert.name])), None)
        return Figure(name, text, metric, judging, wrong)
