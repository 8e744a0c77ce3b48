"""alertmanager.yml: all that an Alertmanager of its own needs to tell the right people."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_obs.generate.alertmanager import intervals, receivers
from airflow_obs.generate.alertmanager.decision import decision
from airflow_obs.generate.alertmanager.matchers import Inhibition
from airflow_obs.generate.alertmanager.routes import root, written
from airflow_obs.generate.yaml_text import Value, text_of
from airflow_obs.policy import Policy
from airflow_obs.policy.alertmanager import NOBODY

_NOBODY_YET = """\
# The policy has no receivers, so that nobody is told of anything: list some, and name them in `teams` or `alertmanager.default`.
"""


def config(policy: Policy, inhibitions: Sequence[Inhibition]) -> str:
    """The whole file, but for its marker."""
    decided = decision(policy)
    whole: dict[str, Value] = {
        "route": written(root(decided, policy.alertmanager)),
        "inhibit_rules": [_inhibition(one) for one in inhibitions],
        "receivers": [
            *([{"name": NOBODY}] if NOBODY in decided.receivers else []),
            *map(receivers.raw, policy.receivers),
        ],
        "time_intervals": [intervals.raw(one) for one in policy.silences],
    }
    head = "" if policy.receivers else _NOBODY_YET
    return head + text_of({key: value for key, value in whole.items() if value})


def _inhibition(one: Inhibition) -> dict[str, Value]:
    return {
        "source_matchers": [matcher.text for matcher in one.source],
        "target_matchers": [matcher.text for matcher in one.target],
        "equal": list(one.equal),
    }
