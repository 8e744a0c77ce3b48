"""Bundles, which DAG files come from, and the versions of DAGs that come of them (Airflow 3)."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import gauge

BUNDLE_REFRESHED = gauge(
    "bundles", "dag_bundle_last_refreshed_timestamp_seconds",
    "When the dag processor last refreshed the bundle from its origin; absent if it never did.", ("bundle",),
    since="3.0", shows=("G5",),
)  # fmt: skip
BUNDLE_ACTIVE = gauge(
    "bundles",
    "dag_bundle_active",
    "1 if the bundle is in Airflow's configuration; DAGs of others go stale.",
    ("bundle",),
    since="3.0",
    shows=("G4", "G5"),
)
DAG_VERSIONS = gauge(
    "bundles",
    "dag_versions_last_day",
    "Versions of DAGs that were made in the last 24 hours; at most 50,000 are counted.",
    since="3.0",
    shows=("G6",),
    always=True,
)
DAG_VERSIONS_MAX = gauge(
    "bundles", "dag_versions_last_day_max",
    "Versions made in the last 24 hours of the DAG with most; a DAG that differs at every parse makes one each time.",
    since="3.0", shows=("G6",),
    always=True,
)  # fmt: skip
