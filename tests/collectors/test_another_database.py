"""When another database answers at the same URL, its past is not taken for news, and what happens in it from then on is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.collectors.landmarks import Odometer
from airflow_obs.errors import SourceError
from airflow_obs.model import Metric, Reading
from tests.airflow_database import GRANTS, AirflowDatabase, engine_for
from tests.airflow_schemas import DISTINCT_POSTGRESQL_SCHEMAS, DISTINCT_SQLITE_SCHEMAS, Schema
from tests.collectors.collected import BUDGET, Collected, collector, source
from tests.conftest import NewDatabase
from tests.embedded_postgres import EmbeddedPostgres
from tests.states import a_heartbeat_timeout, an_overdue_deadline, an_sla_miss, the_deadline_is_missed
from tests.states.lives import Lives

RELEASES = {"2.10.5", "3.1.8", "3.3.2"}
SCHEMAS = [each for each in DISTINCT_POSTGRESQL_SCHEMAS if each.release.version in RELEASES]
SQLITE = [each for each in DISTINCT_SQLITE_SCHEMAS if each.release.version in {"2.10.5", "3.3.2"}]
COUNTERS = (
    metrics.TASK_EVENTS, metrics.DEADLINES_MISSED, metrics.SLA_MISSES, metrics.RUNS_FINISHED, metrics.TASKS_FINISHED,
)  # fmt: skip
Switch = Callable[[EmbeddedPostgres, AirflowDatabase], None]


def now() -> datetime:
    return datetime.now(UTC)


class Exporter:
    """Collectors that remember, and the one source that they read."""

    def __init__(self, url: str) -> None:
        self.source = source(url)
        self.collectors = [collector(name) for name in ("outcomes", "task_events", "deadlines", "dags")]
        self.newest = Collected(())

    def run(self) -> dict[Metric, float]:
        """What each counter says in all, after another run of each collector."""
        self.newest = Collected(tuple(self._readings()))
        return {metric: sum(self.newest.all(metric).values()) for metric in COUNTERS}

    def _readings(self) -> Iterator[Reading]:
        for each in self.collectors:
            with self.source.session(BUDGET) as session:
                rows = each.read(session)
            yield from each.samples(rows)


@pytest.fixture(params=SCHEMAS, ids=str)
def db(request: pytest.FixtureRequest, new_database: NewDatabase) -> AirflowDatabase:
    return new_database(request.param)


def work(db: AirflowDatabase, times: int = 1) -> None:
    """What is counted, so many times: a run and its task end, another is not heard of, a deadline and an SLA are missed."""
    lives = Lives(db)
    for _ in range(times):
        run = lives.create(now(), tasks=2)
        lives.start(run, now())
        lives.through(run.tasks[0], now())
        a_heartbeat_timeout(db, run.tasks[1].key, at=now())
        lives.through(run.tasks[1], now(), "failed")
        lives.finish(run, now(), "failed")
        if "deadline" in db.tables:
            the_deadline_is_missed(db, an_overdue_deadline(db, passed=now() - timedelta(seconds=1)))
        if "sla_miss" in db.tables:
            an_sla_miss(db, recorded=now())


def done(db: AirflowDatabase, times: int = 1) -> dict[Metric, float]:
    """What the counters make of it. The SLA misses that PostgreSQL counts are told when a session ends, and not awaited here."""
    counted = {metrics.TASK_EVENTS: 1, metrics.RUNS_FINISHED: 1, metrics.TASKS_FINISHED: 2}
    counted[metrics.DEADLINES_MISSED] = int("deadline" in db.tables)
    return {metric: times * counted.get(metric, 0) for metric in COUNTERS}


def name_of(db: AirflowDatabase) -> str:
    return str(db.engine.url.database)


def alone(server: EmbeddedPostgres, db: AirflowDatabase) -> None:
    """No session is left in it."""
    db.engine.dispose()
    server.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name_of(db)}'")


def a_copy_that_goes_on(server: EmbeddedPostgres, db: AirflowDatabase) -> AirflowDatabase:
    """All it holds, and much that has happened there since."""
    alone(server, db)
    server.execute(f"CREATE DATABASE {name_of(db)}_copy TEMPLATE {name_of(db)}")
    url = server.url(f"{name_of(db)}_copy")
    copy = AirflowDatabase(db.schema, url, engine_for(url))
    work(copy, 3)
    alone(server, copy)
    return copy


def another_takes_its_name(server: EmbeddedPostgres, db: AirflowDatabase) -> None:
    copy = a_copy_that_goes_on(server, db)
    server.execute(f"DROP DATABASE {name_of(db)} WITH (FORCE)")
    server.execute(f"ALTER DATABASE {name_of(copy)} RENAME TO {name_of(db)}")


def restored_from_a_dump(server: EmbeddedPostgres, db: AirflowDatabase) -> None:
    """Dropped, and made anew under its name."""
    copy = a_copy_that_goes_on(server, db)
    server.execute(f"DROP DATABASE {name_of(db)} WITH (FORCE)")
    server.execute(f"CREATE DATABASE {name_of(db)} TEMPLATE {name_of(copy)}")
    server.execute(f"DROP DATABASE {name_of(copy)}")


def its_tables_are_made_anew(server: EmbeddedPostgres, db: AirflowDatabase) -> None:
    """As by `airflow db reset`, or `pg_restore --clean`, while we are connected."""
    db.execute("DROP SCHEMA public CASCADE")
    db.execute("CREATE SCHEMA public")
    server.execute(db.schema.file.read_text(), name_of(db))
    server.execute(GRANTS.read_text(), name_of(db))
    work(db, 3)


def its_tables_are_filled_anew(_: EmbeddedPostgres, db: AirflowDatabase) -> None:
    """With rows of another Airflow whose numbers are greater: only the rows tell."""
    db.execute(f"TRUNCATE dag_run, log {', deadline' if 'deadline' in db.tables else ''} CASCADE")
    for sequence in ("dag_run_id_seq", "log_id_seq"):
        db.execute(f"SELECT setval('{sequence}', nextval('{sequence}') + 70000)")
    work(db, 3)


@pytest.mark.parametrize(
    "switch", [another_takes_its_name, restored_from_a_dump, its_tables_are_made_anew, its_tables_are_filled_anew]
)
def test_its_past_is_no_news(postgres_server: EmbeddedPostgres, db: AirflowDatabase, switch: Switch) -> None:
    work(db)
    exporter = Exporter(db.exporter_url)
    with closing(exporter.source):
        before = exporter.run()
        work(db)
        counted = exporter.run()
        gained = {metric: counted[metric] - before[metric] for metric in COUNTERS if metric is not metrics.SLA_MISSES}
        assert gained == {metric: done(db)[metric] for metric in gained}
        switch(postgres_server, db)
        assert {**exporter.run(), metrics.SLA_MISSES: 0} == {**counted, metrics.SLA_MISSES: 0}
        fresh = Exporter(db.exporter_url)
        with closing(fresh.source):
            fresh.run()
        for metric in (metrics.DAG_LAST_RUN_END, metrics.DAG_LAST_RUN_SUCCESS):
            assert exporter.newest.all(metric) == fresh.newest.all(metric)
        work(db, 2)
        news = exporter.run()
        assert {metric: news[metric] - counted[metric] for metric in gained} == {m: done(db, 2)[m] for m in gained}


def test_that_others_rows_have_taken_the_place_is_said_once(
    postgres_server: EmbeddedPostgres, db: AirflowDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    def said() -> list[str]:
        exporter.run()
        exporter.run()
        news = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
        caplog.clear()
        return news

    work(db)
    exporter = Exporter(db.exporter_url)
    with closing(exporter.source):
        assert said() == []
        for _ in range(2):
            its_tables_are_filled_anew(postgres_server, db)
            (warning,) = said()
            assert warning.startswith("database: none of the newest dag runs of before is there any more")
        work(db)
        assert said() == []


def cut_off(server: EmbeddedPostgres, db: AirflowDatabase) -> None:
    alone(server, db)


def rewritten(_: EmbeddedPostgres, db: AirflowDatabase) -> None:
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as owner:
        owner.execute(sa.text("VACUUM FULL"))


def upgraded(_: EmbeddedPostgres, db: AirflowDatabase) -> None:
    db.execute("UPDATE alembic_version SET version_num = 'upgraded'")


def renamed(server: EmbeddedPostgres, db: AirflowDatabase) -> None:
    """Twice: it is called as before in the end."""
    alone(server, db)
    for old, new in ((name_of(db), "for_a_while"), ("for_a_while", name_of(db))):
        server.execute(f"ALTER DATABASE {old} RENAME TO {new}")


@pytest.mark.parametrize("meanwhile", [cut_off, rewritten, upgraded, renamed])
def test_the_same_database_goes_on(postgres_server: EmbeddedPostgres, db: AirflowDatabase, meanwhile: Switch) -> None:
    work(db)
    exporter = Exporter(db.exporter_url)
    with closing(exporter.source):
        counted = exporter.run()
        work(db)
        meanwhile(postgres_server, db)
        news = exporter.run()
        for metric in set(COUNTERS) - {metrics.SLA_MISSES}:
            assert news[metric] - counted[metric] == done(db)[metric]


@pytest.mark.parametrize("schema", SQLITE, ids=str)
def test_another_file_takes_its_place(schema: Schema, new_database: NewDatabase) -> None:
    db, other = new_database(schema), new_database(schema)
    for each in (db, other):
        work(each)
    work(other, 3)
    exporter = Exporter(db.url)
    with closing(exporter.source):
        counted = exporter.run()
        for each in (db, other):
            each.engine.dispose()
        Path(str(other.engine.url.database)).replace(str(db.engine.url.database))
        assert exporter.run() == counted
        work(db)
        expected = done(db)
        expected[metrics.SLA_MISSES] = int("sla_miss" in db.tables)
        news = exporter.run()
        assert {metric: news[metric] - counted[metric] for metric in COUNTERS} == expected


def test_what_the_database_counts_by_itself() -> None:
    odometer = Odometer()
    counts = [(5, True), (7, False), (900, True), (902, False), (1, False), (4, False), (2, True)]
    assert [odometer.reads(count, anew=anew) for count, anew in counts] == [0, 2, 2, 4, 5, 8, 8]


def test_a_server_that_does_not_say_which_it_is(postgres_server: EmbeddedPostgres, db: AirflowDatabase) -> None:
    """Where everybody may not ask, databases are still told apart; when it is forbidden under us, one session is lost."""
    exporter = Exporter(db.exporter_url)
    with closing(exporter.source):
        exporter.run()
        db.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        with pytest.raises(SourceError, match="pg_control_system"):
            exporter.run()
        counted = exporter.run()
        another_takes_its_name(postgres_server, db)
        assert {**exporter.run(), metrics.SLA_MISSES: 0} == {**counted, metrics.SLA_MISSES: 0}
