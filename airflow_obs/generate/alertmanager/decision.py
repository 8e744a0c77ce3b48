"""Who is told of what, as the policy decides it: a receiver for each team and severity, and the silences that hold for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from airflow_obs.model import Severity
from airflow_obs.policy import Deployment, Policy
from airflow_obs.policy.alertmanager import NOBODY
from airflow_obs.policy.silences import Silence

SEVERITIES = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)
"""Those of which somebody is told, the loudest first."""


@dataclass(frozen=True)
class Told:
    """Who is told of the alerts of one team, "" for those of none: by severity, and of what has any other one."""

    team: str
    by_severity: Mapping[Severity, str]
    otherwise: str

    @property
    def receivers(self) -> frozenset[str]:
        """All of them, `nobody` included."""
        return frozenset({*self.by_severity.values(), self.otherwise})


@dataclass(frozen=True)
class Quiet:
    """A silence, and the values of labels to which it is limited; a label that is not among `limits` may be anything."""

    silence: Silence
    limits: Mapping[str, tuple[str, ...]]

    def given(self, label: str, value: str) -> Quiet | None:
        """What is left of it where the label has this value; None if it is not for that."""
        if value not in self.limits.get(label, (value,)):
            return None
        return replace(self, limits={name: values for name, values in self.limits.items() if name != label})

    def beyond(self, label: str, values: Collection[str]) -> Quiet:
        """What is left of it where the label has none of these values, which may be nothing."""
        if label not in self.limits:
            return self
        left = tuple(value for value in self.limits[label] if value not in values)
        return replace(self, limits={**self.limits, label: left})

    def among(self, label: str, values: Sequence[str]) -> Quiet | None:
        """What is left of it where the label has one of these values and no other; None if nothing."""
        limits = self.limits.get(label)
        found = tuple(value for value in limits or () if value in values)
        if limits is None or not found:
            return None if limits else self
        without = {name: those for name, those in self.limits.items() if name != label}
        return replace(self, limits=without if set(found) == set(values) else {**self.limits, label: found})


@dataclass(frozen=True)
class Decision:
    """Who is told of the alerts of some deployments, and when not; `others` are those of no team, or of one that nobody knows."""

    teams: Sequence[Told]
    others: Told
    shadow: str
    watchdog: str
    quiet: Sequence[Quiet]

    @property
    def receivers(self) -> frozenset[str]:
        """All who are told of anything, and `nobody` if nobody is told of something."""
        return self.others.receivers.union({self.shadow, self.watchdog}, *(told.receivers for told in self.teams))


def decision(policy: Policy, deployments: Sequence[Deployment] | None = None) -> Decision:
    """What the policy decides for these deployments alone, whose alerts are all that comes; for None, of whatever comes."""
    chosen = policy.alertmanager
    default = chosen.default or NOBODY
    quiet: Iterable[Quiet | None] = map(_quiet, policy.silences)
    if deployments is not None:
        names = [one.name for one in deployments]
        quiet = (one and one.among("airflow", names) for one in quiet)
    return Decision(
        [
            Told(
                team.name,
                {severity: getattr(team.receivers, severity) or team.receiver or default for severity in SEVERITIES},
                team.receiver or default,
            )
            for team in policy.teams
        ],
        Told("", dict.fromkeys(SEVERITIES, default), default),
        chosen.shadow or NOBODY,
        chosen.watchdog or NOBODY,
        [one for one in quiet if one],
    )


def _quiet(silence: Silence) -> Quiet:
    limits = {
        "team": silence.teams, "severity": tuple(map(str, silence.severities)), "airflow": silence.deployments,
        "alertname": silence.alerts,
    }  # fmt: skip
    return Quiet(silence, {label: values for label, values in limits.items() if values})
