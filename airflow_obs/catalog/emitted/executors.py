"""Signals of the executors: slots, Celery, Kubernetes, edge workers.

Providers bring most of them, to any release of Airflow.
"""

from __future__ import annotations

from airflow_obs.catalog import metrics as m
from airflow_obs.catalog.emitted.define import counted, gauged, timed
from airflow_obs.model import Signal, Unit

EXECUTORS: tuple[Signal, ...] = (
    # Each scheduler has executors of its own. 2.x has the legacy name where it runs several executors.
    *(
        gauged(name, to, f"{name}.{{executor_class_name}}", parts="sum")
        for name, to in (
            ("executor.open_slots", m.EXECUTOR_OPEN),
            ("executor.queued_tasks", m.EXECUTOR_QUEUED),
            ("executor.running_tasks", m.EXECUTOR_RUNNING),
        )
    ),
    timed("scheduler.executor_heartbeat_duration", m.EXECUTOR_HEARTBEAT, unit=Unit.TIMER, since="3.3"),
    *(
        timed(f"{name}.adopt_task_instances.duration", m.EXECUTOR_ADOPTION, unit=Unit.TIMER, executor=executor)
        for name, executor in (
            ("kubernetes_executor", "KubernetesExecutor"),
            ("batch_executor", "AwsBatchExecutor"),
            ("ecs_executor", "AwsEcsExecutor"),
            ("lambda_executor", "AwsLambdaExecutor"),
        )
    ),
    # -- Celery
    counted("celery.task_timeout_error", m.CELERY_TIMEOUTS),
    counted("celery.execute_command.failure", m.CELERY_COMMAND_FAILURES),
    # -- Kubernetes
    *(
        signal
        for request, name in (("create", "pod_creation"), ("delete", "pod_deletion"), ("patch", "pod_patching"))
        for signal in (
            counted(f"kubernetes_executor.{name}_status", m.POD_REQUESTS, request=request),
            timed(f"kubernetes_executor.{name}", m.POD_REQUEST_DURATION, unit=Unit.TIMER, request=request),
        )
    ),
    timed("kubernetes_executor.pod_creation_batch_duration", m.POD_BATCH_DURATION, unit=Unit.TIMER),
    gauged("kubernetes_executor.pod_creation_batch_size", m.POD_BATCH_SIZE),
    timed(
        "kubernetes_executor.clear_not_launched_queued_tasks.duration", m.NOT_LAUNCHED_CLEARED, unit=Unit.TIMER
    ),
    # -- edge workers
    timed("edge_executor.sync.duration", m.EDGE_SYNC, unit=Unit.TIMER),
    *(
        gauged(f"edge_worker.{name}", to, f"edge_worker.{name}.{{worker_name}}")
        for name, to in (
            ("status", m.EDGE_STATUS),
            ("connected", m.EDGE_CONNECTED),
            ("maintenance", m.EDGE_MAINTENANCE),
            ("jobs_active", m.EDGE_JOBS),
            ("concurrency", m.EDGE_CONCURRENCY),
            ("free_concurrency", m.EDGE_FREE),
            ("num_queues", m.EDGE_QUEUES),
        )
    ),
    counted("edge_worker.heartbeat_count", m.EDGE_HEARTBEATS, "edge_worker.heartbeat_count.{worker_name}"),
    counted("edge_worker.ti.start", m.EDGE_STARTED, "edge_worker.ti.start.{queue}.{dag_id}.{task_id}"),
    counted(
        "edge_worker.ti.finish", m.EDGE_FINISHED, "edge_worker.ti.finish.{queue}.{state}.{dag_id}.{task_id}"
    ),
)  # fmt: skip
