"""Policies under which every alert of the catalogue is emitted, with its own numbers or with others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from airflow_obs.catalog.alerts import ALL
from airflow_obs.catalog.alerts.alert import Alert
from airflow_obs.generate.rule import Emitted, shown
from airflow_obs.generate.scopes import emitted
from airflow_obs.model import Knob
from airflow_obs.policy import Policy, loads
from airflow_obs.policy.alerts import exact

EVERYTHING: Mapping[str, Any] = {
    "name": "all",
    "airflow": {
        "executor": "CeleryExecutor,KubernetesExecutor", "chart": "official", "namespace": "data", "release": "prod",
    },
    "replicas": {"scheduler": 2, "triggerer": 2, "dag_processor": 2},
    "sources": {"database": {}, "health": {}, "broker": {}, "statsd": {}, "otlp": {}, "kubernetes": {}},
}  # fmt: skip
"""A deployment with all sources there are."""

TEAMS = (
    {"name": "platform", "owners": ["ops"]},
    {"name": "finance", "dag_prefixes": ["finance_"], "owners": ["finance", "o'neil (uk)"], "tags": ["money"]},
)

Numbers = Mapping[str, str | int | float]


def policy_of(alerts: Mapping[str, Numbers] | None = None, **more: object) -> Policy:
    """The policy of that deployment, with these numbers for some alerts."""
    given = {"deployments": [EVERYTHING], "retention": {"days": 90}, "alerts": alerts or {}, **more}
    return loads(json.dumps(given), "policy.yaml")


def everywhere(change: Callable[[Alert, Knob, Decimal], Decimal], wait: str = "") -> dict[str, Numbers]:
    """The numbers of all alerts after a `change` to each knob's value, in base units and within its bounds."""
    return {
        alert.name: {
            **({"for": wait} if wait and not alert.always_fires else {}),
            **{knob.name: _written(alert, knob, change(alert, knob, exact(knob))) for knob in alert.knobs},
        }
        for alert in ALL
    }


def _written(alert: Alert, knob: Knob, value: Decimal) -> str | int | float:
    low, high = (exact(replace(knob, default=bound)) for bound in (knob.low, knob.high))
    within = min(max(value, low), high)
    if knob.unit in ("count", "bytes"):
        within = Decimal(int(within))
    if knob.unit == "count":
        return int(within)
    return float(within) if knob.unit == "number" else shown(alert, knob.name, within)


def of_everything(policy: Policy) -> dict[str, Emitted]:
    """What is emitted of each alert, by name."""
    return {one.alert.name: one for one in emitted(policy, policy.deployments[0])}


def thresholds(alerts: Iterable[Alert] = ALL) -> list[Alert]:
    """Those alerts that compare with a number which a site may choose."""
    return [alert for alert in alerts if any(knob.name == "threshold" for knob in alert.knobs)]
