"""How a try of a task instance ends in failure, and what Airflow writes down about it."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_obs.demo.records import insert, log_extra, update, uuid7
from airflow_obs.demo.runs import move, task_columns
from airflow_obs.demo.state import NEVER, LiveTask

if TYPE_CHECKING:
    from psycopg2.extensions import cursor


def fail(cur: cursor, task: LiveTask, now: datetime, rng: random.Random, *, for_good: bool = False) -> str:
    """A try has failed: the next one comes after a while, unless there is none left or the task said `for_good`.

    Gives the state that the task instance is in.
    """
    to = "failed" if for_good or task.try_number > task.spec.retries else "up_for_retry"
    began = task.since
    seconds = (now - began).total_seconds() if task.state == "running" else None
    move(cur, task, to, now, end_date=now, duration=seconds)
    task.due, task.lost, task.reported, task.requeues = NEVER, False, False, 0
    if to == "up_for_retry":
        _keep(cur, task, began if seconds is not None else None, now, rng)
        task.due = now + timedelta(seconds=rng.uniform(10, 20))
    return to


def note(cur: cursor, task: LiveTask, event: str, now: datetime) -> None:
    """The row of the audit log that a worker's process writes about the task instance that it runs."""
    dag = task.run.dag.spec
    command = f"airflow tasks run {dag.dag_id} {task.spec.task_id} {task.run.run_id}"
    _log(cur, task, event, now, log_extra(task.host, command), dag.owner)


def report(cur: cursor, task: LiveTask, event: str, now: datetime, text: str) -> None:
    """The row that a scheduler writes about a task instance that went astray: it knows no owner there."""
    _log(cur, task, event, now, text, None)


def _log(cur: cursor, task: LiveTask, event: str, now: datetime, extra: str, owner: str | None) -> None:
    insert(cur, "log", dttm=now, dag_id=task.run.dag.spec.dag_id, task_id=task.spec.task_id, map_index=task.map_index,
           event=event, run_id=task.run.run_id, owner=owner, try_number=task.try_number, extra=extra)  # fmt: skip


def _keep(cur: cursor, task: LiveTask, began: datetime | None, now: datetime, rng: random.Random) -> None:
    """Airflow 3 keeps a failed try in a table of its own and gives the next one a new id."""
    insert(cur, "task_instance_history", **task_columns(task.run.dag, task.spec), task_instance_id=task.id,
           run_id=task.run.run_id, map_index=task.map_index, try_number=task.try_number, state="failed",
           start_date=began, end_date=now, updated_at=now, hostname=task.host)  # fmt: skip
    fresh = uuid7(now, rng)
    update(cur, "task_instance", "id", task.id, id=fresh)
    task.id = fresh
