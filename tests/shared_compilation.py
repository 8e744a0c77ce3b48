"""Statements are compiled once a test process, not once an engine: a test has a database of its own, and so several engines."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Engine
from sqlalchemy.util import LRUCache

_compiled: MutableMapping[Any, Any] = LRUCache(2_000)
"""SQLAlchemy's key of what is compiled holds the dialect, the statement's structure and the types of its columns."""


class PostgreSQL(PGDialect_psycopg2):
    """SQLAlchemy's own, the same in every engine of one server's release: so is the SQL that it writes."""

    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PostgreSQL) and self._release == other._release

    def __hash__(self) -> int:
        return hash(PostgreSQL)

    @property
    def _release(self) -> object:
        return getattr(self, "server_version_info", None)

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        engine.update_execution_options(compiled_cache=_compiled)


class SQLite(SQLiteDialect_pysqlite):
    """SQLAlchemy's own, the same in every engine."""

    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SQLite)

    def __hash__(self) -> int:
        return hash(SQLite)

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        engine.update_execution_options(compiled_cache=_compiled)


def share() -> None:
    """Let every engine that this process makes from now on take part."""
    registry.register("postgresql.psycopg2", __name__, PostgreSQL.__name__)
    registry.register("sqlite", __name__, SQLite.__name__)
