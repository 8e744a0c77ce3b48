"""The policy of a drill: a healthy deployment and one for each fault, and alerts that wait seconds where others wait minutes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML

from airflow_obs.catalog.alerts import ALL as ALERTS
from airflow_obs.catalog.alerts.alert import Alert
from airflow_obs.demo import exporter
from airflow_obs.policy import durations
from tests.drill.expectations import TABLE, Knobs

HEALTHY = "healthy"
"""The deployment without a fault."""

WATCHED = {"dag-file-breaks": {"AirflowDagImportErrors": {"shadow": True}}}
"""The deployment in which an alert is only watched."""
IN_MAINTENANCE = "triggerer-dead"
"""The deployment of which nobody is told anything."""

DEPLOYMENTS: Mapping[str, Knobs] = {
    HEALTHY: {},
    **{one.fault: {**one.sooner, **WATCHED.get(one.fault, {})} for one in TABLE},
}
"""All of them by name, with what each has otherwise of the alerts: those that come sooner, and those that are watched."""

REPLICAS = {"scheduler": 2, "triggerer": 1, "dag_processor": 1}
"""What the demo has."""

SCRAPED = "2s"
"""How often exporters are."""
JUDGED = "4s"
"""How often rules are: each time takes half a second of a core for a dozen deployments."""

COLLECTED = {"interval": "5s", "timeout": "5s"}
"""Every collector; each round of all costs a third of a second of a core, and a dozen exporters share two."""

WAIT = "8s"
"""How long every alert's expression must hold: longer than what one round of the collectors found, as by default."""
WINDOW = "30s"
"""Over which time what happened is counted."""


PAGER, PLATFORM, SALES, OTHERS = "pager", "platform", "sales", "others"
WATCHERS, WATCHDOG = "watchers", "watchdog"
"""The receivers: a team's for what wakes it and for the rest, a team's of DAGs, that of what nobody has, and those of no team."""

FIRST_MESSAGE, NEXT_MESSAGE = 15, 5
"""Seconds that a message waits: an effect may be seen a round of the collectors, and of the rules, before its cause."""


def drill_policy(*names: str) -> str:
    """The text of the policy with these deployments."""
    policy: dict[str, Any] = YAML(typ="safe", pure=True).load(exporter.POLICY)
    [demo] = policy["deployments"]
    demo["replicas"] = REPLICAS
    policy["deployments"] = [demo | {"name": name, "alerts": DEPLOYMENTS[name]} for name in names]
    for knobs in policy["collectors"].values():
        knobs |= COLLECTED
    policy["alerts"] = {alert.name: {"for": WAIT} | _windows(alert) for alert in ALERTS if not alert.always_fires}
    policy["retention"] = {"days": 90}
    # Of three dozen deployments, only what is used.
    written = {"formats": ["prometheus"], "tests": False}
    policy["output"] = {"interval": JUDGED, "scrape_interval": SCRAPED, **written}
    # JSON is YAML, too.
    return json.dumps(policy, indent=1)


def routed(policy: str, sink: str) -> str:
    """That policy with teams and receivers, each of which is told at a path of its own name below `sink`."""
    receivers = (PAGER, PLATFORM, SALES, OTHERS, WATCHERS, WATCHDOG)
    told: dict[str, Any] = {
        "teams": [
            {"name": "platform", "receiver": PLATFORM, "receivers": {"critical": PAGER}},
            {"name": "sales", "owners": ["sales-*"], "receiver": SALES},
        ],
        "receivers": [{"name": name, "webhook": {"url": f"{sink}/{name}"}} for name in receivers],
        "alertmanager": {
            "version": "0.25",
            "default": OTHERS,
            "shadow": WATCHERS,
            "watchdog": WATCHDOG,
            "watchdog_interval": "10s",
            "group_wait": f"{FIRST_MESSAGE}s",
            "group_interval": f"{NEXT_MESSAGE}s",
        },
        "silences": [{"name": "maintenance", "years": ["2000:2998"], "deployments": [IN_MAINTENANCE]}],
    }
    return json.dumps(json.loads(policy) | told, indent=1)


def _windows(alert: Alert) -> dict[str, str]:
    return {knob.name: max(WINDOW, str(knob.low), key=durations.parse) for knob in alert.knobs if knob.name == "window"}
