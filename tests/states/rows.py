"""Write one row to a table of any schema: what the schema lacks is left out, what it demands is filled in."""

from __future__ import annotations

import itertools
import json
import secrets
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from tests.airflow_database import AirflowDatabase
from tests.airflow_schemas import Kind

numbers = itertools.count(1)
"""For names that must differ from row to row."""


def insert(db: AirflowDatabase, table: str, values: Mapping[str, Any], extra: Mapping[str, Any] | None = None) -> Any:
    """Write a row; returns the first column of its primary key, or None where the table has none.

    `values` may name columns that only some releases have: those this schema lacks are left out. `extra` may not:
    it is what a test asks for. Raises KeyError for an unknown column in `extra`, ValueError for a naive moment.
    """
    target = db.tables[table]
    if unknown := set(extra or {}) - set(target.columns.keys()):
        raise KeyError(f"{db.schema}: table {table} has no column {', '.join(sorted(unknown))}")
    wanted = {name: value for name, value in {**values, **(extra or {})}.items() if name in target.columns}
    row = {name: as_airflow_writes(db, target.columns[name], value) for name, value in wanted.items()}
    for column in target.columns:
        if column.name not in row and _demanded(db, column):
            row[column.name] = _filling(column)
    statement = sa.insert(target).values(row)
    key = list(target.primary_key.columns)
    with db.engine.begin() as connection:
        if not key:
            connection.execute(statement)
            return None
        if not connection.dialect.insert_returning:  # MySQL's
            return connection.execute(statement).lastrowid
        return connection.execute(statement.returning(key[0])).scalar_one()


def exists(db: AirflowDatabase, table: str, **key: Any) -> bool:
    """Whether a row with these values is there."""
    target = db.tables[table]
    condition = sa.and_(*(target.columns[name] == value for name, value in key.items()))
    with db.engine.connect() as connection:
        return connection.execute(sa.select(sa.literal(1)).select_from(target).where(condition)).first() is not None


def newest(db: AirflowDatabase, table: str, column: str, **key: Any) -> Any:
    """The largest value of a column among the rows with these values, None when there is none."""
    target = db.tables[table]
    condition = sa.and_(sa.true(), *(target.columns[name] == value for name, value in key.items()))
    with db.engine.connect() as connection:
        ordered = sa.select(target.columns[column]).where(condition).order_by(target.columns[column].desc())
        return connection.execute(ordered.limit(1)).scalar()


def update(db: AirflowDatabase, table: str, values: Mapping[str, Any], **key: Any) -> None:
    """Set columns of the rows with the values of `key`; KeyError for a column that the schema lacks."""
    target = db.tables[table]
    row = {name: as_airflow_writes(db, target.columns[name], value) for name, value in values.items()}
    condition = sa.and_(sa.true(), *(target.columns[name] == value for name, value in key.items()))
    with db.engine.begin() as connection:
        connection.execute(sa.update(target).where(condition).values(row))


def delete(db: AirflowDatabase, table: str, **key: Any) -> None:
    """Delete the rows with the values of `key`; all of them when none is given."""
    target = db.tables[table]
    condition = sa.and_(sa.true(), *(target.columns[name] == value for name, value in key.items()))
    with db.engine.begin() as connection:
        connection.execute(sa.delete(target).where(condition))


def time_ordered_id(moment: datetime) -> uuid.UUID:
    """A UUID of version 7 (RFC 9562) for a moment, as Airflow 3 gives to what it creates then."""
    milliseconds = int(moment.timestamp() * 1000)
    number = (milliseconds << 80) | (0x7 << 76) | (secrets.randbits(12) << 64) | (0b10 << 62) | secrets.randbits(62)
    return uuid.UUID(int=number)


def _demanded(db: AirflowDatabase, column: sa.Column[Any]) -> bool:
    if column.nullable or column.server_default is not None:
        return False
    # SQLite numbers a row by itself when its only key is an integer.
    numbered = db.kind is Kind.SQLITE and column.primary_key and isinstance(column.type, sa.Integer)
    return not numbered


def as_airflow_writes(db: AirflowDatabase, column: sa.Column[Any], value: Any) -> Any:
    """The value as this column of this database takes it; ValueError for a naive moment."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{column.table.name}.{column.name}: give a moment with a time zone")
        utc = value.astimezone(UTC)
        aware = db.kind is Kind.POSTGRESQL and getattr(column.type, "timezone", False)
        return utc if aware else utc.replace(tzinfo=None)
    if isinstance(value, uuid.UUID) and isinstance(column.type, sa.String):
        return value.hex if column.type.length == 32 else str(value)
    if isinstance(value, dict | list) and isinstance(column.type, sa.String):
        return json.dumps(value)
    return value


def _filling(column: sa.Column[Any]) -> Any:
    """A value of the column's type that says nothing."""
    fillings: dict[type[sa.types.TypeEngine[Any]], Any] = {
        sa.Boolean: False,
        sa.Integer: 0,
        sa.Float: 0.0,
        sa.JSON: {},
        sa.String: "",
        sa.LargeBinary: b"",
        sa.BINARY: b"",
    }
    for kind, value in fillings.items():
        if isinstance(column.type, kind):
            return value
    raise TypeError(f"{column.table.name}.{column.name}: no filling for type {column.type!r}: the builder must give it")
