"""The rows of schedulers, triggerers and dag processors, and their heartbeats."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_obs.demo.records import insert_with_id, update

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

BEAT = timedelta(seconds=5)


class Job:
    """One component. `alive = False` is SIGKILL: its row stays `running` and its heartbeat stands still."""

    def __init__(self, cur: cursor, kind: str, host: str, started: datetime, first_beat: datetime) -> None:
        self.host = host
        self.alive = True
        self._next = first_beat
        self.number = insert_with_id(
            cur, "job", job_type=kind, hostname=host, unixname="airflow", state="running", start_date=started,
            latest_heartbeat=started,
        )  # fmt: skip

    def step(self, cur: cursor, now: datetime) -> None:
        """Beat when it is time to."""
        if self.alive and now >= self._next:
            update(cur, "job", "id", self.number, latest_heartbeat=now)
            while self._next <= now:
                self._next += BEAT
