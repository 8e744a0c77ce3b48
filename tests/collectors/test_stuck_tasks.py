"""Tasks that nobody works on: each failure is provoked and seen, then cured and gone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.collectors.queues import Routing
from airflow_obs.collectors.stuck_tasks import StuckTasks
from airflow_obs.sources.discovery import AirflowSettings
from tests.airflow_database import AirflowDatabase
from tests.collectors.collected import POLICY, Collected, collect, read
from tests.collectors.conftest import Ago
from tests.states import (
    a_dag_paused_in_mid_run,
    a_finished_task_instance,
    a_ghost,
    a_live_scheduler,
    a_running_task_job,
    a_task_instance,
    a_task_instance_queued,
    a_task_instance_running,
    a_task_sent_but_not_named,
    a_task_whose_worker_died,
    an_archived_try,
    an_orphan_queued,
    beat,
    change_task,
    end_task,
    unpause,
)
from tests.states.rows import delete, update


def now() -> datetime:
    return datetime.now(UTC)


def under_celery(db: AirflowDatabase) -> Collected:
    """What the collector says where Celery runs the tasks."""
    return read(db, StuckTasks(POLICY.collectors.stuck_tasks, Routing(AirflowSettings("CeleryExecutor"))))


def test_nothing_is_stuck(airflow_db: AirflowDatabase, ago: Ago) -> None:
    scheduler = a_live_scheduler(airflow_db, heartbeat=now())
    a_task_instance_running(airflow_db, started=ago(minutes=9), heartbeat=now(), queued_by_job_id=scheduler)
    key = a_task_instance_queued(airflow_db, queued_at=ago(minutes=1), queued_by_job_id=scheduler, try_number=2)
    an_archived_try(airflow_db, key, started=ago(minutes=9), ended=ago(minutes=8), state="running")
    a_finished_task_instance(airflow_db, "failed", ended=ago(minutes=1))
    seen = collect(airflow_db, "stuck_tasks")
    assert set(seen.all(metrics.GHOSTS).values()) == {0}
    assert seen.all(metrics.ORPHANS) == {("queued",): 0, ("running",): 0}
    assert seen.one(metrics.HEARTBEATS_OVERDUE) == 0
    assert set(seen.all(metrics.PAUSED_TASKS).values()) == {0}
    assert seen.all(metrics.PAUSED_RUNS) == {("queued",): 0, ("running",): 0}
    assert not seen.all(metrics.UNNAMED)
    for moments in (metrics.GHOSTS_OLDEST, metrics.ORPHANS_OLDEST, metrics.PAUSED_RUNS_OLDEST, metrics.UNNAMED_OLDEST):
        assert not seen.all(moments)


def test_an_empty_airflow(airflow_db: AirflowDatabase) -> None:
    seen = collect(airflow_db, "stuck_tasks")
    assert seen.one(metrics.HEARTBEATS_OVERDUE) == 0
    assert seen.one(metrics.HEARTBEAT_OLDEST) is None


@pytest.mark.parametrize("state", ["scheduled", "queued", "running", "deferred", "up_for_retry"])
def test_t3_a_ghost(airflow_db: AirflowDatabase, ago: Ago, state: str) -> None:
    key = a_ghost(airflow_db, state, run_ended=ago(minutes=50))
    a_ghost(airflow_db, state, run_ended=ago(minutes=20), run_state="success")
    seen = collect(airflow_db, "stuck_tasks")
    assert seen.one(metrics.GHOSTS, state) == 2
    assert seen.one(metrics.GHOSTS_OLDEST, state) == ago(minutes=50).timestamp()
    end_task(airflow_db, key)
    cured = collect(airflow_db, "stuck_tasks")
    assert cured.one(metrics.GHOSTS, state) == 1
    assert cured.one(metrics.GHOSTS_OLDEST, state) == ago(minutes=20).timestamp()


def test_t3_an_orphan_is_adopted(airflow_db: AirflowDatabase, ago: Ago) -> None:
    key, _ = an_orphan_queued(airflow_db, queued_at=ago(minutes=30), scheduler_died=ago(minutes=25))
    seen = collect(airflow_db, "stuck_tasks")
    assert seen.all(metrics.ORPHANS) == {("queued",): 1, ("running",): 0}
    assert seen.one(metrics.ORPHANS_OLDEST, "queued") == ago(minutes=30).timestamp()
    change_task(airflow_db, key, queued_by_job_id=a_live_scheduler(airflow_db, heartbeat=now()))
    assert collect(airflow_db, "stuck_tasks").all(metrics.ORPHANS) == {("queued",): 0, ("running",): 0}


def test_t3_an_orphan_whose_scheduler_only_stalled(airflow_db: AirflowDatabase, ago: Ago) -> None:
    _, scheduler = an_orphan_queued(airflow_db, queued_at=ago(minutes=30), scheduler_died=ago(minutes=25))
    beat(airflow_db, scheduler, now())
    assert collect(airflow_db, "stuck_tasks").one(metrics.ORPHANS, "queued") == 0


def test_t3_orphans_of_nobody(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_task_instance_running(airflow_db, started=ago(minutes=9), heartbeat=now())
    _, dead = an_orphan_queued(airflow_db, queued_at=ago(minutes=30), scheduler_died=ago(days=40))
    delete(airflow_db, "job", id=dead)  # cleaned up
    assert collect(airflow_db, "stuck_tasks").all(metrics.ORPHANS) == {("queued",): 1, ("running",): 1}


def test_t3_a_buried_scheduler_has_orphans_too(airflow_db: AirflowDatabase, ago: Ago) -> None:
    _, scheduler = an_orphan_queued(airflow_db, queued_at=ago(minutes=30), scheduler_died=now())
    assert collect(airflow_db, "stuck_tasks").one(metrics.ORPHANS, "queued") == 0
    update(airflow_db, "job", {"state": "failed"}, id=scheduler)
    assert collect(airflow_db, "stuck_tasks").one(metrics.ORPHANS, "queued") == 1


def test_t4_a_worker_died(airflow_db: AirflowDatabase, ago: Ago) -> None:
    scheduler = a_live_scheduler(airflow_db, heartbeat=now())
    a_task_instance_running(airflow_db, started=ago(hours=1), heartbeat=now(), queued_by_job_id=scheduler)
    key = a_task_whose_worker_died(airflow_db, started=ago(minutes=40), heartbeat=ago(minutes=4), owner=scheduler)
    seen = collect(airflow_db, "stuck_tasks")
    assert seen.one(metrics.HEARTBEATS_OVERDUE) == 1
    assert seen.one(metrics.HEARTBEAT_OLDEST) == ago(minutes=4).timestamp()
    end_task(airflow_db, key)
    cured = collect(airflow_db, "stuck_tasks")
    assert cured.one(metrics.HEARTBEATS_OVERDUE) == 0
    assert (cured.one(metrics.HEARTBEAT_OLDEST) or 0) > ago(minutes=1).timestamp()


def test_t4_never_a_sign_of_life(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_task_instance(airflow_db, "running", ago(minutes=30), start_date=ago(minutes=30))
    seen = collect(airflow_db, "stuck_tasks")
    assert seen.one(metrics.HEARTBEATS_OVERDUE) == 1
    assert seen.one(metrics.HEARTBEAT_OLDEST) == ago(minutes=30).timestamp()


def test_t4_heartbeats_of_airflow_2_are_those_of_the_try(airflow_db: AirflowDatabase, ago: Ago) -> None:
    if "job_id" not in airflow_db.tables["task_instance"].columns:
        assert "last_heartbeat_at" in airflow_db.tables["task_instance"].columns
        return
    key = a_task_instance_running(airflow_db, started=ago(hours=1), heartbeat=ago(minutes=50))
    change_task(airflow_db, key, job_id=a_running_task_job(airflow_db, heartbeat=now()))
    assert collect(airflow_db, "stuck_tasks").one(metrics.HEARTBEATS_OVERDUE) == 0


def test_p3_a_dag_paused_in_mid_run(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_dag_paused_in_mid_run(airflow_db, queued=ago(minutes=90))
    seen = collect(airflow_db, "stuck_tasks")
    assert seen.one(metrics.PAUSED_TASKS, "scheduled") == 1
    assert seen.all(metrics.PAUSED_RUNS) == {("queued",): 0, ("running",): 1}
    assert seen.one(metrics.PAUSED_RUNS_OLDEST, "running") == ago(minutes=90).timestamp()
    unpause(airflow_db, "paused")
    cured = collect(airflow_db, "stuck_tasks")
    assert cured.one(metrics.PAUSED_TASKS, "scheduled") == 0
    assert cured.all(metrics.PAUSED_RUNS) == {("queued",): 0, ("running",): 0}


def test_t7_a_message_without_a_name(airflow_db: AirflowDatabase, ago: Ago) -> None:
    scheduler = a_live_scheduler(airflow_db, heartbeat=now())
    key = a_task_sent_but_not_named(airflow_db, queued_at=ago(minutes=3), owner=scheduler)
    a_task_instance_queued(airflow_db, queued_at=ago(minutes=9), external_executor_id="5d2ee0a6")
    seen = under_celery(airflow_db)
    assert seen.all(metrics.UNNAMED) == {("queued",): 1}
    assert seen.one(metrics.UNNAMED_OLDEST, "queued") == ago(minutes=3).timestamp()
    change_task(airflow_db, key, external_executor_id="77b1a8f0")
    assert under_celery(airflow_db).all(metrics.UNNAMED) == {}


def test_t7_other_executors_name_nothing(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_task_sent_but_not_named(
        airflow_db,
        queued_at=ago(minutes=3),
        owner=a_live_scheduler(airflow_db, heartbeat=now()),
        executor="LocalExecutor",
    )
    kept = "executor" in airflow_db.tables["task_instance"].columns
    assert under_celery(airflow_db).all(metrics.UNNAMED) == ({} if kept else {("queued",): 1})
    assert collect(airflow_db, "stuck_tasks").all(metrics.UNNAMED) == {}


def test_t7_the_task_that_has_run_longest(airflow_db: AirflowDatabase, ago: Ago) -> None:
    key = a_task_instance_running(airflow_db, started=ago(hours=20), heartbeat=now())
    a_task_instance_running(airflow_db, started=ago(hours=2), heartbeat=now())
    assert collect(airflow_db, "task_instances").one(metrics.TASK_INSTANCES_OLDEST, "running", "default") == (
        ago(hours=20).timestamp()
    )
    end_task(airflow_db, key, "success")
    assert collect(airflow_db, "task_instances").one(metrics.TASK_INSTANCES_OLDEST, "running", "default") == (
        ago(hours=2).timestamp()
    )


def test_heartbeats_in_time_are_judged_by_the_policy(airflow_db: AirflowDatabase) -> None:
    a_task_instance_running(airflow_db, started=now() - timedelta(hours=1), heartbeat=now() - timedelta(seconds=90))
    patient = POLICY.collectors.stuck_tasks
    strict = patient.model_copy(update={"heartbeat_overdue_after": 60.0})
    routing = Routing(AirflowSettings())
    assert read(airflow_db, StuckTasks(patient, routing)).one(metrics.HEARTBEATS_OVERDUE) == 0
    assert read(airflow_db, StuckTasks(strict, routing)).one(metrics.HEARTBEATS_OVERDUE) == 1
