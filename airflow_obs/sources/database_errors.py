"""What a database's refusal means, in words for a human: where, what, what to do, and no password."""

from __future__ import annotations

import re
import sqlite3
from urllib.parse import quote, quote_plus

import psycopg2
from psycopg2 import errors as pg
from sqlalchemy.exc import DBAPIError

from airflow_obs.errors import SourceError, SourceUnreachable, redact
from airflow_obs.sources.deadline import DeadlineExceeded
from airflow_obs.sources.discovery import Found
from airflow_obs.sources.grants import RUN_GRANTS

_SERVER_GONE = ("08", "28", "3D", "53300", "57P")
"""Beginnings of the SQLSTATEs that mean that there is no server for us (PostgreSQL manual, appendix A)."""


class SchemaChanged(SourceError):
    """A table or column that was there at connect is gone."""


def explain(error: Exception, found: Found | None, secret: str | None, budget: float) -> SourceError:
    """The SourceError, or SourceUnreachable, to raise for a driver's `error`.

    `found` is the URL, `secret` its password, `budget` the seconds that the session had.
    """
    where = _place(found)
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    encoded = [quote_plus(secret), quote(secret, safe="")] if secret else []
    text = redact(" ".join(str(cause).split()), secret, *encoded)
    if isinstance(cause, DeadlineExceeded):
        return SourceUnreachable(
            # Without its seconds: collectors have different budgets, and a change of text is logged as news.
            f"database: {text}: the server{where} is frozen, overloaded or cut off; look at it, not at the exporter"
        )
    if isinstance(cause, pg.InsufficientPrivilege):
        return SourceError(f"database: {text}; {_grant(text)}")
    if isinstance(cause, pg.LockNotAvailable):
        return SourceError(
            f"database: {text}: somebody holds an ACCESS EXCLUSIVE lock (a migration, VACUUM FULL or an open DDL transaction?)"
        )
    if isinstance(cause, pg.QueryCanceled):
        why = (
            f"the query took more than its timeout of {budget:g}s"
            if "statement timeout" in text
            else "the query was stopped"
        )
        return SourceError(f"database: {why} ({text})")
    if isinstance(cause, pg.UndefinedTable | pg.UndefinedColumn):
        return SchemaChanged(f"database: {text}; the schema changed under us (a migration?), it is read anew next time")
    code = getattr(cause, "pgcode", None)
    if isinstance(cause, psycopg2.OperationalError | psycopg2.InterfaceError) and (
        code is None or code.startswith(_SERVER_GONE)
    ):
        return SourceUnreachable(f"database: cannot be reached{where}: {text}")
    if isinstance(cause, sqlite3.OperationalError):
        return _explained_sqlite(text, where, budget)
    if isinstance(cause, psycopg2.ProgrammingError) and code is None:
        return SourceUnreachable(f"database: its options are not libpq's{where}: {text}")
    if isinstance(cause, sqlite3.DatabaseError) and "not a database" in text:
        return SourceUnreachable(f"database: {text}; check the path{where}")
    return SourceError(f"database: {type(cause).__name__}: {text}")


def _place(found: Found | None) -> str:
    """Where the database is, and who says so, fit to be put behind a word."""
    if found is None:
        return ""
    url = found.url
    file, socket = url.get_backend_name() == "sqlite", url.query.get("host")
    place = url.database if file else f"{url.host}:{url.port or 5432}" if url.host else socket or "libpq's default"
    return f" ({place}, by {found.setting})"


def _grant(text: str) -> str:
    found = re.search(r"(?:table|relation|view) (\S+)", text)
    what = f"`GRANT SELECT (column, …) ON {found[1]} TO` the exporter's role" if found else "grant what is missing"
    return f"{RUN_GRANTS}, or {what}"


def _explained_sqlite(text: str, where: str, budget: float) -> SourceError:
    if "unable to open" in text or "disk I/O" in text:
        return SourceUnreachable(f"database: {text}: the file is missing or the exporter may not read it{where}")
    if "locked" in text:
        return SourceError(
            f"database: {text}: somebody is writing to it, or a process that died in mid-write left it so"
        )
    if "interrupted" in text:
        return SourceError(f"database: the query took more than its timeout of {budget:g}s")
    return SourceError(f"database: {text}")
