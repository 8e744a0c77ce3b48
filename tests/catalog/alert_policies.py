"""Policies under which every alert of the catalogue is emitted, with its own numbers or with others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from airflow_obs.catalog.alerts import ALL
from airflow_obs.catalog.alerts.alert import Alert
from airflow_obs.generate import objectives
from airflow_obs.generate.rule import Emitted, Rule, shown
from airflow_obs.generate.scopes import emitted
from airflow_obs.generate.yaml_text import Value, text_of
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

AT_A_REPLICA: Mapping[str, Any] = {
    **EVERYTHING, "name": "replica", "sources": {**EVERYTHING["sources"], "database": {"replica": "db-2"}},
}  # fmt: skip
"""The same, of whose database a replica is read."""

TEAMS = (
    {"name": "platform", "owners": ["ops"]},
    {"name": "finance", "dag_prefixes": ["finance_"], "owners": ["finance", "o'neil (uk)"], "tags": ["money"]},
)

SLOS = (
    {"name": "starts", "kind": "schedule_delay", "objective": "99.5%", "threshold": "1m"},
    {"name": "queue", "kind": "queue_time", "objective": "99%", "threshold": "5m", "window": "7d"},
    {"name": "fresh", "kind": "dag_freshness", "objective": "95%", "threshold": "2h", "dag_id": "sales_*"},
    {"name": "by-seven", "kind": "dag_deadline", "objective": "95%", "deadline": "07:00", "dag_id": "sales_load"},
    {"name": "runs", "kind": "dag_success", "objective": "99%"},
    {"name": "scheduler", "kind": "scheduler_availability", "objective": "99.9%"},
)
"""An objective of each kind."""

Numbers = Mapping[str, str | int | float]


def policy_of(alerts: Mapping[str, Numbers] | None = None, **more: object) -> Policy:
    """The policy of these deployments, with these numbers for some alerts."""
    given = {
        "deployments": [EVERYTHING, AT_A_REPLICA],
        "retention": {"days": 90},
        "push": {"otlp": {}},
        "slos": SLOS,
        "alerts": alerts or {},
        **more,
    }
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
    """What is emitted of each alert, by name, in the first deployment that has it."""
    every = [one for deployment in reversed(policy.deployments) for one in emitted(policy, deployment)]
    found = {one.alert.name: one for one in every}
    return {alert.name: found[alert.name] for alert in ALL if alert.name in found}


def rule_file(of: Emitted, judged: Rule) -> tuple[str, dict[str, Value]]:
    """A file of one rule of an alert, and of what is recorded for it; and what a file of its tests needs beside these."""
    recorded = objectives.groups(of.at) if of.alert.subject == objectives.SUBJECT else []
    order: list[Value] = [objectives.group_of(of.at, one) for one in of.at.objectives]
    file = text_of({"groups": [*recorded, {"name": of.alert.name, "rules": [judged]}]})
    return file, {"group_eval_order": [*order, of.alert.name]} if recorded else {}


def thresholds(alerts: Iterable[Alert] = ALL) -> list[Alert]:
    """Those alerts that compare with a number which a site may choose."""
    return [alert for alert in alerts if any(knob.name == "threshold" for knob in alert.knobs)]
