"""What a kind of database server must be able to tell, so that nobody else needs to know which it is."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from airflow_obs.errors import SourceError
from airflow_obs.sources.discovery import Found
from airflow_obs.sources.schema import Schema, Shape, revision

APPLICATION_NAME = "airflow-obs"
LOCK_TIMEOUT = 0.25
"""Seconds to wait for a lock: a reader only ever waits behind a change of the table, and then it had better not queue up."""


class SchemaChanged(SourceError):
    """A table or column that was there at connect is gone."""


@dataclass(frozen=True)
class Refusal:
    """A driver's error, ready to be explained: its `text` has no password, `place` says where the database is.

    `budget` are the seconds that the session had.
    """

    cause: Exception
    text: str
    place: str
    budget: float


def cause_of(error: Exception) -> Exception:
    """The driver's own error."""
    orig = error.orig if isinstance(error, DBAPIError) else None
    return orig if isinstance(orig, Exception) else error


class Backend(Protocol):
    """A kind of server, for one engine with at most one connection; a new one is made when that is closed."""

    kind: str
    """ "postgresql", "mysql" or "sqlite"."""
    found: Found
    engine: sa.Engine
    errors: tuple[type[Exception], ...]
    """What its driver raises where SQLAlchemy does not wrap it."""

    def deadline(self, seconds: float, stop: threading.Event | None, /) -> AbstractContextManager[None]:
        """Within, every wait for the server ends `seconds` from now, or soon after `stop` is set."""

    def begin(self, connection: sa.Connection, budget: float, /) -> str:
        """Bind the limits to this transaction; returns the identity of the database, another one for another database."""

    def has_table(self, connection: sa.Connection, table: str, /) -> bool:
        """Whether Airflow's schema has that table, as far as we may see."""

    def shape(self, connection: sa.Connection, /) -> Shape:
        """Its tables, columns and indexes, and what our role may not read of them."""

    def not_airflows(self, connection: sa.Connection, needed: str, /) -> str | None:
        """Why the table `needed` is not seen, and what to do, where the server tells more than that it is not there."""

    def place(self) -> str:
        """Where the database is, for people."""

    def gave_up(self, cause: Exception, /) -> str | None:
        """Why we did not wait any longer, where it was our own deadline that ended the wait; else None."""

    def denied(self, cause: Exception, /) -> bool:
        """Whether a privilege is missing."""

    def locked(self, cause: Exception, /) -> bool:
        """Whether a lock stood in the way."""

    def explain(self, refusal: Refusal, /) -> SourceError:
        """The SourceError, SourceUnreachable or SchemaChanged to raise for it."""


def read_schema(connection: sa.Connection, backend: Backend) -> Schema:
    """Read the shape of the database behind `connection`; SourceError when it is not Airflow's.

    Its revision is read first: when a migration ends while we read, the next session sees that it has changed, and reads anew.
    """
    before = revision(connection) if backend.has_table(connection, "alembic_version") else ""
    shape = backend.shape(connection)
    for needed in ("alembic_version", "dag_run"):
        if needed not in shape.columns:
            why = backend.not_airflows(connection, needed) or (
                f"this is not Airflow's metadata database: it has no table {needed}; check the database's name in the URL, or "
                "run `airflow db migrate` first"
            )
            raise SourceError(f"database: {why}")
    return Schema(shape.columns, shape.indexed, before, shape.withheld)
