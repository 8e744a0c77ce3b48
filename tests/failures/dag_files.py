"""DAG files, assets, deadlines and clocks: the failures G and X."""

from __future__ import annotations

from tests.failures.scene import Acts, Scene
from tests.states import (
    a_bundle,
    a_callback_that_nobody_takes,
    a_dag,
    a_dag_processor,
    a_dag_that_changes_at_every_parse,
    a_finished_dag_run,
    a_live_scheduler,
    a_running_dag_run,
    an_asset_update_that_waits,
    an_import_error,
    an_overdue_deadline,
    an_sla_miss,
    beat,
    end_run,
    the_deadline_is_missed,
    the_updates_are_consumed,
)
from tests.states.rows import delete, update


def a_file_does_not_import(scene: Scene) -> Acts:
    """G1."""
    yield
    an_import_error(scene.db, seen=scene.ago(minutes=5))
    yield
    delete(scene.db, "import_error")


def a_file_takes_long(scene: Scene) -> Acts:
    """G2."""
    a_dag(scene.db, "slow", parse_duration=0.5)
    yield
    update(scene.db, "dag", {"last_parse_duration": 95.0}, dag_id="slow")
    yield
    update(scene.db, "dag", {"last_parse_duration": 0.5}, dag_id="slow")


def the_dag_processor_stalls(scene: Scene) -> Acts:
    """G3."""
    job = a_dag_processor(scene.db, heartbeat=scene.now())
    a_dag(scene.db, last_parsed=scene.now())
    yield
    beat(scene.db, job, scene.ago(minutes=20))
    update(scene.db, "dag", {"last_parsed_time": scene.ago(hours=1)})
    yield
    beat(scene.db, job, scene.now())
    update(scene.db, "dag", {"last_parsed_time": scene.now()})


def dags_vanish(scene: Scene) -> Acts:
    """G4: their bundle is no longer configured, or empty."""
    for dag_id in ("sales", "orders"):
        a_dag(scene.db, dag_id)
    yield
    update(scene.db, "dag", {"is_stale": True})
    update(scene.db, "dag_bundle", {"active": False})
    yield
    update(scene.db, "dag", {"is_stale": False})
    update(scene.db, "dag_bundle", {"active": True})


def a_bundle_stays_as_it_is(scene: Scene) -> Acts:
    """G5."""
    a_bundle(scene.db, "git", refreshed=scene.now())
    yield
    update(scene.db, "dag_bundle", {"last_refreshed": scene.ago(hours=2)}, name="git")
    yield
    update(scene.db, "dag_bundle", {"last_refreshed": scene.now()}, name="git")


def a_dag_is_new_at_every_parse(scene: Scene) -> Acts:
    """G6; a day after the mending its versions are old."""
    yield
    a_dag_that_changes_at_every_parse(scene.db, "clock", parsed=[scene.ago(hours=hours) for hours in (9, 2, 1)])
    yield
    delete(scene.db, "dag_version", dag_id="clock")


def a_clock_is_ahead(scene: Scene) -> Acts:
    """X2: that of a scheduler."""
    job = a_live_scheduler(scene.db, heartbeat=scene.ago(seconds=3))
    yield
    beat(scene.db, job, scene.ago(hours=-1))
    yield
    beat(scene.db, job, scene.ago(seconds=1))


def the_database_has_another_time(scene: Scene) -> Acts:
    """X2: our own clock is set wrong, as that of the server cannot be."""
    yield
    scene.clock_ahead = 300.0
    yield
    scene.clock_ahead = 0.0


def nobody_consumes_an_update(scene: Scene) -> Acts:
    """X3."""
    yield
    an_asset_update_that_waits(scene.db, since=scene.ago(hours=3))
    yield
    the_updates_are_consumed(scene.db)


def a_run_takes_too_long(scene: Scene) -> Acts:
    """X4."""
    a_dag(scene.db, "slow")
    yield
    run_id = a_running_dag_run(scene.db, "slow", started=scene.ago(hours=9))
    yield
    end_run(scene.db, "slow", run_id, "success")


def an_sla_is_missed(scene: Scene) -> Acts:
    """X4 in Airflow 2."""
    yield
    an_sla_miss(scene.db, recorded=scene.now())
    scene.db.engine.dispose()  # a session that ends hands in what it has counted
    yield


def a_deadline_passes(scene: Scene) -> Acts:
    """X4: and the scheduler does not notice, till it does."""
    yield
    identity = an_overdue_deadline(scene.db, passed=scene.ago(minutes=9))
    yield
    the_deadline_is_missed(scene.db, identity)


def a_deadline_is_missed(scene: Scene) -> Acts:
    """X4: as the scheduler says."""
    identity = an_overdue_deadline(scene.db, passed=scene.ago(minutes=1))
    yield
    the_deadline_is_missed(scene.db, identity)
    yield


def a_dag_misses_the_deadline_of_an_objective(scene: Scene) -> Acts:
    """X4: and makes it up."""
    yield
    a_finished_dag_run(scene.db, "late", started=scene.ago(days=3), ended=scene.ago(days=3))
    yield
    a_finished_dag_run(scene.db, "late", started=scene.ago(minutes=1), ended=scene.now())


def nobody_takes_a_callback(scene: Scene) -> Acts:
    """X4."""
    yield
    a_callback_that_nobody_takes(scene.db, asked=scene.ago(minutes=20))
    yield
    delete(scene.db, "callback")
