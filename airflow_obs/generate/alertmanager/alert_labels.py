"""The labels that an alert would have, as far as somebody says them, and what the policy makes of the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from airflow_obs.catalog.alerts import BY_NAME
from airflow_obs.catalog.alerts.alert import Scope
from airflow_obs.catalog.alerts.teams import team_of
from airflow_obs.errors import meant
from airflow_obs.generate.rule import Emitted
from airflow_obs.generate.scopes import Withheld, decided
from airflow_obs.model import Severity
from airflow_obs.policy import Deployment, Policy

KNOWN = ("alertname", "airflow", "namespace", "team", "severity", "shadow", "dag_id", "slo")
"""Labels by which somebody may ask; alerts have others, too, but nothing goes by them."""
_ASSUMED = "the first deployment"
_DAG = ("dag_id", "owner", "tags")
"""What says whose a DAG is; its owner and tags are none of the alert's labels."""


@dataclass(frozen=True)
class Labelled:
    """Labels of an alert, where each comes from, and what whoever asked should know."""

    labels: Mapping[str, str]
    origins: Mapping[str, str]
    remarks: tuple[str, ...]
    deployment: Deployment | None
    """Whose alert it is, as far as anybody knows; None of one that is not ours."""

    @property
    def unknown(self) -> frozenset[str]:
        """What nobody said, of that which every alert of ours has: its name, and its deployment where there are several."""
        assumed = self.origins.get("airflow") == _ASSUMED
        return frozenset({*(("airflow",) if assumed else ()), *({"alertname"} - self.labels.keys())})

    def with_severity(self, severity: Severity) -> Labelled:
        """The same of one severity."""
        return replace(
            self,
            labels={**self.labels, "severity": severity.value},
            origins={**self.origins, "severity": "none was given: one after the other"},
        )


def labelled(policy: Policy, given: Mapping[str, str]) -> Labelled:
    """The labels of an alert of which these were given; owner and tags say whose its DAG is."""
    name = given.get("alertname", "")
    if name and name not in BY_NAME:
        near = meant(name, BY_NAME)
        remark = f"{name} is no alert of ours{f': did you mean {near}?' if near else ''}"
        return Labelled(dict(given), dict.fromkeys(given, "given"), (remark,), None)
    deployment = next((one for one in policy.deployments if one.name == given.get("airflow")), policy.deployments[0])
    every = decided(policy, deployment)
    remarks = [*_unknown(policy, given)]
    assumed = dict(_assumed(policy, deployment, given, every))
    if name:
        one = next(one for one in every if one.alert.name == name)
        if isinstance(one, Withheld):
            remarks.append(f"{deployment.name} has no {name}: {one.reason}")
        if one.alert.per_dag and not any(label in given for label in ("team", *_DAG)) and policy.teams:
            remarks.append("whose DAG it is decides the team: give dag_id, owner or tags")
        if one.alert.per_slo and not {"team", "slo"} & given.keys():
            remarks.append("which objective it is decides the team: give slo")
    labels = {label: value for label, (value, _) in assumed.items()} | dict(given)
    origins = {label: origin for label, (_, origin) in assumed.items()} | dict.fromkeys(given, "given")
    kept = [label for label in labels if label not in _DAG[1:]]
    return Labelled({one: labels[one] for one in kept}, {one: origins[one] for one in kept}, tuple(remarks), deployment)


def _assumed(
    policy: Policy, deployment: Deployment, given: Mapping[str, str], every: Iterable[Emitted | Withheld]
) -> Iterator[tuple[str, tuple[str, str]]]:
    """Each label that the alert would have, with its value and why."""
    yield (
        "airflow",
        (deployment.name, "the only deployment" if len(policy.deployments) == 1 else _ASSUMED),
    )
    if deployment.airflow.namespace:
        yield "namespace", (deployment.airflow.namespace, "its namespace")
    rules = {one.alert.name: of for one in every if (of := one.of if isinstance(one, Withheld) else one)}
    at = next(of.at for of in rules.values())
    if of := rules.get(given.get("alertname", "")):
        yield from (
            (label, (value, "the policy"))
            for label, value in of.labels.items()
            if label not in ("airflow", "namespace")
        )
    if team := _team(policy, given, at):
        yield "team", team


def _team(policy: Policy, given: Mapping[str, str], at: Scope) -> tuple[str, str] | None:
    """Whose alert it is, and why."""
    alert = BY_NAME.get(given.get("alertname", ""))
    if objective := next((one for one in policy.slos if one.name == given.get("slo") and one.team), None):
        return str(objective.team), "whose objective it is"
    if any(label in given for label in _DAG) and (alert is None or alert.per_dag):
        tags = f",{given['tags'].strip(',')}," if "tags" in given else ""
        team = team_of(at, given.get("dag_id", ""), given.get("owner", ""), tags)
        return (team, "whose DAG it is") if team else None
    return (at.team, "the deployment's team") if at.team else None


def _unknown(policy: Policy, given: Mapping[str, str]) -> Iterator[str]:
    """What was given that nothing goes by, and what may be meant."""
    known = {
        "airflow": ("deployment", [one.name for one in policy.deployments]),
        "team": ("team", [one.name for one in policy.teams]),
        "slo": ("objective", [one.name for one in policy.slos]),
        "severity": ("severity", [severity.value for severity in Severity]),
    }
    for label, (what, names) in known.items():
        if label in given and given[label] not in names:
            near = meant(given[label], names)
            yield f"the policy knows no {what} {given[label]}{f': did you mean {near}?' if near else ''}"
    for label in given:
        if label not in (*KNOWN, *_DAG) and (near := meant(label, KNOWN)):
            yield f"nothing goes by a label {label}: did you mean {near}?"
