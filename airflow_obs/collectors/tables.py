"""The database's tables: size, rows, dead rows and the age of the oldest row, without ever counting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import ARCHIVE_PREFIX, RECENCY_COLUMNS
from airflow_obs.collectors.tables_mysql import estimates
from airflow_obs.model import Reading
from airflow_obs.sources.database import Session
from airflow_obs.sources.schema import Moment, Schema

_IN_ORDER_OF_TIME = ("id", "task_instance_id", "dag_run_id", "job_id")
"""Keys that grow with time (sequences, and uuid7 since 3.0), so that the end of their index holds the oldest rows.

In 2.x a task instance has its job's; those that never ran have none, and no moment either.
"""
LOOK_AT = 1_000
"""Rows looked at there: commits come a little out of order, and rows without a moment pile up where clean-up works."""


@dataclass(frozen=True)
class Table:
    """One table. None is: not known (SQLite keeps no sizes; no statistics yet; no moment to judge by).

    `readable`: whether our role may read that moment.
    """

    name: str
    size: float | None = None
    rows: float | None = None
    dead_rows: float | None = None
    oldest: datetime | None = None
    undated_ratio: float | None = None
    locked: bool = False
    readable: bool | None = None

    @property
    def archive(self) -> bool:
        """Whether `airflow db clean` left it behind."""
        return self.name.startswith(ARCHIVE_PREFIX)


class Tables:
    """Sizes are exact but for PostgreSQL's tables under an ACCESS EXCLUSIVE lock, where asking would wait: from statistics."""

    name = "tables"
    source = "database"

    def read(self, db: Session) -> list[Table]:
        tables = _tables(db)
        moments = oldest_rows(db, {name for name, table in tables.items() if not table.locked})
        readable = {
            table: db.may_read(table, *_judged_by(db.schema, table, column))
            for table, column in RECENCY_COLUMNS
            if db.schema.has(table, column)
        }
        return [
            replace(table, oldest=moments.get(name, table.oldest), readable=readable.get(name))
            for name, table in tables.items()
        ]

    def samples(self, tables: list[Table]) -> Iterator[Reading]:
        archives = [table for table in tables if table.archive]
        yield metrics.ARCHIVE_TABLES.sample(len(archives))
        yield metrics.ARCHIVE_SIZE.sample(sum(table.size or 0 for table in archives))
        for table in sorted(tables, key=lambda table: (table.size or 0, table.rows or 0), reverse=True):
            if table.archive:
                continue
            if table.size is not None:
                yield metrics.TABLE_SIZE.sample(table.size, table=table.name)
            if table.rows is not None:
                yield metrics.TABLE_ROWS.sample(table.rows, table=table.name)
            if table.dead_rows is not None:
                yield metrics.TABLE_DEAD_ROWS.sample(table.dead_rows, table=table.name)
            if table.oldest is not None:
                yield metrics.TABLE_OLDEST_ROW.sample(table.oldest.timestamp(), table=table.name)
            if table.undated_ratio is not None:
                yield metrics.TABLE_UNDATED.sample(table.undated_ratio, table=table.name)
            if table.readable is not None:
                yield metrics.TABLE_READABLE.sample(table.readable, table=table.name)


def _tables(db: Session) -> dict[str, Table]:
    if db.kind == "postgresql":
        return _postgresql(db)
    return _mysql(db) if db.kind == "mysql" else _sqlite(db)


def _postgresql(db: Session) -> dict[str, Table]:
    sizes = db.attempt(_POSTGRESQL_TABLES.bindparams(exact=True))
    if sizes is None:  # a lock was taken between our look at the locks and our asking
        sizes = db.rows(_POSTGRESQL_TABLES.bindparams(exact=False))
    tables = {row.name: Table(row.name, float(row.size), row.rows, row.dead_rows, locked=row.locked) for row in sizes}
    for name, known in statistics(db).items():
        if name in tables:
            tables[name] = replace(tables[name], undated_ratio=known.undated_ratio, oldest=known.oldest)
    return tables


def statistics(db: Session) -> dict[str, Table]:
    """What the planner knows of the tables that `airflow db clean` judges: `undated_ratio` and `oldest` alone."""
    if db.kind != "postgresql":
        return {}
    names, columns = zip(*RECENCY_COLUMNS, strict=True)
    found = db.rows(_POSTGRESQL_STATISTICS.bindparams(tables=list(names), columns=list(columns)))
    return {row.name: Table(row.name, undated_ratio=row.null_fraction, oldest=row.oldest) for row in found}


def _mysql(db: Session) -> dict[str, Table]:
    return {name: Table(name, known.size, known.rows) for name, known in estimates(db).items()}


def _sqlite(db: Session) -> dict[str, Table]:
    tables = {name: Table(name) for name in db.schema.columns}
    if db.rows(_SQLITE_HAS_STATISTICS):
        for name, rows in db.rows(_SQLITE_STATISTICS):
            if name in tables:
                tables[name] = replace(tables[name], rows=float(rows))
    return tables


def oldest_rows(db: Session, unlocked: set[str]) -> dict[str, datetime | None]:
    """The oldest moment of each of these tables that the end of an index tells: None when no row has one.

    A table without such an index, or with nothing but rows without a moment there, is left to the statistics; one that our role
    may not read is left out, so that it does not take the others with it.
    """
    queries = [
        query
        for table, column in RECENCY_COLUMNS
        if table in unlocked
        and db.schema.has(table, column)
        and db.may_read(table, *_judged_by(db.schema, table, column))
        and (query := _oldest_row(db.schema, table, column)) is not None
    ]
    found = (db.attempt(sa.union_all(*queries)) if queries else []) or _one_by_one(db, queries)
    return {row.name: row.oldest for row in found if row.oldest is not None or not row.unseen}


def _one_by_one(db: Session, queries: list[sa.Select[*tuple[Any, ...]]]) -> list[Any]:
    """Without those behind a lock, of which MySQL does not tell beforehand."""
    return [row for query in queries for row in db.attempt(query) or ()]


def _oldest_row(schema: Schema, name: str, column: str) -> sa.Select[*tuple[Any, ...]] | None:
    table = schema.table(name)
    label = sa.literal(name).label("name")
    if (name, column) in schema.indexed:
        return sa.select(
            label, sa.func.min(table.c[column], type_=Moment()).label("oldest"), sa.literal(0).label("unseen")
        )
    key = _key(schema, name)
    if key is None:
        return None
    keyed = sa.select(table.c[column].label("moment")).where(table.c[key].is_not(None))
    first = keyed.order_by(table.c[key]).limit(LOOK_AT).subquery()
    oldest = sa.func.min(first.c.moment, type_=Moment()).label("oldest")
    # Rows without a job are beyond the end of that index; an empty table, whose statistics PostgreSQL keeps, is no such end.
    unseen = sa.literal(1) if key == "job_id" else sa.func.count() - sa.func.count(first.c.moment)
    return sa.select(label, oldest, unseen.label("unseen"))


def _judged_by(schema: Schema, table: str, column: str) -> tuple[str, ...]:
    """The columns that tell the oldest row: the moment and, where no index is in its order, the key of one that is."""
    key = None if (table, column) in schema.indexed else _key(schema, table)
    return (column,) if key is None else (column, key)


def _key(schema: Schema, table: str) -> str | None:
    return next((key for key in _IN_ORDER_OF_TIME if (table, key) in schema.indexed), None)


# A standby counts no changes of rows: it would say that there are none.
_POSTGRESQL_TABLES = sa.text("""
    WITH locked AS (
        SELECT relation FROM pg_catalog.pg_locks
        WHERE mode = 'AccessExclusiveLock' AND relation IS NOT NULL
              AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
    ), tables AS (
        SELECT c.oid, c.relname, c.reltuples, c.relpages, c.reltoastrelid,
               c.oid IN (SELECT relation FROM locked) AS locked,
               EXISTS (
                   SELECT 1 FROM locked
                   WHERE relation IN (c.oid, c.reltoastrelid)
                      OR relation IN (SELECT indexrelid FROM pg_catalog.pg_index WHERE indrelid IN (c.oid, c.reltoastrelid))
               ) AS unaskable
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND n.nspname = pg_catalog.current_schema()
    )
    SELECT t.relname AS name, t.locked,
           CASE WHEN t.reltuples >= 0 AND t.relpages > 0 THEN t.reltuples
                WHEN counts THEN COALESCE(pg_catalog.pg_stat_get_live_tuples(t.oid), 0) END::float8 AS rows,
           CASE WHEN counts THEN COALESCE(pg_catalog.pg_stat_get_dead_tuples(t.oid), 0) END::float8 AS dead_rows,
           COALESCE(
               CASE WHEN :exact AND NOT t.unaskable THEN pg_catalog.pg_total_relation_size(t.oid) END,
               pg_catalog.current_setting('block_size')::bigint * (
                   SELECT COALESCE(sum(r.relpages), 0) FROM pg_catalog.pg_class r
                   WHERE r.oid IN (t.oid, t.reltoastrelid)
                      OR r.oid IN (SELECT indexrelid FROM pg_catalog.pg_index WHERE indrelid IN (t.oid, t.reltoastrelid))
               )
           ) AS size
    FROM tables t CROSS JOIN (SELECT NOT pg_catalog.pg_is_in_recovery() AS counts) AS server
""")
# Of a column's values the planner keeps the commonest and the bounds of a histogram of the rest.
_POSTGRESQL_STATISTICS = sa.text("""
    SELECT tablename AS name, null_frac AS null_fraction,
           LEAST((histogram_bounds::text::text[])[1]::timestamptz,
                 (SELECT min(value::timestamptz) FROM unnest(most_common_vals::text::text[]) AS value)) AS oldest
    FROM pg_catalog.pg_stats JOIN unnest(CAST(:tables AS text[]), CAST(:columns AS text[])) AS wanted (t, c)
         ON tablename = wanted.t AND attname = wanted.c
    WHERE schemaname = pg_catalog.current_schema()
""").columns(oldest=Moment())
_SQLITE_HAS_STATISTICS = sa.text("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'")
_SQLITE_STATISTICS = sa.text("SELECT tbl, max(CAST(stat AS INTEGER)) FROM sqlite_stat1 GROUP BY tbl")
