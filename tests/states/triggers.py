"""Triggers that nobody runs, or that do not fire (failure modes R1, R2 and R3)."""

from __future__ import annotations

from datetime import datetime

from tests.airflow_database import AirflowDatabase
from tests.states.jobs import a_live_triggerer
from tests.states.rows import insert
from tests.states.task_instances import TaskKey, a_task_instance, a_task_instance_deferred


def a_dead_triggerer(db: AirflowDatabase, hostname: str = "triggerer-dead", *, heartbeat: datetime) -> int:
    """R1: killed right after `heartbeat`; its row stays `running`. Returns the job's id."""
    return a_live_triggerer(db, hostname, heartbeat=heartbeat)


def a_task_deferred_without_triggerer(db: AirflowDatabase, *, started: datetime) -> TaskKey:
    """R1, R3: no triggerer has taken its trigger, because there is none, or none has room."""
    return a_task_instance_deferred(db, started=started, triggerer_id=None)


def a_task_past_its_trigger_timeout(
    db: AirflowDatabase, *, started: datetime, timed_out: datetime, triggerer_id: int | None = None
) -> TaskKey:
    """R2: its trigger should have fired or timed out, and nobody noticed."""
    return a_task_instance_deferred(db, started=started, triggerer_id=triggerer_id, trigger_timeout=timed_out)


def a_task_deferred_without_trigger(db: AirflowDatabase, *, started: datetime) -> TaskKey:
    """R2: deferred, but what it waited for is gone."""
    return a_task_instance(db, "deferred", started, start_date=started, next_method="execute_complete")


def a_watcher_of_an_asset(db: AirflowDatabase, *, made: datetime, triggerer_id: int | None = None) -> int:
    """A trigger that no task waits for and that lives as long as its asset (3.0+). Returns its id."""
    values = {
        "classpath": "airflow.providers.standard.triggers.file.FileDeleteTrigger",
        "kwargs": {},
        "created_date": made,
        "triggerer_id": triggerer_id,
    }
    return int(insert(db, "trigger", values))
