"""No statement of any collector reads through what grows with history: each is looked at as the server runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_obs.collectors import dag_versions, deadlines, last_runs, successes, tables, task_events, task_outcomes
from airflow_obs.collectors.collector import AnyCollector
from airflow_obs.collectors.outcome_poll import RUNS_AT_ONCE
from airflow_obs.sources.database import Session
from bench.history import Filled, Size, counted, learn, write
from bench.plans import Read, asks, explain, prepare, shape
from bench.work import Work
from tests.airflow_database import AirflowDatabase, Templates
from tests.airflow_releases import RELEASES
from tests.airflow_schemas import Kind, Schema
from tests.collectors.collected import BUDGET, every_collector, source

HISTORY = Size(60_000, tasks_per_run=5)
"""12,000 dag runs, of which 300 are live, with 1,500 task instances, and a fifth as many of what there is least of."""
MOST = 2_000
"""Rows that one step of a statement may read of a table, if they are less than half of it."""
SMALL = {
    "dag", "dag_tag", "dag_bundle", "dag_bundle_team", "slot_pool", "import_error", "trigger", "callback_request", "backfill",
    "dataset_dag_run_queue", "asset_dag_run_queue",
}  # fmt: skip
"""What grows with the DAGs or the live work, or by hand, and may be read whole. Every other table that is read has a history."""
TOUCHED = 10_000
"""Pages, or rows with those of temporary tables, that it may touch altogether."""
MANY = 350
"""Task instances that end at once, in as many runs of five."""
RUNS = 4
"""Of each collector; it remembers, and asks otherwise the next time."""


@dataclass(frozen=True)
class Sent:
    """A statement that a collector sent."""

    collector: str
    sql: str
    parameters: Any


@pytest.fixture(params=[
    Schema(kind, RELEASES[release]) for kind in (Kind.POSTGRESQL, Kind.MARIADB) for release in ("2.10.5", "3.3.2")
], ids=str, scope="module")  # fmt: skip
def old_db(request: pytest.FixtureRequest, templates: Templates) -> Iterator[AirflowDatabase]:
    """An Airflow with a history, and little live work, as the server knows it after a while."""
    with templates.database(request.param) as db:
        write(db, HISTORY)
        # Airflow 3 has jobs of its members alone: few, until they were started often.
        db.execute(
            "INSERT INTO job (id, job_type, state, hostname, start_date, end_date, latest_heartbeat) "
            "SELECT id + 100000, 'SchedulerJob', 'failed', 'gone', start_date, end_date, end_date - INTERVAL '60' DAY "
            "FROM dag_run WHERE state = 'success'"
        )
        learn(db)
        yield db


@pytest.fixture(autouse=True)
def low_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at for good reason, up to a bound, is less than MOST, too."""
    for module, name, bound in (
        (last_runs, "TAIL", 500), (last_runs, "WINDOW", 3), (last_runs, "AT_ONCE", 50), (successes, "AT_ONCE", 50),
        (task_events, "_LOOK_BACK", 500), (dag_versions, "LOOK_AT", 500), (deadlines, "LOOK_AT", 500),
        (tables, "LOOK_AT", 100),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, bound)


class Unfiltered:
    """What exporters without a state filter run at every scrape."""

    name = "unfiltered"
    source = "database"

    def read(self, db: Session) -> Sequence[Any]:
        ti = db.schema.table("task_instance")
        return db.rows(sa.select(ti.c.state, sa.func.count()).group_by(ti.c.state))

    def samples(self, _: Sequence[Any]) -> Iterator[Any]:
        return iter(())


class OfOneDag(Unfiltered):
    """An index is no excuse where all that it leads to is read."""

    name = "of_one_dag"

    def read(self, db: Session) -> Sequence[Any]:
        run = db.schema.table("dag_run")
        return db.rows(sa.select(sa.func.min(run.c.end_date)).where(run.c.state == "success"))


class MostOfOne(Unfiltered):
    """Less than MOST, since there is little history."""

    name = "most_of_one"

    def read(self, db: Session) -> Sequence[Any]:
        table, column = ("deadline", "id") if db.schema.has("deadline") else ("sla_miss", "timestamp")
        return db.rows(sa.select(db.schema.table(table).c[column]).limit(MOST - 1))


class OfAnother(Unfiltered):
    """A table that nobody filled, and that nobody says is small."""

    name = "of_another"

    def read(self, db: Session) -> Sequence[Any]:
        return db.rows(sa.text("SELECT version_num FROM alembic_version AS another"))


class ManyAtOnce(Unfiltered):
    """What is asked of task instances by their keys, when hundreds end at once, each in a run of its own."""

    name = "many_at_once"

    def read(self, db: Session) -> Sequence[Any]:
        run = db.schema.table("dag_run")
        runs = db.rows(sa.select(run.c.dag_id, run.c.run_id).order_by(run.c.id.desc()).limit(MANY))
        keys = [task_outcomes.TaskKey(row.dag_id, "transform_step_1", row.run_id, -1) for row in runs]
        assert (
            len(task_outcomes.by_key(db, keys)) == len(task_outcomes.of_tasks(db, [key[:3] for key in keys])) > MANY / 2
        )
        task_outcomes.finished_of(db, [key.run for key in keys[:RUNS_AT_ONCE]], None)
        task_outcomes.archived(db, keys)
        task_events.still_waiting(db, [task_events.Try(*key[:4], 1) for key in keys])
        return keys


def test_no_collector_reads_through_history(old_db: AirflowDatabase) -> None:
    size, release = HISTORY, old_db.release.version
    filled = Filled("", old_db.kind, release, old_db.url, old_db.exporter_url, size, {}, 0.0, 0.0)
    with closing(Work(filled)) as work:
        sent = _sent(old_db, every_collector(), work.step)
    assert {one.collector for one in sent} >= {"outcomes", "dags", "slos", "tables"}
    findings = list(_findings(old_db, sent))
    assert not findings, "\n\n".join(findings)


def test_what_is_asked_for_by_its_key_is_found_by_it(old_db: AirflowDatabase) -> None:
    findings = list(_findings(old_db, _sent(old_db, [ManyAtOnce()])))
    assert not findings, "\n\n".join(findings)


@pytest.mark.parametrize(
    ("scan", "tables"),
    [
        (Unfiltered, {"task_instance"}),
        (OfOneDag, {"dag_run"}),
        (MostOfOne, {"deadline", "sla_miss"}),
        (OfAnother, {"alembic_version", "another"}),
    ],
)
def test_one_that_does_is_found(old_db: AirflowDatabase, scan: Callable[[], Unfiltered], tables: set[str]) -> None:
    (finding,) = _findings(old_db, _sent(old_db, [scan()]))
    assert finding.startswith(f"{scan().name}: ")
    assert any(f" on {table}" in finding for table in tables)


def _sent(
    db: AirflowDatabase, collectors: Sequence[AnyCollector], step: Callable[[int], None] = lambda _: None
) -> list[Sent]:
    """What these collectors send as the exporter's own role, each kind of statement once for each; `step` comes before a run."""
    found: dict[tuple[str, str], Sent] = {}
    with closing(source(db.exporter_url)) as database:
        for number in range(RUNS):
            step(number)
            for one in collectors:
                with database.session(BUDGET) as session, _listening(session) as heard:
                    one.read(session)
                for sql, parameters in heard:
                    found.setdefault((one.name, shape(sql)), Sent(one.name, sql, parameters))
    return [one for one in found.values() if asks(one.sql)]


@contextmanager
def _listening(session: Session) -> Iterator[list[tuple[str, Any]]]:
    heard: list[tuple[str, Any]] = []

    def hear(_connection: Any, _cursor: Any, sql: str, parameters: Any, *_: Any) -> None:
        heard.append((sql, parameters))

    sa.event.listen(session.connection, "before_cursor_execute", hear)
    try:
        yield heard
    finally:
        sa.event.remove(session.connection, "before_cursor_execute", hear)


def _findings(db: AirflowDatabase, sent: Sequence[Sent]) -> Iterator[str]:
    rows = counted(db)
    with closing(db.engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
        prepare(cursor, db.kind)
        for one in sent:
            plan = explain(cursor, db.kind, one.sql, one.parameters)
            too_much = [
                f"{read} of {rows.get(read.table, 0):,}"
                for read in plan.reads
                if read.table not in SMALL and read.rows >= min(MOST, rows.get(read.table, 0) / 2)
                if read.table in rows or not _of_the_server(read, one.sql)
            ]
            if plan.touched > TOUCHED:
                too_much.append(f"{plan.touched:,.0f} {plan.unit} touched")
            if too_much:
                yield f"{one.collector}: {', '.join(too_much)}\n{one.sql}"


def _of_the_server(read: Read, sql: str) -> bool:
    """Whether it is of a table that is none of Airflow's: one of the server's own, or one that it made for the statement.

    MariaDB calls tables as the statement does.
    """
    return read.table.startswith(("pg_", "<")) or "information_schema." in sql or "performance_schema." in sql
