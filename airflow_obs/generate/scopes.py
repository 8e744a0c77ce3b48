"""Which alerts each deployment has, with the numbers in force, and why it has not the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from airflow_obs.catalog.alerts import ALL
from airflow_obs.catalog.alerts.alert import Alert, Scope
from airflow_obs.catalog.collectors import source_of
from airflow_obs.generate.objectives import Judged, judged, measured
from airflow_obs.generate.rule import Chosen, Emitted
from airflow_obs.model import External, Metric
from airflow_obs.policy import Deployment, Policy
from airflow_obs.policy.alerts import AlertSettings, looks_back, settings
from airflow_obs.policy.lacking import certain
from airflow_obs.policy.scope import against, among, scope
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


_NOT_APPLICABLE = (
    "the policy's version, executor, chart, replicas, sources, retention or push say that it does not apply"
)
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
    bare = scope(policy, deployment)
    bare = replace(bare, objectives=measured(judged(policy, deployment, bare)))
    chosen = {alert.name: settings(policy, deployment, alert) for alert in alerts}
    scopes = among(bare, chosen)
    found = {one.name: _decide(policy, chosen[one.name], one, scopes[one.name]) for one in alerts if not one.absence}
    of_these = _reading(bare, [one for one in found.values() if isinstance(one, Emitted)])
    found |= {
        alert.name: _decide(policy, chosen[alert.name], alert, replace(of_these, knobs=chosen[alert.name].knobs))
        for alert in alerts
        if alert.absence
    }
    return [found[alert.name] for alert in alerts]


def objectives(policy: Policy, deployment: Deployment) -> list[Judged]:
    """By which of the policy's objectives that are for it a deployment can be judged, or why it cannot."""
    return judged(policy, deployment, scope(policy, deployment))


def emitted(policy: Policy, deployment: Deployment) -> list[Emitted]:
    """The alerts that a deployment has."""
    return [one for one in decided(policy, deployment) if isinstance(one, Emitted)]


def _decide(policy: Policy, chosen: AlertSettings, alert: Alert, at: Scope) -> Emitted | Withheld:
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
    if not enabled:
        yield "the policy switches it off"
    yield from against(one.alert, one.at, one.expr.families)


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
