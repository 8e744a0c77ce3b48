"""Which of the policy's objectives a deployment can be judged by, why not by the others, and the rules that judge it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from airflow_obs.catalog import recording
from airflow_obs.catalog.alerts.alert import Scope
from airflow_obs.catalog.alerts.slo_recordings import measured_by, recordings
from airflow_obs.catalog.objective import QUEUED, Objective
from airflow_obs.generate.yaml_text import Value
from airflow_obs.policy import Deployment, Policy
from airflow_obs.policy.explain import Path
from airflow_obs.policy.lacking import certain, first_lacking
from airflow_obs.policy.slos import Slo, days_of
from airflow_obs.promql import span

INSTEAD: Mapping[str, str] = {"queue_time": QUEUED}
"""What an objective of some kind is where what counts its events is not there for certain."""
SUBJECT = "slos"
"""The subject of the alerts on objectives: what is recorded of these stands beside them."""


MOST_BETWEEN_SCRAPES = 75
"""Seconds: Prometheus looks back for five minutes, and some scrapes may fail."""


@dataclass(frozen=True)
class Unmeasured:
    """An objective by which a deployment cannot be judged, and why: a clause that goes on after "not judged: "."""

    of: Objective
    reason: str


Judged = Objective | Unmeasured


def meant(policy: Policy, deployment: Deployment) -> Policy:
    """The policy with the objectives that are for this deployment alone, whatever it is called."""
    slos = [slo for slo in policy.slos if not slo.deployments or deployment.name in slo.deployments]
    return policy.model_copy(update={"slos": tuple(slo.model_copy(update={"deployments": ()}) for slo in slos)})


def judged(policy: Policy, deployment: Deployment, at: Scope) -> list[Judged]:
    """The objectives that are for this deployment, in the policy's order; `at` is its scope without any."""
    return [_judged(_objective(slo, at), at) for slo in meant(policy, deployment).slos]


def groups(at: Scope) -> list[Value]:
    """A rule group for each objective: what is recorded of it, once a minute, each after what it is made of."""
    return [
        {
            "name": group_of(at, of),
            "interval": span(recording.MINUTE),
            "rules": [
                {"record": family.name, "expr": expr.text, "labels": _labels(at, of)}
                for family, expr in recordings(at, of)
            ],
        }
        for of in at.objectives
    ]


def group_of(at: Scope, of: Objective) -> str:
    """What the group of an objective is called."""
    return f"airflow-obs/{at.airflow}/{SUBJECT}/{of.name}"


def measured(of: Iterable[Judged]) -> tuple[Objective, ...]:
    """Those by which a deployment can be judged."""
    return tuple(one for one in of if isinstance(one, Objective))


def refused(policy: Policy, judged: Mapping[str, Sequence[Judged]]) -> Iterator[tuple[Path, str]]:
    """Each path at which the policy asks for what cannot be judged, and what to say; `judged` has what each deployment can be.

    What is meant for all, and can be had of some, is no mistake: the README says what is missing.
    """
    if policy.slos and policy.output.scrape_interval > MOST_BETWEEN_SCRAPES:
        yield (
            ("output", "scrape_interval"),
            f"objectives are judged once a minute: scrape every {MOST_BETWEEN_SCRAPES}s or more often",
        )
    for index, slo in enumerate(policy.slos):
        those = [(name, one) for name, every in judged.items() for one in every if _name(one) == slo.name]
        lacking = {name: one.reason for name, one in those if isinstance(one, Unmeasured)}
        if named := next((name for name in slo.deployments if name in lacking), None):
            what = (
                f"{named} cannot be judged by {slo.name}: {lacking[named]}: mend that, or take {named} out of this list"
            )
            yield ("slos", index, "deployments", slo.deployments.index(named)), what
        elif lacking and len(lacking) == len(those):
            why = " or ".join(dict.fromkeys(lacking.values()))
            yield (
                ("slos", index, "kind"),
                f"no deployment can be judged by {slo.name}: {why}: mend that, or remove the objective",
            )


def _name(of: Judged) -> str:
    return of.name if isinstance(of, Objective) else of.of.name


def _judged(of: Objective, at: Scope) -> Judged:
    families = measured_by(at, of)
    why = first_lacking(families, at)
    if (kind := INSTEAD.get(of.kind)) and (why or not all(certain(family, at) for family in families)):
        other = replace(of, kind=kind)
        if not (neither := first_lacking(measured_by(at, other), at)):
            return other
        why = why and f"{why}; and {neither}"
    return Unmeasured(of, why) if why else of


def _objective(slo: Slo, at: Scope) -> Objective:
    return Objective(
        slo.name,
        slo.kind,
        _exact(slo.window),
        slo.objective,
        None if slo.threshold is None else _exact(slo.threshold),
        slo.min_events,
        slo.team or at.team,
        slo.dag_id is not None,
        len(days_of(slo.weekdays)),
    )


def _exact(seconds: float) -> Decimal:
    """Durations are written to the millisecond."""
    return Decimal(round(seconds * 1000)) / 1000


def _labels(at: Scope, of: Objective) -> dict[str, Value]:
    return {"airflow": at.airflow, "slo": of.name, **({"team": of.team} if of.team else {})}
