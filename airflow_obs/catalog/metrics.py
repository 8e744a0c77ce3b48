"""Every metric this toolkit exposes; nothing outside this file spells a metric name.

Grouped by the collector that feeds them. Each is a Python object: an expression or a collector that misspells one fails
at import, and a wrong label raises. The label `airflow` (the deployment's name) is added to every series on its way out.
"""

from __future__ import annotations

from airflow_obs.model import PREFIX, Kind, Metric

WAIT_BUCKETS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 10800.0)
"""Seconds in queue; 600 is Airflow's `[scheduler] task_queued_timeout`, 1800 about when a lost task finally fails."""


def _gauge(
    collector: str, name: str, text: str, labels: tuple[str, ...] = (), optional: tuple[str, ...] = ()
) -> Metric:
    return Metric(PREFIX + name, Kind.GAUGE, text, collector, labels, optional)


# -- the exporter itself ---------------------------------------------------------------------------------------------

BUILD_INFO = Metric(
    PREFIX + "build_info", Kind.INFO, "Version of this exporter and of the Python it runs on.", "exporter",
    ("version", "python"),
)  # fmt: skip
COLLECTOR_SUCCESS = _gauge(
    "exporter", "collector_success",
    "1 if the collector's newest run succeeded and is not late; nothing to report is success.", ("collector",),
)  # fmt: skip
COLLECTOR_DURATION = _gauge(
    "exporter", "collector_duration_seconds", "Duration of the collector's newest run.", ("collector",)
)
COLLECTOR_LAST_SUCCESS = _gauge(
    "exporter", "collector_last_success_timestamp_seconds",
    "Moment of the collector's newest success; 0 if it never succeeded since the exporter started.", ("collector",),
)  # fmt: skip
COLLECTOR_FAILURES = Metric(
    PREFIX + "collector_failures_total", Kind.COUNTER, "Runs of the collector that failed.", "exporter", ("collector",)
)
SOURCE_UP = _gauge(
    "exporter", "source_up",
    "1 if the source (database, health endpoint) answered when it was last asked; absent for one that nobody told us of.",
    ("source",),
)  # fmt: skip
SERIES_DROPPED = Metric(
    PREFIX + "series_dropped_total", Kind.COUNTER,
    "Series left out because their family reached the collector's max_series, counted in every run.", "exporter",
    ("family",),
)  # fmt: skip

# -- jobs: schedulers, triggerers, dag processors --------------------------------------------------------------------

JOB_HEARTBEAT = _gauge(
    "jobs", "job_heartbeat_timestamp_seconds",
    "Moment of the newest heartbeat of each scheduler, triggerer and dag processor seen within the forget window, dead or alive.",
    ("job_type", "hostname"),
)  # fmt: skip
JOBS_ALIVE = _gauge(
    "jobs", "jobs_alive", "Jobs that are running with a heartbeat younger than alive_within.", ("job_type",)
)

# -- task instances --------------------------------------------------------------------------------------------------

TASK_INSTANCES = _gauge(
    "task_instances", "task_instances",
    "Unfinished task instances; state `none` is an instance not yet scheduled.",
    ("state", "queue", "pool"), ("executor",),
)  # fmt: skip
TASK_INSTANCES_OLDEST = _gauge(
    "task_instances", "task_instances_oldest_timestamp_seconds",
    "Since when the instance that is longest in this state (queued or scheduled) has been in it.", ("state", "queue"),
)  # fmt: skip
TASK_QUEUE_WAIT = Metric(
    PREFIX + "task_queue_wait_seconds", Kind.GAUGE_HISTOGRAM,
    "How long the task instances that are queued now have been waiting; rises and falls, so never take its rate().",
    "task_instances", ("queue",), buckets=WAIT_BUCKETS,
)  # fmt: skip

# -- dag runs --------------------------------------------------------------------------------------------------------

DAG_RUNS = _gauge("dag_runs", "dag_runs", "Unfinished dag runs.", ("state", "run_type"))
DAG_RUNS_OLDEST = _gauge(
    "dag_runs", "dag_runs_oldest_timestamp_seconds",
    "When the oldest dag run in this state entered it (queued: queued, running: started).", ("state",),
)  # fmt: skip
NEXT_RUN_DUE = _gauge(
    "dag_runs", "dag_next_run_due_timestamp_seconds",
    "Earliest moment at which the scheduler should create a run of an active, unpaused DAG; in the past when it is behind.",
)  # fmt: skip
DAGS_OVERDUE = _gauge(
    "dag_runs",
    "dags_overdue",
    "Active, unpaused DAGs whose next run should have been created more than overdue_after ago.",
)

# -- dag processing --------------------------------------------------------------------------------------------------

IMPORT_ERRORS = _gauge("dag_processing", "import_errors", "DAG files that fail to import.")
OLDEST_PARSE = _gauge(
    "dag_processing", "dag_last_parsed_oldest_timestamp_seconds",
    "When the active DAG that was parsed longest ago was parsed.",
)  # fmt: skip
NEWEST_PARSE = _gauge(
    "dag_processing", "dag_last_parsed_newest_timestamp_seconds",
    "When any active DAG was parsed last; stands still when the dag processor does.",
)  # fmt: skip
PARSE_DURATION = _gauge(
    "dag_processing", "dag_parse_duration_seconds",
    "Duration of the newest parse of each DAG file, its path relative to the bundle (the slowest where bundles share a path).",
    ("dag_file",),
)  # fmt: skip
DAGS = _gauge("dag_processing", "dags", "DAGs by state: active, paused, stale (gone from its file).", ("state",))

# -- pools -----------------------------------------------------------------------------------------------------------

POOL_SLOTS = _gauge("pools", "pool_slots", "Size of the pool; +Inf when it is unlimited.", ("pool",))
POOL_OPEN = _gauge(
    "pools", "pool_open_slots", "Slots still free; below 0 when the pool was shrunk under running tasks.", ("pool",)
)
POOL_USED = _gauge(
    "pools", "pool_used_slots",
    "Slots that count against the pool: running and queued, and deferred where the pool includes them.", ("pool",),
)  # fmt: skip
POOL_RUNNING = _gauge("pools", "pool_running_slots", "Slots of running task instances.", ("pool",))
POOL_QUEUED = _gauge("pools", "pool_queued_slots", "Slots of queued task instances.", ("pool",))
POOL_DEFERRED = _gauge("pools", "pool_deferred_slots", "Slots of deferred task instances.", ("pool",))
POOL_SCHEDULED = _gauge(
    "pools", "pool_scheduled_slots", "Slots that scheduled task instances are waiting for.", ("pool",)
)

# -- the database server ---------------------------------------------------------------------------------------------

AIRFLOW_INFO = Metric(
    PREFIX + "airflow_info", Kind.INFO,
    "What the metadata database says about its Airflow: schema revision (alembic head), the releases that have it, executor, "
    "database kind and version.",
    "database", ("alembic_head", "release", "database", "database_version"), ("executor",),
)  # fmt: skip
DB_SIZE = _gauge("database", "db_size_bytes", "Size of the whole metadata database.")
DB_CONNECTIONS = _gauge(
    "database", "db_connections",
    "Client connections of the whole server; state `hidden` means that our role may not see it (grant pg_read_all_stats).",
    ("state",),
)  # fmt: skip
DB_CONNECTIONS_MAX = _gauge(
    "database", "db_connections_max", "Connections that clients may open (max_connections without the reserved ones)."
)
DB_OLDEST_TRANSACTION = _gauge(
    "database", "db_transaction_oldest_timestamp_seconds",
    "When the oldest open transaction of another session in this database began, by session state.", ("state",),
)  # fmt: skip
DB_BLOCKED = _gauge("database", "db_sessions_blocked", "Sessions of this database that wait for a lock.")
DB_XID_AGE = _gauge(
    "database", "db_transaction_id_age",
    "Transactions since the oldest unfrozen one; PostgreSQL stops taking writes near 2.1e9.",
)  # fmt: skip

# -- the database's tables -------------------------------------------------------------------------------------------

TABLE_SIZE = _gauge(
    "tables", "db_table_size_bytes", "Size of the table with its indexes and TOAST; from statistics while it is locked.",
    ("table",),
)  # fmt: skip
TABLE_ROWS = _gauge("tables", "db_table_rows", "Estimated rows (statistics, never a count).", ("table",))
TABLE_DEAD_ROWS = _gauge("tables", "db_table_dead_rows", "Estimated dead rows that vacuum has not removed.", ("table",))
TABLE_OLDEST_ROW = _gauge(
    "tables", "db_table_oldest_row_timestamp_seconds",
    "Moment of about the oldest row, by the column that `airflow db clean` judges (from an index end or planner statistics).",
    ("table",),
)  # fmt: skip
TABLE_UNDATED = _gauge(
    "tables", "db_table_undated_rows_ratio",
    "Estimated share of rows without the moment that `airflow db clean` judges by, which it never deletes.", ("table",),
)  # fmt: skip
ARCHIVE_TABLES = _gauge(
    "tables", "db_archive_tables", "Tables that `airflow db clean` left behind (_airflow_deleted__…)."
)
ARCHIVE_SIZE = _gauge("tables", "db_archive_size_bytes", "Size of the tables that `airflow db clean` left behind.")

# -- the health endpoint ---------------------------------------------------------------------------------------------

HEALTH_COMPONENT = _gauge(
    "health", "health_component_healthy",
    "1 if the endpoint calls the component healthy; absent for one never seen. Only the newest job of each kind is judged.",
    ("component",),
)  # fmt: skip
HEALTH_LATENCY = _gauge("health", "health_latency_seconds", "Time that the health endpoint took to answer.")

ALL: tuple[Metric, ...] = tuple(value for value in globals().values() if isinstance(value, Metric))
"""Every metric, in the order of this file."""

NAMES = frozenset(metric.name for metric in ALL)
