"""Facts about Airflow, per release, as data: states, schema revisions and what `airflow db clean` judges by."""

from __future__ import annotations

OLDEST_RELEASE = "2.4"
"""The oldest Airflow that we read."""

UNFINISHED_STATES = (
    "scheduled",
    "queued",
    "running",
    "restarting",
    "deferred",
    "up_for_retry",
    "up_for_reschedule",
    "awaiting_input",
    "shutdown",
)
"""States of a task instance that is not done; beside them NULL, which is shown as `none`.

`awaiting_input` is new in 3.3, `shutdown` gone in 3.0 (airflow.utils.state.TaskInstanceState of each release).
"""

UNFINISHED_RUN_STATES = ("queued", "running")

FINISHED_STATES = ("success", "failed", "skipped", "upstream_failed", "removed")
"""States in which a task instance stays unless somebody clears it."""

FINISHED_RUN_STATES = ("success", "failed")

BACKFILL_RUN_TYPE = "backfill"
"""The dag_run.run_type of runs for the past, for which being late means nothing."""

NO_STATE = "none"

JOB_TYPES = ("SchedulerJob", "TriggererJob", "DagProcessorJob")
"""Long-lived jobs. 2.x has a LocalTaskJob row per task try beside them, and no row for workers in any release."""

REQUEUED_EVENT = "stuck in queued reschedule"

SCHEDULER_EVENTS = (REQUEUED_EVENT, "stuck in queued tries exceeded", "heartbeat timeout", "state mismatch")
"""Values of log.event that only the scheduler writes, from 2.10 on (airflow.jobs.scheduler_job_runner of each release)."""

REVISIONS: tuple[tuple[str, str], ...] = (
    ("2.0.0", "e959f08ac86c"),
    ("2.0.1", "82b7c48c147f"),
    ("2.0.2", "2e42bb497a22"),
    ("2.1.0", "a13f7613ad25"),
    ("2.1.3", "97cdd93827b8"),
    ("2.1.4", "ccde3e26fe78"),
    ("2.2.0", "7b2661a43ba3"),
    ("2.2.3", "be2bfac3da23"),
    ("2.2.4", "587bdf053233"),
    ("2.3.0", "b1b348e02d07"),
    ("2.3.1", "1de7bc13c950"),
    ("2.3.2", "3c94c427fdf6"),
    ("2.3.3", "f5fcbda3e651"),
    ("2.4.0", "ecb43d2a1842"),
    ("2.4.2", "b0d31815b5a6"),
    ("2.4.3", "e07f49787c9d"),
    ("2.5.0", "290244fb8b83"),
    ("2.6.0", "98ae134e6fff"),
    ("2.6.2", "c804e5c76e3e"),
    ("2.7.0", "405de8318b3a"),
    ("2.8.0", "10b52ebd31f7"),
    ("2.8.1", "88344c1d9134"),
    ("2.9.0", "1949afb29106"),
    ("2.9.2", "686269002441"),
    ("2.10.0", "22ed7efa9da2"),
    ("2.10.3", "5f2621c13b39"),
    ("3.0.0", "29ce7909c52b"),
    ("3.0.3", "fe199e1abd77"),
    ("3.1.0", "cc92b33c6709"),
    ("3.1.8", "509b94a1042d"),
    ("3.2.0", "1d6611b6ab7c"),
    ("3.3.0", "d2f4e1b3c5a7"),
)
"""(first release with it, alembic head), oldest first; read from `_REVISION_HEADS_MAP` of the 3.3.2 wheel.

A head says "this release or a later one before the next line": 2.10.3 and 2.11 share one, as do 3.3.0 and 3.3.2.
It is only ever a label; what a query may use is read from the schema itself.
"""


def release(alembic_head: str) -> str:
    """The first release that has this schema revision, like "2.10.3+"; "unknown" for a head not listed."""
    return next((f"{first}+" for first, head in REVISIONS if head == alembic_head), "unknown")


def minor_release(alembic_head: str) -> tuple[int, int] | None:
    """(2, 9) for a head of 2.9; None for one not listed, and for the one that 2.10 and 2.11 share."""
    first = next((first for first, head in REVISIONS if head == alembic_head), "2.10.3")
    if first == "2.10.3":
        return None
    major, minor, _ = first.split(".")
    return int(major), int(minor)


RECENCY_COLUMNS: tuple[tuple[str, str], ...] = (
    ("asset_event", "timestamp"),
    ("callback", "created_at"),
    ("callback_request", "created_at"),
    ("celery_taskmeta", "date_done"),
    ("celery_tasksetmeta", "date_done"),
    ("dag_run", "start_date"),
    ("dag_version", "created_at"),
    ("dataset_event", "timestamp"),
    ("deadline", "deadline_time"),
    ("import_error", "timestamp"),
    ("job", "latest_heartbeat"),
    ("log", "dttm"),
    ("sla_miss", "timestamp"),
    ("task_fail", "start_date"),
    ("task_instance", "start_date"),
    ("task_instance_history", "start_date"),
    ("task_reschedule", "start_date"),
    ("trigger", "created_date"),
    ("xcom", "timestamp"),
    ("xcom_v1", "timestamp"),
    ("xcom_v2", "timestamp"),
)
"""(table, column): the moment by which `airflow db clean` judges a row's age (airflow.utils.db_cleanup of each release).

`session` is left out: its expiry lies in the future, so it tells nothing about clean-up.
"""

CLEANED_TABLES = frozenset({
    "asset_event", "callback_request", "celery_taskmeta", "celery_tasksetmeta", "dataset_event", "deadline", "job", "log",
    "sla_miss", "task_fail", "task_instance", "task_instance_history", "task_reschedule", "xcom",
    "xcom_v1", "xcom_v2",
})  # fmt: skip
"""Of these, the tables in which `airflow db clean` leaves no row that is older than it was told.

Not dag_run and dag_version (the last of each DAG is kept, and versions in use), nor callback, dag, import_error and trigger,
whose old rows may be alive.
"""

ARCHIVE_PREFIX = "_airflow_deleted__"
"""Name prefix of the copies that `airflow db clean` keeps (without --skip-archive), or leaves behind when it fails."""

BUSY_TABLES = (
    "celery_taskmeta", "dag", "dag_run", "job", "log", "rendered_task_instance_fields", "serialized_dag", "slot_pool",
    "task_instance", "task_instance_history", "task_reschedule", "trigger", "xcom", "xcom_v2",
)  # fmt: skip
"""Tables that Airflow writes to all the time, where vacuum matters."""

WAITING_CALLBACK_STATES = ("pending", "queued", "running")
"""States of a callback that somebody should be running (airflow.utils.state.CallbackState).

Beside them: `scheduled`, whose deadline has not passed, and none for what the dag processor is to run.
"""

DEADLINE_CALLBACK_STATES = ("queued", "running", "success", "failed")
"""States of the callback of a deadline that was missed, where 3.1 keeps them with the deadline; none before it is missed."""
