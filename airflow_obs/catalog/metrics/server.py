"""The database server's slower organs: who locks whom, what vacuum does, and what is copied elsewhere."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import gauge

# -- locks -------------------------------------------------------------------------------------------------------------

DB_LOCKS = gauge(
    "locks", "db_locks", "Locks on Airflow's tables that other sessions hold or wait for (state: held, awaited).",
    ("mode", "state"),
    shows=("D3", "D9"),
)  # fmt: skip
DB_LOCK_WAIT_OLDEST = gauge(
    "locks", "db_lock_wait_oldest_timestamp_seconds",
    "Since when the session of this database has waited that waits longest for a table, row or transaction; absent if none does.",
    shows=("D3", "D9"),
)  # fmt: skip
DB_BLOCKING = gauge(
    "locks", "db_sessions_blocking",
    "Sessions at the head of a queue for a lock, which wait for none themselves, by their state; `prepared` is a prepared "
    "transaction, `hidden` one that our role may not see.",
    ("state",),
    shows=("D3",),
)  # fmt: skip
DB_BLOCKING_OLDEST = gauge(
    "locks", "db_blocking_transaction_oldest_timestamp_seconds",
    "When the oldest transaction began among those at the head of a queue for a lock; absent when there is none or it is hidden.",
    shows=("D3", "D9"),
)  # fmt: skip
DB_LOCK_CHAIN = gauge(
    "locks", "db_lock_chain_length",
    "Sessions in the longest chain in which each waits for the next, the one that waits for none included; 0 when none waits.",
    shows=("D3",),
)  # fmt: skip

# -- vacuum ------------------------------------------------------------------------------------------------------------

DB_XMIN_AGE = gauge(
    "vacuum", "db_xmin_age",
    "Transactions since the oldest one whose dead rows vacuum must keep, by who holds it back: session, replica, slot, prepared; "
    "catalog_slot holds back the system's tables alone. 0 when none does, absent when our role may not see.",
    ("holder",),
    shows=("D4", "D5"),
)  # fmt: skip
DB_PREPARED = gauge(
    "vacuum", "db_prepared_transactions", "Prepared transactions of this database that nobody has ended; Airflow makes none.",
    shows=("D4",),
)  # fmt: skip
DB_PREPARED_OLDEST = gauge(
    "vacuum",
    "db_prepared_transaction_oldest_timestamp_seconds",
    "When the oldest of them was prepared.",
    shows=("D4",),
)
TABLE_LAST_VACUUM = gauge(
    "vacuum", "db_table_last_vacuum_timestamp_seconds",
    "When a busy table was last vacuumed, by autovacuum or by hand; absent if not since its statistics began.", ("table",),
    shows=("D4",),
)  # fmt: skip
TABLE_LAST_ANALYZE = gauge(
    "vacuum", "db_table_last_analyze_timestamp_seconds",
    "When the planner's statistics of a busy table were last renewed; absent if not since its statistics began.", ("table",),
    shows=("D4",),
)  # fmt: skip
TABLE_VACUUM_THRESHOLD = gauge(
    "vacuum", "db_table_autovacuum_threshold_rows",
    "Dead rows at which autovacuum comes for a busy table; +Inf when it is switched off.", ("table",),
    shows=("D4",),
)  # fmt: skip

# -- replication -------------------------------------------------------------------------------------------------------

SLOT_ACTIVE = gauge(
    "replication",
    "db_replication_slot_active",
    "1 while somebody reads from the replication slot.",
    ("slot",),
    shows=("D6",),
)
SLOT_RETAINED = gauge(
    "replication", "db_replication_slot_retained_bytes",
    "Write-ahead log that the server keeps on its disk for the replication slot.", ("slot",),
    shows=("D6",),
)  # fmt: skip
REPLICA_LAG_BYTES = gauge(
    "replication", "db_replica_lag_bytes",
    "Write-ahead log that the replica has not applied (one that only receives: not stored).", ("replica", "address"),
    shows=("D1",),
)  # fmt: skip
REPLICA_LAG = gauge(
    "replication", "db_replica_lag_seconds",
    "How long the replica took to apply what it applied last; 0 when it has everything, absent when it has not said.",
    ("replica", "address"),
    shows=("D1",),
)  # fmt: skip
