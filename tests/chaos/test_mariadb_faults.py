"""A MariaDB that freezes, dies, is full, locked or asks for another password: every page is answered, all recovers by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pymysql
import pytest
import sqlalchemy as sa

from airflow_obs.catalog import metrics
from tests import states
from tests.airflow_database import EXPORTER_ROLE, AirflowDatabase, Templates
from tests.airflow_schemas import DEMO_VERSION, MARIADB_SCHEMAS
from tests.chaos.conftest import StartExporter
from tests.chaos.server import Server
from tests.chaos.test_access_faults import NEW, OLD, SECRETS, written
from tests.chaos.test_server_faults import EXIT_WITHIN, FAILED, GAUGES, OWN, PATIENT, RECOVERED, moments
from tests.eventually import eventually
from tests.exporter_process import OF_THE_DATABASE
from tests.mariadb_server import MariaDBServer

CONNECTIONS = 20
NEWEST_ON_MARIADB = next(schema for schema in MARIADB_SCHEMAS if schema.release.version == DEMO_VERSION)


@pytest.fixture(scope="module")
def of_mariadb(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Templates]:
    """Makes Airflows on a MariaDB for these tests alone."""
    few = (f"--max-connections={CONNECTIONS}",)
    with ExitStack() as stack:
        yield Templates(server.postgres, tmp_path_factory.mktemp("templates"), stack, mariadb_options=few)


@pytest.fixture
def mariadb(of_mariadb: Templates) -> MariaDBServer:
    """That server; whoever stops it starts it again."""
    return of_mariadb.mariadb


@pytest.fixture
def db(of_mariadb: Templates) -> Iterator[AirflowDatabase]:
    """An Airflow with a scheduler, a queued task and a paused DAG."""
    with of_mariadb.database(NEWEST_ON_MARIADB) as database:
        now = datetime.now(UTC)
        states.a_live_scheduler(database, heartbeat=now)
        states.a_task_instance_queued(database, queued_at=now)
        states.a_dag(database, "paused", paused=True, last_parsed=now)
        yield database


def sessions(server: MariaDBServer) -> int:
    """How many of the exporter's there are."""
    counted = f"SELECT count(*) FROM information_schema.processlist WHERE user = '{EXPORTER_ROLE}'"
    return int(server.execute(counted)[0][0])


def test_frozen(mariadb: MariaDBServer, db: AirflowDatabase, start: StartExporter) -> None:
    with start(AIRFLOW_OBS_DB_URL=db.exporter_url) as exporter:
        exporter.until_well()
        with mariadb.frozen():
            down = exporter.until_down()
            assert (down.names & GAUGES) - {metrics.HEALTH_LATENCY.name} == OWN & GAUGES
            assert down.value(metrics.SOURCE_UP.name, source="database") == 0
            held = exporter.held()
            later = exporter.until_tried_again("jobs", 4)
            for name in OF_THE_DATABASE:
                assert moments(later)[name] == moments(down)[name] > 0
        up = exporter.until_well()
        assert all(moments(up)[name] > moments(down)[name] for name in OF_THE_DATABASE)
        assert (exporter.log.count(FAILED), exporter.log.count(RECOVERED)) == (1, 1)
        assert not exporter.leaked_since(held)
        assert sessions(mariadb) <= 1


def test_killed_and_restarted(mariadb: MariaDBServer, db: AirflowDatabase, start: StartExporter) -> None:
    with start(AIRFLOW_OBS_DB_URL=db.exporter_url) as exporter:
        exporter.until_well()
        held = exporter.held()
        mariadb.kill()
        try:
            exporter.until_down()
            exporter.until_tried_again("jobs", 5)
            assert not exporter.leaked_since(held)
        finally:
            mariadb.start()
        exporter.until_well()
        assert (exporter.log.count(FAILED), exporter.log.count(RECOVERED)) == (1, 1)


def test_started_before_the_server(mariadb: MariaDBServer, db: AirflowDatabase, start: StartExporter) -> None:
    url = db.exporter_url
    mariadb.stop()
    try:
        with start(AIRFLOW_OBS_DB_URL=url) as exporter:
            exporter.until_down()
            eventually(lambda: exporter.get("/-/ready").status_code == 200, "it is ready")
            mariadb.start()
            exporter.until_well()
    finally:
        if mariadb.process is None:
            mariadb.start()


def test_sigterm_while_it_is_frozen(mariadb: MariaDBServer, db: AirflowDatabase, start: StartExporter) -> None:
    with start(AIRFLOW_OBS_DB_URL=db.exporter_url, policy=PATIENT) as exporter, mariadb.frozen():
        exporter.until_said("serving")
        assert exporter.stop(EXIT_WITHIN) == 0


def test_full(mariadb: MariaDBServer, db: AirflowDatabase, start: StartExporter) -> None:
    """Who is in stays in: it is now that the figures are wanted."""
    with start(AIRFLOW_OBS_DB_URL=db.exporter_url) as exporter:
        page = exporter.until_well()
        assert page.value(metrics.DB_CONNECTIONS_MAX.name, limit="server") == CONNECTIONS
        with all_connections(mariadb, db):
            free = metrics.DB_CONNECTIONS_FREE.name
            exporter.until(lambda page: page.value(free, limit="server") == 0, "it says that none is free")
            exporter.until_well()


def test_started_while_it_is_full(mariadb: MariaDBServer, db: AirflowDatabase, start: StartExporter) -> None:
    url = db.exporter_url
    with ExitStack() as stack:
        crowd = stack.enter_context(ExitStack())
        crowd.enter_context(all_connections(mariadb, db))
        exporter = stack.enter_context(start(AIRFLOW_OBS_DB_URL=url))
        exporter.until_down()
        exporter.until_said("Too many connections")
        crowd.close()
        exporter.until_well()


def test_sessions_that_an_administrator_ends(mariadb: MariaDBServer, db: AirflowDatabase, start: StartExporter) -> None:
    with start(AIRFLOW_OBS_DB_URL=db.exporter_url) as exporter:
        exporter.until_well()
        held = exporter.held()
        for _ in range(5):
            end_sessions(mariadb)
            exporter.until_collected_again("jobs")
        exporter.until_well()
        assert not exporter.leaked_since(held)
        assert sessions(mariadb) == 1


def test_locked_table_fails_its_collectors_only(
    mariadb: MariaDBServer, db: AirflowDatabase, start: StartExporter
) -> None:
    with start(AIRFLOW_OBS_DB_URL=db.exporter_url) as exporter:
        exporter.until_well()
        with closing(mariadb.connect(database=str(db.engine.url.database))) as holder:
            with holder.cursor() as cursor:
                cursor.execute("LOCK TABLES slot_pool WRITE")
            page = exporter.until_exactly_down("pools")
            exporter.until_said("a lock on the table")
            assert page.value(metrics.TABLE_SIZE.name, table="dag") > 0
            assert metrics.POOL_SLOTS.name not in page.names
        exporter.until_well()


def test_the_password_is_rotated(
    mariadb: MariaDBServer, db: AirflowDatabase, start: StartExporter, tmp_path: Path
) -> None:
    url, file = sa.make_url(db.exporter_url), tmp_path / "url"
    change_password(mariadb, OLD)
    file.write_text(written(url.set(password=OLD)))
    try:
        with start(SECRETS, AIRFLOW_OBS_DB_URL_FILE=str(file)) as exporter:
            exporter.until_well()
            change_password(mariadb, NEW)
            end_sessions(mariadb)
            exporter.until_down()
            exporter.until_said(f"Access denied for user '{EXPORTER_ROLE}'")
            file.write_text(written(url.set(password=NEW)))
            exporter.until_well()
    finally:
        change_password(mariadb, "")


def change_password(server: MariaDBServer, password: str) -> None:
    escaped = pymysql.converters.escape_string(password)
    server.execute(f"ALTER USER '{EXPORTER_ROLE}'@'%' IDENTIFIED BY '{escaped}'")


def end_sessions(server: MariaDBServer) -> None:
    """End those of the exporter, as an administrator does."""
    server.execute(f"KILL USER {EXPORTER_ROLE}")


@contextmanager
def all_connections(server: MariaDBServer, db: AirflowDatabase) -> Iterator[None]:
    """Within, none is left but the one that is kept for administrators."""
    server.execute(f"CREATE USER IF NOT EXISTS crowd; GRANT SELECT ON `{db.engine.url.database}`.* TO crowd")
    with ExitStack() as taken:
        with pytest.raises(pymysql.OperationalError, match="Too many connections"):
            take_all(server, taken)
        yield


def take_all(server: MariaDBServer, taken: ExitStack) -> None:
    """Connect for ever; `taken` closes what came of it."""
    while True:
        taken.enter_context(closing(server.connect(user="crowd")))
