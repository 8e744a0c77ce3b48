"""Celery's workers."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import counter, gauge

WORKER_UP = gauge(
    "workers", "worker_up",
    "1 if the worker answered over the broker, or beat; 0, for as long as it is not forgotten, if it does so no more.",
    ("worker",),
    shows=("C3", "C8"),
)  # fmt: skip
WORKER_SUBSCRIBED = gauge(
    "workers", "worker_subscribed",
    "1 for each queue that the worker consumes from; a worker that is up without any takes no task.", ("worker", "queue"),
    shows=("C1", "C2"),
)  # fmt: skip
WORKER_QUEUES = gauge(
    "workers",
    "worker_queues",
    "Queues that the worker consumes from; 0 for one that is up and takes no task.",
    ("worker",),
    shows=("C1",),
)
QUEUE_WORKERS = gauge(
    "workers", "queue_workers",
    "Workers that are up and consume from the queue; 0 for one that tasks, bindings or a worker of the last hour speak of.",
    ("queue",),
    shows=("C2",),
)  # fmt: skip
WORKER_ACTIVE = gauge(
    "workers", "worker_active_tasks", "Tasks that the worker runs, by its heartbeat; absent for one that sends none.",
    ("worker",),
    shows=("C1",),
)  # fmt: skip
WORKER_RESERVED = gauge(
    "workers", "worker_reserved_tasks", "Tasks that the worker has fetched and not begun: no other worker can take them.",
    ("worker",),
)  # fmt: skip
WORKER_POOL_SIZE = gauge("workers", "worker_pool_size", "Tasks that the worker can run at once.", ("worker",))
WORKER_PREFETCH = gauge(
    "workers", "worker_prefetch_limit", "Messages that the worker takes before it acknowledges any.", ("worker",)
)
WORKER_PROCESSED = counter(
    "workers", "worker_processed_total", "Tasks that the worker accepted since it started.",
    ("worker",),
)  # fmt: skip
WORKER_STARTED = gauge(
    "workers", "worker_start_timestamp_seconds", "When the worker started.", ("worker",), shows=("C3", "C8")
)
