"""One alert in one deployment, explained: what it asks, with which numbers, of which metrics, and why it is not there."""

from __future__ import annotations

import textwrap

from airflow_obs.catalog.alerts.alert import Alert
from airflow_obs.catalog.collectors import source_of
from airflow_obs.catalog.failures import BY_ID
from airflow_obs.generate.objectives import SUBJECT
from airflow_obs.generate.rule import Emitted, shown
from airflow_obs.generate.scopes import Withheld, decided
from airflow_obs.model import External, Recorded
from airflow_obs.policy import Deployment, Policy, settings
from airflow_obs.policy.effective import Effective, effective
from airflow_obs.policy.lacking import EXPORTER, lacking
from airflow_obs.policy.tree import Mapping as PolicyTree
from airflow_obs.promql import Family

_WIDTH = 100


def explained(policy: Policy, tree: PolicyTree, deployment: Deployment, alert: Alert) -> str:
    """The explanation as text; `tree` is that of which the policy was made."""
    one = next(one for one in decided(policy, deployment) if one.alert is alert)
    of = one.of if isinstance(one, Withheld) else one
    parts = [
        _head(one, deployment),
        _numbers(policy, tree, deployment, alert),
        *([_expression(of), _needs(of)] if of else []),
        _shows(alert),
        _remedy(policy, deployment, one),
    ]
    return "\n".join(parts)


def _head(one: Emitted | Withheld, deployment: Deployment) -> str:
    alert = one.alert
    there = f"not emitted: {one.reason}" if isinstance(one, Withheld) else "emitted"
    summary = one.annotations["summary"] if isinstance(one, Emitted) else alert.summary
    return f"{alert.name} ({alert.subject})\n{_text(summary)}{_text(alert.impact)}\nin {deployment.name}: {there}\n"


def _numbers(policy: Policy, tree: PolicyTree, deployment: Deployment, alert: Alert) -> str:
    """Each number in force: what the deployment says wins over what the policy says of all."""
    at = policy.deployments.index(deployment)
    said: dict[str, Effective] = {}
    for prefix in (f"alerts.{alert.name}.", f"deployments[{at}].alerts.{alert.name}."):
        said |= {one.path.removeprefix(prefix): one for one in effective(policy, tree) if one.path.startswith(prefix)}
    rows = [(key, one.value, one.source, one.description) for key, one in said.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ("  ".join([*map(str.ljust, row[:3], widths), row[3]]).rstrip() for row in rows)
    return "numbers, and where they were written\n" + "".join(f"  {line}\n" for line in lines)


def _expression(of: Emitted) -> str:
    return f"expression\n{textwrap.indent(of.expr.text, '  ')}\n"


def _needs(of: Emitted) -> str:
    return (
        "reads\n"
        + ("" if of.expr.families else "  nothing\n")
        + "".join(_family(of, family) for family in sorted(of.expr.families, key=lambda one: one.name))
    )


def _family(of: Emitted, family: Family) -> str:
    if isinstance(family, Recorded):
        return f"  {family.name} (recorded by the rules of {SUBJECT})\n{_text(family.help, '    ')}"
    missing = lacking(family, of.at)
    there = f"not there: {missing}" if missing else "there"
    if isinstance(family, External):
        return f"  {family.name} ({family.kind}, from {family.source}; {there})\n    {family.reference}\n"
    source = source_of(family.collector)
    where = "the exporter itself" if family.collector == EXPORTER else f"collector {family.collector}, source {source}"
    return f"  {family.name} ({family.kind}, {where}; {there})\n{_text(family.help, '    ')}"


def _shows(alert: Alert) -> str:
    lines = (f"  {name}  {BY_ID[name].name}\n" for name in alert.failures)
    return "shows\n" + ("".join(lines) or "  no failure of Airflow: that alerts arrive\n")


def _remedy(policy: Policy, deployment: Deployment, one: Emitted | Withheld) -> str:
    alert = one.alert
    return (
        f"runbook\n  airflow-obs runbook {alert.name} --deployment {deployment.name}\n"
        f"  {policy.output.runbook_url.replace('{alert}', alert.name)}\n\n"
        f"{_change(policy, deployment, one)}then `airflow-obs gen-rules`\n"
    )


def _change(policy: Policy, deployment: Deployment, one: Emitted | Withheld) -> str:
    """What to write in the policy: what brings it back if it is switched off, else its number, or that it goes."""
    alert, chosen = one.alert, settings(policy, deployment, one.alert)
    where = "write in the policy, for all deployments or below one of `deployments`"
    if not chosen.enabled:
        return f"to have it, {where}:\n  alerts: {{{alert.name}: {{enabled: true}}}}\n"
    if isinstance(one, Withheld):
        return "to have it, change in the policy what keeps it away (above), "
    if not alert.knobs:
        return f"to be without it, {where}:\n  alerts: {{{alert.name}: {{enabled: false}}}}\n"
    knob = alert.knobs[0]
    now = shown(alert, knob.name, chosen.knobs[knob.name])
    return f"to change it, {where}:\n  alerts: {{{alert.name}: {{{knob.name}: {now}}}}}  # what is in force: write another\n"


def _text(text: str, indent: str = "  ") -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False) + "\n"
