"""What the schedulers do about task instances that went astray: they write an event, and fail the try."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_obs.catalog.airflow import REQUEUED_EVENT
from airflow_obs.demo.jobs import BEAT
from airflow_obs.demo.runs import move
from airflow_obs.demo.state import LiveTask, State
from airflow_obs.demo.tries import fail, report

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

HEARTBEAT_TIMEOUT = timedelta(seconds=300)
"""[scheduler] task_instance_heartbeat_timeout."""
QUEUED_TIMEOUT = timedelta(seconds=600)
"""[scheduler] task_queued_timeout."""
REQUEUES = 2
"""[scheduler] num_stuck_in_queued_retries."""

_SILENT = (
    f"Task did not emit heartbeat within time limit ({HEARTBEAT_TIMEOUT.total_seconds():.0f} seconds) "
    "and will be terminated."
)
_OTHERWISE = (
    "Executor CeleryExecutor reported that the task instance {} finished with state failed, but the task instance's state "
    "attribute is {}."
)
_STUCK = (
    f"Task was in queued state for longer than {QUEUED_TIMEOUT.total_seconds()} seconds; "
    "task state will be set back to scheduled."
)
_EXCEEDED = f"Task was requeued more than {REQUEUES} times and will be failed."


class Astray:
    """Looks after task instances that are queued for too long, whose heartbeats stopped, or that the executor says have failed."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._rng = state.rng("astray")

    def step(self, cur: cursor, now: datetime) -> None:
        """Fail the tries of those; in the 3.x of today a heartbeat timeout ends as a mismatch of states, too."""
        for task in self._state.tasks("running"):
            if now > task.next_heartbeat - BEAT + HEARTBEAT_TIMEOUT:
                report(cur, task, "heartbeat timeout", now, _SILENT)
                task.reported = True
        for task in self._state.tasks("queued"):
            if now > task.since + QUEUED_TIMEOUT and not task.reported:
                self._stuck(cur, task, now)
        for state in ("queued", "running"):
            for task in self._state.tasks(state):
                if task.reported:
                    report(cur, task, "state mismatch", now, _OTHERWISE.format(_name(task), task.state))
                    fail(cur, task, now, self._rng)

    def _stuck(self, cur: cursor, task: LiveTask, now: datetime) -> None:
        if task.requeues < REQUEUES:
            requeue(cur, task, now)
            move(cur, task, "scheduled", now, scheduled_dttm=now, queued_dttm=None, queued_by_job_id=None)
        else:
            report(cur, task, "stuck in queued tries exceeded", now, _EXCEEDED)
            fail(cur, task, now, self._rng, for_good=True)


def requeue(cur: cursor, task: LiveTask, now: datetime) -> None:
    """Write down that a task instance is queued again; its old message stays where nobody takes it."""
    report(cur, task, REQUEUED_EVENT, now, _STUCK)
    task.requeues += 1


def _name(task: LiveTask) -> str:
    run = task.run
    return f"<TaskInstance: {run.dag.spec.dag_id}.{task.spec.task_id} {run.run_id} [{task.state}]>"
