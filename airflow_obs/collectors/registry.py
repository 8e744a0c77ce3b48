"""The list of collectors: the exporter's table of contents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Recipe:
    """How a collector is made. Of equal recipes, what one makes would do as what the other made."""

    kind: type[AnyCollector]
    parts: tuple[object, ...] = ()

    @property
    def name(self) -> str:
        """The collector's name."""
        return self.kind.name

    @property
    def source(self) -> str:
        """The name of the source that it reads."""
        return self.kind.source

    def made(self) -> AnyCollector:
        """A new collector."""
        return self.kind(*self.parts)


class Shared:
    """What collectors of several sources share: what Airflow's settings say, and the queues that any of them has seen."""

    def __init__(self, settings: AirflowSettings) -> None:
        self.settings = settings
        self.names = QueueNames(settings.default_queue)
        self.routing = Routing(settings)


def recipes(
    policy: Collectors,
    shared: Shared,
    broker: BrokerSource | None = None,
    dags: DagsPolicy | None = None,
    retention: Retention | None = None,
    slos: Sequence[Slo] = (),
) -> list[Recipe]:
    """How every collector is made, in the order in which they run; `slos` are the objectives of this deployment."""
    return [
        Recipe(Jobs, (policy.jobs,)),
        Recipe(TaskInstances, (shared.routing, shared.names)),
        Recipe(DagRuns, (policy.dag_runs,)),
        Recipe(DagProcessing),
        Recipe(Pools),
        Recipe(Outcomes, (policy.outcomes,)),
        Recipe(Dags, (dags or DagsPolicy(),)),
        Recipe(TaskEvents),
        Recipe(StuckTasks, (policy.stuck_tasks, shared.routing)),
        Recipe(Starvation),
        Recipe(TriggersOfTasks, (policy.triggers,)),
        Recipe(Assets),
        Recipe(Deadlines),
        Recipe(Bundles),
        Recipe(Slos, (tuple(slos),)),
        Recipe(Locks),
        Recipe(Vacuum),
        Recipe(Replication),
        Recipe(CleanUp, (retention or Retention(),)),
        Recipe(DatabaseServer, (shared.settings.executor,)),
        Recipe(Tables),
        Recipe(Health),
        Recipe(Broker, (broker or BrokerSource(), shared.names)),
        Recipe(Workers, (policy.workers, shared.names)),
    ]


def collectors(
    policy: Collectors,
    broker: BrokerSource | None = None,
    settings: AirflowSettings | None = None,
    dags: DagsPolicy | None = None,
    retention: Retention | None = None,
    slos: Sequence[Slo] = (),
) -> list[AnyCollector]:
    """Every enabled collector, new, in the order in which they run; `settings` are what Airflow's own say here."""
    shared = Shared(settings or AirflowSettings())
    every = [recipe.made() for recipe in recipes(policy, shared, broker, dags, retention, slos)]
    return [collector for collector in every if policy.by_name()[collector.name].enabled]
