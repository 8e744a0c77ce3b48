"""The URL of the metadata database, through the drivers that we ship, whatever driver Airflow itself uses."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from airflow_obs.errors import SourceNotConfigured
from airflow_obs.sources.mysql_url import mysql

_NOT_LIBPQS = (
    "async_fallback",
    "command_timeout",
    "max_cacheable_statement_size",
    "max_cached_statement_lifetime",
    "prepare_threshold",
    "prepared_statement_cache_size",
    "prepared_statement_name_func",
    "statement_cache_size",
    "timeout",
)
"""Options of asyncpg and of psycopg 3 that say how it fetches: libpq would refuse them."""


_DEBIANS = "/etc/ssl/certs/ca-certificates.crt"
"""Where Debian's package ca-certificates puts it, and most others too; Python only knows OpenSSL's own place."""


def normalised(text: str, setting: str) -> tuple[URL, dict[str, Any]]:
    """The URL as SQLAlchemy takes it, and what its driver must be told beside it.

    Raises SourceNotConfigured, which names the `setting` and shows no password.
    """
    try:
        url = make_url(text.strip())
        # An @ in the password ends it: the rest is taken for the host, and would be shown as such in messages.
        before_password = text.partition("://")[2].partition(":")[0]
        if url.get_backend_name() != "sqlite" and text.count("@") - before_password.count("@") > 1:
            raise ValueError("@")
    except (ArgumentError, ValueError):
        raise SourceNotConfigured(
            f"database: {setting} is not a database URL; write it like postgresql://USER:…@HOST:5432/airflow, with special "
            "characters of the password percent-encoded"
        ) from None
    return _dialect(url.drivername.partition("+")[0], setting)(url, setting)


def _dialect(name: str, setting: str) -> Callable[[URL, str], tuple[URL, dict[str, Any]]]:
    try:
        return _DIALECTS[name]
    except KeyError:
        raise SourceNotConfigured(
            f"database: {setting} is a {name} URL; this release reads PostgreSQL, MySQL, MariaDB and SQLite"
        ) from None


def _postgresql(url: URL, _setting: str) -> tuple[URL, dict[str, Any]]:
    query = {name: value for name, value in url.query.items() if name not in _NOT_LIBPQS}
    if mode := query.pop("ssl", None):  # asyncpg's spelling of libpq's sslmode
        query.setdefault("sslmode", mode)
    if query.get("sslrootcert") == "system" and (authorities := _systems()):
        query |= {"sslrootcert": authorities, "sslmode": query.get("sslmode", "verify-full")}
    return url.set(drivername="postgresql+psycopg2", query=query), {}


def _systems() -> str | None:
    """The file with the authorities that the system trusts: libpq in psycopg2's wheel looks where the wheel was built."""
    found = ssl.get_default_verify_paths().cafile or _DEBIANS
    return found if Path(found).is_file() else None


def _sqlite(url: URL, setting: str) -> tuple[URL, dict[str, Any]]:
    if not url.database or url.database == ":memory:":
        raise SourceNotConfigured(f"database: {setting} names no file; write it like sqlite:////opt/airflow/airflow.db")
    return url.set(drivername="sqlite+pysqlite", query={}), {}


_DIALECTS: dict[str, Callable[[URL, str], tuple[URL, dict[str, Any]]]] = {
    "postgres": _postgresql,
    "postgresql": _postgresql,
    "mysql": mysql,
    "mariadb": mysql,
    "sqlite": _sqlite,
}
