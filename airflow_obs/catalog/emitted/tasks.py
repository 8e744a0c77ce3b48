"""Signals of task instances, most of them sent by the processes of tasks."""

from __future__ import annotations

from airflow_obs.catalog import metrics as m
from airflow_obs.catalog.emitted.define import counted, gauged, refused, timed
from airflow_obs.model import Emission, Signal, Unit

_PER_TRY = "has the id of a job, new with every try, in its name; its tagged name, where StatsD sends tags, is kept"

TASKS: tuple[Signal, ...] = (
    counted("ti.start", m.TRIES_STARTED, "ti.start.{dag_id}.{task_id}"),
    counted("ti.finish", m.TRIES_FINISHED, "ti.finish.{dag_id}.{task_id}.{state}"),
    counted("ti_successes", m.TASK_SUCCESSES),
    counted("ti_failures", m.TASK_FAILURES),
    counted("previously_succeeded", m.PREVIOUSLY_SUCCEEDED),
    counted("operator_successes", m.OPERATOR_SUCCESSES, "operator_successes_{operator_name}"),
    counted("operator_failures", m.OPERATOR_FAILURES, "operator_failures_{operator_name}"),
    # The hyphen is that of 2.6 and before.
    counted(
        "task_instance_created", m.TASKS_CREATED, "task_instance_created_{task_type}", "task_instance_created-{task_type}"
    ),
    counted("task_removed_from_dag", m.TASKS_REMOVED, "task_removed_from_dag.{dag_id}"),
    counted("task_restored_to_dag", m.TASKS_RESTORED, "task_restored_to_dag.{dag_id}"),
    timed("task.duration", m.TRY_DURATION, "dag.{dag_id}.{task_id}.duration"),
    timed("task.queued_duration", m.TRY_QUEUED, "dag.{dag_id}.{task_id}.queued_duration", unit=Unit.QUEUED, since="2.7"),
    timed(
        "task.scheduled_duration", m.TRY_SCHEDULED, "dag.{dag_id}.{task_id}.scheduled_duration", unit=Unit.QUEUED, since="2.7"
    ),
    gauged("task.cpu_usage.{dag_id}.{task_id}", m.TASK_CPU, factor=0.01, since="2.10", until="2.11"),
    gauged("task.mem_usage.{dag_id}.{task_id}", m.TASK_MEMORY, factor=0.01, since="2.10", until="2.11"),
    # -- the process around a task
    counted("local_task_job.task_exit", m.TASK_EXITS, since="2.7", until="3.3"),
    refused(
        "local_task_job.task_exit.{job_id}.{dag_id}.{task_id}.{return_code}", Emission.COUNTER, _PER_TRY,
        since="2.5", until="3.3",
    ),
    counted("local_task_job_prolonged_heartbeat_failure", m.TASK_HEARTBEATS_OVERDUE, until="2.11"),
    # -- jobs outside of Airflow that operators take up again
    *(
        counted(f"resumable_job.{outcome}", m.RESUMABLE_JOBS, since="3.3", outcome=outcome)
        for outcome in ("fresh_submit", "already_succeeded", "terminal_resubmit", "reconnect_attempt", "reconnect_success")
    ),
    # -- SLAs of 2.x
    counted("sla_missed", m.SLA_MISSED, until="2.11"),
    counted("sla_callback_notification_failure", m.SLA_FAILURES, until="2.11", way="callback"),
    counted("sla_email_notification_failure", m.SLA_FAILURES, until="2.11", way="email"),
)  # fmt: skip
