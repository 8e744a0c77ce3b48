"""What `airflow db clean` should have deleted by the policy's retention, and what it never will."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import gauge

CLEAN_UP_RETENTION = gauge(
    "clean_up",
    "clean_up_retention_seconds",
    "How long the policy keeps the table's rows.",
    ("table",),
    shows=("D7",),
    always=True,
)
CLEAN_UP_DUE = gauge(
    "clean_up", "clean_up_due_timestamp_seconds",
    "When the table's oldest row has passed, or will pass, the policy's retention; far in the past when nobody cleans up.",
    ("table",),
    shows=("C7", "D7"),
)  # fmt: skip
CLEAN_UP_UNDATED = gauge(
    "clean_up", "clean_up_undated_rows",
    "Finished rows past their retention (dag runs that were never queued: of any age) without the moment by which `airflow db "
    "clean` judges, so that it never deletes them; among the 1,000 oldest.",
    ("table",),
    shows=("D8",),
    always=True,
)  # fmt: skip
