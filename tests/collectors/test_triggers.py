"""Triggers that nobody runs or that do not fire: provoked and seen, then cured and gone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.collectors.trigger_ends import Awaited, TriggerEnds
from tests.airflow_database import AirflowDatabase
from tests.collectors.collected import collect, collector, read
from tests.collectors.conftest import Ago
from tests.states import (
    a_dead_triggerer,
    a_live_triggerer,
    a_task_deferred_without_trigger,
    a_task_deferred_without_triggerer,
    a_task_instance_deferred,
    a_task_past_its_trigger_timeout,
    a_watcher_of_an_asset,
    beat,
    end_task,
)
from tests.states.cures import change_task
from tests.states.rows import delete, update
from tests.states.task_instances import TaskKey


def now() -> datetime:
    return datetime.now(UTC)


def test_nothing_is_deferred(airflow_db: AirflowDatabase) -> None:
    seen = collect(airflow_db, "triggers")
    assert seen.all(metrics.TRIGGERS) == seen.all(metrics.TRIGGERS_OLDEST) == {}
    assert seen.all(metrics.TRIGGERS_STRANDED) == {("unassigned",): 0, ("dead",): 0}
    assert seen.one(metrics.DEFERRED_OVERDUE) == seen.one(metrics.DEFERRED_LOST) == 0
    assert seen.one(metrics.DEFERRED_TIMEOUT) is None


def test_triggers_by_host(airflow_db: AirflowDatabase, ago: Ago) -> None:
    one = a_live_triggerer(airflow_db, "one", heartbeat=now())
    two = a_live_triggerer(airflow_db, "two", heartbeat=now())
    for minutes in (9, 5, 3):
        a_task_instance_deferred(airflow_db, started=ago(minutes=minutes), triggerer_id=one)
    a_task_instance_deferred(airflow_db, started=ago(minutes=7), triggerer_id=two)
    seen = collect(airflow_db, "triggers")
    assert seen.all(metrics.TRIGGERS) == {("one",): 3, ("two",): 1}
    assert seen.all(metrics.TRIGGERS_OLDEST) == {
        ("one",): ago(minutes=9).timestamp(), ("two",): ago(minutes=7).timestamp(),
    }  # fmt: skip
    assert set(seen.all(metrics.TRIGGERS_STRANDED).values()) == {0}


def test_r1_a_dead_triggerer(airflow_db: AirflowDatabase, ago: Ago) -> None:
    dead = a_dead_triggerer(airflow_db, heartbeat=ago(minutes=6))
    a_task_instance_deferred(airflow_db, started=ago(minutes=20), triggerer_id=dead)
    seen = collect(airflow_db, "triggers")
    assert seen.all(metrics.TRIGGERS) == {("triggerer-dead",): 1}
    assert seen.all(metrics.TRIGGERS_STRANDED) == {("unassigned",): 0, ("dead",): 1}
    assert seen.one(metrics.TRIGGERS_STRANDED_OLDEST, "dead") == ago(minutes=20).timestamp()
    beat(airflow_db, dead, now())
    cured = collect(airflow_db, "triggers")
    assert cured.all(metrics.TRIGGERS_STRANDED) == {("unassigned",): 0, ("dead",): 0}
    assert cured.all(metrics.TRIGGERS_STRANDED_OLDEST) == {}


def test_r1_a_triggerer_whose_row_was_cleaned_up(airflow_db: AirflowDatabase, ago: Ago) -> None:
    dead = a_dead_triggerer(airflow_db, heartbeat=ago(minutes=6))
    a_task_instance_deferred(airflow_db, started=ago(minutes=20), triggerer_id=dead)
    delete(airflow_db, "job", id=dead)
    seen = collect(airflow_db, "triggers")
    assert seen.all(metrics.TRIGGERS) == {("none",): 1}
    assert seen.one(metrics.TRIGGERS_STRANDED, "dead") == 1


def test_r1_r3_nobody_takes_the_trigger(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_task_deferred_without_triggerer(airflow_db, started=ago(minutes=20))
    a_task_deferred_without_triggerer(airflow_db, started=ago(minutes=2))
    seen = collect(airflow_db, "triggers")
    assert seen.all(metrics.TRIGGERS) == {("none",): 2}
    assert seen.all(metrics.TRIGGERS_STRANDED) == {("unassigned",): 2, ("dead",): 0}
    assert seen.one(metrics.TRIGGERS_STRANDED_OLDEST, "unassigned") == ago(minutes=20).timestamp()
    update(airflow_db, "trigger", {"triggerer_id": a_live_triggerer(airflow_db, heartbeat=now())})
    assert collect(airflow_db, "triggers").all(metrics.TRIGGERS_STRANDED) == {("unassigned",): 0, ("dead",): 0}


def test_r2_triggers_do_not_fire(airflow_db: AirflowDatabase, ago: Ago) -> None:
    live = a_live_triggerer(airflow_db, heartbeat=now())
    # Airflow 2 has them in whole seconds on MySQL.
    timed_out, due = (ago(minutes=minutes).replace(microsecond=0) for minutes in (30, -60))
    key = a_task_past_its_trigger_timeout(airflow_db, started=ago(hours=2), timed_out=timed_out, triggerer_id=live)
    a_task_past_its_trigger_timeout(airflow_db, started=ago(hours=2), timed_out=due, triggerer_id=live)
    seen = collect(airflow_db, "triggers")
    assert seen.one(metrics.DEFERRED_OVERDUE) == 1
    assert seen.one(metrics.DEFERRED_TIMEOUT) == timed_out.timestamp()
    end_task(airflow_db, key, "scheduled")
    cured = collect(airflow_db, "triggers")
    assert cured.one(metrics.DEFERRED_OVERDUE) == 0
    assert cured.one(metrics.DEFERRED_TIMEOUT) == due.timestamp()


def test_r2_triggers_that_end_are_counted_and_those_that_time_out_are_not(
    airflow_db: AirflowDatabase, ago: Ago
) -> None:
    one = a_live_triggerer(airflow_db, "one", heartbeat=now())
    two = a_live_triggerer(airflow_db, "two", heartbeat=now())
    fires, defers_again, waits = (
        a_task_instance_deferred(airflow_db, started=ago(minutes=minutes), triggerer_id=one) for minutes in (9, 8, 7)
    )
    late = a_task_past_its_trigger_timeout(airflow_db, started=ago(hours=2), timed_out=ago(minutes=1), triggerer_id=two)
    nobodys = a_task_deferred_without_triggerer(airflow_db, started=ago(minutes=6))
    triggers = collector("triggers")
    assert read(airflow_db, triggers).all(metrics.TRIGGERS_ENDED) == {("one",): 0, ("two",): 0}
    # A trigger's row may stay after it fired, until the triggerer's loop sweeps it up.
    for fired in (fires, late, nobodys):
        change_task(airflow_db, fired, state="scheduled", trigger_id=None)
    other = a_task_instance_deferred(airflow_db, started=ago(seconds=2), triggerer_id=two)
    change_task(airflow_db, defers_again, trigger_id=trigger_of(airflow_db, other))
    change_task(airflow_db, other, state="removed", trigger_id=None)
    assert read(airflow_db, triggers).all(metrics.TRIGGERS_ENDED) == {("one",): 2, ("two",): 0}
    assert read(airflow_db, triggers).all(metrics.TRIGGERS_ENDED) == {("one",): 2, ("two",): 0}
    change_task(airflow_db, waits, state="scheduled", trigger_id=None)
    assert read(airflow_db, triggers).one(metrics.TRIGGERS_ENDED, "one") == 3


def test_r2_a_trigger_that_another_triggerer_takes_over_has_not_ended(airflow_db: AirflowDatabase, ago: Ago) -> None:
    one = a_live_triggerer(airflow_db, "one", heartbeat=now())
    a_task_instance_deferred(airflow_db, started=ago(minutes=9), triggerer_id=one)
    triggers = collector("triggers")
    read(airflow_db, triggers)
    update(airflow_db, "trigger", {"triggerer_id": a_live_triggerer(airflow_db, "two", heartbeat=now())})
    assert read(airflow_db, triggers).all(metrics.TRIGGERS_ENDED) == {("one",): 0, ("two",): 0}


def test_a_host_without_triggers_is_forgotten_after_a_day() -> None:
    ends, start = TriggerEnds(), now()
    waiting = {7: Awaited("pod-a", None), 8: Awaited("pod-b", None)}
    assert ends.after(waiting, start) == {"pod-a": 0, "pod-b": 0}
    later = start + timedelta(hours=20)
    assert ends.after({8: waiting[8]}, later) == {"pod-a": 1, "pod-b": 0}
    assert ends.after({8: waiting[8]}, later + timedelta(hours=25)) == {"pod-b": 0}


def trigger_of(db: AirflowDatabase, key: TaskKey) -> int:
    """The id of the trigger that this instance waits for."""
    ti = db.tables["task_instance"]
    with db.engine.connect() as connection:
        return int(
            connection.execute(
                sa.select(ti.c.trigger_id).where(
                    ti.c.dag_id == key.dag_id, ti.c.run_id == key.run_id, ti.c.task_id == key.task_id
                )
            ).scalar_one()
        )


def test_r2_the_trigger_is_gone(airflow_db: AirflowDatabase, ago: Ago) -> None:
    key = a_task_deferred_without_trigger(airflow_db, started=ago(hours=2))
    assert collect(airflow_db, "triggers").one(metrics.DEFERRED_LOST) == 1
    end_task(airflow_db, key)
    assert collect(airflow_db, "triggers").one(metrics.DEFERRED_LOST) == 0


def test_a_watcher_of_an_asset_does_not_grow_old(airflow_db: AirflowDatabase, ago: Ago) -> None:
    live = a_live_triggerer(airflow_db, heartbeat=now())
    a_watcher_of_an_asset(airflow_db, made=ago(days=90), triggerer_id=live)
    seen = collect(airflow_db, "triggers")
    assert seen.one(metrics.TRIGGERS, "triggerer-0") == 1
    assert seen.all(metrics.TRIGGERS_OLDEST) == {}
