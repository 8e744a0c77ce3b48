"""The list of collectors: the exporter's table of contents."""

from __future__ import annotations

from collections.abc import Callable

from airflow_obs.collectors.collector import AnyCollector
from airflow_obs.collectors.dag_processing import DagProcessing
from airflow_obs.collectors.dag_runs import DagRuns
from airflow_obs.collectors.database import DatabaseServer
from airflow_obs.collectors.health import Health
from airflow_obs.collectors.jobs import Jobs
from airflow_obs.collectors.pools import Pools
from airflow_obs.collectors.tables import Tables
from airflow_obs.collectors.task_instances import TaskInstances
from airflow_obs.policy.model import Collectors


def collectors(policy: Collectors, find_executor: Callable[[], str | None] = lambda: None) -> list[AnyCollector]:
    """Every enabled collector, in the order in which they run; `find_executor` gives Airflow's, where a setting names it."""
    every: list[AnyCollector] = [
        Jobs(policy.jobs),
        TaskInstances(),
        DagRuns(policy.dag_runs),
        DagProcessing(),
        Pools(),
        DatabaseServer(find_executor),
        Tables(),
        Health(),
    ]
    return [collector for collector in every if policy.by_name()[collector.name].enabled]
