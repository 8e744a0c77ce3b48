"""Task instances that nobody works on any more, whatever their state says."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import gauge

GHOSTS = gauge(
    "stuck_tasks", "ghost_task_instances", "Unfinished task instances of dag runs that are finished: nobody will move them.",
    ("state",), shows=("T3",),
    always=True,
)  # fmt: skip
GHOSTS_OLDEST = gauge(
    "stuck_tasks", "ghost_task_instances_oldest_timestamp_seconds", "When the first of the ghosts' dag runs ended.",
    ("state",), shows=("T3",),
)  # fmt: skip
ORPHANS = gauge(
    "stuck_tasks", "orphaned_task_instances",
    "Queued and running task instances whose scheduler is gone or never was; a live one should adopt them within minutes.",
    ("state",), shows=("T3",),
    always=True,
)  # fmt: skip
ORPHANS_OLDEST = gauge(
    "stuck_tasks", "orphaned_task_instances_oldest_timestamp_seconds",
    "When the first of the orphans entered its state.", ("state",), shows=("T3",),
)  # fmt: skip
HEARTBEATS_OVERDUE = gauge(
    "stuck_tasks", "task_heartbeats_overdue",
    "Running task instances whose newest heartbeat is older than heartbeat_overdue_after; Airflow fails them after 5 minutes.",
    shows=("T4",),
    always=True,
)  # fmt: skip
HEARTBEAT_OLDEST = gauge(
    "stuck_tasks", "task_heartbeat_oldest_timestamp_seconds",
    "Of the running task instances' newest heartbeats, the oldest (an instance that has had none: its start).",
    shows=("T4",),
)  # fmt: skip
PAUSED_TASKS = gauge(
    "stuck_tasks", "paused_task_instances", "Unfinished task instances of paused DAGs; no more of them will be queued.",
    ("state",), shows=("S5",),
    always=True,
)  # fmt: skip
PAUSED_RUNS = gauge(
    "stuck_tasks", "paused_dag_runs", "Unfinished dag runs of paused DAGs.", ("state",), shows=("P3",), always=True
)
PAUSED_RUNS_OLDEST = gauge(
    "stuck_tasks",
    "paused_dag_runs_oldest_timestamp_seconds",
    "When the oldest of them was queued.",
    ("state",),
    shows=("P3",),
)
UNNAMED = gauge(
    "stuck_tasks", "celery_task_instances_without_message",
    "Queued and running task instances of Celery without external_executor_id: a new scheduler would send them again.",
    ("state",), shows=("T7",),
)  # fmt: skip
UNNAMED_OLDEST = gauge(
    "stuck_tasks", "celery_task_instances_without_message_oldest_timestamp_seconds",
    "When the first of them was queued.", ("state",), shows=("T7",),
)  # fmt: skip
