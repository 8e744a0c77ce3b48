"""Deadlines that pass, SLAs that are missed, callbacks that nobody runs."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.collectors import deadlines
from airflow_obs.collectors.deadlines import LOOK_AT
from tests.airflow_database import EXPORTER_ROLE, AirflowDatabase, Templates
from tests.airflow_releases import RELEASES
from tests.airflow_schemas import DISTINCT_SCHEMAS, Kind, Schema
from tests.collectors.collected import collect, collector, read
from tests.collectors.conftest import Ago
from tests.conftest import NewDatabase
from tests.eventually import eventually
from tests.states import (
    a_callback,
    a_callback_that_nobody_takes,
    an_overdue_deadline,
    an_sla_miss,
    the_deadline_is_missed,
)

WITH_DEADLINES = [schema for schema in DISTINCT_SCHEMAS if schema.release.version > "3.1"]
"""3.0 has the table, and does not use it yet."""
WITHOUT = [schema for schema in DISTINCT_SCHEMAS if schema not in WITH_DEADLINES]


@pytest.fixture(params=WITH_DEADLINES, ids=str)
def deadline_db(request: pytest.FixtureRequest, new_database: NewDatabase) -> AirflowDatabase:
    """An Airflow with deadlines."""
    return new_database(request.param)


@pytest.mark.parametrize("schema", WITHOUT, ids=str)
def test_nothing_is_said_of_deadlines_before_there_are_any(schema: Schema, new_database: NewDatabase) -> None:
    seen = collect(new_database(schema), "deadlines")
    assert seen.one(metrics.DEADLINES_OVERDUE) is None
    assert seen.one(metrics.DEADLINES_MISSED) is None


def test_sla_misses(airflow_db: AirflowDatabase, ago: Ago) -> None:
    if "sla_miss" not in airflow_db.tables or airflow_db.kind is Kind.MARIADB:
        assert collect(airflow_db, "deadlines").one(metrics.SLA_MISSES) is None
        return
    _sla_misses_are_counted(airflow_db, ago)


def test_sla_misses_by_the_performance_schema(templates: Templates, ago: Ago) -> None:
    """MySQL has it, and MariaDB where it was switched on; to other accounts it is closed."""
    with ExitStack() as stack:
        own = replace(templates, stack=stack, mariadb_options=("--performance-schema=1",))
        db = stack.enter_context(own.database(Schema(Kind.MARIADB, RELEASES["2.10.5"])))
        assert collect(db, "deadlines").one(metrics.SLA_MISSES) is None
        db.execute(f"GRANT SELECT ON performance_schema.table_io_waits_summary_by_table TO {EXPORTER_ROLE}@'%'")
        _sla_misses_are_counted(db, ago)


def _sla_misses_are_counted(db: AirflowDatabase, ago: Ago) -> None:
    one = collector("deadlines")

    def misses() -> float | None:
        return read(db, one).one(metrics.SLA_MISSES)

    assert misses() == 0
    for minute in (2, 1, 0):
        an_sla_miss(db, recorded=ago(minutes=minute))
    if db.kind is Kind.POSTGRESQL:
        db.engine.dispose()  # a session that ends hands in what it has counted
    eventually(lambda: misses() == 3, "three more misses")
    # What is cleaned up has happened all the same: SQLite's numbers tell as long as the newest row is there.
    db.execute("DELETE FROM sla_miss WHERE timestamp < (SELECT max(timestamp) FROM sla_miss)")
    assert misses() == 3
    # One that starts after a restore would count from less: only what begins at 0 is a counter that was reset.
    assert collect(db, "deadlines").one(metrics.SLA_MISSES) == 0


def test_a_deadline_that_nobody_handles(deadline_db: AirflowDatabase, ago: Ago) -> None:
    an_overdue_deadline(deadline_db, passed=ago(minutes=-60))
    assert collect(deadline_db, "deadlines").one(metrics.DEADLINES_OVERDUE) == 0
    late = [an_overdue_deadline(deadline_db, passed=ago(minutes=minutes)) for minutes in (9, 4)]
    seen = collect(deadline_db, "deadlines")
    assert seen.one(metrics.DEADLINES_OVERDUE) == 2
    assert seen.one(metrics.DEADLINES_OVERDUE_OLDEST) == ago(minutes=9).timestamp()
    for identity in late:
        the_deadline_is_missed(deadline_db, identity)
    seen = collect(deadline_db, "deadlines")
    assert seen.one(metrics.DEADLINES_OVERDUE) == 0
    assert seen.one(metrics.DEADLINES_OVERDUE_OLDEST) is None


def test_missed_deadlines_are_counted_once(deadline_db: AirflowDatabase, ago: Ago) -> None:
    one = collector("deadlines")

    def missed() -> float | None:
        return read(deadline_db, one).one(metrics.DEADLINES_MISSED)

    for minutes in (600, 2):  # before the exporter started
        the_deadline_is_missed(deadline_db, an_overdue_deadline(deadline_db, passed=ago(minutes=minutes)))
    assert missed() == 0
    old = an_overdue_deadline(deadline_db, passed=ago(hours=5))
    new = an_overdue_deadline(deadline_db, passed=ago(minutes=1))
    assert missed() == 0
    the_deadline_is_missed(deadline_db, new)
    assert missed() == 1
    assert missed() == 1
    the_deadline_is_missed(deadline_db, old)
    # Passed and missed between two looks.
    the_deadline_is_missed(deadline_db, an_overdue_deadline(deadline_db, passed=ago(seconds=1)))
    assert missed() == 3
    assert missed() == 3
    deadline_db.execute("DELETE FROM deadline")
    assert missed() == 3


def test_what_comes_into_sight_when_others_are_deleted_is_no_news(new_database: NewDatabase, ago: Ago) -> None:
    """More were missed since the oldest open one than are looked at, and then somebody deletes the newest."""
    db = new_database(next(schema for schema in WITH_DEADLINES if schema.release.version.startswith("3.1.")))
    an_overdue_deadline(db, passed=ago(days=9))
    the_deadline_is_missed(db, an_overdue_deadline(db, passed=ago(days=1)))
    db.execute(
        "INSERT INTO deadline (id, deadline_time, callback, callback_state) "
        "SELECT gen_random_uuid(), deadline_time + g * interval '1 second', callback, callback_state "
        f"FROM deadline, generate_series(1, {LOOK_AT + 500}) g WHERE callback_state IS NOT NULL"
    )
    one = collector("deadlines")

    def missed() -> float | None:
        return read(db, one).one(metrics.DEADLINES_MISSED)

    assert missed() == 0
    db.execute(
        "DELETE FROM deadline WHERE id IN (SELECT id FROM deadline WHERE callback_state IS NOT NULL "
        "ORDER BY deadline_time DESC LIMIT 300)"
    )
    assert [missed(), missed()] == [0, 0]
    the_deadline_is_missed(db, an_overdue_deadline(db, passed=ago(seconds=1)))
    assert [missed(), missed()] == [1, 1]


def test_a_callback_that_nobody_takes(airflow_db: AirflowDatabase, ago: Ago) -> None:
    waiting, oldest = metrics.CALLBACKS_WAITING, metrics.CALLBACKS_OLDEST
    assert collect(airflow_db, "deadlines").one(waiting, "dag_processor", "none") == 0
    a_callback_that_nobody_takes(airflow_db, asked=ago(minutes=20))
    a_callback_that_nobody_takes(airflow_db, asked=ago(minutes=1))
    seen = collect(airflow_db, "deadlines")
    assert seen.one(waiting, "dag_processor", "none") == 2
    assert seen.one(oldest, "dag_processor", "none") == ago(minutes=20).timestamp()
    airflow_db.execute(f"DELETE FROM {'callback' if 'callback' in airflow_db.tables else 'callback_request'}")
    seen = collect(airflow_db, "deadlines")
    assert seen.one(waiting, "dag_processor", "none") == 0
    assert seen.one(oldest, "dag_processor", "none") is None


def test_which_callbacks_are_counted_of_very_many(
    airflow_db: AirflowDatabase, ago: Ago, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "LOOK_AT", 2)
    for minutes in (9, 5, 1):
        a_callback_that_nobody_takes(airflow_db, asked=ago(minutes=minutes))
    seen = collect(airflow_db, "deadlines")
    assert seen.one(metrics.CALLBACKS_WAITING, "dag_processor", "none") == 2
    oldest = 5 if "callback" in airflow_db.tables else 9
    assert seen.one(metrics.CALLBACKS_OLDEST, "dag_processor", "none") == ago(minutes=oldest).timestamp()


def test_callbacks_of_deadlines(deadline_db: AirflowDatabase, ago: Ago) -> None:
    if "callback" not in deadline_db.tables:
        identity = an_overdue_deadline(deadline_db, passed=ago(minutes=7))
        the_deadline_is_missed(deadline_db, identity)
        seen = collect(deadline_db, "deadlines")
        assert seen.one(metrics.CALLBACKS_WAITING, "triggerer", "queued") == 1
        assert seen.one(metrics.CALLBACKS_OLDEST, "triggerer", "queued") == ago(minutes=7).timestamp()
        deadline_db.execute("UPDATE deadline SET callback_state = 'success'")
    else:
        for state in ("scheduled", "pending", "queued", "queued", "running", "success", "failed"):
            a_callback(deadline_db, state, asked=ago(minutes=7))
        a_callback(deadline_db, "running", asked=ago(minutes=1), runner="executor")
        seen = collect(deadline_db, "deadlines")
        assert {labels: count for labels, count in seen.all(metrics.CALLBACKS_WAITING).items() if count} == {
            ("triggerer", "pending"): 1,
            ("triggerer", "queued"): 2,
            ("triggerer", "running"): 1,
            ("executor", "running"): 1,
        }
        deadline_db.execute("UPDATE callback SET state = 'success'")
    assert not any(collect(deadline_db, "deadlines").all(metrics.CALLBACKS_WAITING).values())
