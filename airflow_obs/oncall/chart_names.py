"""What the containers and workloads are called that runbooks name as Airflow's official chart does."""

from __future__ import annotations

import re

_COMMUNITY = (
    (r"-c (scheduler|worker|triggerer)\b", r"-c airflow-\1"),
    (r"-c (webserver|api-server)\b", "-c airflow-web"),
    (r"-c git-sync\b", "-c dags-git-sync"),
    (r"\bdeploy/<release>-(webserver|api-server)\b", "deploy/<release>-web"),
    (r"\bsts/<release>-triggerer\b", "deploy/<release>-triggerer"),
    (r"\bsts/<release>-redis\b", "sts/<release>-redis-master"),
    (r"\bcomponent=(webserver|api-server)\b", "component=web"),
)
"""The chart airflow-helm/charts, of which each container has its component's name with `airflow-` before it."""

_LOCAL = ((r"\bdeploy/<release>-scheduler\b", "sts/<release>-scheduler"),)
"""With LocalExecutor the official chart runs schedulers as a StatefulSet, for the logs that tasks leave in them."""


def as_called(code: str, chart: str, executor: str) -> str:
    """Code of a runbook with the names that this chart (official, community or none) gives them under this executor."""
    names = _COMMUNITY if chart == "community" else _LOCAL if chart == "official" and "Local" in executor else ()
    for official, name in names:
        code = re.sub(official, name, code)
    return code
