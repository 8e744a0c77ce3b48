"""What vacuum does to the busy tables, and what keeps it, or InnoDB's purge, from removing dead rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import BUSY_TABLES
from airflow_obs.collectors.replication import in_recovery
from airflow_obs.model import Reading
from airflow_obs.sources.database import Session
from airflow_obs.sources.schema import Moment


@dataclass(frozen=True)
class Vacuumed:
    """A table: when it was last vacuumed and analysed (None: not since its statistics began), and when autovacuum comes."""

    name: str
    vacuumed: datetime | None
    analyzed: datetime | None
    threshold: float


@dataclass(frozen=True)
class VacuumState:
    """What one run of the collector saw: age in transactions by holder, prepared transactions, and the busy tables."""

    holders: dict[str, int]
    prepared: int
    oldest_prepared: datetime | None
    tables: list[Vacuumed]


@dataclass(frozen=True)
class History:
    """What InnoDB has yet to purge: transactions whose old versions of rows are kept, since they may still be seen."""

    length: int


class Vacuum:
    """Reads only what the server remembers: no table is touched, and no lock on one is waited for."""

    name = "vacuum"
    source = "database"

    def read(self, db: Session) -> VacuumState | History | None:
        """None on SQLite, which removes rows at once, for a MySQL that keeps it from our role, and on a standby of PostgreSQL.

        There nothing is vacuumed; of what the primary does to the same tables, and who holds it back, a standby knows nothing.
        """
        if db.kind == "mysql":
            found = db.attempt(_HISTORY)
            return History(found[0].length) if found else None
        if db.kind != "postgresql" or in_recovery(db):
            return None
        holders = {row.holder: row.age for row in db.rows(_HOLDERS) if row.age is not None}
        prepared, oldest = db.one(_PREPARED)
        tables = [Vacuumed(*row) for row in db.rows(_TABLES.bindparams(tables=list(BUSY_TABLES)))]
        return VacuumState(holders, prepared, oldest, tables)

    def samples(self, seen: VacuumState | History | None) -> Iterator[Reading]:
        if isinstance(seen, History):
            yield metrics.DB_HISTORY.sample(seen.length)
        elif seen is not None:
            yield from _of_postgresql(seen)


def _of_postgresql(seen: VacuumState) -> Iterator[Reading]:
    for holder, age in seen.holders.items():
        yield metrics.DB_XMIN_AGE.sample(age, holder=holder)
    yield metrics.DB_PREPARED.sample(seen.prepared)
    if seen.oldest_prepared is not None:
        yield metrics.DB_PREPARED_OLDEST.sample(seen.oldest_prepared.timestamp())
    for table in seen.tables:
        if table.vacuumed is not None:
            yield metrics.TABLE_LAST_VACUUM.sample(table.vacuumed.timestamp(), table=table.name)
        if table.analyzed is not None:
            yield metrics.TABLE_LAST_ANALYZE.sample(table.analyzed.timestamp(), table=table.name)
        yield metrics.TABLE_VACUUM_THRESHOLD.sample(table.threshold, table=table.name)


# Where one session is hidden the oldest is not known, so nothing is said of sessions (nor, being sessions too, of replicas).
# Only transactions of this database hold its rows back, and those of replicas, which belong to none; no VACUUM does.
_HOLDERS = sa.text("""
    WITH vacuums AS (SELECT pid FROM pg_catalog.pg_stat_progress_vacuum),
    sessions AS (
        SELECT backend_xmin, pid, backend_type = 'walsender' AS sends, query = '<insufficient privilege>' AS hidden
        FROM pg_catalog.pg_stat_activity
        WHERE datname = pg_catalog.current_database() OR (datname IS NULL AND usesysid IS NOT NULL)
    )
    SELECT 'session' AS holder, CASE WHEN NOT COALESCE(pg_catalog.bool_or(hidden), false) THEN
               COALESCE(max(pg_catalog.age(backend_xmin)) FILTER (
                   WHERE NOT sends AND pid <> pg_catalog.pg_backend_pid() AND pid NOT IN (SELECT pid FROM vacuums)
               ), 0)
           END AS age FROM sessions
    UNION ALL
    SELECT 'replica', CASE WHEN NOT COALESCE(pg_catalog.bool_or(hidden), false) THEN
               COALESCE(max(pg_catalog.age(backend_xmin)) FILTER (WHERE sends), 0)
           END FROM sessions
    UNION ALL
    SELECT 'slot', COALESCE(max(pg_catalog.age(xmin)), 0) FROM pg_catalog.pg_replication_slots
    UNION ALL
    SELECT 'catalog_slot', COALESCE(max(pg_catalog.age(catalog_xmin)), 0) FROM pg_catalog.pg_replication_slots
    UNION ALL
    SELECT 'prepared', COALESCE(max(pg_catalog.age(transaction)), 0)
    FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()
""")
_PREPARED = sa.text("""
    SELECT count(*) AS transactions, min(prepared) AS oldest
    FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()
""").columns(transactions=sa.Integer(), oldest=Moment())
# As autovacuum reckons: the table's own settings before the server's, and from PostgreSQL 18 on no more than a maximum.
_TABLES = sa.text("""
    SELECT s.relname AS name, GREATEST(s.last_vacuum, s.last_autovacuum) AS vacuumed,
           GREATEST(s.last_analyze, s.last_autoanalyze) AS analyzed,
           CASE WHEN NOT (pg_catalog.current_setting('autovacuum')::boolean AND COALESCE(o.enabled, true)) THEN 'Infinity'
                ELSE LEAST(
                    COALESCE(o.threshold, pg_catalog.current_setting('autovacuum_vacuum_threshold')::float8)
                    + COALESCE(o.scale, pg_catalog.current_setting('autovacuum_vacuum_scale_factor')::float8)
                      * GREATEST(c.reltuples, 0),
                    NULLIF(COALESCE(
                        o.ceiling, pg_catalog.current_setting('autovacuum_vacuum_max_threshold', true)::float8
                    ), -1)
                ) END::float8 AS threshold
    FROM pg_catalog.pg_stat_user_tables s JOIN pg_catalog.pg_class c ON c.oid = s.relid
         CROSS JOIN LATERAL (
             SELECT max(option_value) FILTER (WHERE option_name = 'autovacuum_enabled')::boolean AS enabled,
                    max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_threshold')::float8 AS threshold,
                    max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_scale_factor')::float8 AS scale,
                    max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_max_threshold')::float8 AS ceiling
             FROM pg_catalog.pg_options_to_table(c.reloptions)
         ) o
    WHERE s.schemaname = pg_catalog.current_schema() AND s.relname = ANY (:tables)
    ORDER BY s.relname
""").columns(name=sa.Text(), vacuumed=Moment(), analyzed=Moment(), threshold=sa.Float())
_HISTORY = sa.text("SELECT count AS length FROM information_schema.innodb_metrics WHERE name = 'trx_rseg_history_len'")
