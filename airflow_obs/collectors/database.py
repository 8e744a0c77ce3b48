"""The database server itself: size, connections, transactions and locks, and whose database it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from airflow_obs.catalog import airflow, metrics
from airflow_obs.model import Reading
from airflow_obs.sources.database import Session
from airflow_obs.sources.schema import Moment


@dataclass(frozen=True)
class Activity:
    """What the server says of its sessions; `connections` by state, `oldest_transactions` by state."""

    connections: dict[str, int]
    connections_max: int
    oldest_transactions: dict[str, datetime]
    blocked: int
    transaction_id_age: int


@dataclass(frozen=True)
class Server:
    """What one run of the collector saw; `activity` is None for SQLite, which has no server."""

    kind: str
    version: str
    revision: str
    executor: str | None
    size: int
    activity: Activity | None = field(default=None)


class DatabaseServer:
    """PostgreSQL shows other roles' sessions only to members of pg_read_all_stats; the others are counted as `hidden`."""

    name = "database"
    source = "database"

    def __init__(self, find_executor: Callable[[], str | None] = lambda: None) -> None:
        self._find_executor = find_executor

    def read(self, db: Session) -> Server:
        size, version = db.one(_POSTGRESQL_SIZE if db.kind == "postgresql" else _SQLITE_SIZE)
        activity = _activity(db) if db.kind == "postgresql" else None
        return Server(db.kind, version, db.schema.revision, self._find_executor() or _executor(db), size, activity)

    def samples(self, server: Server) -> Iterator[Reading]:
        yield metrics.AIRFLOW_INFO.sample(
            1,
            alembic_head=server.revision,
            release=airflow.release(server.revision),
            database=server.kind,
            database_version=server.version,
            executor=server.executor,
        )
        yield metrics.DB_SIZE.sample(server.size)
        if server.activity is None:
            return
        for state, count in server.activity.connections.items():
            yield metrics.DB_CONNECTIONS.sample(count, state=state)
        yield metrics.DB_CONNECTIONS_MAX.sample(server.activity.connections_max)
        for state, began in server.activity.oldest_transactions.items():
            yield metrics.DB_OLDEST_TRANSACTION.sample(began.timestamp(), state=state)
        yield metrics.DB_BLOCKED.sample(server.activity.blocked)
        yield metrics.DB_XID_AGE.sample(server.activity.transaction_id_age)


def _activity(db: Session) -> Activity:
    sessions = db.rows(_POSTGRESQL_SESSIONS)
    limits = db.one(_POSTGRESQL_LIMITS)
    return Activity(
        connections={row.state: row.connections for row in sessions},
        connections_max=limits.connections_max,
        oldest_transactions={row.state: row.began for row in sessions if row.began is not None},
        blocked=limits.blocked,
        transaction_id_age=limits.transaction_id_age,
    )


def _executor(db: Session) -> str | None:
    """The newest scheduler's executor; Airflow since 2.10 leaves the column empty."""
    job = db.schema.table("job")
    statement = (
        sa.select(job.optional("executor_class"))
        .where(job.c.job_type == "SchedulerJob", job.c.latest_heartbeat.is_not(None))
        .order_by(job.c.latest_heartbeat.desc())
        .limit(1)
    )
    found = db.attempt(statement)
    return found[0][0] or None if found else None


_POSTGRESQL_SIZE = sa.text(
    "SELECT pg_catalog.pg_database_size(pg_catalog.current_database()) AS size, "
    "pg_catalog.current_setting('server_version') AS version"
)
_SQLITE_SIZE = sa.text(
    "SELECT (SELECT page_count FROM pragma_page_count()) * (SELECT page_size FROM pragma_page_size()), sqlite_version()"
)
# backend_type is hidden too where state is, hence its NULL; background workers of the server always show theirs.
_POSTGRESQL_SESSIONS = sa.text("""
    SELECT COALESCE(state, CASE WHEN query = '<insufficient privilege>' THEN 'hidden' ELSE 'starting' END) AS state,
           count(*) AS connections,
           min(xact_start) FILTER (
               WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()
           ) AS began
    FROM pg_catalog.pg_stat_activity
    WHERE backend_type = 'client backend' OR (backend_type IS NULL AND usesysid IS NOT NULL)
    GROUP BY 1 ORDER BY 1
""").columns(began=Moment())
_POSTGRESQL_LIMITS = sa.text("""
    SELECT pg_catalog.current_setting('max_connections')::int
               - pg_catalog.current_setting('superuser_reserved_connections')::int
               - COALESCE(pg_catalog.current_setting('reserved_connections', true), '0')::int AS connections_max,
           (SELECT count(DISTINCT pid) FROM pg_catalog.pg_locks WHERE NOT granted AND pid IN
               (SELECT pid FROM pg_catalog.pg_stat_activity WHERE datname = pg_catalog.current_database())) AS blocked,
           (SELECT pg_catalog.age(datfrozenxid) FROM pg_catalog.pg_database
            WHERE datname = pg_catalog.current_database()) AS transaction_id_age
""")
