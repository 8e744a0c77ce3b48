"""Alerts on what is not there at all: a threshold on a series that is missing never fires."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from airflow_obs import promql
from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts.alert import Alert, Cases, Scope, Series
from airflow_obs.catalog.foreign import ALWAYS
from airflow_obs.model import External, Metric, Severity
from airflow_obs.promql import Expr, Match, Part, max_by

_SOUGHT = ("health", "broker")
"""The sources of which the exporter says nothing while it does not know where they are. Workers are asked over the broker."""
_CELERY = "Celery"
"""Part of the names of the executors that have a broker."""


def _exporter_absent(at: Scope) -> Expr:
    return promql.absent(at(metrics.BUILD_INFO), "airflow")


def _collectors_absent(at: Scope) -> Expr:
    """Each collector of which the exporter, which is there, says nothing."""
    expected = _any(promql.labelled(promql.vector(1), "collector", collector) for collector in at.collectors)
    missing = expected.on("collector").unless(max_by(at(metrics.COLLECTOR_SUCCESS), "collector"))
    return missing.on().and_(at(metrics.BUILD_INFO))


def _families_absent(at: Scope) -> Expr:
    """Each family that its collector, which succeeds, always has."""
    collectors = dict.fromkeys(family.collector for family in at.always)
    return _any(_absent_of(at, collector) for collector in collectors)


def _absent_of(at: Scope, collector: str) -> Expr:
    absent = _any(
        promql.labelled(promql.absent(at(family, _part(family)), "airflow"), "family", family.name)
        for family in at.always
        if family.collector == collector
    )
    return absent.on("airflow").and_(at(metrics.COLLECTOR_SUCCESS, collector=collector).equals(1))


def _kubernetes_absent(at: Scope) -> Expr:
    absent = ((source, promql.absent(at(family, "", **_of_namespace(at, family)))) for source, family in _foreign(at))
    return _any(promql.labelled(one, "source", source) for source, one in absent)


def _sources_unknown(at: Scope) -> Expr:
    """Each source that the policy lists and of which the exporter, which is there, does not say whether it answers."""
    unknown = _any(_unknown(at, source) for source in _sought(at))
    return unknown.on("airflow").and_(at(metrics.BUILD_INFO))


def _unknown(at: Scope, source: str) -> Expr:
    unknown = promql.absent(at(metrics.SOURCE_UP, source=source), "airflow", "source")
    if source != "broker" or _CELERY in at.executor:
        return unknown
    return unknown.on("airflow").and_(at(metrics.AIRFLOW_INFO, executor=Match("=~", f".*{_CELERY}.*")))


def _sought(at: Scope) -> list[str]:
    """Sources that must be there. Every policy lists the broker: only an executor that is known to be Celery's has one."""
    celery = _CELERY in at.executor or (at.executor == "auto" and metrics.AIRFLOW_INFO.collector in at.collectors)
    return [source for source in _SOUGHT if source in at.sources and (source != "broker" or celery)]


def _any(of: Iterable[Expr]) -> Expr:
    return reduce(Expr.or_, of)


def _part(family: Metric) -> Part:
    return "_count" if family.buckets else ""


def _foreign(at: Scope) -> list[tuple[str, External]]:
    return [(source, family) for source, family in ALWAYS.items() if source in at.sources]


def _of_namespace(at: Scope, family: External) -> dict[str, str]:
    return {"namespace": at.namespace} if "namespace" in family.labels else {}


def scraped(at: Scope, sources: Iterable[str]) -> list[Series]:
    """For cases: of each of these sources beside the exporter what it always has."""
    every = [
        (ALWAYS[source], {**dict.fromkeys(ALWAYS[source].labels, "x"), **_of_namespace(at, ALWAYS[source])})
        for source in sources
    ]
    return [at.series(family, 1, 0, "", **labels) for family, labels in every]


def _exporter(at: Scope) -> Series:
    return at.series(metrics.BUILD_INFO, 1, version="0", python="3")


def _success(at: Scope, collectors: Iterable[str], value: int = 1) -> tuple[Series, ...]:
    return tuple(at.series(metrics.COLLECTOR_SUCCESS, value, collector=collector) for collector in collectors)


def _collector_cases(at: Scope) -> Cases:
    first, *others = at.collectors
    return Cases(
        fires=_success(at, others),
        # One that fails is another alert's.
        quiet=(*_success(at, others), *_success(at, (first,), 0)),
        value=1,
        labels={"collector": first},
    )


def _family_cases(at: Scope) -> Cases:
    first, *others = at.always
    there = [at.series(family, 0, 0, _part(family), **dict.fromkeys(family.labels, "x")) for family in others]
    feeding = {family.collector for family in at.always}
    others_feeding = _success(at, sorted(feeding - {first.collector}))
    return Cases(
        fires=(_exporter(at), *_success(at, sorted(feeding)), *there),
        # Its collector fails, which another alert says.
        quiet=(_exporter(at), *others_feeding, *_success(at, (first.collector,), 0), *there),
        value=1,
        labels={"family": first.name},
        bare=True,
    )


def _kubernetes_cases(at: Scope) -> Cases:
    first, *others = (source for source, _ in _foreign(at))
    every = scraped(at, (first, *others))
    return Cases(fires=tuple(every[1:]), quiet=tuple(every), value=1, labels={"source": first}, bare=True)


def _unknown_cases(at: Scope) -> Cases:
    first, *others = sorted(_sought(at))
    known = [at.series(metrics.SOURCE_UP, 1, source=source) for source in others]
    if first == "broker":
        labels = dict.fromkeys(metrics.AIRFLOW_INFO.labels, "x")
        known.append(at.series(metrics.AIRFLOW_INFO, 1, 0, "", **labels, executor="CeleryExecutor"))
    # One that does not answer is another alert's.
    down = at.series(metrics.SOURCE_UP, 0, source=first)
    return Cases(fires=tuple(known), quiet=(*known, down), value=1, labels={"source": first})


ABSENCE = (
    Alert(
        "AirflowExporterAbsent", "absence", ("X5",), Severity.CRITICAL, "5m",
        expr=_exporter_absent,
        summary="Prometheus has no figures of this Airflow: its exporter is down, or is not scraped",
        impact="No other alert on this Airflow can fire.",
        cases=lambda at: Cases(fires=(), quiet=(_exporter(at),), value=1, bare=True),
        absence=True,
    ),
    Alert(
        "AirflowCollectorAbsent", "absence", ("X5",), Severity.WARNING, "10m",
        expr=_collectors_absent,
        summary="The exporter has no collector {{ $labels.collector }}, on whose figures alerts depend",
        impact="The alerts that read this collector's figures cannot fire.",
        cases=_collector_cases,
        when=lambda at: bool(at.collectors),
        absence=True,
    ),
    Alert(
        "AirflowFamilyAbsent", "exporter", ("X5",), Severity.WARNING, "15m",
        expr=_families_absent,
        summary="{{ $labels.family }} has no series although its collector succeeds",
        impact="The alerts that read this metric cannot fire.",
        cases=_family_cases,
        when=lambda at: bool(at.always),
        absence=True,
    ),
    Alert(
        "AirflowSourceUnknown", "absence", ("X5",), Severity.WARNING, "10m",
        expr=_sources_unknown,
        summary="The policy lists the source {{ $labels.source }}, and the exporter was not told where it is",
        impact="The exporter does not look for it any further: none of the alerts on it can fire, whatever happens to it.",
        cases=_unknown_cases,
        when=lambda at: bool(_sought(at)),
        absence=True,
    ),
    Alert(
        "AirflowKubernetesMetricsAbsent", "absence", ("X5",), Severity.WARNING, "15m",
        expr=_kubernetes_absent,
        summary="Prometheus has no figures of {{ $labels.source }} for this Airflow's namespace",
        impact="The alerts on pods, volumes and jobs of this Airflow cannot fire.",
        cases=_kubernetes_cases,
        when=lambda at: bool(_foreign(at)),
        absence=True,
    ),
    Alert(
        "AirflowWatchdog", "absence", (), Severity.NONE, "0s",
        expr=lambda _: promql.vector(1),
        summary="Prometheus judges the rules of this Airflow and reaches Alertmanager; this alert always fires",
        impact="None while it fires; once it is missing, nobody is told of anything.",
        cases=lambda _: Cases(fires=(), quiet=(), value=1, bare=True),
        always_fires=True,
    ),
)  # fmt: skip
