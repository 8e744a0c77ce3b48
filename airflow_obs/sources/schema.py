"""Which tables, columns and indexes a metadata database has, read at connect so that queries are built from what exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect

from airflow_obs.errors import SourceLacks


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
    """A table for queries: `table.c.name` or `table.c["name"]` is a column, SourceError if this database lacks it.

    `clause` is what SQLAlchemy takes for a table.
    """

    def __init__(self, name: str, clause: sa.TableClause) -> None:
        self.name = name
        self.clause = clause
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
class Shape:
    """What a database's catalogue says of it, without its revision: the parts of a Schema."""

    columns: Columns
    indexed: frozenset[tuple[str, str]]
    withheld: frozenset[tuple[str, str]] = frozenset()


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


def revision(connection: sa.Connection) -> str:
    """The alembic head, "none" while no migration has finished; it changes when Airflow is upgraded under us."""
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() or "none"
