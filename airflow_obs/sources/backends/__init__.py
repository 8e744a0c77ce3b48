"""The kinds of servers under the metadata database: what is different between them, and nothing else."""

from __future__ import annotations

from airflow_obs.sources.backends.backend import Backend, SchemaChanged
from airflow_obs.sources.discovery import Found

__all__ = ["Backend", "SchemaChanged", "backend_of"]


def backend_of(found: Found, schema_name: str | None) -> Backend:
    """The backend for this URL, not connected yet; `schema_name` is PostgreSQL's, None for the role's search_path.

    A driver is imported by whom it serves: each costs megabytes.
    """
    kind = found.url.get_backend_name()
    if kind == "sqlite":
        from airflow_obs.sources.backends.sqlite import Sqlite

        return Sqlite(found)
    if kind == "mysql":
        from airflow_obs.sources.backends.mysql import Mysql

        return Mysql(found)
    from airflow_obs.sources.backends.postgresql import Postgresql

    return Postgresql(found, schema_name)
