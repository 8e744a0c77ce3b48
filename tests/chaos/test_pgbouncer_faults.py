"""PgBouncer freezes, dies, is full, knows another password or calls the database otherwise: it is said, and all recovers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg2
import pytest

from airflow_obs.catalog import metrics
from tests.airflow_database import EXPORTER_ROLE, POOLED_PASSWORD, AirflowDatabase
from tests.chaos.conftest import StartExporter
from tests.chaos.server import Server
from tests.chaos.test_server_faults import FAILED, GAUGES, OWN, RECOVERED, moments
from tests.exporter_process import OF_THE_DATABASE, quick
from tests.pgbouncer_server import POOL_SIZE, Chart, PgBouncer, pgbouncer

NEW = 'an0ther/"p@ss:w?rd'


@pytest.fixture(params=list(Chart), ids=str)
def pooler(request: pytest.FixtureRequest, server: Server, db: AirflowDatabase) -> Iterator[PgBouncer]:
    """A PgBouncer for this test alone, as each of the charts sets it up."""
    assert db.exporter_url  # makes the role
    name = str(db.engine.url.database) if request.param is Chart.OFFICIAL else "*"
    passwords = {EXPORTER_ROLE: POOLED_PASSWORD}
    with pgbouncer(server.postgres, passwords, request.param, name, server_login_retry="1") as running:
        yield running


def test_frozen(pooler: PgBouncer, reached_db: AirflowDatabase, start: StartExporter) -> None:
    with start(AIRFLOW_OBS_DB_URL=reached_db.exporter_url) as exporter:
        exporter.until_well()
        with pooler.frozen():
            down = exporter.until_down()
            assert (down.names & GAUGES) - {metrics.HEALTH_LATENCY.name} == OWN & GAUGES
            assert down.value(metrics.SOURCE_UP.name, source="database") == 0
            held = exporter.held()
            later = exporter.until_tried_again("jobs", 4)
            assert all(moments(later)[name] == moments(down)[name] > 0 for name in OF_THE_DATABASE)
            assert not exporter.leaked_since(held)
        exporter.until_well()
        assert (exporter.log.count(FAILED), exporter.log.count(RECOVERED)) == (1, 1)


def test_killed_and_restarted(pooler: PgBouncer, reached_db: AirflowDatabase, start: StartExporter) -> None:
    with start(AIRFLOW_OBS_DB_URL=reached_db.exporter_url) as exporter:
        before = exporter.until_well()
        pooler.kill()
        exporter.until_down()
        held = exporter.held()
        exporter.until_tried_again("jobs", 4)
        assert not exporter.leaked_since(held)
        pooler.start()
        after = exporter.until_well()
        assert after.value(metrics.TASKS_FINISHED.name, state="success") == before.value(
            metrics.TASKS_FINISHED.name, state="success"
        )
        assert "another one answers" not in exporter.log


def test_server_killed_behind_the_pooler(server: Server, reached_db: AirflowDatabase, start: StartExporter) -> None:
    """The pooler lets its clients in, and has nobody to ask for them."""
    with start(AIRFLOW_OBS_DB_URL=reached_db.exporter_url) as exporter:
        before = exporter.until_well()
        server.kill()
        try:
            exporter.until_down()
            exporter.until_said("PgBouncer lives, and the server behind it is down or does not let it in")
            held = exporter.held()
            exporter.until_tried_again("jobs", 4)
            assert not exporter.leaked_since(held)
        finally:
            server.start()
        after = exporter.until_well()
        finished = metrics.TASKS_FINISHED.name
        assert after.value(finished, state="success") == before.value(finished, state="success")
        assert "another one answers" not in exporter.log


def test_password_rotated(
    server: Server, pooler: PgBouncer, reached_db: AirflowDatabase, start: StartExporter, tmp_path: Path
) -> None:
    """First in the server and in PgBouncer, then in the file that the exporter has it from."""
    password = tmp_path / "password"
    password.write_text(POOLED_PASSWORD)
    url = reached_db.exporter_url
    parts = {
        "AIRFLOW_OBS_DB_HOST": "127.0.0.1",
        "AIRFLOW_OBS_DB_PORT": str(pooler.port),
        "AIRFLOW_OBS_DB_USER": EXPORTER_ROLE,
        "AIRFLOW_OBS_DB_NAME": url.rpartition("/")[2],
        "AIRFLOW_OBS_DB_PASSWORD_FILE": str(password),
    }
    change_password(server, POOLED_PASSWORD)
    server.demand("scram-sha-256")
    try:
        with start((POOLED_PASSWORD, NEW), **parts) as exporter:
            exporter.until_well()
            change_password(server, NEW)
            pooler.users[EXPORTER_ROLE] = NEW
            pooler.kill()
            pooler.set_up()
            pooler.start()
            exporter.until_down()
            exporter.until_said("authentication failed")
            exporter.until_tried_again("jobs")
            password.write_text(NEW + "\n")
            exporter.until_well()
    finally:
        server.demand("trust")


def change_password(server: Server, password: str) -> None:
    server.postgres.execute(f"ALTER ROLE {EXPORTER_ROLE} PASSWORD '{password}'")


def test_no_room_for_another_client(pooler: PgBouncer, reached_db: AirflowDatabase, start: StartExporter) -> None:
    url = reached_db.exporter_url
    pooler.options = {**pooler.options, "max_client_conn": "3"}
    pooler.reload()
    with ExitStack() as others:
        for _ in range(3):
            others.enter_context(closing(psycopg2.connect(url)))
        with start(AIRFLOW_OBS_DB_URL=url) as exporter:
            exporter.until_down()
            exporter.until_said(
                "no more connections allowed (max_client_conn); PgBouncer has no room for another client"
            )
            held = exporter.held()
            exporter.until_tried_again("jobs", 4)
            assert not exporter.leaked_since(held)
            others.close()
            exporter.until_well()


@pytest.mark.parametrize("waits", [None, "1"], ids=["longer than we", "for a second"])
def test_pool_taken_by_open_transactions(
    pooler: PgBouncer, reached_db: AirflowDatabase, start: StartExporter, waits: str | None
) -> None:
    """Of the same role, as where the exporter has the URL of Airflow; the pooler lets whom it cannot serve wait for 2 minutes."""
    url = reached_db.exporter_url
    pooler.options = {**pooler.options, "default_pool_size": str(POOL_SIZE)}
    if waits:
        pooler.options = {**pooler.options, "query_wait_timeout": waits}
    pooler.reload()
    with start(policy=quick(**dict.fromkeys(OF_THE_DATABASE, "3s")), AIRFLOW_OBS_DB_URL=url) as exporter:
        exporter.until_well()
        with ExitStack() as others:
            for _ in range(POOL_SIZE):
                session = others.enter_context(closing(psycopg2.connect(url)))
                session.cursor().execute("SELECT 1")
            exporter.until_down()
            if waits:
                exporter.until_said("query_wait_timeout")
                exporter.until_said("the connections of PgBouncer's pool are all taken")
            else:
                exporter.until_said("no answer in time")
            held = exporter.held()
            exporter.until_tried_again("jobs", 2)
            assert not exporter.leaked_since(held)
        exporter.until_well()


def test_database_that_the_pooler_calls_otherwise(server: Server, db: AirflowDatabase, start: StartExporter) -> None:
    assert db.exporter_url  # makes the role
    name = str(db.engine.url.database)
    with pgbouncer(server.postgres, {EXPORTER_ROLE: POOLED_PASSWORD}, Chart.OFFICIAL, name) as pooler:
        url = pooler.url(name, EXPORTER_ROLE).rpartition("/")[0] + f"/{name}"
        with start(AIRFLOW_OBS_DB_URL=url) as exporter:
            exporter.until_down()
            exporter.until_said("PgBouncer calls databases as its section [databases] does")
