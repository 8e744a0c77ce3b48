"""What a site chooses: the policy's model, its default, and the loader that words every problem."""

from airflow_obs.policy.dags import DagsPolicy
from airflow_obs.policy.loader import default_text, load, loads
from airflow_obs.policy.model import (
    AirflowFacts,
    BrokerSource,
    CollectorPolicy,
    Collectors,
    DagRunsPolicy,
    DatabaseSource,
    Deployment,
    HealthSource,
    JobsPolicy,
    OutcomesPolicy,
    Policy,
    Replicas,
    Sources,
    WorkersPolicy,
)
from airflow_obs.policy.retention import Retention
from airflow_obs.policy.schema import json_schema

__all__ = [
    "AirflowFacts",
    "BrokerSource",
    "CollectorPolicy",
    "Collectors",
    "DagRunsPolicy",
    "DagsPolicy",
    "DatabaseSource",
    "Deployment",
    "HealthSource",
    "JobsPolicy",
    "OutcomesPolicy",
    "Policy",
    "Replicas",
    "Retention",
    "Sources",
    "WorkersPolicy",
    "default_text",
    "json_schema",
    "load",
    "loads",
]
