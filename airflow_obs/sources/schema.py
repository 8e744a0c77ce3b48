"""Which tables, columns and indexes a metadata database has, read at connect so that queries are built from what exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect

from airflow_obs.errors import SourceError, SourceLacks


class Moment(sa.TypeDecorator[datetime]):
    """An aware UTC datetime on every database (SQLite and MySQL store Airflow's moments as naive UTC)."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or dialect.name == "postgresql":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 (SQLAlchemy's)
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


Columns = Mapping[str, Mapping[str, sa.types.TypeEngine[Any]]]


class Table:
    """A table for queries: `table.c.name` or `table.c["name"]` is a column, SourceError if this database lacks it."""

    def __init__(self, name: str, clause: sa.TableClause) -> None:
        self.name = name
        self.c = _Columns(clause)

    def optional(self, column: str) -> sa.ColumnElement[Any]:
        """The column, or NULL in its place where this database lacks it: that costs what is made of it, and no more."""
        return self.c.of(column) if self.c.has(column) else sa.null()


class _Columns:
    def __init__(self, clause: sa.TableClause) -> None:
        self._clause = clause

    def has(self, name: str) -> bool:
        return name in self._clause.c

    def of(self, name: str) -> sa.ColumnClause[Any]:
        if not self.has(name):
            raise SourceLacks(
                f"database: table {self._clause.name} has no column {name}; is a migration half done, or this Airflow newer "
                "than we know?"
            )
        return self._clause.c[name]

    def __getattr__(self, name: str) -> sa.ColumnClause[Any]:
        return self.of(name)

    def __getitem__(self, name: str) -> sa.ColumnClause[Any]:
        return self.of(name)


@dataclass(frozen=True)
class Schema:
    """The shape of one metadata database.

    `columns`: table → column → SQL type (moments as `Moment`); `indexed`: (table, column) pairs that are the first column
    of a full index or primary key, so that their ends are found without a scan; `revision`: the alembic head; `withheld`:
    (table, column) pairs that our role may not read. They are in `columns` too: taken for absent, a query would be made as for
    another release, and count wrong in silence, where PostgreSQL's refusal says what to grant.
    """

    columns: Columns
    indexed: frozenset[tuple[str, str]]
    revision: str
    withheld: frozenset[tuple[str, str]] = frozenset()

    def has(self, table: str, *columns: str) -> bool:
        """Whether the table is there, with all of these columns."""
        return table in self.columns and all(column in self.columns[table] for column in columns)

    def table(self, name: str) -> Table:
        """The table with the columns it really has; SourceError when this database has no such table."""
        if name not in self.columns:
            raise SourceLacks(
                f"database: it has no table {name} (schema revision {self.revision}); is a migration half done?"
            )
        return Table(name, sa.table(name, *(sa.column(column, kind) for column, kind in self.columns[name].items())))


def read(connection: sa.Connection) -> Schema:
    """Read the shape of the database behind `connection`; SourceError when it is not Airflow's.

    Its revision is read first: when a migration ends while we read, the next session sees that it has changed, and reads anew.
    """
    postgresql = connection.dialect.name == "postgresql"
    known = connection.execute(_POSTGRESQL_REVISED if postgresql else _SQLITE_REVISED).scalar()
    before = revision(connection) if known else ""
    withheld: set[tuple[str, str]] = set()
    if postgresql:
        columns, indexed, withheld = _postgresql(connection)
    else:
        columns, indexed = _sqlite(connection)
    for needed in ("alembic_version", "dag_run"):
        if needed not in columns:
            raise SourceError(_not_airflows(connection, needed))
    return Schema(columns, frozenset(indexed), before, frozenset(withheld))


def _not_airflows(connection: sa.Connection, needed: str) -> str:
    elsewhere = connection.execute(_POSTGRESQL_ELSEWHERE).first() if connection.dialect.name == "postgresql" else None
    if elsewhere is None:
        return (
            f"database: this is not Airflow's metadata database: it has no table {needed}; check the database's name in the "
            "URL, or run `airflow db migrate` first"
        )
    schema_name, may_use, ours = elsewhere
    if not may_use:
        return (
            f"database: Airflow's tables are in the schema {schema_name}, which our role may not use; run "
            f"`airflow-obs grants | PGOPTIONS='-c search_path={schema_name}' psql …` as the owner of Airflow's tables, or "
            f"`GRANT USAGE ON SCHEMA {schema_name} TO` the exporter's role"
        )
    return (
        f"database: the schema {ours or 'of our role'} has no table {needed}, but {schema_name} has Airflow's: say "
        f"`sources: {{database: {{schema: {schema_name}}}}}` in the policy, or set our role's search_path"
    )


def revision(connection: sa.Connection) -> str:
    """The alembic head, "none" while no migration has finished; it changes when Airflow is upgraded under us."""
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() or "none"


def _sqlite(connection: sa.Connection) -> tuple[Columns, set[tuple[str, str]]]:
    """In two statements: SQLAlchemy's own reflection would ask several for each table and index."""
    columns: dict[str, dict[str, sa.types.TypeEngine[Any]]] = {}
    indexed: set[tuple[str, str]] = set()
    for table, column, declared, place_in_key in connection.execute(_SQLITE_COLUMNS):
        columns.setdefault(table, {})[column] = _SQLITE_TYPES.get(declared.upper(), sa.types.NullType)()
        if place_in_key == 1:
            indexed.add((table, column))
    return columns, indexed | {(table, column) for table, column in connection.execute(_SQLITE_INDEXES)}


def _postgresql(connection: sa.Connection) -> tuple[Columns, set[tuple[str, str]], set[tuple[str, str]]]:
    """SQLAlchemy's own reflection would wait for a lock on any table, even one that nobody wants to read."""
    columns: dict[str, dict[str, sa.types.TypeEngine[Any]]] = {}
    withheld: set[tuple[str, str]] = set()
    for table, column, is_moment, may_read in connection.execute(_POSTGRESQL_COLUMNS):
        columns.setdefault(table, {})[column] = Moment() if is_moment else sa.types.NullType()
        if may_read is False:  # NULL is a table that was dropped while we looked
            withheld.add((table, column))
    return columns, {(table, column) for table, column in connection.execute(_POSTGRESQL_INDEXES)}, withheld


_POSTGRESQL_REVISED = sa.text("SELECT pg_catalog.to_regclass('alembic_version')")
_SQLITE_REVISED = sa.text("SELECT name FROM sqlite_master WHERE name = 'alembic_version'")
_SQLITE_TYPES = {"DATETIME": Moment, "TIMESTAMP": Moment, "BOOLEAN": sa.Boolean, "JSON": sa.JSON}
"""What SQLite keeps as a number or a text, and a collector gets as what it is."""
_SQLITE_COLUMNS = sa.text("""
    SELECT t.name, c.name, c.type, c.pk FROM sqlite_master t JOIN pragma_table_info(t.name) c
    WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite!_%' ESCAPE '!'
""")
_SQLITE_INDEXES = sa.text("""
    SELECT t.name, c.name
    FROM sqlite_master t JOIN pragma_index_list(t.name) i JOIN pragma_index_info(i.name) c
    WHERE t.type = 'table' AND i.origin = 'c' AND NOT i.partial AND c.seqno = 0 AND c.name IS NOT NULL
""")
_POSTGRESQL_COLUMNS = sa.text("""
    SELECT c.relname, a.attname, a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype),
           pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT')
    FROM pg_catalog.pg_class c
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p') AND n.nspname = pg_catalog.current_schema()
""")
_POSTGRESQL_INDEXES = sa.text("""
    SELECT c.relname, a.attname
    FROM pg_catalog.pg_index i
         JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
    WHERE i.indisvalid AND i.indpred IS NULL AND n.nspname = pg_catalog.current_schema()
""")
_POSTGRESQL_ELSEWHERE = sa.text("""
    SELECT n.nspname, pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS may_use, pg_catalog.current_schema()
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = 'alembic_version' AND n.nspname IS DISTINCT FROM CASE
        WHEN pg_catalog.has_schema_privilege(n.oid, 'USAGE') THEN pg_catalog.current_schema() END
    ORDER BY may_use DESC LIMIT 1
""")
