"""--once with a broker that is well, and with one that is not: exit codes, what is printed, what is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from kombu import Connection

from airflow_obs.catalog import metrics
from tests.airflow_schemas import SQLITE_SCHEMAS
from tests.conftest import NewDatabase
from tests.exporter.pages import Page
from tests.exporter_process import airflow_obs
from tests.rabbitmq_server import READER, rabbitmq_server
from tests.redis_server import SECRETS, redis_server

DOWN = {
    "redis": f"redis://:{SECRETS[1]}@127.0.0.1:1/0",
    "rabbitmq": "amqp://airflow:hunter2@127.0.0.1:1/celery",
}


def test_a_broker_that_is_well(tmp_path: Path, new_database: NewDatabase) -> None:
    with redis_server() as server:
        with Connection(server.url()) as connection, connection.SimpleQueue("default") as queue:
            queue.put("message")
        settings = {
            "AIRFLOW_OBS_DB_URL": new_database(SQLITE_SCHEMAS[-1]).url,
            "AIRFLOW__CELERY__BROKER_URL": server.url(),
        }
        done = airflow_obs(tmp_path, "exporter", "--once", AIRFLOW__CORE__EXECUTOR="CeleryExecutor", **settings)
        assert (done.returncode, "WARNING" in done.stderr) == (0, False), done.stderr
        page = Page(done.stdout)
        assert page.value(metrics.BROKER_MESSAGES.name, queue="default") == 1
        assert page.value(metrics.COLLECTOR_SUCCESS.name, collector="workers") == 1
        assert server.sessions() == 0
    assert not [secret for secret in SECRETS if secret in done.stdout + done.stderr]


@pytest.mark.parametrize("kind", DOWN)
def test_a_broker_that_is_down_costs_only_its_own(tmp_path: Path, new_database: NewDatabase, kind: str) -> None:
    settings = {"AIRFLOW_OBS_DB_URL": new_database(SQLITE_SCHEMAS[-1]).url, "AIRFLOW_OBS_BROKER_URL": DOWN[kind]}
    done = airflow_obs(tmp_path, "exporter", "--once", **settings)
    assert done.returncode == 1, done.stderr
    page = Page(done.stdout)
    assert page.value(metrics.SOURCE_UP.name, source="broker") == 0
    assert page.value(metrics.COLLECTOR_SUCCESS.name, collector="workers") == 0
    assert page.value(metrics.POOL_SLOTS.name, pool="default_pool") == 128
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [secret for secret in (*SECRETS, "hunter2") if secret in done.stdout + done.stderr]


def test_nothing_but_a_rabbitmq_shows_the_default_queue(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("deployments: [{name: airflow, sources: {broker: {control: false}}}]\n")
    with rabbitmq_server() as server:
        with Connection(server.url()) as connection, connection.SimpleQueue("default") as queue:
            queue.put("message")
        url = {"AIRFLOW_OBS_BROKER_URL": server.url(READER)}
        done = airflow_obs(tmp_path, "exporter", "--once", "--policy", "site.yaml", **url)
    assert done.returncode == 0, done.stderr
    assert Page(done.stdout).value(metrics.BROKER_MESSAGES.name, queue="default") == 1


def test_nothing_but_a_broker_that_is_down(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("deployments: [{name: airflow, sources: {broker: {}}}]\n")
    done = airflow_obs(tmp_path, "exporter", "--once", "--policy", "site.yaml", AIRFLOW_OBS_BROKER_URL=DOWN["redis"])
    assert done.returncode == 2, done.stderr
