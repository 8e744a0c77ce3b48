"""What looks wrong, worst first: the sentence at the top of the status page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from airflow_obs.catalog.alerts import BY_NAME
from airflow_obs.exporter.web.page.condition import DOWN, FAILING, LATE, NEVER, NOT_RUN, Config, Sent, Source
from airflow_obs.exporter.web.page.figures.figure import Topic
from airflow_obs.exporter.web.page.judgement import Holding
from airflow_obs.exporter.web.page.telling import sentence
from airflow_obs.exporter.web.page.wording import listed
from airflow_obs.model import Severity

_LOUDEST = list(Severity)
_DATABASES_ALERT, _REPLICAS_ALERT, _BROKERS_ALERT = (
    "AirflowDatabaseDown",
    "AirflowDatabaseReplicaDown",
    "AirflowBrokerDown",
)
_COLLECTORS_ALERT, _DROPPED_ALERT = "AirflowCollectorFailing", "AirflowSeriesDropped"
_CONFIGS_ALERT, _SENT_ALERT = "AirflowExporterConfigRefused", "AirflowPushFailing"


@dataclass(frozen=True)
class Fault:
    """One thing that looks wrong: what, the error in full, and the alert on it; `minor` if it is no more than good to know."""

    what: str
    error: str = ""
    alert: str = ""
    minor: bool = False

    @property
    def impact(self) -> str:
        """What users lose by it."""
        return BY_NAME[self.alert].impact if self.alert else ""


def faults(
    sources: Sequence[Source],
    holding: Sequence[Holding],
    topics: Sequence[Topic],
    sent: Sequence[Sent],
    configs: Sequence[Config],
) -> list[Fault]:
    """All that looks wrong: first what cannot be seen, then what is seen, then what does not get out; at last what is minor."""
    held = {one.judged.alert.name for one in holding}
    down = list(_of_sources(sources, held))
    others = [*_of_collectors(sources), *_of_the_rest(sources, sent, configs)]
    # In words of the page's own, with the error.
    said = {one.alert for one in (*down, *others)}
    if down or any(one.state == NOT_RUN for source in sources for one in source.collectors):
        # The source's fault has its collectors in it, and what has not run yet is what the verdict says.
        said.add(_COLLECTORS_ALERT)
    found = [*down, *_of_alerts([one for one in holding if one.judged.alert.name not in said], topics), *others]
    return sorted(found, key=lambda one: one.minor)


def old(age: str, expected: str) -> Fault:
    """The page itself is not of now."""
    what = f"all that is said here is old: it was read {age}, and should be read {expected}"
    return Fault(what, "The exporter hangs, or its machine was asleep: load the page again, then look at its log.")


def _of_sources(sources: Sequence[Source], held: Collection[str]) -> Iterator[Fault]:
    """Several that are down for the same reason are one fault, and so are their collectors."""
    database = _REPLICAS_ALERT if _REPLICAS_ALERT in held else _DATABASES_ALERT
    alerts = {"database": database, "broker": _BROKERS_ALERT}
    alike: defaultdict[str, list[Source]] = defaultdict(list)
    for one in sources:
        if one.state == DOWN:
            alike[one.error].append(one)
    for error, down in alike.items():
        which = f"source {down[0].name} is" if len(down) == 1 else f"sources {listed([one.name for one in down])} are"
        why = "" if error else " and late"
        alert = next((alerts[one.name] for one in down if one.name in alerts), "")
        success = down[0].success
        last = "no success so far" if success == NEVER else f"last success {success}"
        of = sum(len(one.collectors) for one in down)
        with_it = f", with {'its' if len(down) == 1 else 'their'} {'collector' if of == 1 else f'{of} collectors'}"
        yield Fault(f"{which} down{why}{with_it}: {last}", error, alert)


def _of_alerts(holding: Sequence[Holding], topics: Sequence[Topic]) -> Iterator[Fault]:
    """Those that hold, and of those that take longer than a moment what is beyond their thresholds."""
    found = [(one.judged, sentence(one)) for one in holding]
    found += [
        (one.wrong, f"{topic.title}: {one.name}: {one.text}")
        for topic in topics
        for one in topic.figures
        if one.wrong and one.wrong.query is None
    ]
    for judged, what in sorted(found, key=lambda one: _LOUDEST.index(one[0].severity)):
        yield Fault(what, "", judged.alert.name, minor=judged.severity in (Severity.INFO, Severity.NONE))


def _of_collectors(sources: Sequence[Source]) -> Iterator[Fault]:
    """Several that fail alike are one fault."""
    alike: defaultdict[str, list[str]] = defaultdict(list)
    late = []
    for one in (collector for source in sources for collector in source.collectors):
        if one.state == FAILING:
            alike[one.error].append(one.name)
        elif one.state == LATE:
            late.append(one.name)
    for error, names in alike.items():
        yield Fault(f"{_collectors(names)} {'fails' if len(names) == 1 else 'fail'}", error, _COLLECTORS_ALERT)
    if late:
        text = "is late: it has" if len(late) == 1 else "are late: they have"
        yield Fault(f"{_collectors(late)} {text} not finished for too long", "", _COLLECTORS_ALERT)


def _of_the_rest(sources: Sequence[Source], sent: Sequence[Sent], configs: Sequence[Config]) -> Iterator[Fault]:
    if dropping := [one.name for source in sources for one in source.collectors if one.dropping]:
        yield Fault(f"{_collectors(dropping)}: more series than max_series, the rest is dropped", "", _DROPPED_ALERT)
    for config in configs:
        if config.state.well is False:
            yield Fault(
                f"the newest {config.name} was not taken, the one before holds; the log says why", "", _CONFIGS_ALERT
            )
    for one in sent:
        if one.state == FAILING:
            yield Fault(
                f"{one.destination} does not take what is sent: last success {one.success}; the log says why",
                "",
                _SENT_ALERT,
            )


def _collectors(names: list[str]) -> str:
    return f"collector{'' if len(names) == 1 else 's'} {listed(names, 8)}"
