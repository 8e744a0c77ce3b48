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

DEPLOYMENTS: Mapping[str, Knobs] = {HEALTHY: {}, **{one.fault: one.sooner for one in TABLE}}
"""All of them by name, with what each has otherwise of the alerts: those that come sooner."""

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
    policy["output"] = {"interval": JUDGED, "scrape_interval": SCRAPED}
    # JSON is YAML, too.
    return json.dumps(policy, indent=1)


def _windows(alert: Alert) -> dict[str, str]:
    return {knob.name: max(WINDOW, str(knob.low), key=durations.parse) for knob in alert.knobs if knob.name == "window"}
