"""Policies from which the tests generate: one deployment with every source, and a fleet with every oddity of names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_obs.policy import Policy, loads

EVERY_SOURCE: Mapping[str, Any] = {
    "database": {}, "health": {}, "broker": {}, "statsd": {}, "kubernetes": {},
}  # fmt: skip
ODD_NAMES = ("Prod_A", "prod-a", "1.5", "true", "a.b", "-", "2026-11-22", "A" * 63)
"""What a deployment may be called, and YAML, Kubernetes or a file system may stumble over."""


def one(name: str = "prod", **more: object) -> dict[str, Any]:
    """A deployment of which everything is known."""
    return {
        "name": name,
        "airflow": {"executor": "CeleryExecutor,KubernetesExecutor", "chart": "official", "namespace": "data", "release": "prod"},
        "replicas": {"scheduler": 2, "triggerer": 2, "dag_processor": 2},
        "sources": dict(EVERY_SOURCE),
        **more,
    }  # fmt: skip


def policy(*deployments: Mapping[str, Any], **sections: object) -> Policy:
    """The policy with these deployments, and these other sections."""
    return loads(as_text(*deployments, **sections), "site.yaml")


def as_text(*deployments: Mapping[str, Any], **sections: object) -> str:
    """The same as a file has it; JSON is YAML, too."""
    return json.dumps({"deployments": deployments, **sections}, indent=1)


def odd_fleet(names: Sequence[str] = ODD_NAMES, **more: object) -> Policy:
    """Deployments with odd names, teams, and labels of which each has to be quoted somewhere."""
    return policy(
        *(one(name, **more) for name in names),
        teams=[
            {"name": "platform", "owners": ["ops*"]},
            {"name": "1e3", "dag_prefixes": ["finance_"], "tags": ['a "b" \\']},
        ],
        output={
            "interval": "1s",
            "labels": {"stage": "yes", "cost_center": "007", "note": 'it\'s "quoted": # all\\ of it'},
            "rule_labels": {"release": "1.5", "example.org/part": ""},
            "rule_namespace": "monitoring",
        },
        dashboards={"grafana_url": "https://grafana.example.org/"},
    )
