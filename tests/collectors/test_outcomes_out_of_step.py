"""Outcomes stay exact with another database behind the URL, clocks that are apart, and more queued runs than tasks are followed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_obs.catalog import metrics
from tests.airflow_database import AirflowDatabase
from tests.airflow_schemas import DISTINCT_POSTGRESQL_SCHEMAS
from tests.collectors.outcome_counter import OutcomeCounter, counting
from tests.conftest import NewDatabase
from tests.states.lives import Lives, Run
from tests.states.many import copies_of, many_task_instances

SCHEMAS = [each for each in DISTINCT_POSTGRESQL_SCHEMAS if each.release.version in {"2.7.1", "3.3.2"}]
"""Without heartbeats of tasks, and with them."""
SKEWED = timedelta(seconds=20)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(params=SCHEMAS, ids=str)
def db(request: pytest.FixtureRequest, new_database: NewDatabase) -> AirflowDatabase:
    return new_database(request.param)


def a_run_that_is_done(lives: Lives) -> Run:
    run = lives.create(now(), tasks=1)
    lives.start(run, now())
    lives.through(run.tasks[0], now())
    lives.finish(run, now())
    return run


def reset(db: AirflowDatabase, first: int) -> None:
    """As `airflow db reset` leaves it; the next run gets the id `first`."""
    for name in ("task_instance", "dag_run"):
        db.execute(f"DELETE FROM {name}")
    number_on(db, first)


def number_on(db: AirflowDatabase, first: int) -> None:
    db.execute(f"SELECT setval('dag_run_id_seq', {first}, false)")


@pytest.mark.parametrize("newest", [100, 5_000])
@pytest.mark.parametrize("seen_empty", [True, False])
def test_ids_that_begin_again(db: AirflowDatabase, newest: int, seen_empty: bool) -> None:
    """What was counted stays, what was awaited is gone, and runs that come and go between two polls count as ever."""
    number_on(db, newest)
    lives = Lives(db)
    awaited = lives.create(now(), tasks=3)
    lives.start(awaited, now())
    with counting(db) as counter:
        a_run_that_is_done(lives)
        counter.poll()
        reset(db, 1)
        if seen_empty:
            counter.poll()
        else:
            unseen = lives.forget()
            a_run_that_is_done(lives)
            lives.truth = unseen
            counter.poll()
        assert counter.all == lives.truth
        for _ in range(5):
            a_run_that_is_done(lives)
        counter.poll()
        assert counter.all == lives.truth
        assert counter.counted(metrics.OUTCOMES_UNKNOWN) == {("dag_run",): 1, ("task_instance",): 3}


def test_another_database_with_greater_ids(db: AirflowDatabase) -> None:
    """Its history is not what happened since the last poll."""
    lives = Lives(db)
    a_run_that_is_done(lives)
    lives.forget()
    with counting(db) as counter:
        reset(db, 70_000)
        for _ in range(3):
            a_run_that_is_done(lives)
        lives.forget()
        counter.poll()
        a_run_that_is_done(lives)
        counter.poll()
        assert counter.all == lives.truth


def test_the_newest_runs_are_deleted(db: AirflowDatabase) -> None:
    """That some are gone does not make it another database."""
    lives = Lives(db)
    a_run_that_is_done(lives)
    gone = [a_run_that_is_done(lives) for _ in range(3)]
    lives.forget()
    with counting(db) as counter:
        for run in gone:
            lives.delete(run)
        a_run_that_is_done(lives)
        counter.poll()
        assert counter.all == lives.truth


def test_more_queued_runs_than_tasks_are_followed(db: AirflowDatabase) -> None:
    """They wait in their thousands, and are started and done between two polls."""
    Lives(db).create(now())
    dates = {name: f"{name} - n * interval '1 hour'" for name in ("execution_date", "logical_date")}
    copies_of(db, "dag_run", "true", "generate_series(1, 1500)", id="id + n", run_id="run_id || '__' || n", **dates)
    with counting(db, max_followed=1_000) as counter:
        counter.poll()
        assert counter.newest.one(metrics.OUTCOMES_AWAITED, "dag_run") == 1_501
        db.execute("UPDATE dag_run SET state = 'success', start_date = now(), end_date = now()")
        counter.poll()
        assert counter.all.runs == {("success", "scheduled"): 1_501}


def test_set_aside_by_a_clock_behind(db: AirflowDatabase) -> None:
    """What a worker whose clock is behind ended last before its run was set aside is counted, and nothing twice."""
    with counting(db, max_followed=1_000) as counter:
        counter.learn_anew(now() - timedelta(minutes=5))
        many_task_instances(db, 200, run_id="grows", state="running")
        counter.poll()
        end(db, 50)
        counter.poll()
        end(db, 50)
        many_task_instances(db, 2_000, run_id="grows", state="running")
        counter.poll()
        assert counter.counted(metrics.RUNS_SET_ASIDE) == {(): 1}
        finish_all(db, counter)
        assert counter.all.tasks == {("success", "default"): 2_200}


def test_set_aside_at_the_start_by_a_clock_behind(db: AirflowDatabase) -> None:
    """What ended just before the start is not counted, what ends just after it is, though both are dated before it."""
    many_task_instances(db, 2_100, run_id="grows", state="running")
    end(db, 100)
    with counting(db, max_followed=1_000) as counter:
        end(db, 50)
        finish_all(db, counter)
        assert counter.all.tasks == {("success", "default"): 2_000}


def test_a_task_of_a_run_set_aside_counts_by_its_last_outcome(db: AirflowDatabase) -> None:
    lives = Lives(db)
    began = now()
    run = lives.create(began, tasks=2)
    lives.start(run, began)
    many_task_instances(db, 1_500, run_id=run.run_id, state="success", ended=began - timedelta(hours=1))
    many_task_instances(db, 1_500, run_id=run.run_id, state="running")
    with counting(db, max_followed=1_000) as counter:
        assert counter.counted(metrics.RUNS_SET_ASIDE) == {(): 1}
        cleared, other = run.tasks
        lives.through(other, began + timedelta(seconds=5))
        lives.through(cleared, began + timedelta(seconds=5), "failed")
        counter.poll(began + timedelta(seconds=15))
        lives.clear(run, cleared, began + timedelta(seconds=20))
        counter.poll(began + timedelta(seconds=30))
        lives.through(cleared, began + timedelta(seconds=35))
        counter.poll(began + timedelta(seconds=45))
        assert counter.all.tasks == {}
        lives.finish(run, began + timedelta(seconds=50))
        counter.poll(began + timedelta(seconds=60))
        assert counter.all.tasks == {("success", "default"): 2}
        assert counter.all.retries == {}


def end(db: AirflowDatabase, count: int) -> None:
    """So many more of its tasks end by a clock that is behind."""
    db.execute(
        f"UPDATE task_instance SET state = 'success', end_date = now() - interval '{SKEWED.seconds} seconds' WHERE task_id IN"
        f" (SELECT task_id FROM task_instance WHERE state = 'running' LIMIT {count})"
    )


def finish_all(db: AirflowDatabase, counter: OutcomeCounter) -> None:
    """The run ends, an hour later, when what was counted is long forgotten."""
    later = now() + timedelta(hours=1)
    counter.poll(later)
    end(db, 10_000)
    db.execute("UPDATE dag_run SET state = 'success', end_date = now()")
    counter.poll(later)
    counter.poll(later)


def test_a_clock_far_ahead(db: AirflowDatabase) -> None:
    """What it dates in our future looks new until then, and is counted once."""
    lives = Lives(db)
    began = now()
    run = lives.create(began, tasks=2)
    lives.start(run, began)
    with counting(db) as counter:
        lives.through(run.tasks[0], began + timedelta(hours=3))
        counter.poll(began + timedelta(seconds=15))
        for hour in range(1, 3):
            counter.poll(began + timedelta(hours=hour))
        lives.through(run.tasks[1], began + timedelta(hours=2))
        lives.finish(run, began + timedelta(hours=2))
        counter.poll(began + timedelta(hours=2, seconds=15))
        counter.poll(began + timedelta(hours=2, seconds=30))
        assert counter.all == lives.truth
        remembered = counter.collector.remembered
        counter.poll(began + timedelta(hours=4))
        assert counter.collector.remembered < remembered


def test_what_a_run_left_behind_is_not_set_aside_again_and_again(db: AirflowDatabase) -> None:
    """Its run has ended, so that it would wait for ever to be counted at its end."""
    many_task_instances(db, 800, run_id="work", state="running")
    with counting(db, max_followed=1_000) as counter:
        many_task_instances(db, 400, run_id="left", state="queued")
        counter.poll()
        db.execute("UPDATE dag_run SET state = 'failed', end_date = now() WHERE run_id = 'left'")
        counter.poll()
        before = counter.newest.one(metrics.RUNS_SET_ASIDE)
        for _ in range(3):
            counter.poll()
        assert counter.newest.one(metrics.RUNS_SET_ASIDE) == before == 1


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=2)])
def test_our_clock_is_set_right_after_our_start(db: AirflowDatabase, ahead: timedelta) -> None:
    lives = Lives(db)
    run = lives.create(now(), tasks=1)
    lives.start(run, now())
    with counting(db) as counter:
        counter.learn_anew(now() + ahead)
        counter.poll(now())
        for _ in range(2):
            lives.through(lives.add(run, now()), now())
            counter.poll(now())
        lives.through(run.tasks[0], now())
        lives.finish(run, now())
        counter.poll(now())
        assert counter.all == lives.truth


def test_more_of_the_newest_runs_are_deleted_than_are_looked_at(db: AirflowDatabase) -> None:
    """As a DAG with a backfill is; what was unfinished is still there, so this is no other database."""
    lives = Lives(db)
    run = lives.create(now(), tasks=3)
    lives.start(run, now())
    with counting(db) as counter:
        for _ in range(2):
            gone = lives.create(now(), tasks=0)
        db.execute(f"UPDATE dag_run SET id = id + 300 WHERE run_id = '{gone.run_id}'")
        number_on(db, 500)
        counter.poll()
        lives.forget()
        for task in run.tasks:
            lives.through(task, now())
        lives.finish(run, now())
        db.execute(f"DELETE FROM dag_run WHERE run_id <> '{run.run_id}'")
        counter.poll()
        assert (counter.all.tasks, counter.all.runs) == (lives.truth.tasks, lives.truth.runs)


def test_retries_by_a_clock_behind(airflow_db: AirflowDatabase) -> None:
    """Of a run that was queued at our start the archive tells which tries are news, each of them once."""
    lives, began = Lives(airflow_db), now()

    def at(seconds: int) -> datetime:
        return began + timedelta(seconds=seconds)

    run = lives.create(began, tasks=2)
    with counting(airflow_db) as counter:
        counter.poll(at(60))
        lives.start(run, at(61))
        for task in run.tasks:
            lives.schedule(task)
            lives.queue(task, at(54))
            lives.run(task, at(54))
            lives.retry(task, at(55))
        counter.poll(at(65))
        expected = {("default",): 2} if lives.archives else {}
        assert counter.all.retries == expected
        lives.through(run.tasks[0], at(56))
        airflow_db.execute("UPDATE task_instance SET state = NULL WHERE state = 'up_for_retry'")
        airflow_db.execute("UPDATE dag_run SET state = 'queued'")
        counter.poll(at(70))
        lives.clear(run, run.tasks[0], at(71))
        airflow_db.execute("UPDATE dag_run SET state = 'running'")
        lives.schedule(run.tasks[0])
        counter.poll(at(75))
        counter.poll(at(80))
        assert counter.all.retries == expected
        assert counter.all.tasks == {("success", "default"): 1}
        for _ in range(2):
            counter.poll(at(7200))
        assert counter.collector.remembered == 4  # the run twice, and its tasks
