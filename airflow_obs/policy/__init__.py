"""What a site chooses: the policy's model, its default, and the loader that words every problem."""

from airflow_obs.policy.alerts import AlertSettings, settings
from airflow_obs.policy.collectors import (
    CollectorPolicy,
    Collectors,
    DagRunsPolicy,
    IngestPolicy,
    JobsPolicy,
    OutcomesPolicy,
    StuckTasksPolicy,
    TriggersPolicy,
    WorkersPolicy,
)
from airflow_obs.policy.dags import DagsPolicy
from airflow_obs.policy.deployments import (
    AirflowFacts,
    BrokerSource,
    DatabaseSource,
    Deployment,
    HealthSource,
    KubernetesSource,
    Replicas,
    Sources,
)
from airflow_obs.policy.loader import default_text, load, loads
from airflow_obs.policy.model import Policy
from airflow_obs.policy.retention import Retention
from airflow_obs.policy.schema import json_schema

__all__ = [
    "AirflowFacts",
    "AlertSettings",
    "BrokerSource",
    "CollectorPolicy",
    "Collectors",
    "DagRunsPolicy",
    "DagsPolicy",
    "DatabaseSource",
    "Deployment",
    "HealthSource",
    "IngestPolicy",
    "JobsPolicy",
    "KubernetesSource",
    "OutcomesPolicy",
    "Policy",
    "Replicas",
    "Retention",
    "Sources",
    "StuckTasksPolicy",
    "TriggersPolicy",
    "WorkersPolicy",
    "default_text",
    "json_schema",
    "load",
    "loads",
    "settings",
]
