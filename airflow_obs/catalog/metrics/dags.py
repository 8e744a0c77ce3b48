"""DAGs and the files they come from."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import gauge

IMPORT_ERRORS = gauge("dag_processing", "import_errors", "DAG files that fail to import.")
OLDEST_PARSE = gauge(
    "dag_processing", "dag_last_parsed_oldest_timestamp_seconds",
    "When the active DAG that was parsed longest ago was parsed.",
)  # fmt: skip
NEWEST_PARSE = gauge(
    "dag_processing", "dag_last_parsed_newest_timestamp_seconds",
    "When any active DAG was parsed last; stands still when the dag processor does.",
)  # fmt: skip
PARSE_DURATION = gauge(
    "dag_processing", "dag_parse_duration_seconds",
    "Duration of the newest parse of each DAG file, its path relative to the bundle (the slowest where bundles share a path).",
    ("dag_file",),
)  # fmt: skip
DAGS = gauge("dag_processing", "dags", "DAGs by state: active, paused, stale (gone from its file).", ("state",))
