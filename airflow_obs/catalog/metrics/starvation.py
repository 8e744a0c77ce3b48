"""Work that is ready and waits: what holds it, and since when."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import gauge

SCHEDULED = gauge(
    "starvation", "scheduled_task_instances",
    "Scheduled task instances by what holds them: the DAG is paused, the run is not running, the DAG (from 3.0 its run) is at "
    "max_active_tasks, the pool has no slot, or nothing that the database shows (executor full, task limits, scheduler behind).",
    ("held_by",), shows=("S5", "P1", "P2"),
    always=True,
)  # fmt: skip
SCHEDULED_OLDEST = gauge(
    "starvation", "scheduled_task_instances_oldest_timestamp_seconds", "Since when the first of them has been scheduled.",
    ("held_by",), since="2.5", shows=("S5", "P1", "P2"),
)  # fmt: skip
QUEUED_RUNS = gauge(
    "starvation", "queued_dag_runs",
    "Queued dag runs by what holds them: the DAG (or backfill) is paused, it is gone from its file, the run is not due yet, "
    "max_active_runs are running, or nothing that the database shows (scheduler behind).",
    ("held_by",), shows=("P3", "S2"),
    always=True,
)  # fmt: skip
QUEUED_RUNS_OLDEST = gauge(
    "starvation", "queued_dag_runs_oldest_timestamp_seconds", "When the first of them was queued.", ("held_by",),
    shows=("P3", "S2"),
)  # fmt: skip
DAGS_AT_LIMIT = gauge(
    "starvation", "dags_at_limit", "DAGs that have work waiting because they are at this limit of theirs.", ("limit",),
    shows=("S5", "P3"),
    always=True,
)  # fmt: skip
