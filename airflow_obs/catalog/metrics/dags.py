"""DAGs and the files they come from."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import gauge, info

IMPORT_ERRORS = gauge(
    "dag_processing", "import_errors", "DAG files that fail to import.", shows=("G1",), also="ingest", always=True
)
OLDEST_PARSE = gauge(
    "dag_processing", "dag_last_parsed_oldest_timestamp_seconds",
    "When the active DAG that was parsed longest ago was parsed.",
    shows=("G3",),
)  # fmt: skip
NEWEST_PARSE = gauge(
    "dag_processing", "dag_last_parsed_newest_timestamp_seconds",
    "When any active DAG was parsed last; stands still when the dag processor does.",
    shows=("G3",),
)  # fmt: skip
PARSE_DURATION = gauge(
    "dag_processing", "dag_parse_duration_seconds",
    "Duration of the newest parse of each DAG file, its path relative to the bundle (the slowest where bundles share a path).",
    ("dag_file",),
    since="3.1", shows=("G2",), also="ingest",
)  # fmt: skip
DAGS = gauge(
    "dag_processing",
    "dags",
    "DAGs by state: active, paused, stale (gone from its file).",
    ("state",),
    shows=("G4",),
    always=True,
)

# -- per DAG -----------------------------------------------------------------------------------------------------------

DAG_INFO = info(
    "dags", "dag_info",
    "Who a DAG belongs to. `tags` has a comma before and after each tag, so that tags=~\".*,payments,.*\" finds one."
    " A last \"…\" in `owner` or `tags` stands for more.",
    ("dag_id", "owner", "tags"), ("bundle", "team"),
)  # fmt: skip
DAG_PAUSED = gauge("dags", "dag_paused", "1 if the DAG is paused.", ("dag_id",))
DAG_NEXT_RUN = gauge(
    "dags", "dag_next_run_timestamp_seconds",
    "When the DAG's next run should be created; absent for one that is paused, at its limit of runs or without a schedule.",
    ("dag_id",), shows=("S2", "P3"),
)  # fmt: skip
DAG_UNFINISHED_RUNS = gauge(
    "dags", "dag_unfinished_runs", "Queued and running runs of the DAG.", ("dag_id", "state"), shows=("P3",)
)
DAG_OLDEST_RUN = gauge(
    "dags", "dag_run_oldest_start_timestamp_seconds", "When the DAG's run that has been running longest started.",
    ("dag_id",), shows=("P3", "X4"),
)  # fmt: skip
DAG_LAST_RUN_SUCCESS = gauge(
    "dags", "dag_last_run_success", "1 if the newest run of the DAG that has ended was a success, 0 if it failed.",
    ("dag_id",),
)  # fmt: skip
DAG_LAST_RUN_END = gauge(
    "dags", "dag_last_run_end_timestamp_seconds", "When the newest run of the DAG that has ended did so.", ("dag_id",)
)
DAG_LAST_RUN_DURATION = gauge(
    "dags", "dag_last_run_duration_seconds", "How long the newest run of the DAG that has ended took.", ("dag_id",)
)
DAG_LAST_SUCCESS = gauge(
    "dags", "dag_last_success_timestamp_seconds",
    "When the newest success among the DAG's runs ended; absent if there was none since the exporter's start, nor among its newest "
    "100 runs then.",
    ("dag_id",),
)  # fmt: skip
DAG_NEW_VERSIONS = gauge(
    "dags", "dag_new_versions_last_day",
    "Versions of the DAG that were made in the last 24 hours; one that differs at every parse makes one each time."
    " At most 50,000, the newest of all DAGs, are counted.",
    ("dag_id",),
    since="3.0", shows=("G6",),
)  # fmt: skip
DAG_TASK_INSTANCES = gauge(
    "dags", "dag_task_instances",
    "Unfinished task instances of one task (only with dags.task_level in the policy), without those that are not yet scheduled.",
    ("dag_id", "task_id", "state"), shows=("T1",),
)  # fmt: skip
DAGS_LEFT_OUT = gauge(
    "dags", "dags_left_out",
    "DAGs that the policy includes, but that are beyond its dags.top and so have no series: all of them where that is 0.",
    always=True,
)  # fmt: skip
