"""The ways in which an Airflow in production fails, and which of them the sources of the exporter can show."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_obs.catalog import metrics
from airflow_obs.model import Failure, Metric

FAILURES: tuple[Failure, ...] = (
    # -- S: the scheduler ----------------------------------------------------------------------------------------------
    Failure("S1", "Scheduler dead: its heartbeat stands still", ("database", "health")),
    Failure("S2", "Scheduler alive, but it creates no runs", ("database",)),
    Failure("S3", "Scheduler crashes again and again on one bad row or DAG", ("ingest",)),
    Failure("S4", "Scheduler loop slow", ("ingest",)),
    Failure("S5", "Tasks starve beside free slots: one DAG or pool holds the scheduler's attention", ("database",)),
    Failure("S6", "Deadlocks in the database end transactions of the scheduler or API server", ("database",)),
    # -- T: the life of a task -----------------------------------------------------------------------------------------
    Failure("T1", "Tasks stuck in queued", ("database",)),
    Failure("T2", "A queued task was handed out again too often, and failed", ("database",)),
    Failure("T3", "Ghosts: task instances that nobody owns, or that outlive their run", ("database",)),
    Failure("T4", "Running tasks lose their heartbeat and are failed", ("database",)),
    Failure("T5", "The executor says finished while the database says queued", ("database",)),
    Failure("T6", "Task killed for its memory", ("ingest",)),
    Failure("T7", "Task runs twice, because its message was delivered again", ("broker", "database")),
    Failure("T8", "The API server refuses heartbeats, which kills healthy tasks (3.x)"),
    Failure("T9", "Tokens of tasks expired, or signed with another secret (3.x)"),
    # -- A: the API server and webserver -------------------------------------------------------------------------------
    Failure("A1", "API server or webserver overloaded", ("health",)),
    Failure("A2", "API server grows until it hangs or is killed"),
    # -- C: Celery and its broker --------------------------------------------------------------------------------------
    Failure("C1", "Worker answers, but takes no task since it lost the broker", ("workers", "broker")),
    Failure("C2", "Queue that no worker consumes", ("workers", "broker")),
    Failure("C3", "Workers killed by scaling, eviction or a deployment", ("workers",)),
    Failure("C4", "Broker full: it evicts, refuses to write or stops its publishers", ("broker",)),
    Failure("C5", "Broker restarted, and lost or replays its queues", ("broker", "database")),
    Failure("C6", "Scheduler cannot publish to the broker in time", ("ingest",)),
    Failure("C7", "Results of Celery pile up", ("database", "broker")),
    Failure("C8", "A probe that is too slow kills healthy workers", ("workers",)),
    # -- K: Kubernetes -------------------------------------------------------------------------------------------------
    Failure("K1", "KubernetesExecutor lost count of its slots, or no longer watches its pods", ("ingest",)),
    Failure("K2", "Pods cannot be created: quota, permission, conflict", ("ingest",)),
    Failure("K3", "Pods wait for a node or an image"),
    Failure("K4", "Pods of tasks evicted or preempted"),
    Failure("K5", "Finished pods pile up"),
    # -- G: DAG processing ---------------------------------------------------------------------------------------------
    Failure("G1", "DAG files that fail to import", ("database",)),
    Failure("G2", "DAG files slow to parse", ("database",)),
    Failure("G3", "DAG processor stalled", ("database", "health")),
    Failure("G4", "DAGs vanish together", ("database",)),
    Failure("G5", "Bundle of DAGs no longer refreshed", ("database",)),
    Failure("G6", "A new version of a DAG at every parse (3.x)", ("database",)),
    # -- R: the triggerer ----------------------------------------------------------------------------------------------
    Failure("R1", "Triggerer dead or absent while tasks are deferred", ("database", "health")),
    Failure("R2", "Triggerer alive, but its triggers do not fire", ("database",)),
    Failure("R3", "Triggerer saturated", ("database",)),
    # -- P: pools and limits -------------------------------------------------------------------------------------------
    Failure("P1", "Pool exhausted while tasks wait for it", ("database",)),
    Failure("P2", "Deferred tasks hold the slots of a pool", ("database",)),
    Failure("P3", "DAG wedged at its limit of active runs", ("database",)),
    # -- D: the metadata database --------------------------------------------------------------------------------------
    Failure("D1", "Database unreachable", ("database",)),
    Failure("D2", "Connections of the database exhausted", ("database",)),
    Failure("D3", "Idle transactions hold locks, and others wait behind them", ("database",)),
    Failure("D4", "Dead rows pile up: vacuum is held back", ("database",)),
    Failure("D5", "Transaction ids run out", ("database",)),
    Failure("D6", "Tables grow without bound", ("database",)),
    Failure("D7", "Clean-up fails without saying so", ("database",)),
    Failure("D8", "Clean-up never deletes rows that have no moment to judge by", ("database",)),
    Failure("D9", "Migration stuck during an upgrade", ("database",)),
    # -- L: logs -------------------------------------------------------------------------------------------------------
    Failure("L1", "Logs of tasks missing in the remote store"),
    Failure("L2", "Disk full of local logs"),
    # -- X: across components ------------------------------------------------------------------------------------------
    Failure("X1", "Components with different Fernet keys"),
    Failure("X2", "Clocks apart", ("database",)),
    Failure("X3", "Asset (dataset) events that no run consumes", ("database",)),
    Failure("X4", "Deadlines or SLAs missed, or their callbacks not run", ("database",)),
    Failure("X5", "The metrics themselves are blind", ("exporter", "database", "ingest")),
)
"""Every failure mode that the toolkit knows, by subject."""

BY_ID = {failure.id: failure for failure in FAILURES}

LOOK_FIRST: Mapping[str, Metric] = {
    "S1": metrics.JOB_HEARTBEAT, "S2": metrics.DAGS_OVERDUE, "S4": metrics.SCHEDULER_LOOP, "S5": metrics.SCHEDULED,
    "T1": metrics.TASK_INSTANCES_OLDEST, "T2": metrics.TASK_EVENTS, "T3": metrics.GHOSTS, "T4": metrics.HEARTBEATS_OVERDUE,
    "T7": metrics.BROKER_UNACKED_OLDEST,
    "C1": metrics.WORKER_QUEUES, "C2": metrics.QUEUE_WORKERS, "C3": metrics.WORKER_UP, "C4": metrics.BROKER_MEMORY,
    "C5": metrics.BROKER_STARTED, "C7": metrics.CLEAN_UP_DUE, "C8": metrics.WORKER_UP,
    "K1": metrics.EXECUTOR_RUNNING,
    "G3": metrics.NEWEST_PARSE, "G4": metrics.DAGS, "G5": metrics.BUNDLE_REFRESHED, "G6": metrics.DAG_VERSIONS_MAX,
    "R1": metrics.TRIGGERS_STRANDED, "R2": metrics.DEFERRED_OVERDUE, "R3": metrics.TRIGGERS,
    "P1": metrics.POOL_OPEN, "P2": metrics.POOL_DEFERRED, "P3": metrics.DAGS_AT_LIMIT,
    "D1": metrics.SOURCE_UP, "D2": metrics.DB_CONNECTIONS_FREE, "D3": metrics.DB_BLOCKING, "D4": metrics.TABLE_DEAD_ROWS,
    "D5": metrics.DB_XID_AGE, "D6": metrics.TABLE_SIZE, "D7": metrics.CLEAN_UP_DUE, "D8": metrics.CLEAN_UP_UNDATED,
    "D9": metrics.DB_LOCK_WAIT_OLDEST,
    "X2": metrics.JOB_CLOCK_AHEAD, "X3": metrics.ASSETS_QUEUED_OLDEST, "X4": metrics.DEADLINES_MISSED,
    "X5": metrics.COLLECTOR_SUCCESS,
}  # fmt: skip
"""Where several metrics show a failure mode: the one that decides whether it is there, by the mode's id."""
