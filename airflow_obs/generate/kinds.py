"""Deployments that differ in nothing but names are of one kind: what is made for it once is each one's with its names set in."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_obs.generate.objectives import meant
from airflow_obs.generate.yaml_text import quoted_if_needed
from airflow_obs.policy import Deployment, Policy


@dataclass(frozen=True)
class Names:
    """What a deployment is called, where it runs and whose it is; empty where nobody said so."""

    airflow: str
    namespace: str
    team: str


STAND_INS = Names("Zq7_air", "Zq7_spc", "Zq7_tea")
"""Words that need no quotes anywhere, as long as names are, since lines are broken by their length, and that nobody else uses."""


@dataclass(frozen=True)
class Alike:
    """Deployments for which the same is decided: `like` one of them, with stand-ins for its names, by `policy`, which has their
    objectives alone. `members` are their places among the policy's, the first first."""

    policy: Policy
    like: Deployment
    members: list[int]


def alike(policy: Policy) -> list[Alike]:
    """The policy's deployments, those together that differ in nothing but names."""
    found: dict[str, Alike] = {}
    for place, deployment in enumerate(policy.deployments):
        like, own = kind(policy, deployment), meant(policy, deployment)
        found.setdefault(f"{like!r} {[slo.name for slo in own.slos]}", Alike(own, like, [])).members.append(place)
    return list(found.values())


def names(policy: Policy, deployment: Deployment) -> Names:
    """Its names; who has no team is the first one's."""
    team = deployment.team or next((team.name for team in policy.teams), "")
    return Names(deployment.name, deployment.airflow.namespace or "", team)


def kind(policy: Policy, deployment: Deployment) -> Deployment:
    """The deployment with stand-ins for its names; those that are equal have the same rules."""
    own = names(policy, deployment)
    facts = deployment.airflow.model_copy(update={"namespace": STAND_INS.namespace if own.namespace else None})
    changed = {"name": STAND_INS.airflow, "airflow": facts, "team": STAND_INS.team if own.team else None}
    return deployment.model_copy(update=changed)


def named(text: str, own: Names) -> str:
    """YAML that was made for a kind, with a deployment's names in it."""
    for label, stand_in, name in (
        ("airflow", STAND_INS.airflow, own.airflow),
        ("namespace", STAND_INS.namespace, own.namespace),
        ("team", STAND_INS.team, own.team),
    ):
        # As the whole value of a label it may need quotes; within other text, none of its characters does.
        text = text.replace(f"{label}: {stand_in}\n", f"{label}: {quoted_if_needed(name)}\n").replace(stand_in, name)
    return text
