"""Reads the metadata database: one connection, read-only transactions, a time budget for each."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from airflow_obs.errors import SourceError, SourceUnreachable
from airflow_obs.sources.backends import Backend, SchemaChanged, backend_of
from airflow_obs.sources.backends.backend import cause_of, read_schema
from airflow_obs.sources.database_errors import explain
from airflow_obs.sources.discovery import Found
from airflow_obs.sources.grants import RUN_GRANTS
from airflow_obs.sources.schema import Schema, revision

log = logging.getLogger(__name__)

GRACE = 0.5
"""Seconds that the server is given to say that it gave up, before the client gives up on the server."""
SCHEMA_AGE = 60.0
"""Seconds after which the schema is read again: Celery makes its tables, and an owner grants, without a new revision."""


@dataclass(frozen=True)
class Session:
    """One read-only transaction. `now` is this host's clock, as Airflow's own health checks use theirs.

    `identity` names the database: another one has another, as far as its backend can tell.
    """

    connection: sa.Connection
    backend: Backend
    schema: Schema
    now: datetime
    identity: str
    missed: set[tuple[str, str]] = field(default_factory=set)
    """(table, column) pairs that a collector did without, since our role may not read them."""
    gone: set[Any] = field(default_factory=set)
    """Rows that collectors, in this session or before, last said were gone, so that the next one need not say it again."""

    @property
    def kind(self) -> str:
        """ "postgresql", "mysql" (MariaDB, too) or "sqlite"."""
        return self.backend.kind

    @property
    def mariadb(self) -> bool:
        """Whether it is MariaDB, which names some things otherwise than MySQL."""
        return bool(getattr(self.connection.dialect, "is_mariadb", False))

    def may_read(self, table: str, *columns: str) -> bool:
        """Whether our role may read these columns of the table, so that a collector can do without; the log says what it lacks."""
        lacking = self.schema.withheld & {(table, column) for column in columns}
        self.missed.update(lacking)
        return not lacking

    def rows(self, statement: sa.Executable, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """Every row of `statement` with these values of its parameters; SourceError when the database refuses or takes too long."""
        return self.connection.execute(statement, values).all()

    def one(self, statement: sa.Executable) -> Any:
        """The only row of `statement`."""
        return self.connection.execute(statement).one()

    def attempt(self, statement: sa.Executable) -> Sequence[Any] | None:
        """Every row of `statement`, or None when a lock or a missing privilege stands in its way; the transaction lives on."""
        try:
            with self.connection.begin_nested():
                return self.rows(statement)
        except DBAPIError as error:
            cause = cause_of(error)
            if self.backend.locked(cause) or self.backend.denied(cause):
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
        self._stop = stop
        self._backend: Backend | None = None
        self._secret: str | None = None
        self._setting: str | None = None
        self._schema: Schema | None = None
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

        Without a schema to show for it, a connection is not kept: perhaps the URL was wrong, and is asked for again. So it is, at
        once and with what is left of the budget, when the server no longer lets in who was let in before: a password, a
        certificate or an address was changed.
        """
        until = time.monotonic() + budget
        begun, kept = False, self._backend is not None
        backend = self._backend or self._connect()
        errors: tuple[type[Exception], ...] = (SQLAlchemyError, *backend.errors)
        try:
            with backend.deadline(budget + GRACE, self._stop), backend.engine.connect() as connection:
                identity = backend.begin(connection, budget)
                schema = self._read_schema(connection, backend, identity)
                session = Session(connection, backend, schema, datetime.now(UTC), identity, gone=self._gone)
                begun = True
                yield session
                self._say(session.missed, backend.kind)
        except SourceError:
            if self._schema is None:
                self.close()
            raise
        except errors as error:
            refusal = self._refusal(error, backend, budget, begun)
            left = until - time.monotonic()
            if begun or not kept or not isinstance(refusal, SourceUnreachable) or left <= 0:
                raise refusal from None
        else:
            return
        with self.session(left) as session:
            yield session

    def _refusal(self, error: Exception, backend: Backend, budget: float, begun: bool) -> SourceError:
        refusal = explain(error, backend, self._secret, budget)
        cause = cause_of(error)
        timed_out = backend.gave_up(cause) is not None
        if timed_out and begun and not (self._stop and self._stop.is_set()):
            # The server answered us, then took too long: if it is frozen, the next collector will find that out.
            refusal = SourceError(f"database: its queries took more than the timeout of {budget:g}s together")
        # Before it has begun only what we chose to ask at connect can be denied: another server may answer by now.
        denied = not begun and backend.denied(cause)
        if self._schema is None or timed_out or denied or isinstance(refusal, SourceUnreachable | SchemaChanged):
            self.close()
        return refusal

    def _say(self, missed: set[tuple[str, str]], kind: str) -> None:
        if news := sorted(missed - self._said_missed):
            named = ", ".join(f"{table}.{column}" for table, column in news)
            cure = RUN_GRANTS[kind]
            log.warning("database: our role may not read %s: what is made of it is left out; %s", named, cure)
            self._said_missed.update(news)

    def close(self) -> None:
        """Close the connection and forget the schema; the next session starts anew."""
        backend, self._backend, self._schema = self._backend, None, None
        if backend is not None:
            with suppress(SQLAlchemyError, *backend.errors):
                backend.engine.dispose()

    def _connect(self) -> Backend:
        found = self._find()
        password = str(found.url.password or "")
        # A password that is also a name is no secret, and blanking the name would only confuse.
        self._secret = password if password not in {found.url.username, found.url.database, found.url.host} else None
        self._backend = backend_of(found, self._find_schema())
        if found.setting != self._setting:
            log.info("database: using the URL of %s", found.setting)
        self._setting = found.setting
        return self._backend

    def _read_schema(self, connection: sa.Connection, backend: Backend, identity: str) -> Schema:
        """As it was read before, unless it has changed, is old, or is another database's."""
        if self._identity not in {None, identity}:
            log.warning("database: another one answers than before; counters go on from what it holds now")
            self._schema = None
        self._identity = identity
        if (
            self._schema is None
            or revision(connection) != self._schema.revision
            or time.monotonic() - self._schema_read > self._schema_age
        ):
            self._schema = read_schema(connection, backend)
            self._schema_read = time.monotonic()
            self._said_missed &= self._schema.withheld
        return self._schema
