"""Assets (datasets in 2.x): what waits to start a DAG."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import gauge

ASSETS_QUEUED = gauge(
    "assets", "asset_queue_entries",
    "Updates of assets that wait to start a DAG, by what the DAG is (active, paused, stale); from Airflow 3.4 on, where every "
    "update waits by itself, at most 1,000 per DAG are counted.",
    ("dag_state",),
    shows=("X3",),
    always=True,
)  # fmt: skip
ASSETS_QUEUED_OLDEST = gauge(
    "assets", "asset_queue_oldest_timestamp_seconds",
    "Since when the oldest of them has been waiting; a DAG that needs several assets waits for the last.", ("dag_state",),
    shows=("X3",),
)  # fmt: skip
