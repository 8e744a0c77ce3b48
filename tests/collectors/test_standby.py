"""A hot standby of PostgreSQL, read as the exporter's role: every collector works, conflicts are met, and what it lags is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.collectors import replication as module
from airflow_obs.collectors.replication import Replication
from airflow_obs.exporter.scrape import TIMES, Job, Run, run
from airflow_obs.model import Reading
from airflow_obs.sources.database import Database, Session
from tests.airflow_database import EXPORTER_ROLE, POOLED_PASSWORD, AirflowDatabase, Templates, engine_for
from tests.airflow_schemas import POOLED, POSTGRESQL_SCHEMAS
from tests.chaos.server import Server
from tests.collectors.collected import BUDGET, Collected, collect, collector, every_collector, source
from tests.embedded_postgres import embedded_postgres, memory_folder
from tests.eventually import eventually
from tests.exporter import fakes
from tests.pgbouncer_server import Chart, pgbouncer
from tests.standby import Standby, hot_standby
from tests.states import a_dag, a_live_scheduler, a_pool, a_running_dag_run, a_task_instance_queued
from tests.states.lives import Lives

NEWEST = next(schema for schema in POSTGRESQL_SCHEMAS if schema.release.version == "3.3.2")
CONFLICT = "conflict with recovery"


@pytest.fixture(scope="module")
def standby() -> Iterator[Standby]:
    with embedded_postgres(parent=memory_folder()) as primary, hot_standby(primary) as running:
        yield running


@pytest.fixture(scope="module")
def primary_templates(standby: Standby, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Templates]:
    with ExitStack() as stack:
        yield Templates(standby.primary, tmp_path_factory.mktemp("templates"), stack)


@pytest.fixture
def db(primary_templates: Templates) -> Iterator[AirflowDatabase]:
    """Its primary, to which Airflow writes."""
    with primary_templates.database(NEWEST) as database:
        assert database.exporter_url  # grants, which replicate
        yield database


@pytest.fixture
def database(request: pytest.FixtureRequest, standby: Standby, db: AirflowDatabase) -> Iterator[Database]:
    """The standby as the exporter reads it: directly, or where a test asks for it through PgBouncer as this chart sets it up."""
    chart: Chart | None = getattr(request, "param", None)
    standby.catch_up()
    with ExitStack() as stack:
        url = standby.url_of(db.exporter_url)
        if chart:
            pooler = stack.enter_context(pgbouncer(standby.postgres, {EXPORTER_ROLE: POOLED_PASSWORD}, chart))
            url = pooler.url(str(db.engine.url.database), EXPORTER_ROLE)
        yield stack.enter_context(closing(source(url)))


both_ways = pytest.mark.parametrize("database", [None, Chart.OFFICIAL], ids=["direct", "pgbouncer"], indirect=True)


def ran(database: Database, name: str) -> Run:
    return run(Job(collector(name), fakes.policy(10_000), database))


def replication(database: Database) -> Collected:
    seen = ran(database, Replication.name)
    assert seen.error is None
    return Collected(seen.readings)


def pools(database: Database) -> set[str]:
    return {labels[0] for labels in Collected(ran(database, "pools").readings).all(metrics.POOL_SLOTS)}


@pytest.mark.parametrize("version", sorted(POOLED))
def test_every_collector_says_there_what_it_says_of_the_primary(
    standby: Standby, primary_templates: Templates, version: str
) -> None:
    [schema] = [schema for schema in POSTGRESQL_SCHEMAS if schema.release.version == version]
    with primary_templates.database(schema) as db:
        moment = datetime.now(UTC)
        a_dag(db, "sales", last_parsed=moment)
        a_live_scheduler(db, heartbeat=moment)
        a_running_dag_run(db, started=moment)
        a_task_instance_queued(db, queued_at=moment)
        url = db.exporter_url
        standby.catch_up()
        runs: list[dict[str, Run]] = []
        for where in (url, standby.url_of(url)):
            reading = source(where)
            runs.append({one.name: run(Job(one, fakes.policy(10_000), reading)) for one in every_collector()})
            reading.close()
    there, here = runs
    assert {name: one.error for name, one in here.items()} == dict.fromkeys(there)
    told_by_the_rows = here.keys() - {"database", "locks", "vacuum", "replication", "tables"}
    assert {name: here[name].families for name in told_by_the_rows} == {
        name: there[name].families for name in told_by_the_rows
    }
    assert there["pools"].readings == here["pools"].readings
    assert there["jobs"].readings == here["jobs"].readings
    assert there["clean_up"].readings == here["clean_up"].readings


def test_what_it_does_not_know_of_the_tables_it_does_not_tell(
    standby: Standby, db: AirflowDatabase, database: Database
) -> None:
    """Nobody has analysed task_instance, and only the primary knows how many rows were written to it or changed."""
    a_running_dag_run(db, started=datetime.now(UTC))
    db.execute("ANALYZE slot_pool")
    db.execute("UPDATE slot_pool SET slots = slots")
    dead = (metrics.TABLE_DEAD_ROWS, "slot_pool")
    eventually(lambda: (collect(db, "tables").one(*dead) or 0) > 0, "the primary has counted the dead row")
    standby.catch_up()
    there, here = collect(db, "tables"), Collected(ran(database, "tables").readings)
    for family in (metrics.ARCHIVE_TABLES, metrics.TABLE_OLDEST_ROW, metrics.TABLE_UNDATED, metrics.TABLE_READABLE):
        assert here.all(family) == there.all(family)
    # Where a table has room the primary notes in a file of its own, which is not replicated.
    assert here.all(metrics.TABLE_SIZE).keys() == there.all(metrics.TABLE_SIZE).keys()
    assert here.all(metrics.TABLE_DEAD_ROWS) == {}
    assert here.all(metrics.TABLE_ROWS) == {("slot_pool",): 1}
    assert ("task_instance",) in there.all(metrics.TABLE_ROWS)


def test_vacuum_is_the_primarys(db: AirflowDatabase, database: Database) -> None:
    assert collect(db, "vacuum").all(metrics.TABLE_VACUUM_THRESHOLD)
    seen = ran(database, "vacuum")
    assert (seen.error, seen.readings) == (None, ())


def test_a_primary_is_no_standby(db: AirflowDatabase) -> None:
    seen = collect(db, Replication.name)
    assert seen.one(metrics.DB_READ_ONLY) == 0
    assert seen.all(metrics.DB_REPLAY_LAG) == seen.all(metrics.DB_REPLAYED) == {}
    assert seen.all(metrics.DB_REPLICATION_RUNNING) == {}


def test_a_standby_that_has_everything_is_not_behind_however_long_nothing_is_written(
    standby: Standby, database: Database
) -> None:
    # Half a second later than what was written last.
    last = "SELECT clock_timestamp() - pg_last_xact_replay_timestamp() > interval '0.5s'"
    eventually(lambda: standby.postgres.execute(last) == [(True,)], "nothing was written for half a second")
    seen = replication(database)
    assert seen.one(metrics.DB_READ_ONLY) == 1
    assert seen.one(metrics.DB_REPLAY_LAG) == 0
    assert seen.all(metrics.DB_REPLICATION_RUNNING) == {("receiver",): 1, ("applier",): 1}


def test_what_is_not_replayed_makes_it_lag(standby: Standby, db: AirflowDatabase, database: Database) -> None:
    standby.postgres.execute("SELECT pg_wal_replay_pause()")
    try:
        a_pool(db, "later", 1)
        eventually(lambda: (replication(database).one(metrics.DB_REPLAY_LAG) or 0) > 1, "it lags")
        assert replication(database).all(metrics.DB_REPLICATION_RUNNING) == {("receiver",): 1, ("applier",): 0}
        assert (ran(database, "pools").error, pools(database)) == (None, {"default_pool"})
    finally:
        standby.postgres.execute("SELECT pg_wal_replay_resume()")
    standby.catch_up()
    eventually(lambda: replication(database).one(metrics.DB_REPLAY_LAG) == 0, "it has caught up")


def test_of_a_primary_that_hangs_it_shows_what_that_wrote_last(
    standby: Standby, db: AirflowDatabase, database: Database
) -> None:
    """The receiver takes it for one that has nothing to say."""

    def shown_until() -> float:
        return replication(database).one(metrics.DB_REPLAYED) or 0

    before = time.time()
    a_pool(db, "before", 1)
    standby.catch_up()
    written = time.time()
    with Server(standby.primary).frozen():
        eventually(lambda: time.time() > written + 1, "the clock goes on")
        seen = replication(database)
        assert seen.all(metrics.DB_REPLICATION_RUNNING) == {("receiver",): 1, ("applier",): 1}
        assert seen.one(metrics.DB_REPLAY_LAG) == 0
        assert before <= shown_until() <= written
    a_pool(db, "after", 1)
    standby.catch_up()
    assert shown_until() > written


def test_without_its_primary_it_is_as_old_as_what_it_has(
    standby: Standby, db: AirflowDatabase, database: Database
) -> None:
    standby.set("primary_conninfo", "'host=/nowhere'")
    try:
        eventually(lambda: (replication(database).one(metrics.DB_REPLAY_LAG) or 0) > 1, "it lags")
        assert replication(database).one(metrics.DB_REPLICATION_RUNNING, "receiver") == 0
    finally:
        standby.set("primary_conninfo", f"'host={standby.primary.socket_folder} user=postgres'")
    a_pool(db, "later", 1)
    standby.catch_up()
    eventually(lambda: replication(database).one(metrics.DB_REPLAY_LAG) == 0, "it has caught up")


def test_a_role_that_sees_all_statistics_is_told_the_same(standby: Standby, database: Database) -> None:
    standby.primary.execute(f"GRANT pg_read_all_stats TO {EXPORTER_ROLE}")
    try:
        standby.catch_up()
        assert replication(database).one(metrics.DB_REPLICATION_RUNNING, "receiver") == 1
    finally:
        standby.primary.execute(f"REVOKE pg_read_all_stats FROM {EXPORTER_ROLE}")


def test_a_server_that_does_not_tell_how_far_it_is(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those that only resemble PostgreSQL; any real one refuses this as a feature that it does not have."""
    monkeypatch.setattr(module, "_STANDBY", sa.text("SELECT count(*) FROM slot_pool FOR UPDATE"))
    seen = replication(database)
    assert seen.one(metrics.DB_READ_ONLY) == 1
    assert seen.all(metrics.DB_REPLAY_LAG) == seen.all(metrics.DB_REPLICATION_RUNNING) == {}


@dataclass
class Disturbed:
    """The collector of pools; before it reads, the first `times`, something happens in its transaction."""

    happens: Callable[[Session], None]
    times: int = 1
    reads: int = 0
    name: str = "pools"
    source: str = "database"

    def read(self, db: Session) -> Any:
        self.reads += 1
        if self.reads <= self.times:
            self.happens(db)
        return collector(self.name).read(db)

    def samples(self, rows: Any) -> Iterator[Reading]:
        return collector(self.name).samples(rows)


@pytest.fixture
def impatient(standby: Standby) -> Iterator[None]:
    """The standby waits for no reader."""
    standby.set("max_standby_streaming_delay", "0")
    yield
    standby.set("max_standby_streaming_delay", "'30s'")


def between_two_statements(standby: Standby, db: AirflowDatabase) -> Callable[[Session], None]:
    """Somebody on the primary locks the table that we have read: a session that does nothing just then is ended."""

    def happens(session: Session) -> None:
        assert session.rows(sa.text("SELECT pool FROM slot_pool"))
        db.execute("LOCK TABLE slot_pool IN ACCESS EXCLUSIVE MODE")
        standby.catch_up()

    return happens


def within_a_statement(standby: Standby, db: AirflowDatabase, does: list[str]) -> Callable[[Session], None]:
    """As somebody on the primary `does` something with the table, we are in the middle of reading it."""

    def happens(session: Session) -> None:
        def disturb() -> None:
            reading = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
            eventually(lambda: standby.postgres.execute(reading) == [(1,)], "the query runs")
            for statement in does:
                standby.primary.execute(statement, str(db.engine.url.database))

        with ThreadPoolExecutor() as pool:
            done = pool.submit(disturb)
            try:
                session.rows(sa.text(f"SELECT pg_sleep({BUDGET}) FROM slot_pool"))
            finally:
                done.result()

    return happens


def read_by(database: Database, disturbed: Disturbed) -> Run:
    return run(Job(disturbed, fakes.policy(10_000, timeout=f"{BUDGET:g}s"), database))


@both_ways
@pytest.mark.usefixtures("impatient")
def test_a_session_that_a_conflict_ends_is_begun_anew(
    standby: Standby, db: AirflowDatabase, database: Database
) -> None:
    disturbed = Disturbed(between_two_statements(standby, db))
    seen = read_by(database, disturbed)
    assert (seen.error, disturbed.reads) == (None, 2)
    assert Collected(seen.readings).one(metrics.POOL_SLOTS, "default_pool") == 128
    counted = eventually(lambda: replication(database).one(metrics.DB_RECOVERY_CONFLICTS, "lock"), "it is counted")
    assert counted == 1


@both_ways
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("does", "kind"),
    [
        (["BEGIN; LOCK TABLE slot_pool IN ACCESS EXCLUSIVE MODE; COMMIT"], "lock"),
        (["UPDATE slot_pool SET slots = slots", "VACUUM slot_pool"], "snapshot"),
    ],
    ids=["lock", "snapshot"],
)
def test_a_query_that_a_conflict_ends_is_asked_again(
    standby: Standby, db: AirflowDatabase, database: Database, does: list[str], kind: str
) -> None:
    disturbed = Disturbed(within_a_statement(standby, db, does))
    seen = read_by(database, disturbed)
    assert (seen.error, disturbed.reads) == (None, 2)
    counted = eventually(lambda: replication(database).one(metrics.DB_RECOVERY_CONFLICTS, kind), "it is counted")
    assert counted == 1


@both_ways
@pytest.mark.usefixtures("impatient")
def test_conflicts_without_end_fail_the_collector_and_say_what_to_do(
    standby: Standby, db: AirflowDatabase, database: Database
) -> None:
    disturbed = Disturbed(between_two_statements(standby, db), times=99)
    seen = read_by(database, disturbed)
    assert disturbed.reads == TIMES
    assert seen.source_up
    assert CONFLICT in str(seen.error)
    assert "hot_standby_feedback" in str(seen.error)
    assert ran(database, "pools").error is None


def test_promotion_changes_neither_the_identity_nor_what_was_counted() -> None:
    """The standby of a server of its own, since it cannot become a standby again."""
    with (
        embedded_postgres(parent=memory_folder()) as primary,
        hot_standby(primary) as standby,
        TemporaryDirectory() as folder,
        ExitStack() as stack,
    ):
        db = stack.enter_context(Templates(primary, Path(folder), stack).database(NEWEST))
        lives = Lives(db)
        run_of_two = lives.create(datetime.now(UTC), tasks=2)
        lives.start(run_of_two, datetime.now(UTC))
        url = db.exporter_url
        standby.catch_up()
        counter = collector("outcomes")
        database = stack.enter_context(closing(source(standby.url_of(url))))

        def succeeded() -> float | None:
            seen = run(Job(counter, fakes.policy(10_000), database))
            assert seen.error is None
            return Collected(seen.readings).one(metrics.TASKS_FINISHED, "success", "default")

        assert succeeded() == 0
        lives.through(run_of_two.tasks[0], datetime.now(UTC))
        standby.catch_up()
        assert succeeded() == 1
        with database.session(BUDGET) as session:
            identity = session.identity
        standby.promote()
        assert succeeded() == 1
        promoted = AirflowDatabase(NEWEST, standby.url_of(db.url), engine_for(standby.url_of(db.url)))
        stack.callback(promoted.engine.dispose)
        Lives(promoted).through(run_of_two.tasks[1], datetime.now(UTC))
        assert succeeded() == 2
        with database.session(BUDGET) as session:
            assert session.identity == identity
        assert replication(database).one(metrics.DB_READ_ONLY) == 0
        assert replication(database).all(metrics.DB_REPLAY_LAG) == {}
        assert replication(database).all(metrics.DB_REPLAYED) == {}
