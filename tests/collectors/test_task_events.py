"""Events of the audit log become true counters: from 0, without history, each counted once whatever happens to the log."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import SCHEDULER_EVENTS
from airflow_obs.collectors.log_tail import BATCH, LATE
from airflow_obs.collectors.task_events import TaskEvents
from airflow_obs.errors import SourceError
from tests.airflow_database import AirflowDatabase
from tests.airflow_schemas import DISTINCT_SCHEMAS, POSTGRESQL_SCHEMAS, Kind
from tests.collectors.collected import BUDGET, Collected, source
from tests.collectors.conftest import Ago
from tests.conftest import NewDatabase
from tests.states import (
    TaskKey,
    a_heartbeat_timeout,
    a_log_row,
    a_state_mismatch,
    a_task_instance_queued,
    a_task_out_of_requeues,
    a_task_requeued_as_stuck,
    end_task,
    writes_scheduler_events,
)
from tests.states.rows import delete

TIMEOUT = "heartbeat timeout"
WRITING = [schema for schema in DISTINCT_SCHEMAS if not schema.release.version.startswith(("2.4.", "2.7."))]


def about(key: TaskKey) -> dict[str, Any]:
    """What the log says of whom an event is about."""
    return {**key._asdict(), "try_number": 1}


class Exporter:
    """A collector that lives on from run to run; its clock goes on by itself and when told to."""

    def __init__(self, db: AirflowDatabase) -> None:
        self.url = db.exporter_url
        self.collector = TaskEvents()
        self.ahead = timedelta()

    def run(self, later: timedelta = timedelta(0)) -> Collected:
        """What it says, so much later than last time."""
        self.ahead += later
        with closing(source(self.url)) as database, database.session(BUDGET) as session:
            events = self.collector.read(replace(session, now=session.now + self.ahead))
        return Collected(tuple(self.collector.samples(events)))

    def count(self, event: str = TIMEOUT, later: timedelta = timedelta(0)) -> float | None:
        """How many there have been, after another run."""
        return self.run(later).one(metrics.TASK_EVENTS, event)


@pytest.fixture(params=WRITING, ids=str)
def db(request: pytest.FixtureRequest, new_database: NewDatabase) -> AirflowDatabase:
    """An Airflow whose scheduler writes such events."""
    return new_database(request.param)


@pytest.fixture(params=[schema for schema in WRITING if schema.kind is Kind.POSTGRESQL], ids=str)
def postgresql(request: pytest.FixtureRequest, new_database: NewDatabase) -> AirflowDatabase:
    """The same on PostgreSQL."""
    return new_database(request.param)


@pytest.fixture
def key(db: AirflowDatabase, ago: Ago) -> TaskKey:
    """A task for events to be about."""
    return a_task_instance_queued(db, queued_at=ago(minutes=30))


def test_before_2_10_there_is_nothing_to_tell(new_database: NewDatabase, ago: Ago) -> None:
    for schema in set(DISTINCT_SCHEMAS) - set(WRITING):
        db = new_database(schema)
        a_log_row(db, TIMEOUT, dttm=ago(minutes=1))
        assert not writes_scheduler_events(db)
        assert not Exporter(db).run().readings


def test_every_event_starts_at_0_and_history_does_not_count(db: AirflowDatabase, ago: Ago, key: TaskKey) -> None:
    a_heartbeat_timeout(db, key, at=ago(minutes=9))
    seen = Exporter(db).run()
    assert seen.all(metrics.TASK_EVENTS) == {(event,): 0 for event in SCHEDULER_EVENTS}


def test_t2_t4_t5_each_event_is_counted_once(db: AirflowDatabase, ago: Ago, key: TaskKey) -> None:
    exporter = Exporter(db)
    exporter.run()
    a_task_requeued_as_stuck(db, key=key, at=ago(minutes=3))
    a_task_requeued_as_stuck(db, key=key, at=ago(minutes=2))
    a_task_out_of_requeues(db, key, at=ago(minutes=1))
    a_heartbeat_timeout(db, key, at=ago(minutes=1))
    a_state_mismatch(db, key, at=ago(minutes=1))
    a_log_row(db, "failed", dttm=ago(minutes=1), task_id=key.task_id)
    expected = {
        ("stuck in queued reschedule",): 2, ("stuck in queued tries exceeded",): 1, (TIMEOUT,): 1, ("state mismatch",): 1,
    }  # fmt: skip
    for _ in range(2):
        assert exporter.run().all(metrics.TASK_EVENTS) == expected
    assert exporter.run(later=2 * LATE).all(metrics.TASK_EVENTS) == expected


def test_a_row_that_commits_late_is_counted_however_seldom_we_look(db: AirflowDatabase, ago: Ago, key: TaskKey) -> None:
    first = a_heartbeat_timeout(db, key, at=ago(minutes=9))
    exporter = Exporter(db)
    exporter.run()
    a_log_row(db, TIMEOUT, dttm=ago(minutes=1), id=first + 3, **about(key))
    assert exporter.count(later=5 * LATE) == 1
    a_log_row(db, TIMEOUT, dttm=ago(minutes=1), id=first + 1, **about(key))
    assert [exporter.count(later=5 * LATE) for _ in range(3)] == [2, 2, 2]


def test_a_row_that_commits_late_is_counted_once(db: AirflowDatabase, ago: Ago, key: TaskKey) -> None:
    first = a_heartbeat_timeout(db, key, at=ago(minutes=9))
    exporter = Exporter(db)
    exporter.run()
    a_log_row(db, TIMEOUT, dttm=ago(minutes=1), id=first + 3, **about(key))
    assert exporter.count() == 1
    a_log_row(db, TIMEOUT, dttm=ago(minutes=1), id=first + 1, **about(key))
    assert exporter.count(later=LATE / 2) == 2
    a_log_row(db, TIMEOUT, dttm=ago(minutes=1), id=first + 2, **about(key))
    assert exporter.count(later=LATE / 4) == 3
    assert exporter.count(later=2 * LATE) == 3
    assert exporter.count() == 3


def test_what_db_clean_deletes_was_counted_already(db: AirflowDatabase, ago: Ago, key: TaskKey) -> None:
    exporter = Exporter(db)
    exporter.run()
    last = a_heartbeat_timeout(db, key, at=ago(minutes=1))
    assert exporter.count() == 1
    delete(db, "log")
    assert exporter.count(later=2 * LATE) == 1
    assert exporter.count(later=2 * LATE) == 1
    a_log_row(db, TIMEOUT, dttm=ago(minutes=1), id=last + 1, **about(key))
    assert exporter.count() == 2
    assert exporter.count(later=2 * LATE) == 2


def test_a_sequence_that_begins_anew(db: AirflowDatabase, ago: Ago, key: TaskKey) -> None:
    a_log_row(db, TIMEOUT, dttm=ago(minutes=9), id=5000, **about(key))
    exporter = Exporter(db)
    exporter.run()
    a_log_row(db, TIMEOUT, dttm=ago(minutes=9), id=5001, **about(key))
    assert exporter.count() == 1
    delete(db, "log")
    a_log_row(db, "success", dttm=ago(minutes=2), id=1)
    assert exporter.count(later=2 * LATE) == 1
    a_log_row(db, TIMEOUT, dttm=ago(minutes=1), id=2, **about(key))
    assert exporter.count() == 2
    assert exporter.count(later=2 * LATE) == 2


@pytest.mark.parametrize("emptied", ["before our start", "later"])
def test_an_emptied_log_whose_sequence_goes_on(db: AirflowDatabase, ago: Ago, key: TaskKey, emptied: str) -> None:
    """As TRUNCATE leaves it."""
    last = a_log_row(db, "success", dttm=ago(minutes=9), id=50_000_000)
    exporter = Exporter(db)
    if emptied == "later":
        exporter.run()
    delete(db, "log")
    assert exporter.count(later=2 * LATE) == 0
    for number in (1, 2):
        a_log_row(db, TIMEOUT, dttm=ago(minutes=1), id=last + number * 50_000, **about(key))
    assert [exporter.count() for _ in range(2)] == [2, 2]
    a_log_row(db, TIMEOUT, dttm=ago(minutes=1), id=last + 1, **about(key))
    assert [exporter.count() for _ in range(2)] == [3, 3]


def test_what_was_missed_is_caught_up_with_in_steps(db: AirflowDatabase, ago: Ago, key: TaskKey) -> None:
    exporter = Exporter(db)
    exporter.run()
    for steps in (0.5, 1.5, 2.5):
        a_log_row(db, TIMEOUT, dttm=ago(minutes=1), id=int(steps * BATCH), **about(key))
    assert [exporter.count() for _ in range(4)] == [1, 2, 3, 3]


def test_t2_the_budget_of_requeues(db: AirflowDatabase, ago: Ago, key: TaskKey) -> None:
    exporter = Exporter(db)
    assert exporter.run().one(metrics.TASKS_REQUEUED) == 0
    other, _ = a_task_requeued_as_stuck(db, at=ago(minutes=5))
    for minutes in (6, 2):
        a_task_requeued_as_stuck(db, key=key, at=ago(minutes=minutes))
    seen = exporter.run()
    assert seen.one(metrics.TASKS_REQUEUED) == 2
    assert seen.one(metrics.TASK_REQUEUES_MAX) == 2
    end_task(db, key, "running")
    seen = exporter.run()
    assert seen.one(metrics.TASKS_REQUEUED) == seen.one(metrics.TASK_REQUEUES_MAX) == 1
    a_task_out_of_requeues(db, other, at=ago(minutes=1))
    seen = exporter.run()
    assert seen.one(metrics.TASKS_REQUEUED) == seen.one(metrics.TASK_REQUEUES_MAX) == 0


def test_t2_the_budget_is_known_after_a_restart(db: AirflowDatabase, ago: Ago) -> None:
    for minutes in (30, 20):
        key, _ = a_task_requeued_as_stuck(db, at=ago(minutes=minutes))
    a_task_requeued_as_stuck(db, key=key, at=ago(minutes=2))
    exporter = Exporter(db)
    for _ in range(2):
        seen = exporter.run()
        assert seen.one(metrics.TASKS_REQUEUED) == 2
        assert seen.one(metrics.TASK_REQUEUES_MAX) == 2
        assert set(seen.all(metrics.TASK_EVENTS).values()) == {0}


def test_t2_a_new_try_has_a_new_budget(db: AirflowDatabase, ago: Ago) -> None:
    key = a_task_instance_queued(db, queued_at=ago(minutes=1), try_number=2)
    a_task_requeued_as_stuck(db, key=key, at=ago(minutes=2), try_number=1)
    assert Exporter(db).run().one(metrics.TASKS_REQUEUED) == 0


def test_a_run_that_fails_loses_nothing(postgresql: AirflowDatabase, ago: Ago) -> None:
    key = a_task_instance_queued(postgresql, queued_at=ago(minutes=30))
    exporter = Exporter(postgresql)
    exporter.run()
    a_heartbeat_timeout(postgresql, key, at=ago(minutes=1))
    with postgresql.engine.begin() as migration:
        migration.execute(sa.text("LOCK TABLE task_instance, log IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(SourceError):
            exporter.run()
    assert exporter.count() == 1


def test_a_transaction_that_is_still_open(postgresql: AirflowDatabase) -> None:
    exporter = Exporter(postgresql)
    exporter.run()
    row = sa.insert(postgresql.tables["log"]).values(
        event=TIMEOUT, dttm=datetime.now(UTC), dag_id="sales", task_id="t", run_id="r", map_index=-1, try_number=1
    )
    with postgresql.engine.begin() as slow:
        slow.execute(row)
        with postgresql.engine.begin() as quick:
            quick.execute(row)
        assert exporter.count() == 1
    assert exporter.count(later=LATE / 2) == 2
    assert exporter.count(later=2 * LATE) == 2


def test_t2_among_very_many_requeued_the_one_nearest_its_end_is_known(new_database: NewDatabase, ago: Ago) -> None:
    """When a queue has lost its workers all its tasks are requeued, not only as many as are watched."""
    db = new_database(POSTGRESQL_SCHEMAS[-2])
    first, _ = a_task_requeued_as_stuck(db, at=ago(minutes=30))
    exporter = Exporter(db)
    assert exporter.run().one(metrics.TASK_REQUEUES_MAX) == 1
    a_task_requeued_as_stuck(db, key=first, at=ago(minutes=20))
    for _ in range(220):
        a_task_requeued_as_stuck(db, at=ago(minutes=9))
    for one in (exporter, Exporter(db)):
        for _ in range(2):
            seen = one.run()
            assert seen.one(metrics.TASKS_REQUEUED) == 200
            assert seen.one(metrics.TASK_REQUEUES_MAX) == 2


def test_t2_those_that_wait_no_more_leave_room_for_those_that_do(new_database: NewDatabase, ago: Ago) -> None:
    db = new_database(POSTGRESQL_SCHEMAS[-2])
    for _ in range(210):
        key, _ = a_task_requeued_as_stuck(db, at=ago(minutes=30))
        a_task_requeued_as_stuck(db, key=key, at=ago(minutes=20))
    db.execute("UPDATE task_instance SET state = 'success'")
    a_task_requeued_as_stuck(db, at=ago(minutes=5))
    seen = Exporter(db).run()
    assert seen.one(metrics.TASKS_REQUEUED) == seen.one(metrics.TASK_REQUEUES_MAX) == 1
