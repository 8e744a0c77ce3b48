"""What a replica of the database cannot tell of the server that Airflow writes to."""

from __future__ import annotations

from airflow_obs.catalog import metrics
from airflow_obs.model import Metric

OF_THE_SERVER = frozenset[Metric](
    {
        metrics.DB_CONNECTIONS, metrics.DB_CONNECTIONS_MAX, metrics.DB_CONNECTIONS_FREE, metrics.DB_CONNECTIONS_RESERVED,
        metrics.DB_OLDEST_TRANSACTION, metrics.DB_BLOCKED, metrics.DB_DEADLOCKS, metrics.DB_STATS_RESET,
        metrics.DB_TEMP_FILES, metrics.DB_TEMP_BYTES, metrics.DB_ROW_LOCK_WAITS, metrics.DB_ROW_LOCK_WAIT_SECONDS,
        metrics.DB_LOCKS, metrics.DB_LOCK_WAIT_OLDEST, metrics.DB_LOCK_CHAIN, metrics.DB_BLOCKING, metrics.DB_BLOCKING_OLDEST,
        metrics.DB_XMIN_AGE, metrics.DB_HISTORY, metrics.DB_PREPARED, metrics.DB_PREPARED_OLDEST,
        metrics.TABLE_DEAD_ROWS, metrics.TABLE_LAST_VACUUM, metrics.TABLE_LAST_ANALYZE, metrics.TABLE_VACUUM_THRESHOLD,
        metrics.SLOT_ACTIVE, metrics.SLOT_RETAINED, metrics.REPLICA_LAG, metrics.REPLICA_LAG_BYTES, metrics.SLA_MISSES,
    }
)  # fmt: skip
"""Figures of the very server that is read: its sessions, locks, counters and what it cleans, none of which is replicated.

Sizes, rows, and the age of transaction ids are the primary's, too: these are replicated with the data.
"""
