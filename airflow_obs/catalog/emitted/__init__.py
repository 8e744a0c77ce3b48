"""Every signal that Airflow emits over StatsD and OpenTelemetry, and what becomes of it; one file per subject."""

from __future__ import annotations

from airflow_obs.catalog.emitted.dags import DAGS
from airflow_obs.catalog.emitted.executors import EXECUTORS
from airflow_obs.catalog.emitted.scheduler import SCHEDULER
from airflow_obs.catalog.emitted.services import SERVICES
from airflow_obs.catalog.emitted.tasks import TASKS
from airflow_obs.model import Signal

SIGNALS: tuple[Signal, ...] = (*SCHEDULER, *EXECUTORS, *TASKS, *DAGS, *SERVICES)
"""All of them; which name is whose, `match.Matcher` says."""
