"""The life of a task, and Celery's part in it: the failures T and C."""

from __future__ import annotations

from tests.failures.scene import Acts, Scene
from tests.failures.storage import settle
from tests.states import (
    a_ghost,
    a_heartbeat_timeout,
    a_live_scheduler,
    a_state_mismatch,
    a_task_instance_queued,
    a_task_instance_running,
    a_task_out_of_requeues,
    a_task_requeued_as_stuck,
    a_task_sent_but_not_named,
    a_task_whose_worker_died,
    an_orphan_queued,
    change_task,
    end_task,
    results_of_celery,
)
from tests.states.lives import Lives


def a_task_is_stuck_in_queued(scene: Scene) -> Acts:
    """T1; C5: its message is gone with the broker."""
    yield
    key = a_task_instance_queued(scene.db, queued_at=scene.ago(minutes=40))
    yield
    end_task(scene.db, key, "success")


def a_task_is_requeued(scene: Scene) -> Acts:
    """T1, T2."""
    yield
    key, _ = a_task_requeued_as_stuck(scene.db, at=scene.ago(minutes=5))
    yield
    end_task(scene.db, key, "success")


def a_task_is_out_of_requeues(scene: Scene) -> Acts:
    """T2."""
    key, _ = a_task_requeued_as_stuck(scene.db, at=scene.ago(minutes=9))
    yield
    a_task_out_of_requeues(scene.db, key, at=scene.ago(minutes=1))
    yield


def a_ghost_haunts(scene: Scene) -> Acts:
    """T3."""
    yield
    key = a_ghost(scene.db, run_ended=scene.ago(minutes=50))
    yield
    end_task(scene.db, key)


def an_orphan_waits(scene: Scene) -> Acts:
    """T3."""
    yield
    key, _ = an_orphan_queued(scene.db, queued_at=scene.ago(minutes=30), scheduler_died=scene.ago(minutes=25))
    yield
    change_task(scene.db, key, queued_by_job_id=a_live_scheduler(scene.db, heartbeat=scene.now()))


def a_worker_dies(scene: Scene) -> Acts:
    """T4: nobody has noticed."""
    scheduler = a_live_scheduler(scene.db, heartbeat=scene.now())
    yield
    key = a_task_whose_worker_died(
        scene.db, started=scene.ago(minutes=40), heartbeat=scene.ago(minutes=9), owner=scheduler
    )
    yield
    end_task(scene.db, key)


def a_silent_task_is_failed(scene: Scene) -> Acts:
    """T4: the scheduler has noticed."""
    key = a_task_instance_running(scene.db, started=scene.ago(minutes=40), heartbeat=scene.ago(minutes=9))
    yield
    a_heartbeat_timeout(scene.db, key, at=scene.now())
    change_task(scene.db, key, state="failed", end_date=scene.now())
    yield


def a_silent_task_is_tried_again(scene: Scene) -> Acts:
    """T4: the same, with a try left."""
    lives = Lives(scene.db)
    run = lives.create(scene.now(), tasks=1)
    lives.start(run, scene.now())
    task = run.tasks[0]
    lives.schedule(task)
    lives.queue(task, scene.now())
    lives.run(task, scene.now())
    yield
    lives.retry(task, scene.now())
    yield


def the_executor_disagrees(scene: Scene) -> Acts:
    """T5."""
    key = a_task_instance_queued(scene.db, queued_at=scene.ago(minutes=3))
    yield
    a_state_mismatch(scene.db, key, at=scene.now())
    yield


def a_message_has_no_name(scene: Scene) -> Acts:
    """T7."""
    scheduler = a_live_scheduler(scene.db, heartbeat=scene.now())
    yield
    key = a_task_sent_but_not_named(scene.db, queued_at=scene.ago(minutes=3), owner=scheduler)
    yield
    change_task(scene.db, key, external_executor_id="0a1b2c3d")


def results_of_celery_pile_up(scene: Scene) -> Acts:
    """C7."""
    results_of_celery(scene.db, scene.ago(days=1))
    scene.grant()
    settle(scene.db, "celery_taskmeta")
    yield
    results_of_celery(scene.db, *(scene.ago(days=100, seconds=number) for number in range(500)))
    settle(scene.db, "celery_taskmeta")
    yield
    scene.db.execute("DELETE FROM celery_taskmeta WHERE date_done < now() - interval '90 days'")
    settle(scene.db, "celery_taskmeta")
