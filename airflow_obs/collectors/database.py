"""The database server itself: size, connections, transactions, its clock and counters, and whose database it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from airflow_obs.catalog import airflow, metrics
from airflow_obs.collectors import database_mysql, database_postgresql
from airflow_obs.collectors.database_figures import Activity, Counters, Figures
from airflow_obs.collectors.server_clock import server_time
from airflow_obs.model import Reading
from airflow_obs.sources.database import Session


@dataclass(frozen=True)
class Server:
    """What one run of the collector saw; `clock_offset` (seconds) is None for SQLite, which has no server.

    It is above 0 when the server's clock is ahead of ours.
    """

    kind: str
    revision: str
    executor: str | None
    figures: Figures
    clock_offset: float | None = None


class DatabaseServer:
    """Its sessions and counters as far as our role may see them."""

    name = "database"
    source = "database"

    def __init__(
        self, find_executor: Callable[[], str | None] = lambda: None, clock: Callable[[], float] = time.time
    ) -> None:
        self._find_executor = find_executor
        self._clock = clock

    def read(self, db: Session) -> Server:
        return Server(
            "mariadb" if db.mariadb else db.kind,
            db.schema.revision,
            self._find_executor() or _executor(db),
            _figures(db),
            self._clock_offset(db),
        )

    def samples(self, server: Server) -> Iterator[Reading]:
        yield metrics.AIRFLOW_INFO.sample(
            1,
            alembic_head=server.revision,
            release=airflow.release(server.revision),
            database=server.kind,
            database_version=server.figures.version,
            executor=server.executor,
        )
        yield metrics.DB_SIZE.sample(server.figures.size)
        if server.figures.activity is not None:
            yield from _active(server.figures.activity)
        if server.figures.counters is not None:
            yield from _counted(server.figures.counters)
        if server.clock_offset is not None:
            yield metrics.DB_CLOCK_OFFSET.sample(server.clock_offset)

    def _clock_offset(self, db: Session) -> float | None:
        """The server says its time somewhere between our asking and its answer's coming: halfway, for want of better."""
        asked = self._clock()
        moment = server_time(db)
        return None if moment is None else moment.timestamp() - (asked + self._clock()) / 2


def _figures(db: Session) -> Figures:
    match db.kind:
        case "postgresql":
            return database_postgresql.figures(db)
        case "mysql":
            return database_mysql.figures(db)
        case _:
            return Figures(*db.one(_SQLITE_SIZE))


def _active(activity: Activity) -> Iterator[Reading]:
    for state, count in activity.connections.items():
        yield metrics.DB_CONNECTIONS.sample(count, state=state)
    for limit in activity.limits:
        yield metrics.DB_CONNECTIONS_MAX.sample(limit.most, limit=limit.of)
        # Superusers are let in beyond it, and one may be lowered while more are there.
        yield metrics.DB_CONNECTIONS_FREE.sample(max(0, limit.most - limit.used), limit=limit.of)
    for state, began in activity.oldest_transactions.items():
        yield metrics.DB_OLDEST_TRANSACTION.sample(began.timestamp(), state=state)
    if activity.blocked is not None:
        yield metrics.DB_BLOCKED.sample(activity.blocked)
    if activity.transaction_id_age is not None:
        yield metrics.DB_XID_AGE.sample(activity.transaction_id_age)
    yield metrics.DB_CONNECTIONS_RESERVED.sample(activity.connections_reserved)


def _counted(counters: Counters) -> Iterator[Reading]:
    counts = {
        metrics.DB_DEADLOCKS: counters.deadlocks,
        metrics.DB_TEMP_FILES: counters.temp_files,
        metrics.DB_TEMP_BYTES: counters.temp_bytes,
        metrics.DB_ROW_LOCK_WAITS: counters.row_lock_waits,
        metrics.DB_ROW_LOCK_WAIT_SECONDS: counters.row_lock_wait_seconds,
    }
    for metric, count in counts.items():
        if count is not None:
            yield metric.sample(count)
    if counters.since is not None:
        yield metrics.DB_STATS_RESET.sample(counters.since.timestamp())


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


_SQLITE_SIZE = sa.text(
    "SELECT (SELECT page_count FROM pragma_page_count()) * (SELECT page_size FROM pragma_page_size()), sqlite_version()"
)
