"""Jobs, task instances, dag runs and pools: what Airflow schedules, and what does the scheduling."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import gauge, gauge_histogram

WAIT_BUCKETS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 10800.0)
"""Seconds in queue; 600 is Airflow's `[scheduler] task_queued_timeout`, 1800 about when a lost task finally fails."""

# -- jobs: schedulers, triggerers, dag processors ----------------------------------------------------------------------

JOB_HEARTBEAT = gauge(
    "jobs", "job_heartbeat_timestamp_seconds",
    "Moment of the newest heartbeat of each scheduler, triggerer and dag processor seen within the forget window, dead or alive.",
    ("job_type", "hostname"),
    shows=("S1", "G3", "R1"),
)  # fmt: skip
JOBS_ALIVE = gauge(
    "jobs",
    "jobs_alive",
    "Jobs that are running with a heartbeat younger than alive_within.",
    ("job_type",),
    shows=("S1", "G3", "R1"),
    always=True,
)
JOB_CLOCK_AHEAD = gauge(
    "jobs", "job_clock_ahead_seconds",
    "How far its newest heartbeat lies in the database's future, at least: above 0 the clock of its host is ahead.",
    ("job_type", "hostname"),
    shows=("X2",),
)  # fmt: skip

# -- task instances ----------------------------------------------------------------------------------------------------

TASK_INSTANCES = gauge(
    "task_instances", "task_instances",
    "Unfinished task instances; state `none` is an instance not yet scheduled.",
    ("state", "queue", "pool"), ("executor",),
    shows=("T1", "S5"),
)  # fmt: skip
TASK_INSTANCES_OLDEST = gauge(
    "task_instances", "task_instances_oldest_timestamp_seconds",
    "Since when the instance that is longest in this state (queued, scheduled or running) has been in it.", ("state", "queue"),
    shows=("T1", "S5"),
)  # fmt: skip
TASK_INSTANCES_STARTED = gauge(
    "task_instances", "task_instances_newest_start_timestamp_seconds",
    "When the one that started last began, among those that run.",
    shows=("T1",),
)  # fmt: skip
CELERY_TASK_INSTANCES = gauge(
    "task_instances", "celery_task_instances",
    "Queued and running task instances for which Celery's broker should hold a message, by queue; what it lacks is lost.",
    ("state", "queue"),
    shows=("C5",),
)  # fmt: skip
TASK_QUEUE_WAIT = gauge_histogram(
    "task_instances", "task_queue_wait_seconds",
    "How long the task instances that are queued now have been waiting; rises and falls, so never take its rate().",
    WAIT_BUCKETS, ("queue",),
    shows=("T1",),
)  # fmt: skip

# -- dag runs ----------------------------------------------------------------------------------------------------------

DAG_RUNS = gauge("dag_runs", "dag_runs", "Unfinished dag runs.", ("state", "run_type"), shows=("P3",))
DAG_RUNS_OLDEST = gauge(
    "dag_runs", "dag_runs_oldest_timestamp_seconds",
    "When the oldest dag run in this state entered it (queued: queued, running: started).", ("state",),
    shows=("P3",),
)  # fmt: skip
NEXT_RUN_DUE = gauge(
    "dag_runs", "dag_next_run_due_timestamp_seconds",
    "Earliest moment at which the scheduler should create a run of an active, unpaused DAG; in the past when it is behind.",
    shows=("S2",),
)  # fmt: skip
NEXT_RUN_LEFT = gauge(
    "dag_runs", "dag_next_run_left_timestamp_seconds",
    "Since when one and the same run that is due has been left uncreated, of the DAG that waits longest: a DAG that catches up is "
    "overdue by its date, but not left.",
    shows=("S2",),
)  # fmt: skip
DAGS_OVERDUE = gauge(
    "dag_runs",
    "dags_overdue",
    "Active, unpaused DAGs whose next run should have been created more than overdue_after ago.",
    shows=("S2",),
    always=True,
)

# -- pools -------------------------------------------------------------------------------------------------------------

POOL_SLOTS = gauge(
    "pools", "pool_slots", "Size of the pool; +Inf when it is unlimited.", ("pool",), shows=("P1",), always=True
)
POOL_OPEN = gauge(
    "pools",
    "pool_open_slots",
    "Slots still free; below 0 when the pool was shrunk under running tasks.",
    ("pool",),
    shows=("P1",),
    also="ingest",
    always=True,
)
POOL_USED = gauge(
    "pools", "pool_used_slots",
    "Slots that count against the pool: running and queued, and deferred where the pool includes them.", ("pool",),
    shows=("P1",),
    always=True,
)  # fmt: skip
POOL_RUNNING = gauge(
    "pools", "pool_running_slots", "Slots of running task instances.", ("pool",), also="ingest", always=True
)
POOL_QUEUED = gauge(
    "pools", "pool_queued_slots", "Slots of queued task instances.", ("pool",), also="ingest", always=True
)
POOL_DEFERRED = gauge(
    "pools",
    "pool_deferred_slots",
    "Slots of deferred task instances.",
    ("pool",),
    shows=("P2",),
    also="ingest",
    always=True,
)
POOL_SCHEDULED = gauge(
    "pools",
    "pool_scheduled_slots",
    "Slots that scheduled task instances are waiting for.",
    ("pool",),
    shows=("P1", "S5"),
    also="ingest",
    always=True,
)
