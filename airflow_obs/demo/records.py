"""Writes the rows that Airflow would write: one function per thing that happens, over one open cursor."""

from __future__ import annotations

import io
import json
import random
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from psycopg2 import sql

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

Value = str | int | float | bool | datetime | uuid.UUID | None

_texts: dict[tuple[Callable[..., sql.Composed], tuple[str, ...]], str] = {}
"""Statements by what they are made of: to compose one takes as long as to execute it, and few are made again and again."""


def uuid7(moment: datetime, rng: random.Random) -> uuid.UUID:
    """A time-ordered id as Airflow makes them, from our own generator so that a seed decides it."""
    milliseconds = int(moment.timestamp() * 1000)
    number = (milliseconds << 80) | (7 << 76) | (rng.getrandbits(12) << 64) | (2 << 62) | rng.getrandbits(62)
    return uuid.UUID(int=number)


def insert(cur: cursor, table: str, **values: Value) -> None:
    """Insert one row."""
    cur.execute(_text(cur, _insert, table, *values), _plain(values))


def insert_with_id(cur: cursor, table: str, **values: Value) -> int:
    """Insert one row and give the id that the database chose."""
    cur.execute(_text(cur, _insert, table, *values) + " RETURNING id", _plain(values))
    [(number,)] = cur.fetchall()
    return int(number)


def update(cur: cursor, table: str, key: str, identity: Value, **values: Value) -> None:
    """Update the row of `table` whose column `key` is `identity`."""
    cur.execute(_text(cur, _update, table, key, *values), [*_plain(values), _one(identity)])


def copy(cur: cursor, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
    """Insert many rows at once."""
    text = "".join("\t".join(map(_copied, row)) + "\n" for row in rows)
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)
    cur.copy_expert(statement.as_string(cur), io.StringIO(text))


def log_extra(host: str, full_command: str) -> str:
    """The text that Airflow keeps with an event."""
    return json.dumps({"host_name": host, "full_command": full_command})


def _text(cur: cursor, make: Callable[..., sql.Composed], *names: str) -> str:
    if (make, names) not in _texts:
        _texts[make, names] = make(*names).as_string(cur)
    return _texts[make, names]


def _insert(table: str, *columns: str) -> sql.Composed:
    return sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
    )


def _update(table: str, key: str, *columns: str) -> sql.Composed:
    return sql.SQL("UPDATE {} SET {} WHERE {} = %s").format(
        sql.Identifier(table),
        sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in columns),
        sql.Identifier(key),
    )


def _plain(values: dict[str, Value]) -> list[Value]:
    return [_one(value) for value in values.values()]


def _one(value: Value) -> Value:
    return str(value) if isinstance(value, uuid.UUID) else value


def _copied(value: Value) -> str:
    if value is None:
        return r"\N"
    if not isinstance(value, str):
        return str(value)
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
