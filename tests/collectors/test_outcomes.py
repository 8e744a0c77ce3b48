"""Outcomes are counted once each, whenever between two polls things begin, end, fail, expand or are cleared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import FINISHED_STATES
from airflow_obs.collectors.outcome_state import Happened, Retried
from airflow_obs.collectors.outcome_totals import QUEUES, Totals
from airflow_obs.collectors.task_outcomes import TaskKey
from tests.airflow_database import AirflowDatabase
from tests.collectors.collected import Collected
from tests.collectors.conftest import Ago
from tests.collectors.outcome_counter import OutcomeCounter, counting
from tests.states import a_finished_dag_run, a_finished_task_instance, a_task_instance_running
from tests.states.lives import Lives


def now() -> datetime:
    return datetime.now(UTC)


def test_what_was_there_before_is_not_counted(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_finished_dag_run(airflow_db, started=ago(hours=2), ended=ago(hours=1))
    for state in FINISHED_STATES:
        a_finished_task_instance(airflow_db, state, ended=ago(seconds=1))
    a_task_instance_running(airflow_db, started=ago(minutes=1), try_number=2)
    with counting(airflow_db) as counter:
        for _ in range(2):
            assert counter.all == OutcomeCounter(airflow_db).all
            counter.poll()
        assert counter.newest.one(metrics.OUTCOMES_AWAITED, "task_instance") == 1
        assert counter.newest.one(metrics.OUTCOMES_AWAITED, "dag_run") == 1


def test_series_are_there_before_they_rise(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_task_instance_running(airflow_db, started=ago(minutes=1), queue="gpu")
    with counting(airflow_db) as counter:
        for state in FINISHED_STATES:
            assert counter.newest.one(metrics.TASKS_FINISHED, state, "gpu") == 0
        assert counter.newest.one(metrics.TASK_DURATION, "failed", "gpu") == 0
        assert counter.newest.one(metrics.TRIES_RETRIED, "gpu") == 0
        assert counter.newest.one(metrics.RUNS_FINISHED, "failed", "scheduled") == 0
        assert counter.newest.one(metrics.OUTCOMES_UNKNOWN, "dag_run") == 0


def test_a_life_polled_at_every_step(airflow_db: AirflowDatabase) -> None:
    lives = Lives(airflow_db)
    with counting(airflow_db) as counter:
        run = lives.create(now())
        counter.poll()
        lives.start(run, now())
        task = lives.add(run, now(), queue="gpu")
        counter.poll()
        for _ in range(2):
            lives.schedule(task)
            counter.poll()
            lives.queue(task, now())
            counter.poll()
            lives.run(task, now())
            counter.poll()
            lives.wait(task, "deferred", now())
            counter.poll()
            lives.schedule(task)
            counter.poll()
            lives.run(task, now())
            counter.poll()
            lives.wait(task, "up_for_reschedule", now())
            counter.poll()
            lives.schedule(task)
            counter.poll()
            lives.run(task, now())
            counter.poll()
            lives.retry(task, now())
            counter.poll()
        lives.through(task, now())
        counter.poll()
        lives.finish(run, now())
        counter.poll()
        counter.poll()
        assert counter.all == lives.truth
        assert counter.counted(metrics.TASKS_FINISHED) == {("success", "gpu"): 1}
        assert counter.counted(metrics.TRIES_RETRIED) == {("gpu",): 2}


def test_lives_between_two_polls(airflow_db: AirflowDatabase) -> None:
    """Runs and all that is in them, born and gone unseen; and tasks that a poll has seen once, in whatever state."""
    lives = Lives(airflow_db)
    seen = lives.create(now())
    lives.start(seen, now())
    tasks = [lives.add(seen, now()) for _ in range(4)]
    lives.schedule(tasks[1])
    for task in tasks[2:]:
        lives.schedule(task)
        lives.queue(task, now())
        lives.run(task, now())
    with counting(airflow_db) as counter:
        lives.through(tasks[0], now(), retries=2)
        lives.queue(tasks[1], now())
        lives.run(tasks[1], now())
        lives.end(tasks[1], now(), "failed")
        lives.retry(tasks[2], now())
        lives.through(tasks[2], now(), retries=1)
        lives.end(tasks[3], now(), "skipped")
        for outcome in ("success", "failed"):
            unseen = lives.create(now(), tasks=3, run_type="manual")
            lives.start(unseen, now())
            lives.through(unseen.tasks[0], now(), retries=1)
            lives.through(unseen.tasks[1], now(), "failed", retries=2)
            lives.end(unseen.tasks[2], now(), "upstream_failed")
            lives.finish(unseen, now(), outcome)
        lives.finish(seen, now())
        counter.poll()
        assert counter.all == lives.truth
        counter.poll()
        assert counter.all == lives.truth
        assert counter.newest.one(metrics.OUTCOMES_AWAITED, "task_instance") == 0
        assert counter.newest.one(metrics.OUTCOMES_AWAITED, "dag_run") == 0


def test_a_mapped_task_that_expands_and_ends_between_two_polls(airflow_db: AirflowDatabase) -> None:
    lives = Lives(airflow_db)
    run = lives.create(now(), tasks=2)
    lives.start(run, now())
    with counting(airflow_db) as counter:
        some = lives.expand(run, run.tasks[0], now(), 4)
        for task in some[:3]:
            lives.through(task, now(), retries=1)
        counter.poll()
        assert counter.all == lives.truth
        lives.through(some[3], now(), "failed")
        lives.end(run.tasks[1], now(), "skipped")
        counter.poll()
        counter.poll()
        assert counter.all == lives.truth
        assert counter.counted(metrics.OUTCOMES_UNKNOWN) == {}


def test_one_more_task_in_a_run_under_way(airflow_db: AirflowDatabase) -> None:
    """A new version of the DAG adds it, and it is done before the next poll: seen by its heartbeats, or when the run ends."""
    lives = Lives(airflow_db)
    run = lives.create(now(), tasks=1)
    lives.start(run, now())
    with counting(airflow_db) as counter:
        lives.through(lives.add(run, now()), now())
        lives.through(run.tasks[0], now())
        lives.finish(run, now())
        counter.poll()
        counter.poll()
        assert counter.all == lives.truth


def test_the_deleted_have_no_outcome(airflow_db: AirflowDatabase) -> None:
    lives = Lives(airflow_db)
    run = lives.create(now(), tasks=3)
    lives.start(run, now())
    with counting(airflow_db) as counter:
        lives.delete(run)
        counter.poll()
        counter.poll()
        assert counter.counted(metrics.OUTCOMES_UNKNOWN) == {("task_instance",): 3, ("dag_run",): 1}
        assert counter.all == lives.truth


def test_a_restart_counts_nothing_twice(airflow_db: AirflowDatabase) -> None:
    lives = Lives(airflow_db)
    run = lives.create(now(), tasks=4)
    lives.start(run, now())
    with counting(airflow_db) as first:
        lives.through(run.tasks[0], now(), retries=1)
        first.poll()
        assert first.all == lives.truth
    before = lives.forget()
    with counting(airflow_db) as second:
        lives.through(run.tasks[1], now(), retries=1)
        second.poll()
        lives.through(run.tasks[2], now(), "failed")
        lives.through(run.tasks[3], now())
        lives.finish(run, now())
        second.poll()
        second.poll()
        assert second.all == lives.truth
    assert before.tasks == {("success", "default"): 1}


def test_durations_and_delays(airflow_db: AirflowDatabase, ago: Ago) -> None:
    lives = Lives(airflow_db)
    with counting(airflow_db) as counter:
        run = lives.create(ago(seconds=100), tasks=2)
        lives.start(run, ago(seconds=80))
        for task in run.tasks:
            lives.schedule(task)
            lives.queue(task, ago(seconds=70))
            lives.run(task, ago(seconds=50))
        lives.end(run.tasks[0], ago(seconds=40))
        lives.end(run.tasks[1], ago(seconds=30), "failed")
        lives.finish(run, ago(seconds=20))
        old = lives.create(ago(days=3), run_type="backfill")
        lives.start(old, ago(seconds=1))
        counter.poll()
        for metric, labels, expected in (
            (metrics.TASK_DURATION, ("success", "default"), 10),
            (metrics.TASK_DURATION, ("failed", "default"), 20),
            (metrics.RUN_DURATION, ("success", "scheduled"), 60),
            (metrics.RUN_START_DELAY, ("scheduled",), 20),
        ):
            assert counter.newest.one(metric, *labels) == 1
            assert counter.sum(metric, *labels) == pytest.approx(expected, abs=0.001)
        assert counter.newest.one(metrics.RUN_START_DELAY, "backfill") == 0


def test_a_queued_run_is_late_when_it_starts(airflow_db: AirflowDatabase, ago: Ago) -> None:
    lives = Lives(airflow_db)
    with counting(airflow_db) as counter:
        run = lives.create(ago(minutes=9))
        counter.poll()
        assert counter.newest.one(metrics.RUN_START_DELAY, "scheduled") == 0
        lives.start(run, ago(minutes=4))
        counter.poll()
        counter.poll()
        assert counter.newest.one(metrics.RUN_START_DELAY, "scheduled") == 1
        assert counter.sum(metrics.RUN_START_DELAY, "scheduled") == pytest.approx(300, abs=0.001)


def test_ids_that_are_committed_late(airflow_db: AirflowDatabase) -> None:
    """A run whose id is below one that was seen, born and gone between two polls."""
    lives = Lives(airflow_db)
    early, late = lives.create(now(), tasks=1), lives.create(now(), tasks=1)
    taken = airflow_db.execute("SELECT id FROM dag_run ORDER BY id")
    lives.delete(early)
    with counting(airflow_db) as counter:
        lives.start(late, now())
        counter.poll()
        again = lives.create(now(), tasks=1)
        lives.start(again, now())
        lives.through(again.tasks[0], now())
        lives.finish(again, now())
        airflow_db.execute(f"UPDATE dag_run SET id = {taken[0][0]} WHERE run_id = '{again.run_id}'")
        counter.poll()
        assert counter.all == lives.truth


def test_a_poll_tells_whose_outcomes_it_counted(airflow_db: AirflowDatabase) -> None:
    lives = Lives(airflow_db)
    run = lives.create(now(), dag_id="orders", tasks=1)
    with counting(airflow_db) as counter:
        lives.start(run, now())
        lives.through(run.tasks[0], now(), retries=1)
        lives.finish(run, now())
        happened = counter.poll()
        assert [(each.key.dag_id, each.state) for each in happened.tasks] == [("orders", "success")]
        assert [each.key.dag_id for each in happened.runs] == ["orders"]


def test_no_run_ends_before_it_has_begun(airflow_db: AirflowDatabase) -> None:
    """Nor starts before it was due: the clocks of those who write the moments may differ."""
    with counting(airflow_db) as counter:
        lives = Lives(airflow_db)
        run = lives.create(now())
        lives.start(run, now() - timedelta(minutes=2))
        lives.finish(run, now() - timedelta(minutes=4))
        counter.poll()
        for metric, labels in (
            (metrics.RUN_DURATION, ("success", "scheduled")),
            (metrics.RUN_START_DELAY, ("scheduled",)),
        ):
            assert counter.newest.one(metric, *labels) == 1
            assert counter.sum(metric, *labels) == 0


def test_queues_that_come_and_go_are_forgotten() -> None:
    """Some sites name a queue for every run; one that is in use is never forgotten."""
    totals = Totals()
    totals.add(Happened(queues={"busy", "once"}, retries=[Retried(TaskKey("d", "t", "r", -1), "once")]))
    for number in range(QUEUES + 5):
        totals.add(Happened(queues={"busy", f"run-{number}"}))
    seen = Collected(tuple(totals.samples()))
    for metric in (metrics.TASKS_FINISHED, metrics.TRIES_RETRIED, metrics.TASK_DURATION):
        queues = {labels[-1] for labels in seen.all(metric)}
        assert len(queues) == QUEUES
        assert "busy" in queues
        assert not queues & {"once", "run-0", "run-5"}
    many = {f"at-once-{number}" for number in range(QUEUES + 5)}
    totals.add(Happened(queues=many))
    assert {queue for (queue,) in Collected(tuple(totals.samples())).all(metrics.TRIES_RETRIED)} == many


def test_clocks_apart(airflow_db: AirflowDatabase) -> None:
    """What a worker dates in our future is counted once, though it looks new at every poll."""
    lives = Lives(airflow_db)
    run = lives.create(now(), tasks=3)
    lives.start(run, now())
    ahead = timedelta(minutes=10)
    with counting(airflow_db) as counter:
        for task in run.tasks:
            lives.through(task, now() + ahead)
            counter.poll()
        lives.finish(run, now() + ahead)
        counter.poll()
        counter.poll()
        assert counter.all == lives.truth
