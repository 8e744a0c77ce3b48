"""What only the executors themselves say; it comes over StatsD or OTLP."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import counter, gauge, histogram
from airflow_obs.catalog.metrics.emitted_scheduler import LOOP_BUCKETS

EXECUTOR_OPEN = gauge(
    "ingest", "executor_open_slots",
    "Slots free, of all schedulers together over OTLP, of whichever spoke last over StatsD; so are the two that follow.",
    (), ("executor", "team"), shows=("K1",),
)  # fmt: skip
EXECUTOR_QUEUED = gauge(
    "ingest", "executor_queued_task_instances", "Task instances that the executor has not sent out yet.",
    (), ("executor", "team"),
)  # fmt: skip
EXECUTOR_RUNNING = gauge(
    "ingest", "executor_running_task_instances",
    "Task instances that the executor takes for running; more than there are when it has lost count.",
    (), ("executor", "team"), shows=("K1",),
)  # fmt: skip
EXECUTOR_HEARTBEAT = histogram(
    "ingest", "executor_heartbeat_duration_seconds", "How long a scheduler's loop was in the executor.", LOOP_BUCKETS,
    (), ("executor", "team"), since="3.3",
)  # fmt: skip
EXECUTOR_ADOPTION = histogram(
    "ingest", "executor_adoption_duration_seconds", "How long adopting the task instances of a dead scheduler took.",
    LOOP_BUCKETS, ("executor",),
)  # fmt: skip

# -- Celery ------------------------------------------------------------------------------------------------------------

CELERY_TIMEOUTS = counter(
    "ingest", "celery_publish_timeouts_total",
    "Messages that a scheduler could not hand to the broker within `[celery] operation_timeout`.", (), ("team",),
    shows=("C6",),
)  # fmt: skip
CELERY_COMMAND_FAILURES = counter(
    "ingest",
    "celery_command_failures_total",
    "Processes of tasks that ended on a worker with an exit code other than 0.",
)

# -- Kubernetes --------------------------------------------------------------------------------------------------------

POD_REQUESTS = counter(
    "ingest", "kubernetes_pod_requests_total",
    "Requests to create, delete or patch a pod, by HTTP status of the answer (`error`: none).", ("request",), ("status",),
    shows=("K2",),
)  # fmt: skip
POD_REQUEST_DURATION = histogram(
    "ingest", "kubernetes_pod_request_duration_seconds", "Duration of these requests.", LOOP_BUCKETS, ("request",),
)  # fmt: skip
POD_BATCH_DURATION = histogram(
    "ingest", "kubernetes_pod_creation_batch_duration_seconds", "How long creating the pods of one loop took.",
    LOOP_BUCKETS,
)  # fmt: skip
POD_BATCH_SIZE = gauge(
    "ingest", "kubernetes_pod_creation_batch_size", "Pods created in the newest loop that created any."
)
NOT_LAUNCHED_CLEARED = histogram(
    "ingest", "kubernetes_clear_not_launched_duration_seconds",
    "How long it took to look for queued task instances without a pod.", LOOP_BUCKETS,
)  # fmt: skip

# -- edge workers ------------------------------------------------------------------------------------------------------

EDGE_SYNC = histogram(
    "ingest",
    "edge_executor_sync_duration_seconds",
    "Duration of the edge executor's rounds.",
    LOOP_BUCKETS,
)
EDGE_STATUS = gauge(
    "ingest",
    "edge_worker_status_level",
    "State of an edge worker, as a level of Python's logging.",
    ("worker",),
)
EDGE_CONNECTED = gauge("ingest", "edge_worker_connected", "1 if the edge worker is connected.", ("worker",))
EDGE_MAINTENANCE = gauge("ingest", "edge_worker_maintenance", "1 if the edge worker is under maintenance.", ("worker",))
EDGE_JOBS = gauge("ingest", "edge_worker_active_jobs", "Jobs that the edge worker runs.", ("worker",))
EDGE_CONCURRENCY = gauge("ingest", "edge_worker_concurrency", "Jobs that it may run.", ("worker",))
EDGE_FREE = gauge("ingest", "edge_worker_free_concurrency", "Jobs that it may run beside these.", ("worker",))
EDGE_QUEUES = gauge("ingest", "edge_worker_queues", "Queues that it listens to.", ("worker",))
EDGE_HEARTBEATS = counter("ingest", "edge_worker_heartbeats_total", "Its heartbeats.", ("worker",))
EDGE_STARTED = counter(
    "ingest", "edge_task_tries_started_total", "Tries of task instances that edge workers started.",
    ("queue",), ("dag_id", "task_id"),
)  # fmt: skip
EDGE_FINISHED = counter(
    "ingest", "edge_task_tries_finished_total", "Tries that ended on edge workers, by state.",
    ("queue", "state"), ("dag_id", "task_id"),
)  # fmt: skip
