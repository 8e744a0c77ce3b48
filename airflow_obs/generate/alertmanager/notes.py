"""What whoever generates routes should know of them: who is told nothing, and what leads nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from airflow_obs.catalog.inhibition import CAUSES
from airflow_obs.generate.alertmanager.decision import SEVERITIES, Decision, decision
from airflow_obs.generate.alertmanager.fitting import OBJECT, fitting, left_out
from airflow_obs.policy import Policy
from airflow_obs.policy.alertmanager import NOBODY


def notes(policy: Policy, site: Path | None) -> list[str]:
    """Each in a line; none where no routes are written. `site` is the file of the policy. Raises PolicyError as `fitting` does."""
    forms = fitting(policy, site)
    if not forms:
        return []
    if not policy.receivers:
        text = "nobody is told of anything, since the policy has no receivers"
        return [f"{text}: list some, or say `output: {{routes: []}}` if your own Alertmanager knows whom to tell"]
    decided = decision(policy)
    homeless = [untended(one.name) for one in policy.deployments if not one.airflow.namespace and OBJECT in forms]
    return [*untold(decided), *left_out(policy, site), *_idle(policy, decided), *_held_back(policy), *homeless]


def untold(decided: Decision) -> list[str]:
    """Of which alerts nobody is told, the loudest first."""
    # Every alert has a team where the policy names any.
    every = decided.teams or [decided.others]
    return [
        f"nobody is told of {severity} alerts{f' of the team {told.team}' if told.team else ''}: "
        f"{'give it a receiver, or ' if told.team else ''}name alertmanager.default"
        for severity in SEVERITIES
        for told in every
        if told.by_severity[severity] == NOBODY
    ]


def _idle(policy: Policy, decided: Decision) -> Iterator[str]:
    for one in policy.receivers:
        if one.name not in decided.receivers:
            yield f"the receiver {one.name} is never told of anything: name it in `teams` or `alertmanager`, or remove it"


def _held_back(policy: Policy) -> Iterator[str]:
    """A silence keeps a cause from being told, and not from hushing."""
    for one in policy.silences:
        for cause in one.alerts:
            if cause in CAUSES:
                yield f"while the silence {one.name} holds back {cause}, what only follows from it is held back as well"


def untended(deployment: str) -> str:
    """That no object can be for a deployment, and why."""
    return f"no AlertmanagerConfig is for {deployment}, since it names no airflow.namespace"
