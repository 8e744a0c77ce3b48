"""The routes' tests for amtool, as a shell script: every team and severity, every silence, and what is no alert of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from airflow_obs.generate.alertmanager.decision import SEVERITIES, Decision, decision
from airflow_obs.generate.alertmanager.routes import WATCHDOG
from airflow_obs.policy import Policy

_SCRIPT = """\
# Whom each alert reaches: `sh routes.test.sh`, with amtool 0.25 or later on PATH. Exits with 1 if one goes astray.
cd "$(dirname "$0")" || exit 1
config=../alertmanager/alertmanager.yml
failed=0

reaches() { # a receiver, and the labels of an alert
  wanted=$1
  shift
  found=$(amtool config routes test --config.file="$config" "$@" 2>&1 | grep -v '^Warning: --config.file flag')
  if [ "$found" != "$wanted" ]; then
    echo "$* should reach $wanted and reaches $found" >&2
    failed=1
  fi
}

amtool check-config "$config" >&2 || exit 1
"""
_UNKNOWN = "no-such-team"

Labels = Mapping[str, str]


def route_tests(policy: Policy) -> str:
    """The script, but for its marker."""
    decided = decision(policy)
    tests = dict.fromkeys(f"reaches {receiver} {_words(labels)}\n" for receiver, labels in _cases(policy, decided))
    return f"{_SCRIPT}{''.join(tests)}exit $failed\n"


def _cases(policy: Policy, decided: Decision) -> Iterator[tuple[str, Labels]]:
    """Who should be told, and of what."""
    alert = {"alertname": "AirflowSchedulerDown", "airflow": policy.deployments[0].name}
    yield decided.watchdog, {**alert, "alertname": WATCHDOG, "severity": "none"}
    unknown = next(name for name in _names() if name not in {told.team for told in decided.teams})
    for told in (*decided.teams, decided.others):
        team = {"team": told.team} if told.team else {}
        for severity in SEVERITIES:
            labels = {**alert, **team, "severity": severity.value}
            yield told.by_severity[severity], labels
            yield decided.shadow, {**labels, "shadow": "true"}
            if not told.team:
                yield told.by_severity[severity], {**labels, "team": unknown}
            for quiet in decided.quiet:
                of_severity = quiet.given("severity", severity.value)
                if left := of_severity and of_severity.given("team", told.team):
                    first = {label: values[0] for label, values in left.limits.items()}
                    yield told.by_severity[severity], {**labels, **first}
        yield told.otherwise, {**alert, **team, "severity": "other"}
    yield decided.others.otherwise, {"alertname": "NotOurs", "severity": "critical"}


def _names() -> Iterator[str]:
    name = _UNKNOWN
    while True:
        yield name
        name += "-"


def _words(labels: Labels) -> str:
    """Of a shell; no name in a policy has more in it than letters, digits and `_.-`."""
    return " ".join(f"{label}={value}" for label, value in labels.items())
