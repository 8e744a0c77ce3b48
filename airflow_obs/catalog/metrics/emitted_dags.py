"""What only Airflow's stream says of dag runs, DAG files, triggers and assets; it comes over StatsD or OTLP."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import counter, gauge, histogram
from airflow_obs.catalog.metrics.emitted_scheduler import LOOP_BUCKETS, QUERY_BUCKETS
from airflow_obs.catalog.metrics.outcomes import RUN_DURATION_BUCKETS, START_DELAY_BUCKETS

_RUN = ("dag_id", "run_type", "team")
_FILE = (("dag_file",), ("bundle", "team"))

# -- dag runs ----------------------------------------------------------------------------------------------------------

EMITTED_RUN_DURATION = histogram(
    "ingest", "emitted_dag_run_duration_seconds",
    "Duration of dag runs, as schedulers measure it; the database's figure is dag_run_duration_seconds.",
    (1.0, *RUN_DURATION_BUCKETS), ("state",), _RUN,
)  # fmt: skip
RUN_SCHEDULE_DELAY = histogram(
    "ingest", "dag_run_schedule_delay_seconds", "From when scheduled runs were due to their start.",
    START_DELAY_BUCKETS, (), ("dag_id", "team"),
)  # fmt: skip
RUN_FIRST_TASK_DELAY = histogram(
    "ingest", "dag_run_first_task_scheduling_delay_seconds",
    "From when runs were due to the start of their first task (3.3 with legacy names sends each twice, which tags tell apart).",
    START_DELAY_BUCKETS, (), _RUN,
)  # fmt: skip
RUN_FIRST_TASK_START = histogram(
    "ingest", "dag_run_first_task_start_delay_seconds", "From the queueing of runs to the start of their first task.",
    START_DELAY_BUCKETS, (), _RUN, since="3.3",
)  # fmt: skip
RUN_DEPENDENCY_CHECK = histogram(
    "ingest", "dag_run_dependency_check_duration_seconds", "How long looking at the dependencies of a run's tasks took.",
    QUERY_BUCKETS, (), _RUN,
)  # fmt: skip
CALLBACK_EXCEPTIONS = counter(
    "ingest", "dag_callback_exceptions_total", "Callbacks of DAGs that ended in an exception.", (), ("dag_id", "team")
)
DAG_SERIALIZATIONS = counter(
    "ingest", "dag_serializations_total",
    "DAGs written anew, by outcome: version_created, or version_updated where no task had run in the newest version.",
    ("outcome",), ("dag_id", "bundle"), since="3.4",
)  # fmt: skip
DEADLINE_ALERTS = counter(
    "ingest", "deadline_alerts_total",
    "Deadlines of dag runs by outcome: created, creation_failed (since 3.4), missed, not_missed.", ("outcome",),
    ("dag_id", "team"), since="3.2",
)  # fmt: skip
ASSET_UPDATES = counter(
    "ingest", "asset_updates_total", "Updates of assets (datasets in 2.x).", (), ("team",), since="2.6"
)
ASSET_RUNS = counter(
    "ingest", "asset_triggered_dag_runs_total", "Dag runs made for updated assets.", (), ("team",), since="2.6"
)
ASSETS_ORPHANED = gauge("ingest", "assets_orphaned", "Assets that no DAG uses any more.", since="2.6")

# -- DAG processing ----------------------------------------------------------------------------------------------------

DAG_PROCESSOR_HEARTBEATS = counter(
    "ingest", "dag_processor_heartbeats_total", "Heartbeats of dag processors.", since="3.0"
)
FILE_LAST_PARSED = gauge(
    "ingest", "dag_file_last_parsed_timestamp_seconds",
    "When the DAG file was parsed last, by its path in the bundle with _ for / (before 3.3 its name without .py).", *_FILE,
)  # fmt: skip
PARSE_QUERIES = gauge(
    "ingest", "dag_parse_database_queries", "Queries to the metadata database in the newest parse of the DAG file.",
    *_FILE, since="2.10", until="3.3",
)  # fmt: skip
TOTAL_PARSE_DURATION = gauge(
    "ingest", "dag_processing_total_parse_duration_seconds",
    "How long the newest round through all DAG files took; near 0 when none was due.",
)  # fmt: skip
DAG_BAG = gauge("ingest", "dag_processing_dags", "DAGs found in all files in the newest round.")
FILES_QUEUED = gauge("ingest", "dag_processing_queued_files", "DAG files waiting to be parsed.", since="2.6")
FILES_QUEUE_UPDATES = counter(
    "ingest", "dag_processing_queue_updates_total", "Times that all DAG files were queued.", since="2.6"
)
PARSES_STARTED = counter("ingest", "dag_parse_processes_started_total", "Processes started to parse a DAG file.")
PARSES_ENDED = counter(
    "ingest", "dag_parse_processes_ended_total", "Of these, the ones that ended or were killed; the rest are at work."
)
PARSE_TIMEOUTS = counter(
    "ingest", "dag_parse_timeouts_total", "Processes killed since they took longer than dag_file_processor_timeout.",
    (), ("dag_file", "bundle", "team"),
)  # fmt: skip
FILE_REFRESH_ERRORS = counter(
    "ingest", "dag_file_refresh_errors_total", "DAG files that could not be loaded, each time that it was tried.",
    (), ("dag_file",), until="3.3",
)  # fmt: skip
MANAGER_STALLS = counter(
    "ingest", "dag_processing_manager_stalls_total", "Times that the manager of DAG processing hung and was restarted.",
    until="3.3",
)  # fmt: skip
CALLBACKS_RECEIVED = counter(
    "ingest", "dag_processing_callbacks_total", "Callbacks handed to the dag processor, by kind (sla until 2.11, other).",
    ("kind",), ("team",), since="2.6",
)  # fmt: skip
CALLBACK_ONLY_RUNS = counter(
    "ingest", "dag_processing_callback_only_runs_total", "Processes that ran callbacks and parsed nothing.",
    (), ("team",), since="3.1",
)  # fmt: skip
DAGS_COLLECTED = histogram(
    "ingest", "dag_collection_duration_seconds", "How long reading all serialized DAGs from the database took.",
    LOOP_BUCKETS, until="3.3",
)  # fmt: skip
SERIALIZERS_LOADED = histogram(
    "ingest", "serializers_load_duration_seconds", "How long a starting process took to load its serializers.",
    QUERY_BUCKETS, since="2.6",
)  # fmt: skip
FILESYSTEMS_LOADED = histogram(
    "ingest", "filesystems_load_duration_seconds", "How long a process took to load its file systems.",
    QUERY_BUCKETS, since="2.8",
)  # fmt: skip

# -- the triggerer -----------------------------------------------------------------------------------------------------

TRIGGERER_HEARTBEATS = counter(
    "ingest", "triggerer_heartbeats_total", "Heartbeats of triggerers.", (), ("team",), since="2.8"
)
TRIGGERER_RUNNING = gauge(
    "ingest", "triggerer_running_triggers", "Triggers that the triggerer runs.", (), ("hostname", "team")
)
TRIGGERER_CAPACITY = gauge(
    "ingest", "triggerer_capacity_left", "Triggers that it may run beside these.", ("hostname",), ("team",), since="3.0"
)
TRIGGERS_BLOCKED = counter(
    "ingest",
    "triggers_blocked_main_thread_total",
    "Times that a trigger held up all others of its triggerer.",
    (),
    ("team",),
)
TRIGGERS_FAILED = counter("ingest", "triggers_failed_total", "Triggers that failed before they fired.", (), ("team",))
TRIGGERS_SUCCEEDED = counter("ingest", "triggers_succeeded_total", "Triggers that fired.", (), ("team",))
TRIGGER_BATCH = histogram(
    "ingest", "triggerer_batch_creation_duration_seconds", "How long making a batch of triggers took.",
    LOOP_BUCKETS, (), ("team",), since="3.4",
)  # fmt: skip
TRIGGER_QUEUE_DELAY = histogram(
    "ingest", "triggerer_queue_delay_seconds", "How long triggers waited in the triggerer before it took them up.",
    LOOP_BUCKETS, (), ("team",), since="3.4",
)  # fmt: skip
