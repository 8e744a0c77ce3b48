"""Which alerts each deployment has, with the numbers in force, and why it has not the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from airflow_obs.catalog.alerts import ALL
from airflow_obs.catalog.alerts.alert import Alert, Scope
from airflow_obs.catalog.alerts.teams import team_dags
from airflow_obs.catalog.collectors import source_of
from airflow_obs.generate.lacking import LISTED_AS, certain, first_lacking
from airflow_obs.generate.objectives import Judged, judged, measured
from airflow_obs.generate.rule import Chosen, Emitted
from airflow_obs.model import External, Metric, Severity
from airflow_obs.policy import Deployment, Policy
from airflow_obs.policy.alerts import AlertSettings, looks_back, settings
from airflow_obs.promql import Family

STEPS = (3600, 1800, 900, 300, 60, 30, 20, 15, 12, 10, 6, 5, 4, 3, 2, 1)
"""Seconds from one sample of a promtool test, and one judgement, to the next: the largest that will do is taken."""
USUAL = 60
"""The step, unless the alert looks back for as long as LONG, or not even for a few of these."""
LONG = 3600
STEPS_WITHIN = 4
"""Steps within the shortest time that an alert looks back, at least."""
STEPS_ALTOGETHER = 12
"""Steps within all the time that one looks back, at least."""
STEPS_AFTER = 4
"""Steps from the moment when an alert has held for long enough to that when it is judged."""


_NOT_APPLICABLE = "the policy's version, executor, chart, replicas, sources or retention say that it does not apply"
_NO_OBJECTIVE = "the policy's slos have no objective for the deployment that it would be about"


@dataclass(frozen=True)
class Withheld:
    """An alert that a deployment has not, and why: a clause that goes on after "not emitted: ".

    `of` is what it would be; None where there is nothing of which its expression could be made.
    """

    alert: Alert
    reason: str
    of: Emitted | None


def decided(policy: Policy, deployment: Deployment, alerts: Iterable[Alert] = ALL) -> list[Emitted | Withheld]:
    """For each alert, in the catalogue's order, what the deployment has of it, or why it has nothing.

    Alerts on what is absent come second, whatever their place: what they look for is what the others read.
    """
    alerts = tuple(alerts)
    bare = _scope(policy, deployment)
    bare = replace(bare, objectives=measured(judged(policy, deployment, bare)))
    chosen = {alert.name: settings(policy, deployment, alert) for alert in alerts}
    whole = replace(
        bare,
        thresholds={
            name: one.knobs["threshold"]
            for name, one in chosen.items()
            if one.enabled and not one.shadow and "threshold" in one.knobs
        },
    )
    quieter = {severity: _quieter(chosen, severity) for severity in Severity}
    scopes = {name: replace(whole, silent=quieter[one.severity]) for name, one in chosen.items()}
    found = {one.name: _decide(policy, chosen[one.name], one, scopes[one.name]) for one in alerts if not one.absence}
    of_these = _reading(whole, [one for one in found.values() if isinstance(one, Emitted)])
    found |= {alert.name: _decide(policy, chosen[alert.name], alert, of_these) for alert in alerts if alert.absence}
    return [found[alert.name] for alert in alerts]


def objectives(policy: Policy, deployment: Deployment) -> list[Judged]:
    """By which of the policy's objectives that are for it a deployment can be judged, or why it cannot."""
    return judged(policy, deployment, _scope(policy, deployment))


def _quieter(chosen: Mapping[str, AlertSettings], severity: Severity) -> frozenset[str]:
    """The alerts that tell nobody, or tell it less loudly than with this severity."""
    louder = list(Severity)[: list(Severity).index(severity) + 1]
    return frozenset(
        name for name, one in chosen.items() if not one.enabled or one.shadow or one.severity not in louder
    )


def emitted(policy: Policy, deployment: Deployment) -> list[Emitted]:
    """The alerts that a deployment has."""
    return [one for one in decided(policy, deployment) if isinstance(one, Emitted)]


def _decide(policy: Policy, chosen: AlertSettings, alert: Alert, whole: Scope) -> Emitted | Withheld:
    at = replace(whole, knobs=chosen.knobs)
    if not alert.when(at):
        return Withheld(alert, _NO_OBJECTIVE if alert.per_slo else _NOT_APPLICABLE, None)
    step, horizon = _times(alert, chosen, alert.history and alert.history(at))
    at = replace(at, step=step, horizon=horizon)
    one = Emitted(
        alert,
        at,
        Chosen(
            chosen.severity,
            Decimal(str(chosen.wait)),
            chosen.shadow,
            policy.output.labels,
            policy.output.runbook_url,
            policy.dashboards.grafana_url or "",
        ),
    )
    reason = next(_against(one, enabled=chosen.enabled), None)
    return Withheld(alert, reason, one) if reason else one


def _against(one: Emitted, *, enabled: bool) -> Iterator[str]:
    """What keeps the alert from its deployment."""
    alert, at = one.alert, one.at
    if not enabled:
        yield "the policy switches it off"
    if alert.executors and at.executor != "auto" and not any(kind in at.executor for kind in alert.executors):
        yield f"it concerns {' and '.join(alert.executors)}, and the executor is {at.executor}"
    for source in alert.sources:
        if source not in at.sources:
            yield f"it needs {LISTED_AS.get(source, source)}, which the deployment does not list"
    if why := first_lacking(one.expr.families, at):
        yield why


def _scope(policy: Policy, deployment: Deployment) -> Scope:
    facts, sources = deployment.airflow, tuple(_sources(deployment))
    enabled = [name for name, one in policy.collectors.by_name().items() if one.enabled]
    return Scope(
        airflow=deployment.name,
        replicas={name: count for name, count in deployment.replicas if count is not None},
        executor=facts.executor,
        version=facts.version,
        chart=facts.chart,
        namespace=facts.namespace or "",
        release=facts.release or "",
        collectors=tuple(name for name in enabled if source_of(name) in sources),
        sources=sources,
        replica=bool(deployment.sources.database and deployment.sources.database.replica),
        retention="retention" in policy.model_fields_set,
        teams=tuple(
            team_dags(team.name, team.owners, team.dag_prefixes, team.tags)
            for team in policy.teams
            if team.owners or team.dag_prefixes or team.tags
        ),
        team=deployment.team or next((team.name for team in policy.teams), ""),
    )


def _sources(deployment: Deployment) -> Iterator[str]:
    """The names of what can be read, as collectors and foreign families name their sources."""
    listed = deployment.sources
    there = {
        "database": listed.database,
        "health": listed.health,
        "broker": listed.broker,
        "workers": listed.broker and listed.broker.control,
        "ingest": listed.ingests,
        "otlp": listed.otlp,
    }
    yield from (name for name, one in there.items() if one)
    if listed.kubernetes:
        yield from (name for name, one in listed.kubernetes if one)


def _reading(whole: Scope, others: Iterable[Emitted]) -> Scope:
    """The scope of the alerts on what is absent: of what the other alerts read, what should be there."""
    others = list(others)
    families = frozenset[Family]().union(*(one.expr.families for one in others))
    ours = sorted((family for family in families if isinstance(family, Metric)), key=_name)
    feeding = {name for family in ours for name in (family.collector, family.also) if name}
    sources = {family.source for family in families if isinstance(family, External)}
    sources.update(*(map(source_of, feeding), *(one.alert.sources for one in others)))
    return replace(
        whole,
        collectors=tuple(name for name in whole.collectors if name in feeding),
        sources=tuple(name for name in whole.sources if name in sources),
        always=tuple(
            family
            for family in ours
            if family.always and family.collector in whole.collectors and certain(family, whole)
        ),
    )


def _times(alert: Alert, chosen: AlertSettings, history: int | None) -> tuple[int, int]:
    """Step and horizon of the alert's promtool tests: as long as it looks back, and then holds, and a little more.

    With a `history` (seconds), a minute for each step.
    """
    if history is not None:
        return USUAL, (-int(-(history + Decimal(str(chosen.wait))) // USUAL) + STEPS_AFTER) * USUAL
    windows = [chosen.knobs[knob.name] for knob in alert.knobs if looks_back(knob)]
    looked_at = sum(windows, Decimal(str(chosen.wait)))
    usual = looked_at / STEPS_ALTOGETHER if looked_at >= LONG else Decimal(USUAL)
    finest = min([*(window / STEPS_WITHIN for window in windows), usual])
    step = next((step for step in STEPS if step <= finest), STEPS[-1])
    return step, (-int(-looked_at // step) + STEPS_AFTER) * step


def _name(family: Family) -> str:
    return family.name
