"""PostgreSQL as the metadata database, directly or through PgBouncer in transaction mode."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import psycopg2
import sqlalchemy as sa
from psycopg2 import errors as pg

from airflow_obs.errors import SourceConflict, SourceError, SourceUnreachable
from airflow_obs.sources.backends import identity, pooler_errors, tls_errors
from airflow_obs.sources.backends.backend import APPLICATION_NAME, LOCK_TIMEOUT, Refusal, SchemaChanged
from airflow_obs.sources.backends.deadline import DeadlineExceeded, deadline
from airflow_obs.sources.discovery import Found
from airflow_obs.sources.grants import RUN_GRANTS
from airflow_obs.sources.schema import Moment, Shape

_SERVER_GONE = ("08", "28", "3D", "53300", "57P")
"""Beginnings of the SQLSTATEs that mean that there is no server for us (PostgreSQL manual, appendix A)."""
_CONFLICT = ("40001", "40P01")
"""Replay on a standby ended our statement, or our session: who reads at READ COMMITTED meets no other of their kind."""

_DEFAULTS = {
    "application_name": APPLICATION_NAME,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""libpq's options where the URL says nothing: a server that is gone for good is noticed within the minute."""


class Postgresql:
    """See Backend. All limits are bound to the transaction: PgBouncer in transaction mode keeps no session state."""

    kind = "postgresql"
    errors: tuple[type[Exception], ...] = (psycopg2.Error,)

    def __init__(self, found: Found, schema_name: str | None) -> None:
        self.found = found
        self._schema_name = schema_name
        self._question: str | None = None
        self.engine = sa.create_engine(
            found.url,
            hide_parameters=True,
            connect_args={
                **{name: value for name, value in _DEFAULTS.items() if name not in found.url.query},
                **found.connect_args,
            },
            poolclass=sa.QueuePool,
            pool_size=1,
            max_overflow=0,
            pool_timeout=1,
            pool_pre_ping=True,
        )

    def deadline(self, seconds: float, stop: threading.Event | None) -> AbstractContextManager[None]:
        return deadline(seconds, stop)

    def begin(self, connection: sa.Connection, budget: float) -> str:
        limits = "; ".join(self._limits(connection.dialect, budget))
        if self._question is None:
            connection.exec_driver_sql(limits)
            self._question = identity.question(connection)
        return str(connection.exec_driver_sql(f"{limits}; {self._question}").scalar())

    def _limits(self, dialect: sa.Dialect, budget: float) -> Iterator[str]:
        """0 would be no limit at all."""
        yield "SET TRANSACTION READ ONLY"
        yield f"SET LOCAL statement_timeout = {max(1, int(budget * 1000))}"
        yield f"SET LOCAL lock_timeout = {max(1, int(min(LOCK_TIMEOUT, budget) * 1000))}"
        yield "SET LOCAL timezone = 'UTC'"
        yield "SET LOCAL max_parallel_workers_per_gather = 0"
        if (dialect.server_version_info or ()) >= (11,):
            yield "SET LOCAL jit = off"
        if self._schema_name:
            yield f"SET LOCAL search_path = {dialect.identifier_preparer.quote(self._schema_name)}"

    def has_table(self, connection: sa.Connection, table: str) -> bool:
        return connection.execute(_TABLE, {"name": table}).scalar() is not None

    def shape(self, connection: sa.Connection) -> Shape:
        """SQLAlchemy's own reflection would wait for a lock on any table, even one that nobody wants to read."""
        columns: dict[str, dict[str, sa.types.TypeEngine[Any]]] = {}
        withheld: set[tuple[str, str]] = set()
        for table, column, is_moment, may_read in connection.execute(_COLUMNS):
            columns.setdefault(table, {})[column] = Moment() if is_moment else sa.types.NullType()
            if may_read is False:  # NULL is a table that was dropped while we looked
                withheld.add((table, column))
        indexed = frozenset((table, column) for table, column in connection.execute(_INDEXES))
        return Shape(columns, indexed, frozenset(withheld))

    def not_airflows(self, connection: sa.Connection, needed: str) -> str | None:
        elsewhere = connection.execute(_ELSEWHERE).first()
        if elsewhere is None:
            return None
        schema_name, may_use, ours = elsewhere
        if not may_use:
            return (
                f"Airflow's tables are in the schema {schema_name}, which our role may not use; run "
                f"`airflow-obs grants | PGOPTIONS='-c search_path={schema_name}' psql …` as the owner of Airflow's tables, or "
                f"`GRANT USAGE ON SCHEMA {schema_name} TO` the exporter's role"
            )
        return (
            f"the schema {ours or 'of our role'} has no table {needed}, but {schema_name} has Airflow's: say "
            f"`sources: {{database: {{schema: {schema_name}}}}}` in the policy, or set our role's search_path"
        )

    def place(self) -> str:
        url, others = self.found.url, self.found.url.normalized_query.get("host", ())
        return f"{url.host}:{url.port or 5432}" if url.host else ", ".join(others) or "libpq's default"

    def gave_up(self, cause: Exception) -> str | None:
        return str(cause) if isinstance(cause, DeadlineExceeded) else None

    def denied(self, cause: Exception) -> bool:
        # Servers that only resemble PostgreSQL do not have every function, and say so when it is called.
        return isinstance(cause, pg.InsufficientPrivilege | pg.FeatureNotSupported)

    def locked(self, cause: Exception) -> bool:
        return isinstance(cause, pg.LockNotAvailable)

    def explain(self, refusal: Refusal) -> SourceError:
        cause, text, where = refusal.cause, refusal.text, refusal.place
        if isinstance(cause, pg.InsufficientPrivilege):
            return SourceError(f"database: {text}; {_grant(text)}")
        if isinstance(cause, pg.LockNotAvailable):
            return SourceError(
                f"database: {text}: somebody holds an ACCESS EXCLUSIVE lock (a migration, VACUUM FULL or an open DDL transaction?)"
            )
        if isinstance(cause, pg.QueryCanceled):
            why = (
                f"the query took more than its timeout of {refusal.budget:g}s"
                if "statement timeout" in text
                else "the query was stopped"
            )
            return SourceError(f"database: {why} ({text})")
        if isinstance(cause, pg.UndefinedTable | pg.UndefinedColumn):
            return SchemaChanged(
                f"database: {text}; the schema changed under us (a migration?), it is read anew next time"
            )
        code = getattr(cause, "pgcode", None)
        if code in _CONFLICT or "conflict with recovery" in text:
            return SourceConflict(
                f"database: {text}; reading on a standby is in the way of what it must replay: raise its "
                "max_standby_streaming_delay, or set hot_standby_feedback = on"
            )
        if isinstance(cause, psycopg2.OperationalError | psycopg2.InterfaceError) and (
            code is None or code.startswith(_SERVER_GONE)
        ):
            advice = tls_errors.advice(text, tls_errors.LIBPQS) or pooler_errors.advice(text)
            return SourceUnreachable(f"database: cannot be reached{where}: {text}{advice}")
        if isinstance(cause, psycopg2.ProgrammingError) and code is None:
            return SourceUnreachable(f"database: its options are not libpq's{where}: {text}")
        return SourceError(f"database: {type(cause).__name__}: {text}")


def _grant(text: str) -> str:
    found = re.search(r"(?:table|relation|view) (\S+)", text)
    what = f"`GRANT SELECT (column, …) ON {found[1]} TO` the exporter's role" if found else "grant what is missing"
    return f"{RUN_GRANTS['postgresql']}, or {what}"


_TABLE = sa.text("SELECT pg_catalog.to_regclass(:name)")
_COLUMNS = sa.text("""
    SELECT c.relname, a.attname, a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype),
           pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT')
    FROM pg_catalog.pg_class c
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p') AND n.nspname = pg_catalog.current_schema()
""")
_INDEXES = sa.text("""
    SELECT c.relname, a.attname
    FROM pg_catalog.pg_index i
         JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
    WHERE i.indisvalid AND i.indpred IS NULL AND n.nspname = pg_catalog.current_schema()
""")
_ELSEWHERE = sa.text("""
    SELECT n.nspname, pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS may_use, pg_catalog.current_schema()
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = 'alembic_version' AND n.nspname IS DISTINCT FROM CASE
        WHEN pg_catalog.has_schema_privilege(n.oid, 'USAGE') THEN pg_catalog.current_schema() END
    ORDER BY may_use DESC LIMIT 1
""")
