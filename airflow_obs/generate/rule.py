"""One alert of one deployment as a Prometheus rule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

from airflow_obs.catalog.alerts.alert import Alert, Scope
from airflow_obs.model import Severity
from airflow_obs.promql import TARGET, Expr, number, span

Rule = dict[str, "str | dict[str, str]"]

_BYTES = ("TiB", "GiB", "MiB", "KiB")

TYPED = r'{{{{ reReplaceAll "[^\\pL\\pN_.:/@%+,-]" "?" $labels.{label} }}}}'
"""A label's value for a shell, within single quotes. Whoever names a queue or a file must not write commands for whoever is on
call: what might be more than text becomes `?`, by which `airflow-obs runbook` knows that it is not the value."""
LINKED = "{{{{ $labels.{label} | urlquery }}}}"


@dataclass(frozen=True)
class Chosen:
    """What the policy says of one alert in one deployment, beside its knobs, and where its links lead."""

    severity: Severity
    wait: Decimal
    shadow: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    runbook_url: str = ""
    """With {alert} for the alert's name."""
    grafana_url: str = ""


@dataclass(frozen=True)
class Emitted:
    """An alert that a deployment has. Raises ValueError where two exporters would fire it twice."""

    alert: Alert
    at: Scope
    chosen: Chosen

    @cached_property
    def expr(self) -> Expr:
        """Its expression over this deployment."""
        expr = self.alert.expr(self.at)
        if expr.labels is None or expr.labels & TARGET:
            raise ValueError(f"alert {self.alert.name}: its labels hold those of the exporter: take max by (…)")
        return expr

    @cached_property
    def labels(self) -> dict[str, str]:
        """The labels that the rule gives, beside those of its series."""
        own = {"airflow": self.at.airflow, "namespace": self.at.namespace, "severity": str(self.chosen.severity)}
        own["team"] = "" if self.alert.per_slo or (self.alert.per_dag and self.at.teams) else self.at.team
        own["shadow"] = "true" if self.chosen.shadow else ""
        return {name: value for name, value in {**own, **self.chosen.labels}.items() if value}

    @cached_property
    def annotations(self) -> dict[str, str]:
        """The annotations, as Go templates."""
        alert, at, chosen = self.alert, self.at, self.chosen
        dynamic = sorted((self.expr.labels or frozenset()) - {"airflow", "team"})
        named = {"namespace": at.namespace, "release": at.release, "chart": at.chart, "executor": at.executor}
        unsaid = {"", "none", "auto"}
        facts = "".join(f" --label {name}={value}" for name, value in named.items() if value not in unsaid)
        given = "".join(f" --label '{label}={TYPED.format(label=label)}'" for label in dynamic)
        variables = "".join(f"&var-{label}={LINKED.format(label=label)}" for label in dynamic)
        dashboard = f"/d/airflow-obs-{alert.subject}?var-airflow={at.airflow}{variables}"
        annotations = {
            "summary": re.sub("<([a-z_]+)>", lambda found: shown(alert, found[1], at.knobs[found[1]]), alert.summary),
            "impact": alert.impact,
            "runbook_url": chosen.runbook_url.replace("{alert}", alert.name),
            # Relative to nothing, a link leads nowhere from a chat or a pager.
            "dashboard_url": chosen.grafana_url.rstrip("/") + dashboard if chosen.grafana_url else "",
            "command": f"airflow-obs runbook {alert.name} --deployment {at.airflow}{facts}{given}",
        }
        return {name: text for name, text in annotations.items() if text}


def rule(of: Emitted) -> Rule:
    """The rule, in the order that Prometheus' documentation has."""
    written: Rule = {"alert": of.alert.name, "expr": of.expr.text}
    if of.chosen.wait:
        written["for"] = span(of.chosen.wait)
    return {**written, "labels": of.labels, "annotations": of.annotations}


def shown(alert: Alert, name: str, value: Decimal) -> str:
    """A knob's value as people write it in the policy: 10m, 80%, 50GiB, 5."""
    [knob] = [knob for knob in alert.knobs if knob.name == name]
    if knob.unit == "duration":
        return span(value) if value else "0s"
    if knob.unit == "ratio":
        return f"{number(value * 100)}%"
    if knob.unit == "bytes":
        for power, unit in zip(range(4, 0, -1), _BYTES, strict=True):
            if value and value % 1024**power == 0:
                return f"{number(value / 1024**power)}{unit}"
        return f"{number(value)}B"
    return number(value)
