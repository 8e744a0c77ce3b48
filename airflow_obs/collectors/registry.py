"""The list of collectors: the exporter's table of contents."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_obs.collectors.assets import Assets
from airflow_obs.collectors.broker import Broker
from airflow_obs.collectors.bundles import Bundles
from airflow_obs.collectors.clean_up import CleanUp
from airflow_obs.collectors.collector import AnyCollector
from airflow_obs.collectors.dag_processing import DagProcessing
from airflow_obs.collectors.dag_runs import DagRuns
from airflow_obs.collectors.dags import Dags
from airflow_obs.collectors.database import DatabaseServer
from airflow_obs.collectors.deadlines import Deadlines
from airflow_obs.collectors.health import Health
from airflow_obs.collectors.jobs import Jobs
from airflow_obs.collectors.locks import Locks
from airflow_obs.collectors.outcomes import Outcomes
from airflow_obs.collectors.pools import Pools
from airflow_obs.collectors.queues import QueueNames, Routing
from airflow_obs.collectors.replication import Replication
from airflow_obs.collectors.slos import Slos
from airflow_obs.collectors.starvation import Starvation
from airflow_obs.collectors.stuck_tasks import StuckTasks
from airflow_obs.collectors.tables import Tables
from airflow_obs.collectors.task_events import TaskEvents
from airflow_obs.collectors.task_instances import TaskInstances
from airflow_obs.collectors.triggers import TriggersOfTasks
from airflow_obs.collectors.vacuum import Vacuum
from airflow_obs.collectors.workers import Workers
from airflow_obs.policy import BrokerSource, Collectors
from airflow_obs.policy.dags import DagsPolicy
from airflow_obs.policy.retention import Retention
from airflow_obs.policy.slos import Slo
from airflow_obs.sources.discovery import AirflowSettings


def collectors(
    policy: Collectors,
    broker: BrokerSource | None = None,
    settings: AirflowSettings | None = None,
    dags: DagsPolicy | None = None,
    retention: Retention | None = None,
    slos: Sequence[Slo] = (),
) -> list[AnyCollector]:
    """Every enabled collector, in the order in which they run.

    `settings` are what Airflow's own say here, `slos` the objectives of this deployment.
    """
    settings = settings or AirflowSettings()
    names = QueueNames(settings.default_queue)
    every: list[AnyCollector] = [
        Jobs(policy.jobs),
        TaskInstances(Routing(settings), names),
        DagRuns(policy.dag_runs),
        DagProcessing(),
        Pools(),
        Outcomes(policy.outcomes),
        Dags(dags or DagsPolicy()),
        TaskEvents(),
        StuckTasks(policy.stuck_tasks, Routing(settings)),
        Starvation(),
        TriggersOfTasks(policy.triggers),
        Assets(),
        Deadlines(),
        Bundles(),
        Slos(slos),
        Locks(),
        Vacuum(),
        Replication(),
        CleanUp(retention or Retention()),
        DatabaseServer(settings.executor),
        Tables(),
        Health(),
        Broker(broker or BrokerSource(), names),
        Workers(policy.workers, names),
    ]
    return [collector for collector in every if policy.by_name()[collector.name].enabled]
