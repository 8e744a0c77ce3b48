"""By which alerts, with what thresholds, a site judges the figures that the status page shows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from airflow_obs.catalog.alerts import BY_NAME
from airflow_obs.catalog.alerts.alert import Alert, Scope
from airflow_obs.exporter.web.page.instant import Ambiguous, Labels, Moment, NotAtOnce, Query, at_once
from airflow_obs.model import Metric, Severity
from airflow_obs.policy import Deployment, Policy
from airflow_obs.policy.alerts import settings
from airflow_obs.policy.lacking import EXPORTER
from airflow_obs.policy.scope import against, among, scope
from airflow_obs.promql import Expr

Test = bool | Callable[[Scope], bool]
"""Whether a figure is beyond what an alert allows at this moment, where the alert asks more than that."""


@dataclass(frozen=True)
class Judged:
    """An alert in force, the numbers that it has, and how loud it is.

    `query` is its expression, None for one that needs more than one moment of the exporter; of each of `collectors`, any one
    feeds a family that it reads.
    """

    alert: Alert
    at: Scope
    severity: Severity
    query: Query | None = None
    collectors: frozenset[frozenset[str]] = frozenset()


@dataclass(frozen=True)
class Holding:
    """An alert whose expression holds at a moment, of how many series, and one of these."""

    judged: Judged
    number: int
    labels: Labels
    value: float


@dataclass(frozen=True)
class Judgement:
    """The alerts of one deployment that may notify, by name, and where their runbooks are (`{alert}` is the name)."""

    alerts: Mapping[str, Judged] = field(default_factory=dict)
    runbook_url: str = ""

    def asked(self, moment: Moment) -> tuple[tuple[Holding, ...], frozenset[str]]:
        """The alerts that would fire if it stayed as it is at this moment, of those that one moment decides.

        And the names of those that this one does not, since Prometheus would refuse to match its series.
        """
        holding, ambiguous = [], set()
        for name, one in self.alerts.items():
            if one.query is None:
                continue
            try:
                found = one.query(moment)
            except Ambiguous:
                ambiguous.add(name)
                continue
            if found:
                labels, value = found[0]
                holding.append(Holding(one, len(found), labels, value))
        return tuple(holding), frozenset(ambiguous)

    def decided(self, succeeding: Collection[str], ambiguous: Collection[str] = ()) -> int:
        """How many alerts one moment decides whose figures are all there, since these collectors succeed; without the ambiguous."""
        return sum(
            one.query is not None
            and name not in ambiguous
            and not any(feeding.isdisjoint(succeeding) for feeding in one.collectors)
            for name, one in self.alerts.items()
        )

    def runbook(self, alert: str) -> str:
        """Where its runbook is; empty if nobody says."""
        return self.runbook_url.replace("{alert}", alert)


def judgement(policy: Policy, deployment: Deployment) -> Judgement:
    """What a policy says of a deployment's alerts.

    Not among them are those on what is absent, which is for who scrapes, and those on objectives, which Prometheus records.
    """
    chosen = {alert.name: settings(policy, deployment, alert) for alert in BY_NAME.values()}
    # Whose a DAG is matters to who is told.
    scopes = among(replace(scope(policy, deployment), teams=()), chosen)
    found = {}
    for name, of in chosen.items():
        alert, at = BY_NAME[name], scopes[name]
        if not of.enabled or of.shadow or alert.absence or alert.always_fires or alert.per_slo or not alert.when(at):
            continue
        expr = alert.expr(at)
        if not any(against(alert, at, expr.families)):
            found[name] = Judged(alert, at, of.severity, *_asked(expr))
    return Judgement(found, policy.output.runbook_url)


def _asked(expr: Expr) -> tuple[Query | None, frozenset[frozenset[str]]]:
    try:
        query = at_once(expr)
    except NotAtOnce:
        return None, frozenset()
    families = [one for one in expr.families if isinstance(one, Metric) and one.collector != EXPORTER]
    return query, frozenset(frozenset(filter(None, (one.collector, one.also))) for one in families)
