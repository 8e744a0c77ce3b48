"""Every alert, by subject."""

from __future__ import annotations

from airflow_obs.catalog.alerts.absence import ABSENCE
from airflow_obs.catalog.alerts.alert import Alert
from airflow_obs.catalog.alerts.api import API
from airflow_obs.catalog.alerts.broker import BROKER
from airflow_obs.catalog.alerts.celery import CELERY
from airflow_obs.catalog.alerts.dag_processing import DAG_PROCESSING
from airflow_obs.catalog.alerts.dags import DAGS
from airflow_obs.catalog.alerts.database import DATABASE
from airflow_obs.catalog.alerts.exporter import EXPORTER
from airflow_obs.catalog.alerts.kubernetes import KUBERNETES
from airflow_obs.catalog.alerts.kubernetes_executor import KUBERNETES_EXECUTOR
from airflow_obs.catalog.alerts.pools import POOLS
from airflow_obs.catalog.alerts.replication import REPLICATION
from airflow_obs.catalog.alerts.scheduler import SCHEDULER
from airflow_obs.catalog.alerts.slos import SLOS
from airflow_obs.catalog.alerts.tables import TABLES
from airflow_obs.catalog.alerts.tasks import TASKS
from airflow_obs.catalog.alerts.triggerer import TRIGGERER
from airflow_obs.catalog.alerts.workloads import WORKLOADS

ALL: tuple[Alert, ...] = (
    *SCHEDULER,
    *WORKLOADS,
    *KUBERNETES_EXECUTOR,
    *KUBERNETES,
    *CELERY,
    *BROKER,
    *TASKS,
    *API,
    *DAG_PROCESSING,
    *TRIGGERER,
    *POOLS,
    *DAGS,
    *DATABASE,
    *REPLICATION,
    *EXPORTER,
    *TABLES,
    *SLOS,
    *ABSENCE,
)

BY_NAME = {alert.name: alert for alert in ALL}
