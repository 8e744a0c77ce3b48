"""What Airflow's scheduler does to tasks that went astray, as it says in the audit log."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import counter, gauge

TASK_EVENTS = counter(
    "task_events", "scheduler_task_events_total",
    "Events of the audit log that only the scheduler writes (2.10+): a task was requeued as stuck in queued, failed after too many "
    "such requeues, failed for want of heartbeats, or the executor says that it ended while the database says otherwise.",
    ("event",), since="2.10", shows=("T2", "T4", "T5"),
    always=True,
)  # fmt: skip
TASKS_REQUEUED = gauge(
    "task_events", "task_instances_requeued",
    "Waiting task instances (scheduled or queued; at most 200) that the scheduler has requeued in this try, as stuck in queued.",
    since="2.10", shows=("T1", "T2"),
    always=True,
)  # fmt: skip
TASK_REQUEUES_MAX = gauge(
    "task_events", "task_instance_requeues_max",
    "Most requeues of one of them; Airflow fails it after [scheduler] num_stuck_in_queued_retries (default 2).",
    since="2.10", shows=("T2",),
    always=True,
)  # fmt: skip
