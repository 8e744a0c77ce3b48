"""Every metric this toolkit exposes, one file per subject; nothing outside this folder spells a metric name.

Each is a Python object: an expression or a collector that misspells one fails at import, and a wrong label raises. The label
`airflow` (the deployment's name) is added to every series on its way out.
"""

from __future__ import annotations

from airflow_obs.catalog.metrics.exporter import *
from airflow_obs.catalog.metrics.scheduling import *
from airflow_obs.catalog.metrics.outcomes import *
from airflow_obs.catalog.metrics.task_events import *
from airflow_obs.catalog.metrics.stuck_tasks import *
from airflow_obs.catalog.metrics.starvation import *
from airflow_obs.catalog.metrics.triggers import *
from airflow_obs.catalog.metrics.dags import *
from airflow_obs.catalog.metrics.assets import *
from airflow_obs.catalog.metrics.deadlines import *
from airflow_obs.catalog.metrics.bundles import *
from airflow_obs.catalog.metrics.slos import *
from airflow_obs.catalog.metrics.server import *
from airflow_obs.catalog.metrics.clean_up import *
from airflow_obs.catalog.metrics.database import *
from airflow_obs.catalog.metrics.health import *
from airflow_obs.catalog.metrics.broker import *
from airflow_obs.catalog.metrics.workers import *
from airflow_obs.catalog.metrics.ingest import *
from airflow_obs.catalog.metrics.emitted_scheduler import *
from airflow_obs.catalog.metrics.emitted_executors import *
from airflow_obs.catalog.metrics.emitted_tasks import *
from airflow_obs.catalog.metrics.emitted_dags import *
from airflow_obs.catalog.metrics.emitted_services import *
from airflow_obs.model import Metric

ALL: tuple[Metric, ...] = tuple(value for value in globals().values() if isinstance(value, Metric))
"""Every metric, in the order of these files."""

NAMES = frozenset(metric.name for metric in ALL)
