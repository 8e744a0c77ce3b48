"""The exporter reads a hot standby: its primary dies, it freezes, is killed or promoted, and every page is answered meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airflow_obs.catalog import metrics
from tests import states
from tests.airflow_database import EXPORTER_ROLE, POOLED_PASSWORD, AirflowDatabase, engine_for
from tests.chaos.conftest import StartExporter
from tests.chaos.server import Server
from tests.chaos.test_server_faults import FAILED, RECOVERED, moments
from tests.exporter.pages import Page
from tests.exporter_process import OF_THE_DATABASE, QUICK, exporter
from tests.pgbouncer_server import Chart, pgbouncer
from tests.standby import Standby, hot_standby

ANOTHER = "another one answers"


@pytest.fixture
def standby(server: Server, db: AirflowDatabase) -> Iterator[Standby]:
    """A standby of the server, which has what is in the database."""
    assert db.exporter_url  # makes the role
    with hot_standby(server.postgres) as running:
        running.catch_up()
        yield running


@pytest.fixture
def door(standby: Standby) -> Server:
    """What the exporter has its sessions with."""
    return Server(standby.postgres)


def lag(page: Page) -> float:
    return page.value(metrics.DB_REPLAY_LAG.name)


def receives(page: Page) -> bool:
    return page.values(metrics.DB_REPLICATION_RUNNING.name, process="receiver") == [1]


def test_replica_that_the_policy_names(standby: Standby, db: AirflowDatabase, tmp_path: Path) -> None:
    """The URL leads to a place where nobody listens."""
    name = str(db.engine.url.database)
    with pgbouncer(standby.postgres, {EXPORTER_ROLE: POOLED_PASSWORD}, Chart.COMMUNITY) as pooler:
        url = pooler.url(name, EXPORTER_ROLE).replace(str(pooler.port), "1")
        place = f"deployments: [{{sources: {{database: {{replica: '127.0.0.1:{pooler.port}'}}}}}}]\n"
        with exporter(tmp_path, {"AIRFLOW_OBS_DB_URL": url}, QUICK + place, (POOLED_PASSWORD,)) as running:
            page = running.until_well()
            assert page.value(metrics.DB_READ_ONLY.name) == 1
            assert lag(page) == 0
            running.until_said("using the URL of AIRFLOW_OBS_DB_URL, at the policy's replica")


def test_primary_killed_and_restarted(
    server: Server, standby: Standby, db: AirflowDatabase, start: StartExporter
) -> None:
    with start(AIRFLOW_OBS_DB_URL=standby.url_of(db.exporter_url)) as running:
        page = running.until_well()
        assert receives(page)
        server.kill()
        try:
            old = running.until(lambda page: not receives(page) and lag(page) > 1, "it gets old")
            older = running.until(lambda page: lag(page) > lag(old), "it gets older")
            assert older.value(metrics.SOURCE_UP.name, source="database") == 1
        finally:
            server.start()
        # It asks every 5 seconds whether the primary is back.
        running.until(lambda page: receives(page) and lag(page) == 0, "it has everything again")
        running.until_well()
        assert ANOTHER not in running.log


def test_frozen_killed_and_restarted(standby: Standby, door: Server, db: AirflowDatabase, start: StartExporter) -> None:
    with start(AIRFLOW_OBS_DB_URL=standby.url_of(db.exporter_url)) as running:
        running.until_well()
        with door.frozen():
            down = running.until_down()
            held = running.held()
            later = running.until_tried_again("jobs", 4)
            assert all(moments(later)[name] == moments(down)[name] > 0 for name in OF_THE_DATABASE)
        running.until_well()
        assert (running.log.count(FAILED), running.log.count(RECOVERED)) == (1, 1)
        door.kill()
        running.until_down()
        running.until_tried_again("jobs")
        door.start()
        running.until_well()
        assert not running.leaked_since(held)
        assert ANOTHER not in running.log


def test_promoted(server: Server, standby: Standby, db: AirflowDatabase, start: StartExporter) -> None:
    """The primary dies, and the standby takes its place."""
    with start(AIRFLOW_OBS_DB_URL=standby.url_of(db.exporter_url)) as running:
        before = running.until_well()
        server.kill()
        try:
            standby.promote()
            page = running.until(lambda page: page.value(metrics.DB_READ_ONLY.name) == 0, "it takes writes")
            assert metrics.DB_REPLAY_LAG.name not in page.names
            promoted = AirflowDatabase(db.schema, standby.url_of(db.url), engine_for(standby.url_of(db.url)))
            states.a_dag(promoted, "written after that", last_parsed=datetime.now(UTC))
            promoted.engine.dispose()
            dags = metrics.DAGS.name
            running.until(lambda page: sum(page.values(dags)) == sum(before.values(dags)) + 1, "what is new is read")
            running.until_well()
            assert FAILED not in running.log
            assert ANOTHER not in running.log
        finally:
            server.start()
