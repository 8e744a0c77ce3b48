"""What PostgreSQL says of itself as the metadata database's server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from airflow_obs.collectors.database_figures import Activity, Counters, Figures, Limit
from airflow_obs.sources.database import Session
from airflow_obs.sources.schema import Moment


def figures(db: Session) -> Figures:
    """Other roles' sessions are shown only to members of pg_read_all_stats; the others are counted as `hidden`."""
    size, version = db.one(_SIZE)
    since, deadlocks, temp_files, temp_bytes = db.one(_COUNTERS)
    return Figures(size, version, _activity(db), Counters(since, deadlocks, temp_files, temp_bytes))


def _activity(db: Session) -> Activity:
    sessions = db.rows(_SESSIONS)
    limits = db.one(_LIMITS)
    return Activity(
        connections={row.state: row.connections for row in sessions},
        limits=tuple(_limits(limits)),
        oldest_transactions={row.state: row.began for row in sessions if row.began is not None},
        blocked=limits.blocked,
        connections_reserved=limits.connections_reserved,
        transaction_id_age=limits.transaction_id_age,
    )


def _limits(row: Any) -> Iterator[Limit]:
    """Those that are set; the role that owns the tables is the one that Airflow comes as."""
    yield Limit("server", row.connections_max, row.connections)
    for of, most, used in (("database", row.database_limit, row.of_database), ("role", row.owner_limit, row.of_owner)):
        if most is not None and most >= 0:
            yield Limit(of, most, used)


_SIZE = sa.text(
    "SELECT pg_catalog.pg_database_size(pg_catalog.current_database()) AS size, "
    "pg_catalog.current_setting('server_version') AS version"
)
# backend_type is hidden too where state is, hence its NULL; background workers of the server always show theirs.
_SESSIONS = sa.text("""
    SELECT COALESCE(state, CASE WHEN query = '<insufficient privilege>' THEN 'hidden' ELSE 'starting' END) AS state,
           count(*) AS connections,
           min(xact_start) FILTER (
               WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()
           ) AS began
    FROM pg_catalog.pg_stat_activity
    WHERE backend_type = 'client backend' OR (backend_type IS NULL AND usesysid IS NOT NULL)
    GROUP BY 1 ORDER BY 1
""").columns(began=Moment())
_LIMITS = sa.text("""
    SELECT pg_catalog.current_setting('max_connections')::int
               - pg_catalog.current_setting('superuser_reserved_connections')::int
               - COALESCE(pg_catalog.current_setting('reserved_connections', true), '0')::int AS connections_max,
           pg_catalog.current_setting('superuser_reserved_connections')::int
               + COALESCE(pg_catalog.current_setting('reserved_connections', true), '0')::int AS connections_reserved,
           clients.*, d.datconnlimit AS database_limit, r.rolconnlimit AS owner_limit,
           (SELECT count(DISTINCT pid) FROM pg_catalog.pg_locks WHERE NOT granted AND pid IN
               (SELECT pid FROM pg_catalog.pg_stat_activity WHERE datname = pg_catalog.current_database())) AS blocked,
           (SELECT max(pg_catalog.age(datfrozenxid)) FROM pg_catalog.pg_database) AS transaction_id_age
    FROM pg_catalog.pg_database d
         LEFT JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass('alembic_version')
         LEFT JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
         CROSS JOIN LATERAL (
             SELECT count(*) AS connections, count(*) FILTER (WHERE a.datid = d.oid) AS of_database,
                    count(*) FILTER (WHERE a.usesysid = r.oid) AS of_owner
             FROM pg_catalog.pg_stat_activity a
             WHERE a.backend_type = 'client backend' OR (a.backend_type IS NULL AND a.usesysid IS NOT NULL)
         ) clients
    WHERE d.datname = pg_catalog.current_database()
""")
_COUNTERS = sa.text("""
    SELECT stats_reset, deadlocks, temp_files, temp_bytes
    FROM pg_catalog.pg_stat_database WHERE datname = pg_catalog.current_database()
""").columns(deadlocks=sa.BigInteger(), temp_files=sa.BigInteger(), temp_bytes=sa.BigInteger(), stats_reset=Moment())
