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
CONFIG_RELOADED = gauge(
    "exporter", "config_last_reload_successful",
    "1 if the policy, or the file of --web.config.file, was taken when it was last read; while it is 0 the one before holds.",
    ("config",),
    shows=("X5",),
)  # fmt: skip
CONFIG_LOADED = gauge(
    "exporter", "config_last_reload_success_timestamp_seconds",
    "Moment at which the policy, or the file of --web.config.file, was last taken.",
    ("config",),
)  # fmt: skip
WEB_REFUSED = counter(
    "exporter", "web_refused_total",
    "Requests and connections that the exporter's own endpoint refused, by reason.",
    ("reason",),
)  # fmt: skip
PUSH_SUCCESS = gauge(
    "exporter", "push_success", "1 if the newest push to the destination (otlp, statsd, textfile) succeeded.", ("destination",),
    shows=("X5",),
)  # fmt: skip
PUSH_LAST_SUCCESS = gauge(
    "exporter", "push_last_success_timestamp_seconds",
    "Moment of the newest push that succeeded; 0 if none has since the exporter started.", ("destination",),
    shows=("X5",),
)  # fmt: skip
PUSH_FAILURES = counter(
    "exporter", "push_failures_total", "Pushes to the destination that failed.", ("destination",), shows=("X5",)
)
PUSH_WAITING = gauge(
    "exporter",
    "push_waiting",
    "Snapshots that wait in the buffer for a destination that did not take them.",
    ("destination",),
)
PUSH_LOST = counter(
    "exporter", "push_lost_total",
    "Snapshots of which a destination will never get all: the buffer was full, it refused a part for good, or it broke off in the "
    "middle.",
    ("destination", "reason"),
    shows=("X5",),
)  # fmt: skip
