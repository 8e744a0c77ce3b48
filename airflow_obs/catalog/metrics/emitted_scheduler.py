"""What only the schedulers themselves say of their work; it comes over StatsD or OTLP."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import counter, gauge, histogram

LOOP_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds; a loop takes tens of milliseconds, and 30 is when Airflow calls a scheduler unhealthy."""
QUERY_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)

SCHEDULER_HEARTBEATS = counter("ingest", "scheduler_heartbeats_total", "Heartbeats of all schedulers.")
SCHEDULER_LOOP = histogram(
    "ingest", "scheduler_loop_duration_seconds", "Duration of the schedulers' loops.", LOOP_BUCKETS,
    since="2.5", shows=("S4",),
)  # fmt: skip
CRITICAL_SECTION = histogram(
    "ingest", "scheduler_critical_section_duration_seconds",
    "How long schedulers were in the critical section, in which task instances are queued; only one can be in it at a time.",
    LOOP_BUCKETS, shows=("S4",),
)  # fmt: skip
CRITICAL_QUERY = histogram(
    "ingest", "scheduler_critical_section_query_duration_seconds",
    "Duration of the critical section's query for task instances.",
    LOOP_BUCKETS, since="2.5", shows=("S4",),
)  # fmt: skip
CRITICAL_BUSY = counter(
    "ingest", "scheduler_critical_section_busy_total",
    "Times that a scheduler found another one in the critical section, and left queueing to it.",
)  # fmt: skip
LOOP_EXCEPTIONS = counter(
    "ingest", "scheduler_loop_exceptions_total", "Exceptions that ended a scheduler's loop, by class.", (), ("exception",),
    since="3.4", shows=("S3",),
)  # fmt: skip
SCHEDULER_EXECUTABLE = gauge(
    "ingest", "scheduler_executable_task_instances", "Task instances that the newest loop found fit to be queued."
)
SCHEDULER_STARVING = gauge(
    "ingest",
    "scheduler_starving_task_instances",
    "Task instances that the newest loop left scheduled since their pool was full.",
)
POOL_STARVING = gauge("ingest", "pool_starving_task_instances", "Of these, the ones that wait for the pool.", ("pool",))
SCHEDULER_TASK_INSTANCES = gauge(
    "ingest", "scheduler_task_instances",
    "Task instances as the schedulers count them every 30 seconds, by state (before 3.2 running only).",
    ("state", "queue"), ("dag_id", "task_id", "team"), since="3.0",
)  # fmt: skip
SCHEDULER_DAG_RUNS = gauge(
    "ingest", "scheduler_dag_runs",
    "Dag runs as the schedulers count them, by state (before 3.4 the DAGs whose newest run is running).",
    ("state",), ("dag_id",), since="3.2",
)  # fmt: skip
ORPHANS_HANDLED = counter(
    "ingest", "scheduler_orphaned_task_instances_total",
    "Task instances of dead schedulers that another one adopted, or cleared to be scheduled anew, by outcome.", ("outcome",),
)  # fmt: skip
KILLED_EXTERNALLY = counter(
    "ingest", "task_instances_killed_externally_total",
    "Task instances that the executor reported as finished while the database had them queued or running.",
    (), ("dag_id", "task_id", "team"),
)  # fmt: skip
HEARTBEATLESS_KILLED = counter(
    "ingest", "task_instances_killed_without_heartbeat_total", "Running task instances failed for want of a heartbeat.",
    (), ("dag_id", "task_id", "team"),
)  # fmt: skip
HEARTBEATLESS_FOUND = counter(
    "ingest", "task_instances_found_without_heartbeat_total",
    "Running task instances that a scheduler found without a fresh heartbeat, each as often as it was found.",
    (), ("reason",), since="3.4",
)  # fmt: skip
EXECUTOR_EVENTS = counter(
    "ingest", "scheduler_executor_events_total", "Events of executors that schedulers processed.", since="3.4"
)
EXECUTOR_EVENT_FAILURES = counter(
    "ingest", "scheduler_executor_event_failures_total",
    "Times that processing events of an executor ended in an exception, by its class.", (), ("exception",), since="3.4",
)  # fmt: skip
EXECUTOR_EVENT_BATCH = gauge(
    "ingest",
    "scheduler_executor_event_batch_size",
    "Events of executors that were processed together last.",
    since="3.4",
)
JOBS_STARTED = counter(
    "ingest", "jobs_started_total",
    "Jobs started, by class in lower case; `job` is any of them since 2.6, the processes of tasks of 2.x included.",
    ("job_class",),
)  # fmt: skip
JOBS_ENDED = counter("ingest", "jobs_ended_total", "Jobs that ended of themselves, by class as above.", ("job_class",))
JOB_HEARTBEAT_FAILURES = counter(
    "ingest", "job_heartbeat_failures_total",
    "Heartbeats of jobs that could not be written to the database, by class in snake case.", ("job_class",),
)  # fmt: skip
DAG_BAG_LOOKUPS = counter(
    "ingest", "dag_bag_cache_lookups_total", "DAGs looked up in the cache of a component, by outcome: hit or miss.",
    ("component", "outcome"), since="3.2",
)  # fmt: skip
DAG_BAG_CLEARED = counter(
    "ingest", "dag_bag_cache_clears_total", "Times that the cache of DAGs was emptied.", ("component",), since="3.2"
)
DAG_BAG_SIZE = gauge("ingest", "dag_bag_cached_dags", "DAGs in the cache of a component.", ("component",), since="3.2")
