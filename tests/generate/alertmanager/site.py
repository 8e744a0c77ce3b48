"""Policies of which the tests make routes: teams with receivers of their own, and silences limited in every way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_obs.policy import Policy
from tests.generate.fleet import one, policy

SECRET = {"name": "alertmanager", "key": "url"}
PAGER = {"name": "pager", "pagerduty": {"routing_key_file": "/etc/pager", "routing_key_secret": SECRET}}
CHAT = {"name": "chat", "slack": {"channel": "#airflow", "api_url_file": "/etc/chat", "api_url_secret": SECRET}}
DESK = {"name": "desk", "webhook": {"url": "http://desk.example.com/alerts"}}
WATCHERS = {"name": "watchers", "webhook": {"url": "http://watchers.example.com/"}}
HEART = {"name": "heart", "webhook": {"url": "http://heart.example.com/"}}

TEAMS = (
    {"name": "platform", "owners": ["ops*"], "receiver": "chat", "receivers": {"critical": "pager"}},
    {"name": "sales", "dag_prefixes": ["sales_"], "tags": ["crm"], "receiver": "desk"},
    {"name": "lab", "dag_prefixes": ["lab_"]},
)
WEEK = {"weekdays": ["monday:friday"], "times": [{"start_time": "09:00", "end_time": "17:00"}]}
SILENCES = (
    {"name": "nights", "when": "outside", **WEEK, "severities": ["warning", "info"]},
    {"name": "upgrades", "weekdays": ["sunday"], "deployments": ["staging"]},
    {"name": "closing", "days_of_month": ["-2:-1"], "deployments": ["prod", "staging"], "teams": ["sales"]},
    {"name": "loads", "times": [{"start_time": "02:00", "end_time": "04:00"}],
     "alerts": ["AirflowDagRunTooLong", "AirflowTasksQueuedLong"], "severities": ["critical", "warning"]},
)  # fmt: skip


def deployment(name: str, namespace: str | None = "data", **more: object) -> dict[str, Any]:
    """A deployment with few alerts, which are quickly decided."""
    return one(name, airflow={"namespace": namespace}, sources={"health": {}}, replicas={}, **more)


def routed(*deployments: Mapping[str, Any], **sections: Any) -> Policy:
    """The policy of a site that has everything; a section that is given stands instead."""
    usual = {
        "teams": TEAMS,
        "receivers": (PAGER, CHAT, DESK, WATCHERS, HEART),
        "silences": SILENCES,
        "alertmanager": {"default": "chat", "shadow": "watchers", "watchdog": "heart"},
    }
    return policy(*(deployments or (deployment("prod"), deployment("staging", "test"))), **{**usual, **sections})
