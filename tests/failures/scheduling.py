"""Schedulers, pools and limits: the failures S, P and R."""

from __future__ import annotations

from tests.failures.scene import Acts, Scene
from tests.states import (
    a_dag,
    a_dag_at_max_active_tasks,
    a_dag_paused_in_mid_run,
    a_dag_wedged_at_max_active_runs,
    a_deadlock,
    a_live_scheduler,
    a_live_triggerer,
    a_pool,
    a_pool_exhausted,
    a_pool_full_of_deferred_tasks,
    a_queued_dag_run,
    a_running_dag_run,
    a_starving_task,
    a_task_deferred_without_trigger,
    a_task_deferred_without_triggerer,
    a_task_instance_deferred,
    a_task_past_its_trigger_timeout,
    beat,
    end_run,
    end_task,
    size_pool,
    the_next_run_is_due,
    the_trigger_fires,
    unpause,
)
from tests.states.rows import update


def a_scheduler_dies(scene: Scene) -> Acts:
    """S1."""
    job = a_live_scheduler(scene.db, heartbeat=scene.now())
    yield
    beat(scene.db, job, scene.ago(minutes=20))
    yield
    beat(scene.db, job, scene.now())


def no_run_is_created(scene: Scene) -> Acts:
    """S2."""
    a_dag(scene.db, "sales", next_run_due=scene.ago(hours=-1))
    yield
    the_next_run_is_due(scene.db, "sales", scene.ago(hours=2))
    yield
    the_next_run_is_due(scene.db, "sales", scene.ago(hours=-1))


def a_run_waits_for_nothing(scene: Scene) -> Acts:
    """S2: nothing holds it, and the scheduler does not start it."""
    yield
    run_id = a_queued_dag_run(scene.db, "sales", queued=scene.ago(minutes=30))
    yield
    end_run(scene.db, "sales", run_id, "success")


def a_run_starts_late(scene: Scene) -> Acts:
    """S2, S5."""
    yield
    run_id = a_running_dag_run(scene.db, "sales", started=scene.now(), queued=scene.ago(minutes=30))
    yield
    end_run(scene.db, "sales", run_id, "success")


def a_task_starves(scene: Scene) -> Acts:
    """S5: beside free slots."""
    yield
    key = a_starving_task(scene.db, scheduled_at=scene.ago(minutes=40))
    yield
    end_task(scene.db, key, "success")


def a_dag_is_full(scene: Scene) -> Acts:
    """S5: max_active_tasks."""
    yield
    keys = a_dag_at_max_active_tasks(scene.db, scheduled_at=scene.ago(minutes=20))
    yield
    for key in keys:
        end_task(scene.db, key, "success")


def a_dag_is_paused_in_mid_run(scene: Scene) -> Acts:
    """S5, P3."""
    yield
    a_dag_paused_in_mid_run(scene.db, "paused", queued=scene.ago(minutes=90))
    yield
    unpause(scene.db, "paused")


def two_sessions_deadlock(scene: Scene) -> Acts:
    """S6."""
    yield
    a_deadlock(scene.db)
    yield


def a_triggerer_dies(scene: Scene) -> Acts:
    """R1: with a trigger in its hands."""
    job = a_live_triggerer(scene.db, heartbeat=scene.now())
    a_task_instance_deferred(scene.db, started=scene.ago(minutes=9), triggerer_id=job)
    yield
    beat(scene.db, job, scene.ago(minutes=20))
    yield
    beat(scene.db, job, scene.now())


def nobody_takes_a_trigger(scene: Scene) -> Acts:
    """R1, R3: no triggerer, or none with room."""
    yield
    key = a_task_deferred_without_triggerer(scene.db, started=scene.ago(minutes=20))
    yield
    the_trigger_fires(scene.db, key)


def a_trigger_does_not_fire(scene: Scene) -> Acts:
    """R2."""
    job = a_live_triggerer(scene.db, heartbeat=scene.now())
    yield
    key = a_task_past_its_trigger_timeout(
        scene.db, started=scene.ago(hours=2), timed_out=scene.ago(minutes=30), triggerer_id=job
    )
    yield
    the_trigger_fires(scene.db, key)


def a_trigger_is_lost(scene: Scene) -> Acts:
    """R2."""
    yield
    key = a_task_deferred_without_trigger(scene.db, started=scene.ago(hours=2))
    yield
    end_task(scene.db, key)


def a_pool_is_exhausted(scene: Scene) -> Acts:
    """P1."""
    a_pool(scene.db, "warehouse", 1)
    yield
    keys = a_pool_exhausted(scene.db, "warehouse", scheduled_at=scene.ago(minutes=20))
    yield
    for key in keys:
        end_task(scene.db, key, "success")


def a_pool_is_made_smaller(scene: Scene) -> Acts:
    """P1."""
    a_pool(scene.db, "warehouse", 8)
    yield
    size_pool(scene.db, "warehouse", 0)
    yield
    size_pool(scene.db, "warehouse", 8)


def deferred_tasks_fill_a_pool(scene: Scene) -> Acts:
    """P2."""
    a_pool(scene.db, "sensors", 1, include_deferred=True)
    yield
    keys = a_pool_full_of_deferred_tasks(scene.db, "sensors", scheduled_at=scene.ago(minutes=20))
    yield
    for key in keys:
        end_task(scene.db, key, "success")


def a_dag_is_wedged(scene: Scene) -> Acts:
    """P3: max_active_runs."""
    yield
    running, queued = a_dag_wedged_at_max_active_runs(scene.db, "wedged", queued=scene.ago(hours=3))
    yield
    for run_id in (*running, queued):
        end_run(scene.db, "wedged", run_id)


def a_dag_has_all_its_runs(scene: Scene) -> Acts:
    """P3: the scheduler says so (3.2+), and creates no more."""
    a_dag(scene.db, "wedged", next_run_due=scene.ago(minutes=5), exceeds_max_non_backfill=False)
    yield
    update(scene.db, "dag", {"exceeds_max_non_backfill": True}, dag_id="wedged")
    yield
    update(scene.db, "dag", {"exceeds_max_non_backfill": False}, dag_id="wedged")
