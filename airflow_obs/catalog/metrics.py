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
    "1 if the source (database, health, broker, workers) answered when it was last asked; absent for one that nobody told us of.",
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
CELERY_TASK_INSTANCES = _gauge(
    "task_instances", "celery_task_instances",
    "Queued and running task instances for which Celery's broker should hold a message, by queue; what it lacks is lost.",
    ("state", "queue"),
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

# -- Celery's broker -------------------------------------------------------------------------------------------------

BROKER_INFO = Metric(
    PREFIX + "broker_info", Kind.INFO,
    "What the broker is (redis, rabbitmq), its version, and for Redis what it does when its memory is full and its role.",
    "broker", ("kind", "version"), ("eviction_policy", "role"),
)  # fmt: skip
BROKER_MESSAGES = _gauge(
    "broker", "broker_queue_messages",
    "Messages that wait in the queue for a worker, at every priority; 0 for a known queue that is empty.", ("queue",),
)  # fmt: skip
BROKER_CONSUMERS = _gauge(
    "broker", "broker_queue_consumers",
    "Consumers of the queue (RabbitMQ only; on Redis airflow_obs_worker_subscribed tells).", ("queue",),
)  # fmt: skip
BROKER_QUEUE_UNACKED = _gauge(
    "broker", "broker_queue_unacked_messages",
    "Messages of the queue that a worker holds (RabbitMQ with its management API only).", ("queue",),
)  # fmt: skip
BROKER_UNACKED = _gauge(
    "broker", "broker_unacked_messages",
    "Messages that workers hold and have not acknowledged, in all queues: tasks that run, and tasks that were fetched ahead.",
)  # fmt: skip
BROKER_UNACKED_OLDEST = _gauge(
    "broker", "broker_unacked_oldest_timestamp_seconds",
    "When the unacknowledged message that is held longest was delivered (Redis only).",
)  # fmt: skip
BROKER_VISIBILITY_TIMEOUT = _gauge(
    "broker", "broker_visibility_timeout_seconds",
    "Age at which an unacknowledged message is delivered again, and its task may run twice (Redis only; as configured).",
)  # fmt: skip
BROKER_MEMORY = _gauge("broker", "broker_memory_bytes", "Memory that the broker uses, by its own count.", (), ("node",))
BROKER_MEMORY_MAX = _gauge(
    "broker", "broker_memory_max_bytes",
    "Memory at which Redis evicts or refuses to write, or RabbitMQ stops its publishers; +Inf when there is no limit.",
    (), ("node",),
)  # fmt: skip
BROKER_DISK_FREE = _gauge(
    "broker",
    "broker_disk_free_bytes",
    "Free space on the node's disk (RabbitMQ with its management API only).",
    ("node",),
)
BROKER_DISK_FREE_LIMIT = _gauge(
    "broker", "broker_disk_free_limit_bytes",
    "Free space below which RabbitMQ stops its publishers (with its management API only).", ("node",),
)  # fmt: skip
BROKER_ALARM = _gauge(
    "broker", "broker_alarm",
    "1 while RabbitMQ stops its publishers on this node because memory or disk is short (with its management API only).",
    ("alarm", "node"),
)  # fmt: skip
BROKER_NODE_UP = _gauge(
    "broker", "broker_node_up", "1 if the node of the RabbitMQ cluster runs (with its management API only).", ("node",)
)
BROKER_EVICTED = Metric(
    PREFIX + "broker_evicted_keys_total", Kind.COUNTER,
    "Keys that Redis threw away because its memory was full: each may have been a whole queue.", "broker",
)  # fmt: skip
BROKER_CLIENTS = _gauge("broker", "broker_connected_clients", "Client connections of the broker.")
BROKER_CLIENTS_MAX = _gauge("broker", "broker_max_clients", "Connections at which Redis turns clients away.")
BROKER_BLOCKED_CLIENTS = _gauge(
    "broker", "broker_blocked_clients",
    "Redis: clients that wait for a message, idle workers among them. RabbitMQ: publishers that an alarm has stopped.",
)  # fmt: skip
BROKER_STARTED = _gauge(
    "broker", "broker_start_timestamp_seconds", "When the broker started; without persistence its queues were empty then.",
    (), ("node",),
)  # fmt: skip
BROKER_SAVE_OK = _gauge(
    "broker", "broker_last_save_ok",
    "1 if the newest attempts of Redis to write its snapshot and its append-only file succeeded.",
)  # fmt: skip
BROKER_LAST_SAVE = _gauge(
    "broker", "broker_last_save_timestamp_seconds", "When Redis last wrote a whole snapshot, or when it started."
)
BROKER_REPLICAS = _gauge("broker", "broker_replicas", "Replicas that are connected to Redis.")
BROKER_REPLICATION_UP = _gauge(
    "broker", "broker_replication_link_up",
    "1 if the Redis that we reach, being a replica, is connected to its master; absent on a master.",
)  # fmt: skip
BROKER_RESULT_KEYS = _gauge(
    "broker", "broker_result_keys",
    "Keys in the result backend's database of this Redis; in the broker's own, those that expire. Absent when it is elsewhere.",
)  # fmt: skip

# -- Celery's workers ------------------------------------------------------------------------------------------------

WORKER_UP = _gauge(
    "workers", "worker_up",
    "1 if the worker answered over the broker; 0 for the forget window after one that answered before stopped to.",
    ("worker",),
)  # fmt: skip
WORKER_SUBSCRIBED = _gauge(
    "workers", "worker_subscribed",
    "1 for each queue that the worker consumes from; a worker that is up without any takes no task.", ("worker", "queue"),
)  # fmt: skip
WORKER_QUEUES = _gauge(
    "workers",
    "worker_queues",
    "Queues that the worker consumes from; 0 for one that is up and takes no task.",
    ("worker",),
)
QUEUE_WORKERS = _gauge(
    "workers", "queue_workers",
    "Workers that are up and consume from the queue; 0 for one that tasks, bindings or a worker of the last hour speak of.",
    ("queue",),
)  # fmt: skip
WORKER_ACTIVE = _gauge(
    "workers", "worker_active_tasks", "Tasks that the worker runs, by its heartbeat; absent for one that sends none.",
    ("worker",),
)  # fmt: skip
WORKER_RESERVED = _gauge(
    "workers", "worker_reserved_tasks", "Tasks that the worker has fetched and not begun: no other worker can take them.",
    ("worker",),
)  # fmt: skip
WORKER_POOL_SIZE = _gauge("workers", "worker_pool_size", "Tasks that the worker can run at once.", ("worker",))
WORKER_PREFETCH = _gauge(
    "workers", "worker_prefetch_count", "Messages that the worker takes before it acknowledges any.", ("worker",)
)
WORKER_PROCESSED = Metric(
    PREFIX + "worker_processed_total", Kind.COUNTER, "Tasks that the worker accepted since it started.", "workers",
    ("worker",),
)  # fmt: skip
WORKER_STARTED = _gauge("workers", "worker_start_timestamp_seconds", "When the worker started.", ("worker",))

ALL: tuple[Metric, ...] = tuple(value for value in globals().values() if isinstance(value, Metric))
"""Every metric, in the order of this file."""

NAMES = frozenset(metric.name for metric in ALL)
