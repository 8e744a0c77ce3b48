"""The exporter itself: its collectors and its sources."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import counter, gauge, info

BUILD_INFO = info(
    "exporter", "build_info", "Version of this exporter and of the Python it runs on.",
    ("version", "python"),
)  # fmt: skip
COLLECTOR_SUCCESS = gauge(
    "exporter", "collector_success",
    "1 if the collector's newest run succeeded and is not late; nothing to report is success.", ("collector",),
    shows=("X5",),
)  # fmt: skip
COLLECTOR_DURATION = gauge(
    "exporter", "collector_duration_seconds", "Duration of the collector's newest run.", ("collector",)
)
COLLECTOR_LAST_SUCCESS = gauge(
    "exporter", "collector_last_success_timestamp_seconds",
    "Moment of the collector's newest success; 0 if it never succeeded since the exporter started.", ("collector",),
    shows=("X5",),
)  # fmt: skip
COLLECTOR_FAILURES = counter(
    "exporter", "collector_failures_total", "Runs of the collector that failed.", ("collector",), shows=("X5",)
)
SOURCE_UP = gauge(
    "exporter", "source_up",
    "1 if the source (database, health, broker, workers, ingest) answered when it was last asked; absent for one that nobody told "
    "us of.",
    ("source",),
    shows=("D1", "X5"),
)  # fmt: skip
FAMILY_SOURCE = info(
    "exporter", "family_source_info",
    "Which source feeds a family that two could feed: the database, from its first sample on for good, else what Airflow sends.",
    ("family", "source"),
)  # fmt: skip
SERIES_DROPPED = counter(
    "exporter", "series_dropped_total",
    "Series left out because their family reached the collector's max_series, counted in every run.",
    ("family",),
    shows=("X5",),
)  # fmt: skip
