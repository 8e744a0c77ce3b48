"""Passwords, hosts, privileges and locks: what fails is what must, the log says why, and no password is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import sqlalchemy as sa

from airflow_obs.catalog import metrics
from tests.airflow_database import EXPORTER_ROLE, AirflowDatabase
from tests.chaos.conftest import StartExporter
from tests.chaos.server import Server

OLD, NEW = "p@ss/w:ör d%25?#&'\"\\+{hunter2}", "n3w@secret/%zz hunter3"
SECRETS = (*(form(secret) for secret in (OLD, NEW) for form in (str, quote, quote_plus)), "hunter")


@pytest.fixture
def passwords(server: Server, db: AirflowDatabase) -> Iterator[sa.URL]:
    """The server asks the exporter's role for a password, which is OLD; yields its URL."""
    url = sa.make_url(db.exporter_url)
    change_password(server, OLD)
    server.demand("scram-sha-256")
    yield url.set(password=OLD)
    server.demand("trust")


def change_password(server: Server, password: str) -> None:
    server.postgres.execute(f"ALTER ROLE {EXPORTER_ROLE} PASSWORD '{password.replace(chr(39), chr(39) * 2)}'")


def written(url: sa.URL) -> str:
    """The URL with its password, percent-encoded."""
    return url.render_as_string(hide_password=False)


def test_password_changed_and_its_file_rotated(
    server: Server, passwords: sa.URL, start: StartExporter, tmp_path: Path
) -> None:
    file = tmp_path / "url"
    file.write_text(written(passwords) + "\n")
    with start(SECRETS, AIRFLOW_OBS_DB_URL_FILE=str(file)) as exporter:
        exporter.until_well()
        change_password(server, NEW)
        server.end_sessions()
        exporter.until_down()
        exporter.until_said(f'password authentication failed for user "{EXPORTER_ROLE}"')
        exporter.until_tried_again("jobs")
        file.write_text(written(passwords.set(password=NEW)) + "\n")
        exporter.until_well()


def test_url_file_that_goes_and_comes_back(db: AirflowDatabase, start: StartExporter, tmp_path: Path) -> None:
    file = tmp_path / "url"
    with start(AIRFLOW_OBS_DB_URL_FILE=str(file)) as exporter:
        exporter.until_down()
        exporter.until_said(f"AIRFLOW_OBS_DB_URL_FILE: {file}: No such file or directory")
        file.write_text("")
        exporter.until_said(f"AIRFLOW_OBS_DB_URL_FILE: {file} is empty")
        file.write_text(db.exporter_url + "&no_such_option=1")
        exporter.until_said("no_such_option")
        file.write_text(db.exporter_url)
        exporter.until_well()


def test_wrong_password_is_said_once(passwords: sa.URL, start: StartExporter) -> None:
    parts = {
        "AIRFLOW_OBS_DB_HOST": str(passwords.query["host"]),
        "AIRFLOW_OBS_DB_USER": EXPORTER_ROLE,
        "AIRFLOW_OBS_DB_NAME": str(passwords.database),
        "AIRFLOW_OBS_DB_PASSWORD": NEW,
    }
    with start(SECRETS, **parts) as exporter:
        exporter.until_down()
        exporter.until_tried_again("jobs", 3)
        assert exporter.log.count("WARNING") == exporter.log.count("password authentication failed") == 1
        assert "password authentication failed" in exporter.get("/").text


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("no.such.host.invalid:5432", "could not translate host name"),
        ("127.0.0.1:1", "Connection refused"),
    ],
)
def test_host_that_is_not_there_is_said_once(start: StartExporter, place: str, said: str) -> None:
    url = f"postgresql://airflow:{quote(OLD, safe='')}@{place}/airflow"
    with start(SECRETS, AIRFLOW_OBS_DB_URL=url) as exporter:
        exporter.until_down()
        exporter.until_tried_again("jobs", 3)
        assert exporter.log.count("WARNING") == 1
        assert said in exporter.log


def test_password_that_was_not_encoded_is_not_taken_for_a_host(start: StartExporter) -> None:
    with start(SECRETS, AIRFLOW_OBS_DB_URL=f"postgresql://airflow:{OLD}@db/airflow") as exporter:
        exporter.until_down()
        exporter.until_said("percent-encoded")


def test_missing_privilege_fails_one_collector(server: Server, db: AirflowDatabase, start: StartExporter) -> None:
    url = db.exporter_url
    db.execute(f"REVOKE SELECT (pool, slots, include_deferred) ON slot_pool FROM {EXPORTER_ROLE}")
    with start(AIRFLOW_OBS_DB_URL=url) as exporter:
        page = exporter.until_exactly_down("pools")
        assert page.value(metrics.SOURCE_UP.name, source="database") == 1
        exporter.until_said("`GRANT SELECT (column, …) ON slot_pool TO` the exporter's role")
        exporter.until_tried_again("pools")
        assert exporter.log.count("WARNING") == 1
        db.execute(f"GRANT SELECT ON slot_pool TO {EXPORTER_ROLE}")
        exporter.until_well()
        exporter.until_said("collector pools: recovered")
        assert server.sessions() == 1


def test_locked_table_fails_its_collectors_only(
    server: Server, reached_db: AirflowDatabase, start: StartExporter
) -> None:
    with start(AIRFLOW_OBS_DB_URL=reached_db.exporter_url) as exporter:
        exporter.until_well()
        with server.locked(str(reached_db.engine.url.database), "slot_pool"):
            page = exporter.until_exactly_down("pools")
            exporter.until_said("ACCESS EXCLUSIVE")
            assert page.value(metrics.TABLE_SIZE.name, table="slot_pool") > 0
            assert page.value(metrics.TABLE_SIZE.name, table="dag") > 0
            assert metrics.POOL_SLOTS.name not in page.names
        exporter.until_well()


def test_exporter_started_while_large_tables_are_locked(
    server: Server, db: AirflowDatabase, start: StartExporter
) -> None:
    """As during a migration: reading the schema must not wait for the locks either."""
    url = db.exporter_url
    with (
        server.locked(str(db.engine.url.database), "task_instance", "dag_run"),
        start(AIRFLOW_OBS_DB_URL=url) as exporter,
    ):
        page = exporter.until_exactly_down(
            "task_instances", "dag_runs", "pools", "outcomes", "dags", "stuck_tasks", "starvation", "triggers"
        )
        assert page.value(metrics.TABLE_SIZE.name, table="task_instance") > 0
