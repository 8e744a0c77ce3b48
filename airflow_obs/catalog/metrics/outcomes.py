"""How task instances and dag runs ended, counted since the exporter started, and how long they took."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import counter, gauge, histogram

TASK_DURATION_BUCKETS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0)
"""Seconds; a task that pokes and reschedules is counted by its last look."""
RUN_DURATION_BUCKETS = (10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 86400.0)
START_DELAY_BUCKETS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 21600.0)

TASKS_FINISHED = counter(
    "outcomes", "task_instances_finished_total",
    "Task instances that ended, by final state; one that is cleared and ends again counts again.", ("state", "queue"),
    shows=("T4",),
)  # fmt: skip
TRIES_RETRIED = counter(
    "outcomes", "task_tries_retried_total",
    "Tries of task instances that failed or were abandoned and were, or will be, tried again.", ("queue",),
    shows=("T4",),
)  # fmt: skip
TASK_DURATION = histogram(
    "outcomes", "task_duration_seconds",
    "How long the last try of the task instances that succeeded or failed took.", TASK_DURATION_BUCKETS, ("state", "queue"),
)  # fmt: skip
RUNS_FINISHED = counter(
    "outcomes", "dag_runs_finished_total", "Dag runs that ended, by final state and run type.", ("state", "run_type")
)
RUN_DURATION = histogram(
    "outcomes", "dag_run_duration_seconds", "How long dag runs took from their start to their end.",
    RUN_DURATION_BUCKETS, ("state", "run_type"),
)  # fmt: skip
RUN_START_DELAY = histogram(
    "outcomes", "dag_run_start_delay_seconds",
    "From when dag runs were due (run_after; before 3.0 the end of the data interval, scheduled runs only) to their start.",
    START_DELAY_BUCKETS, ("run_type",), shows=("S2", "S5"),
)  # fmt: skip
OUTCOMES_AWAITED = gauge(
    "outcomes", "outcomes_awaited", "Task instances and dag runs that the exporter remembers to count their outcome.", ("kind",),
    always=True,
)  # fmt: skip
OUTCOMES_UNKNOWN = counter(
    "outcomes", "outcomes_unknown_total",
    "Task instances and dag runs that were deleted before their outcome was seen; the tasks of a run set aside are not among them.",
    ("kind",),
    always=True,
)  # fmt: skip
RUNS_SET_ASIDE = counter(
    "outcomes", "outcomes_dag_runs_set_aside_total",
    "Dag runs too large for max_followed: their tasks are counted when the run ends, without retries.",
    always=True,
)  # fmt: skip
