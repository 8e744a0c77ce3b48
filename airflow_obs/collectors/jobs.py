"""Heartbeats of schedulers, triggerers and dag processors, each member by its host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import JOB_TYPES
from airflow_obs.collectors.server_clock import server_time
from airflow_obs.model import Reading
from airflow_obs.policy import JobsPolicy
from airflow_obs.sources.database import Session


@dataclass(frozen=True)
class Job:
    """A row of `job` with a heartbeat inside the forget window. `alive` is what Airflow's own is_alive() would say.

    `ahead` is how many seconds the heartbeat lies in the future, by the database's clock (on SQLite by ours); else 0.
    """

    job_type: str
    hostname: str
    state: str
    heartbeat: datetime
    alive: bool
    ahead: float


class Jobs:
    """A killed member's row stays `running` with a frozen heartbeat, so members are shown whatever their state is."""

    name = "jobs"
    source = "database"

    def __init__(self, policy: JobsPolicy) -> None:
        self._policy = policy

    def read(self, db: Session) -> list[Job]:
        """Bounded by heartbeat, so that index job_type_heart serves: 2.x has a row in `job` for every task try."""
        job = db.schema.table("job")
        alive_since = db.now - timedelta(seconds=self._policy.alive_within)
        statement = sa.select(job.c.job_type, job.c.hostname, job.c.state, job.c.latest_heartbeat).where(
            job.c.job_type.in_(JOB_TYPES),
            job.c.latest_heartbeat >= db.now - timedelta(seconds=self._policy.forget),
        )
        rows = db.rows(statement)
        # Read after the rows, so that none of them is of a later moment by the same clock.
        now = server_time(db) or datetime.now(UTC)
        return [
            Job(row.job_type, row.hostname or "unknown", row.state or "none", row.latest_heartbeat,
                row.state == "running" and row.latest_heartbeat >= alive_since,
                max((row.latest_heartbeat - now).total_seconds(), 0.0))
            for row in rows
        ]  # fmt: skip

    def samples(self, jobs: list[Job]) -> Iterator[Reading]:
        newest: dict[tuple[str, str], Job] = {}
        for job in sorted(jobs, key=lambda job: job.heartbeat, reverse=True):
            newest.setdefault((job.job_type, job.hostname), job)
        for (job_type, hostname), job in newest.items():
            yield metrics.JOB_HEARTBEAT.sample(job.heartbeat.timestamp(), job_type=job_type, hostname=hostname)
            yield metrics.JOB_CLOCK_AHEAD.sample(job.ahead, job_type=job_type, hostname=hostname)
        alive = Counter(job.job_type for job in jobs if job.alive)
        for job_type in JOB_TYPES:
            yield metrics.JOBS_ALIVE.sample(alive[job_type], job_type=job_type)
