"""The database server itself: size, connections, transactions, its clock and counters, and whose database it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from airflow_obs.catalog import airflow, metrics
from airflow_obs.model import Reading
from airflow_obs.sources.database import Session
from airflow_obs.sources.schema import Moment


@dataclass(frozen=True)
class Limit:
    """How many connections there may be, and are, of those that count towards the limit of `of`: server, database or role."""

    of: str
    most: int
    used: int


@dataclass(frozen=True)
class Activity:
    """What the server says of its sessions; `connections` by state, `oldest_transactions` by state."""

    connections: dict[str, int]
    limits: tuple[Limit, ...]
    oldest_transactions: dict[str, datetime]
    blocked: int
    transaction_id_age: int
    connections_reserved: int


@dataclass(frozen=True)
class Counters:
    """What the server has counted for this database since `since` (None: since it was made); `temp` are files of queries."""

    deadlocks: int
    temp_files: int
    temp_bytes: int
    since: datetime | None


@dataclass(frozen=True)
class Server:
    """What one run of the collector saw; the last three are None for SQLite, which has no server.

    `clock_offset` is in seconds, above 0 when the server's clock is ahead of ours.
    """

    kind: str
    version: str
    revision: str
    executor: str | None
    size: int
    activity: Activity | None = None
    counters: Counters | None = None
    clock_offset: float | None = None


class DatabaseServer:
    """PostgreSQL shows other roles' sessions only to members of pg_read_all_stats; the others are counted as `hidden`."""

    name = "database"
    source = "database"

    def __init__(
        self, find_executor: Callable[[], str | None] = lambda: None, clock: Callable[[], float] = time.time
    ) -> None:
        self._find_executor = find_executor
        self._clock = clock

    def read(self, db: Session) -> Server:
        size, version = db.one(_POSTGRESQL_SIZE if db.kind == "postgresql" else _SQLITE_SIZE)
        executor = self._find_executor() or _executor(db)
        server = Server(db.kind, version, db.schema.revision, executor, size)
        if db.kind != "postgresql":
            return server
        counters = Counters(*db.one(_POSTGRESQL_COUNTERS))
        return replace(server, activity=_activity(db), counters=counters, clock_offset=self._clock_offset(db))

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
        for limit in server.activity.limits:
            yield metrics.DB_CONNECTIONS_MAX.sample(limit.most, limit=limit.of)
            # Superusers are let in beyond it, and one may be lowered while more are there.
            yield metrics.DB_CONNECTIONS_FREE.sample(max(0, limit.most - limit.used), limit=limit.of)
        for state, began in server.activity.oldest_transactions.items():
            yield metrics.DB_OLDEST_TRANSACTION.sample(began.timestamp(), state=state)
        yield metrics.DB_BLOCKED.sample(server.activity.blocked)
        yield metrics.DB_XID_AGE.sample(server.activity.transaction_id_age)
        yield metrics.DB_CONNECTIONS_RESERVED.sample(server.activity.connections_reserved)
        if server.counters is not None:
            yield from _counted(server.counters)
        if server.clock_offset is not None:
            yield metrics.DB_CLOCK_OFFSET.sample(server.clock_offset)

    def _clock_offset(self, db: Session) -> float:
        """The server says its time somewhere between our asking and its answer's coming: halfway, for want of better."""
        asked = self._clock()
        moment: datetime = db.one(_POSTGRESQL_CLOCK)[0]
        return moment.timestamp() - (asked + self._clock()) / 2


def _counted(counters: Counters) -> Iterator[Reading]:
    yield metrics.DB_DEADLOCKS.sample(counters.deadlocks)
    yield metrics.DB_TEMP_FILES.sample(counters.temp_files)
    yield metrics.DB_TEMP_BYTES.sample(counters.temp_bytes)
    if counters.since is not None:
        yield metrics.DB_STATS_RESET.sample(counters.since.timestamp())


def _activity(db: Session) -> Activity:
    sessions = db.rows(_POSTGRESQL_SESSIONS)
    limits = db.one(_POSTGRESQL_LIMITS)
    return Activity(
        connections={row.state: row.connections for row in sessions},
        limits=tuple(_limits(limits)),
        oldest_transactions={row.state: row.began for row in sessions if row.began is not None},
        blocked=limits.blocked,
        transaction_id_age=limits.transaction_id_age,
        connections_reserved=limits.connections_reserved,
    )


def _limits(row: Any) -> Iterator[Limit]:
    """Those that are set; the role that owns the tables is the one that Airflow comes as."""
    yield Limit("server", row.connections_max, row.connections)
    for of, most, used in (("database", row.database_limit, row.of_database), ("role", row.owner_limit, row.of_owner)):
        if most is not None and most >= 0:
            yield Limit(of, most, used)


def _executor(db: Session) -> str | None:
    """The newest scheduler's executor; Airflow since 2.10 leaves the column empty."""
    if not db.schema.has("job", "executor_class", "job_type", "latest_heartbeat"):
        return None
    job = db.schema.table("job")
    statement = (
        sa.select(job.c.executor_class)
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
_POSTGRESQL_COUNTERS = sa.text("""
    SELECT deadlocks, temp_files, temp_bytes, stats_reset
    FROM pg_catalog.pg_stat_database WHERE datname = pg_catalog.current_database()
""").columns(deadlocks=sa.BigInteger(), temp_files=sa.BigInteger(), temp_bytes=sa.BigInteger(), stats_reset=Moment())
_POSTGRESQL_CLOCK = sa.text("SELECT pg_catalog.clock_timestamp() AS moment").columns(moment=Moment())
