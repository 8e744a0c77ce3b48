"""Reads the metadata database: one connection, read-only transactions, a time budget for each."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import psycopg2
import sqlalchemy as sa
from psycopg2 import errors as pg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from airflow_obs.errors import SourceError, SourceUnreachable
from airflow_obs.sources import identity as identities
from airflow_obs.sources import schema as schemas
from airflow_obs.sources.database_errors import SchemaChanged, explain
from airflow_obs.sources.deadline import DeadlineExceeded, deadline
from airflow_obs.sources.discovery import Found
from airflow_obs.sources.grants import RUN_GRANTS
from airflow_obs.sources.schema import Schema

log = logging.getLogger(__name__)

APPLICATION_NAME = "airflow-obs"
LOCK_TIMEOUT = 0.25
"""Seconds to wait for a lock: a reader only ever waits behind ACCESS EXCLUSIVE, and then it had better not queue up."""
GRACE = 0.5
"""Seconds that the server is given to say that it gave up, before the client gives up on the server."""
SCHEMA_AGE = 60.0
"""Seconds after which the schema is read again: Celery makes its tables, and an owner grants, without a new revision."""


@dataclass(frozen=True)
class Session:
    """One read-only transaction. `now` is this host's clock, as Airflow's own health checks use theirs.

    `identity` names the database: another one has another, as far as sources/identity.py can tell.
    """

    connection: sa.Connection
    schema: Schema
    now: datetime
    identity: str
    missed: set[tuple[str, str]] = field(default_factory=set)
    """(table, column) pairs that a collector did without, since our role may not read them."""
    gone: set[Any] = field(default_factory=set)
    """Rows that collectors, in this session or before, last said were gone, so that the next one need not say it again."""

    @property
    def kind(self) -> str:
        """ "postgresql" or "sqlite"."""
        return self.connection.dialect.name

    def may_read(self, table: str, *columns: str) -> bool:
        """Whether our role may read these columns of the table, so that a collector can do without; the log says what it lacks."""
        lacking = self.schema.withheld & {(table, column) for column in columns}
        self.missed.update(lacking)
        return not lacking

    def rows(self, statement: sa.Executable) -> Sequence[Any]:
        """Every row of `statement`; SourceError when the database refuses or takes too long."""
        return self.connection.execute(statement).all()

    def one(self, statement: sa.Executable) -> Any:
        """The only row of `statement`."""
        return self.connection.execute(statement).one()

    def attempt(self, statement: sa.Executable) -> Sequence[Any] | None:
        """Every row of `statement`, or None when a lock or a missing privilege stands in its way; the transaction lives on."""
        try:
            with self.connection.begin_nested():
                return self.rows(statement)
        except DBAPIError as error:
            if isinstance(error.orig, pg.LockNotAvailable | pg.InsufficientPrivilege):
                return None
            raise


class Database:
    """The metadata database as a source: connects when asked, and again after any failure.

    Not thread-safe: one worker uses it (single flight). `find` is asked for the URL at every new connection,
    and `find_schema` for the PostgreSQL schema of Airflow's tables (None: the role's search_path).
    """

    name = "database"
    known = True

    def __init__(
        self,
        find: Callable[[], Found],
        find_schema: Callable[[], str | None] = lambda: None,
        stop: threading.Event | None = None,
        schema_age: float = SCHEMA_AGE,
    ) -> None:
        self._find = find
        self._find_schema = find_schema
        self._schema_name: str | None = None
        self._stop = stop
        self._engine: sa.Engine | None = None
        self._secret: str | None = None
        self._found: Found | None = None
        self._schema: Schema | None = None
        self._question: str | None = None
        self._identity: str | None = None
        self._schema_age = schema_age
        self._schema_read = 0.0
        self._said_missed: set[tuple[str, str]] = set()
        self._gone: set[Any] = set()

    @property
    def revision(self) -> str | None:
        """The alembic head of the schema that was last read; None before. May be asked from any thread."""
        schema = self._schema
        return schema.revision if schema else None

    @contextmanager
    def session(self, budget: float) -> Iterator[Session]:
        """A transaction that has `budget` seconds. Raises SourceUnreachable or SourceError, without any password.

        Without a schema to show for it, a connection is not kept: perhaps the URL was wrong, and is asked for again.
        """
        begun = False
        try:
            with deadline(budget + GRACE, self._stop), (self._engine or self._connect()).connect() as connection:
                identity = self._begin(connection, budget)
                schema = self._read_schema(connection, identity)
                session = Session(connection, schema, datetime.now(UTC), identity, gone=self._gone)
                begun = True
                yield session
                self._say(session.missed)
        except SourceError:
            if self._schema is None:
                self.close()
            raise
        except (SQLAlchemyError, psycopg2.Error, sqlite3.Error) as error:
            raise self._refusal(error, budget, begun) from None

    def _refusal(self, error: Exception, budget: float, begun: bool) -> SourceError:
        refusal = explain(error, self._found, self._secret, budget)
        timed_out = isinstance(getattr(error, "orig", error), DeadlineExceeded)
        if timed_out and begun and not (self._stop and self._stop.is_set()):
            # The server answered us, then took too long: if it is frozen, the next collector will find that out.
            refusal = SourceError(f"database: its queries took more than the timeout of {budget:g}s together")
        # Before it has begun only what we chose to ask at connect can be denied: another server may answer by now.
        denied = not begun and isinstance(getattr(error, "orig", error), pg.InsufficientPrivilege)
        if self._schema is None or timed_out or denied or isinstance(refusal, SourceUnreachable | SchemaChanged):
            self.close()
        return refusal

    def _say(self, missed: set[tuple[str, str]]) -> None:
        if news := sorted(missed - self._said_missed):
            named = ", ".join(f"{table}.{column}" for table, column in news)
            log.warning("database: our role may not read %s: what is made of it is left out; %s", named, RUN_GRANTS)
            self._said_missed.update(news)

    def close(self) -> None:
        """Close the connection and forget the schema; the next session starts anew."""
        engine, self._engine, self._schema, self._question = self._engine, None, None, None
        if engine is not None:
            with suppress(SQLAlchemyError, psycopg2.Error, sqlite3.Error):
                engine.dispose()

    def _connect(self) -> sa.Engine:
        found = self._find()
        self._schema_name = self._find_schema() if found.url.get_backend_name() == "postgresql" else None
        password = str(found.url.password or "")
        # A password that is also a name is no secret, and blanking the name would only confuse.
        self._secret = password if password not in {found.url.username, found.url.database, found.url.host} else None
        if found.url.get_backend_name() == "sqlite":
            path = quote(str(found.url.database))
            options: dict[str, Any] = {
                "creator": lambda: sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=LOCK_TIMEOUT),
                # Kept open, the file would be read on after another has taken its place.
                "poolclass": sa.NullPool,
            }
        else:
            options = {
                "connect_args": {
                    "application_name": APPLICATION_NAME,
                    "keepalives_idle": 30,
                    "keepalives_interval": 5,
                    "keepalives_count": 3,
                    "tcp_user_timeout": 10_000,
                },
                "poolclass": sa.QueuePool,
                "pool_size": 1,
                "max_overflow": 0,
                "pool_timeout": 1,
                "pool_pre_ping": True,
            }
        self._engine = sa.create_engine(found.url, hide_parameters=True, **options)
        if self._found is None or found.setting != self._found.setting:
            log.info("database: using the URL of %s", found.setting)
        self._found = found
        return self._engine

    def _begin(self, connection: sa.Connection, budget: float) -> str:
        """Bind the limits to this transaction alone (PgBouncer in transaction mode keeps no session state).

        Returns the identity of the database.
        """
        if connection.dialect.name == "postgresql":
            limits = "; ".join(self._limits(connection.dialect, budget))
            if self._question is None:
                connection.exec_driver_sql(limits)
                self._question = identities.question(connection)
            return str(connection.exec_driver_sql(f"{limits}; {self._question}").scalar())
        until = time.monotonic() + budget
        handle = connection.connection.driver_connection
        assert isinstance(handle, sqlite3.Connection)  # noqa: S101 (the dialect is SQLite's; SQLAlchemy types it Any)
        handle.set_progress_handler(lambda: time.monotonic() > until, 10_000)
        return identities.of_file(str(connection.engine.url.database))

    def _read_schema(self, connection: sa.Connection, identity: str) -> Schema:
        """As it was read before, unless it has changed, is old, or is another database's."""
        if self._identity not in {None, identity}:
            log.warning("database: another one answers than before; counters go on from what it holds now")
            self._schema = None
        self._identity = identity
        if (
            self._schema is None
            or schemas.revision(connection) != self._schema.revision
            or time.monotonic() - self._schema_read > self._schema_age
        ):
            self._schema = schemas.read(connection)
            self._schema_read = time.monotonic()
            self._said_missed &= self._schema.withheld
        return self._schema

    def _limits(self, dialect: sa.Dialect, budget: float) -> Iterator[str]:
        yield "SET TRANSACTION READ ONLY"
        yield f"SET LOCAL statement_timeout = {int(budget * 1000)}"
        yield f"SET LOCAL lock_timeout = {int(min(LOCK_TIMEOUT, budget) * 1000)}"
        yield "SET LOCAL timezone = 'UTC'"
        yield "SET LOCAL max_parallel_workers_per_gather = 0"
        if (dialect.server_version_info or ()) >= (11,):
            yield "SET LOCAL jit = off"
        if self._schema_name:
            yield f"SET LOCAL search_path = {dialect.identifier_preparer.quote(self._schema_name)}"
