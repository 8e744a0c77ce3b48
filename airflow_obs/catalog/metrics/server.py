"""The database server's slower organs: who locks whom, what vacuum does, and what is copied elsewhere."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import counter, gauge

# -- locks -------------------------------------------------------------------------------------------------------------

DB_LOCKS = gauge(
    "locks", "db_locks", "Locks on Airflow's tables that other sessions of PostgreSQL hold or wait for (state: held, awaited).",
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
    "transaction, `hidden` one that our role may not see, or that the server does not name.",
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
    "catalog_slot holds back the system's tables alone. 0 when none does, absent when our role may not see, and on a standby.",
    ("holder",),
    shows=("D4", "D5"),
)  # fmt: skip
DB_PREPARED = gauge(
    "vacuum", "db_prepared_transactions",
    "Prepared transactions of this database that nobody has ended; Airflow makes none. Absent on a standby.",
    shows=("D4",),
)  # fmt: skip
DB_PREPARED_OLDEST = gauge(
    "vacuum",
    "db_prepared_transaction_oldest_timestamp_seconds",
    "When the oldest of them was prepared.",
    shows=("D4",),
)
DB_HISTORY = gauge(
    "vacuum", "db_history_list_length",
    "Transactions whose old versions of rows InnoDB has yet to purge, in any database of a MySQL or MariaDB; it grows while an old "
    "snapshot is open.",
    shows=("D4",),
)  # fmt: skip
TABLE_LAST_VACUUM = gauge(
    "vacuum", "db_table_last_vacuum_timestamp_seconds",
    "When a busy table was last vacuumed, by autovacuum or by hand; absent if not since its statistics began, and on a standby.",
    ("table",),
    shows=("D4",),
)  # fmt: skip
TABLE_LAST_ANALYZE = gauge(
    "vacuum", "db_table_last_analyze_timestamp_seconds",
    "When the planner's statistics of a busy table were last renewed; absent if not since its statistics began, and on a standby.",
    ("table",),
    shows=("D4",),
)  # fmt: skip
TABLE_VACUUM_THRESHOLD = gauge(
    "vacuum", "db_table_autovacuum_threshold_rows",
    "Dead rows at which autovacuum comes for a busy table; +Inf when it is switched off. Absent on a standby.", ("table",),
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
DB_READ_ONLY = gauge(
    "replication", "db_read_only",
    "1 while the server that is read takes no writes: a standby of PostgreSQL, or MySQL with read_only. Airflow cannot work there.",
    shows=("D1",),
)  # fmt: skip
DB_REPLAY_LAG = gauge(
    "replication", "db_replay_lag_seconds",
    "How far behind its primary the standby is that is read: 0 when it has applied what it receives, also while its primary, or a "
    "standby in between, sends nothing; without a connection the age of what it applied last. Absent on a primary.",
    shows=("D1",),
)  # fmt: skip
DB_REPLAYED = gauge(
    "replication", "db_replayed_timestamp_seconds",
    "When what the standby of PostgreSQL that is read applied last was committed, by its primary's clock, in any database: nothing "
    "newer is seen of Airflow, which commits every few seconds while it works. Absent on a primary and before the first commit.",
    shows=("D1",),
)  # fmt: skip
DB_REPLICATION_RUNNING = gauge(
    "replication", "db_replication_running",
    "1 while that process of the standby that is read works: receiver (takes the primary's log), applier (replays it).",
    ("process",),
    shows=("D1",),
)  # fmt: skip
DB_RECOVERY_CONFLICTS = counter(
    "replication", "db_recovery_conflicts_total",
    "Queries in this database that the standby ended since they stood against what it had to replay, by type; the exporter's "
    "own are read again.",
    ("type",),
    shows=("D1",),
)  # fmt: skip
