"""The metadata database: the server and Airflow's tables in it."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import gauge, info

# -- the database server -----------------------------------------------------------------------------------------------

AIRFLOW_INFO = info(
    "database", "airflow_info",
    "What the metadata database says about its Airflow: schema revision (alembic head), the releases that have it, executor, "
    "database kind and version.",
    ("alembic_head", "release", "database", "database_version"), ("executor",),
)  # fmt: skip
DB_SIZE = gauge("database", "db_size_bytes", "Size of the whole metadata database.")
DB_CONNECTIONS = gauge(
    "database", "db_connections",
    "Client connections of the whole server; state `hidden` means that our role may not see it (grant pg_read_all_stats).",
    ("state",),
)  # fmt: skip
DB_CONNECTIONS_MAX = gauge(
    "database", "db_connections_max", "Connections that clients may open (max_connections without the reserved ones)."
)
DB_OLDEST_TRANSACTION = gauge(
    "database", "db_transaction_oldest_timestamp_seconds",
    "When the oldest open transaction of another session in this database began, by session state.", ("state",),
)  # fmt: skip
DB_BLOCKED = gauge("database", "db_sessions_blocked", "Sessions of this database that wait for a lock.")
DB_XID_AGE = gauge(
    "database", "db_transaction_id_age",
    "Transactions since the oldest unfrozen one; PostgreSQL stops taking writes near 2.1e9.",
)  # fmt: skip

# -- the database's tables ---------------------------------------------------------------------------------------------

TABLE_SIZE = gauge(
    "tables", "db_table_size_bytes", "Size of the table with its indexes and TOAST; from statistics while it is locked.",
    ("table",),
)  # fmt: skip
TABLE_ROWS = gauge("tables", "db_table_rows", "Estimated rows (statistics, never a count).", ("table",))
TABLE_DEAD_ROWS = gauge("tables", "db_table_dead_rows", "Estimated dead rows that vacuum has not removed.", ("table",))
TABLE_OLDEST_ROW = gauge(
    "tables", "db_table_oldest_row_timestamp_seconds",
    "Moment of about the oldest row, by the column that `airflow db clean` judges (from an index end or planner statistics).",
    ("table",),
)  # fmt: skip
TABLE_UNDATED = gauge(
    "tables", "db_table_undated_rows_ratio",
    "Estimated share of rows without the moment that `airflow db clean` judges by, which it never deletes.", ("table",),
)  # fmt: skip
ARCHIVE_TABLES = gauge(
    "tables", "db_archive_tables", "Tables that `airflow db clean` left behind (_airflow_deleted__…)."
)
ARCHIVE_SIZE = gauge("tables", "db_archive_size_bytes", "Size of the tables that `airflow db clean` left behind.")
