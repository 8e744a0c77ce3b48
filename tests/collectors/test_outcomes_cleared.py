"""Outcomes of what is cleared, or written a second time, between two polls and across them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from tests.airflow_database import AirflowDatabase
from tests.collectors.outcome_counter import counting
from tests.states.lives import Lives


def now() -> datetime:
    return datetime.now(UTC)


def test_cleared_ones_count_again(airflow_db: AirflowDatabase) -> None:
    lives = Lives(airflow_db)
    run = lives.create(now(), tasks=3)
    with counting(airflow_db) as counter:
        lives.start(run, now())
        for task in run.tasks:
            lives.through(task, now())
        lives.finish(run, now())
        counter.poll()
        for task in run.tasks[:2]:
            lives.clear(run, task, now())
        counter.poll()
        assert counter.all == lives.truth
        # Taken up and ended between two polls, while the third task keeps its outcome.
        lives.start(run, now())
        for task in run.tasks[:2]:
            lives.through(task, now(), "failed", retries=1)
        lives.finish(run, now(), "failed")
        counter.poll()
        counter.poll()
        assert lives.truth.tasks == {("success", "default"): 3, ("failed", "default"): 2}
        # The retries of a run that was cleared and not seen running are not known.
        assert counter.all.tasks == lives.truth.tasks
        assert counter.all.runs == lives.truth.runs


def test_a_run_cleared_and_done_again_between_two_polls(airflow_db: AirflowDatabase) -> None:
    """Nothing tells of the run; from 3.0 on the heartbeats tell of its tasks. exporters/reading-metrics.md says so."""
    lives = Lives(airflow_db)
    run = lives.create(now(), tasks=1)
    with counting(airflow_db) as counter:
        lives.start(run, now())
        lives.through(run.tasks[0], now())
        lives.finish(run, now())
        counter.poll()
        assert counter.all == lives.truth
        lives.clear(run, run.tasks[0], now())
        lives.start(run, now())
        lives.through(run.tasks[0], now(), "failed")
        lives.finish(run, now(), "failed")
        counter.poll()
        counter.poll()
        beats = "last_heartbeat_at" in airflow_db.tables["task_instance"].columns
        assert counter.all.tasks == Counter({("success", "default"): 1}) + Counter({("failed", "default"): int(beats)})
        assert counter.all.runs == {("success", "scheduled"): 1}


def test_ended_and_cleared_between_two_polls(airflow_db: AirflowDatabase) -> None:
    """Releases that archive earlier tries tell; before 2.10 it looks like one more failed try."""
    lives = Lives(airflow_db)
    run = lives.create(now(), tasks=2)
    lives.start(run, now())
    for task in run.tasks:
        lives.schedule(task)
        lives.queue(task, now())
        lives.run(task, now())
    with counting(airflow_db) as counter:
        for task, state in zip(run.tasks, ("success", "failed"), strict=True):
            task.max_tries = 0
            lives.end(task, now(), state)
            lives.clear(run, task, now())
            lives.schedule(task)
            lives.queue(task, now())
            lives.run(task, now())
        counter.poll()
        counter.poll()
        if lives.archives:
            assert counter.all == lives.truth
        else:
            assert counter.all.tasks == {}
            assert counter.all.retries == {("default",): 2}


def test_an_outcome_that_is_written_twice(airflow_db: AirflowDatabase) -> None:
    """Airflow 2 writes a skip first without its end; what was failed for its heartbeat may succeed after all."""
    lives = Lives(airflow_db)
    run = lives.create(now(), tasks=3)
    lives.start(run, now())
    with counting(airflow_db) as counter:
        for task, state in zip(run.tasks, ("skipped", "failed", "upstream_failed"), strict=True):
            if state != "upstream_failed":
                lives.schedule(task)
                lives.queue(task, now())
                lives.run(task, now())
            counter.poll()
            lives.end(task, now(), state)
        lives.write_again(run.tasks[0], None, "skipped")
        counter.poll()
        lives.write_again(run.tasks[0], now(), "skipped")
        lives.write_again(run.tasks[1], now(), "success")
        counter.poll()
        lives.finish(run, now(), "failed")
        counter.poll()
        counter.poll()
        assert counter.all.tasks == lives.truth.tasks


def test_cleared_and_ended_without_having_begun(airflow_db: AirflowDatabase) -> None:
    """Airflow keeps the moment of the former end, so for a quarter of an hour it looks as before: exporters/reading-metrics.md."""
    lives = Lives(airflow_db)
    run = lives.create(now(), tasks=2)
    lives.start(run, now())
    with counting(airflow_db) as counter:
        for end in ("first", "second"):
            lives.through(run.tasks[0], now(), "failed")
            lives.end(run.tasks[1], now(), "upstream_failed")
            lives.finish(run, now(), "failed")
            counter.poll()
            if end == "first":
                for task in run.tasks:
                    lives.clear(run, task, now())
                counter.poll()
                lives.start(run, now())
                counter.poll()
        counter.poll()
        assert lives.truth.tasks == {("failed", "default"): 2, ("upstream_failed", "default"): 2}
        numbers_each_life = "working_set" in airflow_db.tables["task_instance"].columns
        assert counter.all.tasks == {("failed", "default"): 2, ("upstream_failed", "default"): 1 + numbers_each_life}
