"""The triggerer: it wakes deferred task instances when what they wait for has come."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from airflow_obs.demo.jobs import Job
from airflow_obs.demo.runs import move
from airflow_obs.demo.state import State

if TYPE_CHECKING:
    from psycopg2.extensions import cursor


class Triggerer:
    """The one triggerer; dead, it wakes nobody. `firing = False`: one trigger blocks the loop of all, and it beats on."""

    def __init__(self, state: State, job: Job) -> None:
        self.job = job
        self.firing = True
        self._state = state

    def step(self, cur: cursor, now: datetime) -> None:
        """Take the triggers that nobody has, and hand back the task instances whose trigger has fired."""
        if not self.job.alive:
            return
        cur.execute("UPDATE trigger SET triggerer_id = %s WHERE triggerer_id IS NULL", [self.job.number])
        if not self.firing:
            return
        for task in self._state.tasks("deferred"):
            if now >= task.due:
                task.resumed = True
                move(cur, task, "scheduled", now, scheduled_dttm=now, trigger_id=None)
                # Only now: a trigger's deletion would take the task instances that still name it along.
                cur.execute("DELETE FROM trigger WHERE id = %s", [task.trigger])
                task.trigger = None
