"""Outcomes stay exact, and memory flat: in bursts, for weeks, with more than may be followed, when polls fail half way."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.errors import SourceError
from tests.airflow_database import AirflowDatabase
from tests.airflow_schemas import DISTINCT_POSTGRESQL_SCHEMAS
from tests.collectors.conftest import Ago
from tests.collectors.outcome_counter import OutcomeCounter, counting
from tests.conftest import NewDatabase
from tests.states import a_running_dag_run, a_task_instance
from tests.states.lives import Lives, Run, Task
from tests.states.many import copies_of, many_task_instances

SCHEMAS_BY_HISTORY = [
    schema
    for schema in DISTINCT_POSTGRESQL_SCHEMAS
    if schema.release.version in {"2.7.1", "2.10.5", "3.3.2", "3.4.0b2"}
]
"""No archive of tries, one without an index by run, one with, and archived tries among the task instances."""


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(params=SCHEMAS_BY_HISTORY, ids=str)
def db(request: pytest.FixtureRequest, new_database: NewDatabase) -> AirflowDatabase:
    return new_database(request.param)


def test_a_burst(db: AirflowDatabase) -> None:
    """5,000 tasks end within 10 seconds, some of them in between two polls from their first moment."""
    for number in range(50):
        a_running_dag_run(db, run_id=f"burst_{number}", started=now())
        many_task_instances(db, 100, run_id=f"burst_{number}", state="running" if number % 2 else None)
    with counting(db) as counter:
        for second in range(10):
            many_task_instances(db, 50, run_id=f"unseen_{second}", state="success", start=now(), ended=now())
            db.execute(
                "UPDATE task_instance SET state = CASE WHEN task_id LIKE '%7' THEN 'failed' ELSE 'success' END, try_number = 1,"
                " start_date = now() - interval '3 seconds', end_date = now()"
                f" WHERE run_id LIKE 'burst_%' AND task_id LIKE '%{second}'"
            )
            counter.poll()
        ended = dict(map(tuple, db.execute("SELECT state, count(*) FROM task_instance GROUP BY state")))
        assert counter.all.tasks == {("success", "default"): ended["success"], ("failed", "default"): ended["failed"]}
        assert sum(ended.values()) == 5_500
        assert counter.newest.one(metrics.TASK_DURATION, "failed", "default") == ended["failed"]


class RandomAirflow:
    """Does at random what an Airflow does; a poll may fall in between any two of its steps."""

    def __init__(self, db: AirflowDatabase, seed: int) -> None:
        self.lives = Lives(db)
        self.random = random.Random(seed)  # noqa: S311 (not for secrets)
        self.runs: list[Run] = []
        self.polled: set[str] = set()
        """Runs and tasks that have kept their final state over a poll: only these are cleared, as sooner is not always seen."""
        self.cleared: set[str] = set()
        """Runs cleared since the last poll: they wait for the next, as a run that comes and goes again in between is not seen."""

    def step(self) -> None:
        moment = now()
        choice = self.random.random()
        live = [run for run in self.runs if run.state in {"queued", "running"} and run.run_id not in self.cleared]
        if not live or choice < 0.04:
            kind = self.random.choice(["scheduled", "manual"])
            self.runs.append(self.lives.create(moment, run_type=kind, tasks=self.random.randint(1, 4)))
            return
        if choice < 0.08 and (done := [run for run in self.runs if run.run_id in self.polled]):
            run = self.random.choice(done)
            task = self.random.choice(run.tasks)
            if task.state in {"success", "failed", "upstream_failed"} and task.key.task_id in self.polled:
                self.polled -= {task.key.task_id, run.run_id}
                self.cleared.add(run.run_id)
                self.lives.clear(run, task, moment)
            return
        run = self.random.choice(live)
        if run.state == "queued":
            self.lives.start(run, moment)
            return
        waiting = [task for task in run.tasks if task.state not in {"success", "failed", "skipped", "upstream_failed"}]
        if not waiting:
            state = "failed" if any(task.state != "success" for task in run.tasks) else "success"
            self.lives.finish(run, moment, state)
            return
        self.move(run, self.random.choice(waiting), moment)

    def move(self, run: Run, task: Task, moment: datetime) -> None:
        lives, dice = self.lives, self.random.random()
        if task.state is None and dice < 0.05 and not task.ended:  # else it may be missed: reading-metrics.md
            lives.end(task, moment, "upstream_failed")
        elif task.state is None and dice < 0.1 and task.key.map_index == -1 and not task.number:
            run.tasks += lives.expand(run, task, moment, 3)[1:]
        elif task.state in {None, "up_for_retry", "up_for_reschedule", "deferred"}:
            lives.schedule(task)
        elif task.state == "scheduled":
            lives.queue(task, moment)
        elif task.state == "queued":
            lives.run(task, moment)
        elif dice < 0.2:
            lives.wait(task, "deferred" if dice < 0.1 else "up_for_reschedule", moment)
        elif dice < 0.4 and task.number <= task.max_tries:
            lives.retry(task, moment)
        else:
            lives.end(task, moment, "failed" if dice < 0.5 else "success")

    def seen(self) -> None:
        """A poll has been."""
        self.cleared.clear()
        for run in self.runs:
            if run.state in {"success", "failed"}:
                self.polled |= {run.run_id, *(task.key.task_id for task in run.tasks)}


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_events(db: AirflowDatabase, seed: int) -> None:
    airflow = RandomAirflow(db, seed)
    for _ in range(30):
        airflow.step()
    airflow.lives.forget()
    with counting(db) as counter:
        for _ in range(40):
            for _ in range(airflow.random.randint(0, 25)):
                airflow.step()
            counter.poll()
            airflow.seen()
            assert counter.all.tasks == airflow.lives.truth.tasks
            assert counter.all.runs == airflow.lives.truth.runs
            if airflow.lives.archives:
                assert counter.all.retries == airflow.lives.truth.retries
        assert counter.counted(metrics.OUTCOMES_UNKNOWN) == {}


def test_a_poll_that_fails_half_way(db: AirflowDatabase) -> None:
    """Whichever statement fails, nothing is lost and nothing counted twice."""
    lives = Lives(db)
    run = lives.create(now(), tasks=3)
    lives.start(run, now())
    with counting(db) as counter:
        next_run = lives.create(now(), tasks=2)
        lives.start(next_run, now())
        for each in (run, next_run):
            lives.through(each.tasks[0], now(), retries=1)
            lives.expand(each, each.tasks[1], now(), 2)
            lives.through(each.tasks[1], now())
        lives.through(run.tasks[2], now())
        lives.finish(run, now())
        failed = 0
        for number in range(100):
            before = counter.all
            with ExitStack() as stack:
                failing = stack.enter_context(_FailingAt(counter, number))
                try:
                    counter.poll()
                except SourceError:
                    failed += failing.failed
                    assert counter.all == before
                    continue
            break
        assert failed >= 5
        assert counter.all == lives.truth


class _FailingAt:
    """The database refuses the statement with this number of the next poll, those that begin the transaction not counted."""

    def __init__(self, counter: OutcomeCounter, number: int) -> None:
        backend = counter.database._backend
        self._engine = None if backend is None else backend.engine
        self._number = number
        self.failed = False

    def __enter__(self) -> _FailingAt:
        if self._engine is not None:
            sa.event.listen(self._engine, "before_cursor_execute", self._count, retval=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._engine is not None:
            sa.event.remove(self._engine, "before_cursor_execute", self._count)

    def _count(self, _connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        if "task_instance" not in statement and "dag_run" not in statement:
            return statement, parameters
        self._number -= 1
        if self._number < 0:
            self.failed = True
            return "SELECT 1 / 0", ()
        return statement, parameters


def test_more_than_may_be_followed(db: AirflowDatabase) -> None:
    """A run too large is counted when it ends; the others go on as ever, and memory stays within its bounds."""
    lives = Lives(db)
    small = lives.create(now(), tasks=3)
    lives.start(small, now())
    with counting(db, max_followed=1_000) as counter:
        a_running_dag_run(db, run_id="large", started=now())
        many_task_instances(db, 2_000, run_id="large", state=None)
        lives.through(small.tasks[0], now())
        counter.poll()
        assert counter.counted(metrics.RUNS_SET_ASIDE) == {(): 1}
        assert counter.collector.remembered < 20
        _end_some(db, "large", "%0")
        lives.through(small.tasks[1], now(), "failed", retries=1)
        counter.poll()
        db.execute(
            "UPDATE task_instance SET state = 'success', end_date = now() WHERE run_id = 'large' AND state IS NULL"
        )
        counter.poll()
        db.execute("UPDATE dag_run SET state = 'success', end_date = now() WHERE run_id = 'large'")
        counter.poll()
        counter.poll()
        assert counter.all.tasks == lives.truth.tasks + Counter({("success", "default"): 2_000})
        assert counter.all.retries == lives.truth.retries
        assert counter.counted(metrics.RUNS_SET_ASIDE) == {(): 1}


def test_a_run_that_grows_too_large(db: AirflowDatabase) -> None:
    """What was counted while it was small is not counted again when it ends."""
    with counting(db, max_followed=1_000) as counter:
        many_task_instances(db, 100, run_id="grows", state=None)
        counter.poll()
        _end_some(db, "grows", "%1")
        counter.poll()
        _end_some(db, "grows", "%2")
        many_task_instances(db, 2_000, run_id="grows", state=None)
        counter.poll()
        _end_some(db, "grows", "%")
        counter.poll()
        db.execute("UPDATE dag_run SET state = 'success', end_date = now() WHERE run_id = 'grows'")
        counter.poll()
        assert counter.all.tasks == {("success", "default"): 2_100}


def test_too_many_at_the_start(db: AirflowDatabase, ago: Ago) -> None:
    many_task_instances(db, 300, run_id="large", state="success", start=ago(minutes=2), ended=ago(minutes=1))
    many_task_instances(db, 2_000, run_id="large", state=None)
    with counting(db, max_followed=1_000) as counter:
        _end_some(db, "large", "%")
        db.execute("UPDATE dag_run SET state = 'success', end_date = now() WHERE run_id = 'large'")
        counter.poll()
        assert counter.all.tasks == {("success", "default"): 2_000}


def _end_some(db: AirflowDatabase, run_id: str, task_ids: str) -> None:
    db.execute(
        "UPDATE task_instance SET state = 'success', start_date = now(), end_date = now(), try_number = 1"
        f" WHERE run_id = '{run_id}' AND task_id LIKE '{task_ids}' AND state IS NULL"
    )


def test_after_an_outage_it_catches_up_in_portions(db: AirflowDatabase) -> None:
    """More runs came and went than one poll reads."""
    many_task_instances(db, 1, run_id="before", state=None)
    with counting(db) as counter:
        first = db.execute("SELECT max(id) FROM dag_run")[0][0] + 1
        original, numbers = "run_id = 'before'", f"generate_series({first}, {first} + 2999)"
        ended = {"run_id": "'lost__' || n", "state": "'success'", "end_date": "now()"}
        dates = dict.fromkeys(("execution_date", "logical_date"), "now() + n * interval '1 second'")
        copies_of(db, "dag_run", original, numbers, id="n", **ended, **dates)
        copies_of(db, "task_instance", original, numbers, id="gen_random_uuid()", start_date="now()", **ended)
        polls = 0
        while counter.all.tasks[("success", "default")] < 3_000 and polls < 10:
            counter.poll()
            polls += 1
        counter.poll()
        assert counter.all.tasks == {("success", "default"): 3_000}
        assert counter.all.runs == {("success", "scheduled"): 3_000}
        assert polls > 1


def test_a_replica_that_lags_behind(db: AirflowDatabase) -> None:
    """After a failover the outcomes just counted are not there yet, and come again."""
    lives = Lives(db)
    run = lives.create(now(), tasks=2)
    lives.start(run, now())
    with counting(db) as counter:
        for task in run.tasks:
            lives.schedule(task)
            lives.queue(task, now())
            lives.run(task, now())
        counter.poll()
        lives.end(run.tasks[0], now())
        lives.end(run.tasks[1], now(), "failed")
        lives.finish(run, now())
        counter.poll()
        assert counter.all == lives.truth
        at_the_end = {name: db.execute(f"SELECT state, end_date FROM {name}") for name in ("task_instance", "dag_run")}
        for name in at_the_end:
            db.execute(f"UPDATE {name} SET state = 'running', end_date = NULL")
        counter.poll()
        assert counter.all == lives.truth
        rows = db.execute("SELECT task_id FROM task_instance")
        for (task_id,), (state, end) in zip(rows, at_the_end["task_instance"], strict=True):
            db.execute(f"UPDATE task_instance SET state = '{state}', end_date = '{end}' WHERE task_id = '{task_id}'")
        ((state, end),) = at_the_end["dag_run"]
        db.execute(f"UPDATE dag_run SET state = '{state}', end_date = '{end}'")
        counter.poll()
        counter.poll()
        assert counter.all == lives.truth


def test_a_week_at_5000_tasks_a_day(new_database: NewDatabase) -> None:
    """What is remembered follows the last minutes, not the days."""
    db = new_database(SCHEMAS_BY_HISTORY[2])
    start = now() - timedelta(days=7)
    remembered: list[int] = []
    with counting(db) as counter:
        counter.learn_anew(start)
        for hour in range(7 * 24):
            moment = start + timedelta(hours=hour)
            for number in range(2):
                many_task_instances(
                    db, 104, run_id=f"{hour}_{number}", state="success", start=moment, ended=moment, run_state="success"
                )
            counter.poll(moment + timedelta(minutes=1))
            remembered.append(counter.collector.remembered)
        assert counter.all.tasks == {("success", "default"): 7 * 24 * 2 * 104}
        assert max(remembered[-24:]) <= max(remembered[-48:-24]) < 700


def test_a_task_may_run_in_a_run_that_is_done(db: AirflowDatabase) -> None:
    """A ghost is followed by its state, though nothing is known of its run."""
    lives = Lives(db)
    run = lives.create(now(), tasks=1)
    lives.start(run, now())
    lives.schedule(run.tasks[0])
    lives.queue(run.tasks[0], now())
    lives.run(run.tasks[0], now())
    lives.finish(run, now())
    lives.forget()
    with counting(db) as counter:
        lives.end(run.tasks[0], now())
        counter.poll()
        assert counter.all == lives.truth


def test_what_was_left_without_state_is_left_alone(db: AirflowDatabase, ago: Ago) -> None:
    a_task_instance(db, None, ago(days=9))
    db.execute("UPDATE dag_run SET state = 'failed'")
    with counting(db) as counter:
        assert counter.newest.one(metrics.OUTCOMES_AWAITED, "task_instance") == 0
