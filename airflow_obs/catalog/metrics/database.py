"""The metadata database: the server and Airflow's tables in it."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import counter, gauge, info

# -- the database server -----------------------------------------------------------------------------------------------

AIRFLOW_INFO = info(
    "database", "airflow_info",
    "What the metadata database says about its Airflow: schema revision (alembic head), the releases that have it, executor, "
    "database kind and version.",
    ("alembic_head", "release", "database", "database_version"), ("executor",),
    shows=("D9",),
    always=True,
)  # fmt: skip
DB_SIZE = gauge(
    "database", "db_size_bytes",
    "Size of the whole metadata database; on MySQL and MariaDB without the privilege PROCESS, of the tables that we may read.",
    shows=("D6",),
    always=True,
)  # fmt: skip
DB_CONNECTIONS = gauge(
    "database", "db_connections",
    "Client connections of the whole server; state `hidden` means that our role may not see it (grant pg_read_all_stats; on MySQL "
    "and MariaDB, PROCESS).",
    ("state",),
    shows=("D2",),
)  # fmt: skip
DB_CONNECTIONS_MAX = gauge(
    "database", "db_connections_max",
    "Connections that clients may open, by whose limit it is: that of the server (max_connections without the reserved ones), of "
    "this database, of the role that owns Airflow's tables (on MySQL and MariaDB max_user_connections, of the account with most "
    "sessions in this database); absent where none is set.",
    ("limit",),
    shows=("D2",),
)  # fmt: skip
DB_CONNECTIONS_FREE = gauge(
    "database", "db_connections_free", "Connections that may still be opened before that limit is reached.", ("limit",),
    shows=("D2",),
)  # fmt: skip
DB_CONNECTIONS_RESERVED = gauge(
    "database", "db_connections_reserved",
    "Connections beyond the server's db_connections_max, for superusers and members of pg_use_reserved_connections alone; on MySQL "
    "and MariaDB for the privilege CONNECTION ADMIN.",
    shows=("D2",),
)  # fmt: skip
DB_OLDEST_TRANSACTION = gauge(
    "database", "db_transaction_oldest_timestamp_seconds",
    "When the oldest open transaction of another session in this database began, by session state; MySQL and MariaDB have prepared "
    "ones of any database here, too.",
    ("state",),
    shows=("D3", "D4"),
)  # fmt: skip
DB_BLOCKED = gauge(
    "database", "db_sessions_blocked", "Sessions of this database that wait for a lock.", shows=("D3", "D9")
)
DB_XID_AGE = gauge(
    "database", "db_transaction_id_age",
    "Transactions since the oldest unfrozen one in any database of the server; PostgreSQL, which alone has it, stops taking writes "
    "near 2.1e9.",
    shows=("D5",),
)  # fmt: skip

DB_DEADLOCKS = counter(
    "database", "db_deadlocks_total",
    "Deadlocks in this database since its statistics were reset; on MySQL and MariaDB, of rows in any database of the server.",
    shows=("S6",),
)  # fmt: skip
DB_TEMP_FILES = counter(
    "database",
    "db_temp_files_total",
    "Files that PostgreSQL's queries wrote because their memory was too small, since the reset.",
    shows=("D6",),
)
DB_TEMP_BYTES = counter("database", "db_temp_bytes_total", "What was written to them, since the reset.", shows=("D6",))
DB_ROW_LOCK_WAITS = counter(
    "database", "db_row_lock_waits_total",
    "Waits for a row that another transaction had locked, in any database of a MySQL or MariaDB, since its start.",
    shows=("D3",),
)  # fmt: skip
DB_ROW_LOCK_WAIT_SECONDS = counter(
    "database", "db_row_lock_wait_seconds_total",
    "Time that those waits took together, each counted when it ends.",
    shows=("D3",),
)  # fmt: skip
DB_STATS_RESET = gauge(
    "database", "db_statistics_reset_timestamp_seconds",
    "When the server's counters for this database were last set to 0, on MySQL and MariaDB by its start; absent if never.",
)  # fmt: skip
DB_CLOCK_OFFSET = gauge(
    "database", "db_clock_offset_seconds",
    "How far the database server's clock is ahead of this host's, to within half the time that a question took.",
    shows=("X2",),
)  # fmt: skip

# -- the database's tables ---------------------------------------------------------------------------------------------

TABLE_SIZE = gauge(
    "tables", "db_table_size_bytes",
    "Size of the table with its indexes and TOAST (InnoDB: its tablespace); on PostgreSQL from statistics while it is locked.",
    ("table",),
    shows=("D6", "C7"),
)  # fmt: skip
TABLE_ROWS = gauge(
    "tables", "db_table_rows",
    "Estimated rows (statistics, never a count); absent on a standby for a table that was never analysed.", ("table",),
    shows=("D6", "C7"),
)  # fmt: skip
TABLE_DEAD_ROWS = gauge(
    "tables", "db_table_dead_rows", "Estimated dead rows that vacuum has not removed; a standby does not know.", ("table",),
    shows=("D4",),
)  # fmt: skip
TABLE_OLDEST_ROW = gauge(
    "tables", "db_table_oldest_row_timestamp_seconds",
    "Moment of about the oldest row, by the column that `airflow db clean` judges (from an index end or planner statistics).",
    ("table",),
    shows=("D7", "C7"),
)  # fmt: skip
TABLE_UNDATED = gauge(
    "tables", "db_table_undated_rows_ratio",
    "Estimated share of rows without the moment that `airflow db clean` judges by, which it never deletes.", ("table",),
    shows=("D8",),
)  # fmt: skip
TABLE_READABLE = gauge(
    "tables", "db_table_readable",
    "1 if our role may read the moment that `airflow db clean` judges the table by, 0 if not: run the grants again.", ("table",),
    shows=("X5",),
    always=True,
)  # fmt: skip
ARCHIVE_TABLES = gauge(
    "tables",
    "db_archive_tables",
    "Tables that `airflow db clean` left behind (_airflow_deleted__…).",
    shows=("D7",),
    always=True,
)
ARCHIVE_SIZE = gauge(
    "tables",
    "db_archive_size_bytes",
    "Size of the tables that `airflow db clean` left behind.",
    shows=("D7",),
    always=True,
)
