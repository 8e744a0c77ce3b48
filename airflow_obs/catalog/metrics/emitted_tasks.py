"""What only the processes of tasks say; it comes over StatsD or OTLP, and 3.0 sends none of it."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import counter, gauge, histogram
from airflow_obs.catalog.metrics.outcomes import TASK_DURATION_BUCKETS
from airflow_obs.catalog.metrics.scheduling import WAIT_BUCKETS

_TASK = ("dag_id", "task_id", "team")
_OF_OPERATOR = (("operator",), _TASK)

TRIES_STARTED = counter("ingest", "task_tries_started_total", "Tries of task instances that started.", (), _TASK)
TRIES_FINISHED = counter(
    "ingest", "task_tries_finished_total",
    "Tries that ended, by the state that they left; one that is killed with its process is not among them.", ("state",), _TASK,
)  # fmt: skip
TASK_SUCCESSES = counter("ingest", "task_successes_total", "Tries that succeeded, as tasks count them.", (), _TASK)
TASK_FAILURES = counter("ingest", "task_failures_total", "Tries that failed, as tasks count them.", (), _TASK)
PREVIOUSLY_SUCCEEDED = counter(
    "ingest",
    "task_instances_previously_succeeded_total",
    "Task instances started that had succeeded before.",
    (),
    _TASK,
)
OPERATOR_SUCCESSES = counter("ingest", "operator_successes_total", "Tries that succeeded, by operator.", *_OF_OPERATOR)
OPERATOR_FAILURES = counter("ingest", "operator_failures_total", "Tries that failed, by operator.", *_OF_OPERATOR)
TASKS_CREATED = counter(
    "ingest", "task_instances_created_total", "Task instances created, by operator.",
    ("operator",), ("dag_id", "run_type", "team"),
)  # fmt: skip
TASKS_REMOVED = counter(
    "ingest", "dag_tasks_removed_total", "Unfinished task instances whose task is gone from its DAG.",
    (), ("dag_id", "run_type", "team"),
)  # fmt: skip
TASKS_RESTORED = counter(
    "ingest", "dag_tasks_restored_total", "Of these, the ones whose task came back.", (), ("dag_id", "run_type", "team")
)
TRY_DURATION = histogram(
    "ingest", "emitted_task_duration_seconds",
    "Duration of tries, as tasks measure it; the database's figure is task_duration_seconds.",
    TASK_DURATION_BUCKETS, (), _TASK,
)  # fmt: skip
TRY_QUEUED = histogram(
    "ingest", "emitted_task_queued_duration_seconds", "How long tries were queued before they ran; 3.0 to 3.3 do not send it.",
    WAIT_BUCKETS, (), (*_TASK, "queue"), since="2.7", gap=("3.0", "3.3"),
)  # fmt: skip
TRY_SCHEDULED = histogram(
    "ingest", "emitted_task_scheduled_duration_seconds", "How long tries were scheduled before they were queued.",
    WAIT_BUCKETS, (), (*_TASK, "queue"), since="2.7",
)  # fmt: skip
TASK_CPU = gauge(
    "ingest", "task_cpu_usage_ratio", "Processors that a running task keeps busy; only with dags.task_level.",
    ("dag_id", "task_id"), since="2.10", until="2.11",
)  # fmt: skip
TASK_MEMORY = gauge(
    "ingest", "task_memory_usage_ratio", "Share of its host's memory that a running task has; only with dags.task_level.",
    ("dag_id", "task_id"), since="2.10", until="2.11",
)  # fmt: skip
TASK_EXITS = counter(
    "ingest", "task_process_exits_total",
    "Processes of tasks that ended, by exit code; -9 is mostly the kernel, for want of memory. Only where StatsD sends tags.",
    ("return_code",), ("dag_id", "task_id"), since="2.7", until="3.3", shows=("T6",),
)  # fmt: skip
TASK_HEARTBEATS_OVERDUE = counter(
    "ingest", "task_process_heartbeats_overdue_total",
    "Processes of tasks that gave up since they could not write their heartbeat for too long.", until="2.11",
)  # fmt: skip
RESUMABLE_JOBS = counter(
    "ingest", "resumable_jobs_total", "Starts of operators that can resume a job outside of Airflow, by what they did.",
    ("outcome",), ("operator", *_TASK), since="3.3",
)  # fmt: skip
SLA_MISSED = counter("ingest", "sla_missed_total", "SLAs missed.", (), ("dag_id", "task_id"), until="2.11")
SLA_FAILURES = counter(
    "ingest", "sla_notification_failures_total", "Notifications of a missed SLA that failed, by way (callback, email).",
    ("way",), ("dag_id",), until="2.11",
)  # fmt: skip
