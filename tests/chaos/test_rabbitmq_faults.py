"""A RabbitMQ that freezes, dies, shuts us out, runs short or loses its management API: seen on /metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import quote

import amqp
import pytest

from airflow_obs.catalog import metrics
from tests.airflow_schemas import SQLITE_SCHEMAS
from tests.brokers.talkers import dripping, talker
from tests.celery_workers import celery_worker
from tests.conftest import NewDatabase
from tests.eventually import eventually
from tests.exporter_process import Exporter, exporter, quick
from tests.rabbitmq_server import AIRFLOW, MONITOR, VHOST, RabbitServer

TOKEN = "eyJ.live.token"
WORKER = "celery@one"
EXPORTER = ("exporter", "exporter/p@ss:1")
"""Who reads and asks workers, and whose login is taken away and given back."""
ANOTHER = "another/w@rd"
USER, RIGHTS = f"users/{EXPORTER[0]}", f"permissions/{VHOST}/{EXPORTER[0]}"
EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}
WORDS = (AIRFLOW[1], MONITOR[1], EXPORTER[1], ANOTHER)
SECRETS = (TOKEN, *WORDS, *(quote(word, safe="") for word in WORDS))
PATIENT = quick(broker="2s", workers="4s")
SITE = "deployments: [{{name: airflow, sources: {{database: , broker: {{queues: [default], {}}}}}}}]\n"
StartExporter = Callable[..., AbstractContextManager[Exporter]]


@pytest.fixture
def start(rabbitmq: RabbitServer, new_database: NewDatabase, tmp_path: Path) -> Iterator[StartExporter]:
    """Start an exporter of this RabbitMQ, with a message in it, and of a database that is well."""
    database = new_database(SQLITE_SCHEMAS[-1]).url
    rabbitmq.administer("PUT", USER, password=EXPORTER[1], tags="monitoring")
    rabbitmq.administer("PUT", RIGHTS, **EVERYTHING)
    push(rabbitmq)

    @contextmanager
    def start(site: str = "control: false", management: str | None = "", **variables: str) -> Iterator[Exporter]:
        settings = {"AIRFLOW_OBS_DB_URL": database, "AIRFLOW_OBS_BROKER_URL": rabbitmq.url(EXPORTER), **variables}
        api = "" if management is None else f", management_url: '{management or rabbitmq.management_url}'"
        with exporter(tmp_path, settings, PATIENT + SITE.format(site + api), SECRETS) as running:
            yield running
            eventually(lambda: ours(rabbitmq) <= 2, "connections do not pile up")
        eventually(lambda: ours(rabbitmq) == 0, "no connection stays")

    yield start
    rabbitmq.administer("DELETE", USER)
    rabbitmq.purge()


def ours(rabbitmq: RabbitServer) -> int:
    """Connections of the exporter."""
    return rabbitmq.connections_of(EXPORTER[0])


def push(rabbitmq: RabbitServer) -> None:
    """A message that outlives a restart."""
    user, password = AIRFLOW
    with amqp.Connection(
        f"127.0.0.1:{rabbitmq.port}", userid=user, password=password, virtual_host=VHOST
    ) as connection:
        channel = connection.channel()
        channel.queue_declare("default", durable=True, auto_delete=False)
        channel.confirm_select()
        channel.basic_publish_confirm(amqp.Message(TOKEN, delivery_mode=2), routing_key="default")


def recovered(running: Exporter, held: tuple[int, int]) -> None:
    """The broker's collector succeeds again, and nothing was leaked."""
    running.until_well("broker")
    running.until_well()
    running.until(lambda page: page.values(metrics.BROKER_MESSAGES.name, queue="default") == [1], "the message is seen")
    assert running.page().value(metrics.SOURCE_UP.name, source="broker") == 1
    eventually(lambda: not running.leaked_since(held), "nothing was leaked")


def down(running: Exporter, said: str) -> None:
    """Only the broker's collector fails, again and again, without its samples; the log says why, once."""
    running.until_down("broker")
    running.until_said(said)
    page = running.until_tried_again("broker", 2)
    assert page.values(metrics.BROKER_MESSAGES.name) == []
    assert page.value(metrics.SOURCE_UP.name, source="broker") == 0
    running.until_well()
    assert running.log.count(said) == 1, running.log


def test_frozen_then_killed_and_started_again(rabbitmq: RabbitServer, start: StartExporter, tmp_path: Path) -> None:
    with celery_worker(rabbitmq.url(), WORKER, tmp_path, "other"), start("control: true") as running:
        running.until_well("broker", "workers")
        held = running.held()
        with rabbitmq.frozen():
            down(running, f"broker: RabbitMQ at 127.0.0.1:{rabbitmq.port}: no answer in time")
            page = running.until_down("workers")
            assert page.values(metrics.WORKER_ACTIVE.name) == []
        recovered(running, held)
        running.until_well("workers")

        before = running.page().value(metrics.BROKER_STARTED.name)
        rabbitmq.kill()
        running.until_down("broker", "workers")
        running.until_said("Connection refused")
        running.until_well()
        rabbitmq.start()
        recovered(running, held)
        running.until(lambda page: page.values(metrics.BROKER_STARTED.name) > [before], "it was started later")
        running.until(lambda page: page.values(metrics.WORKER_UP.name, worker=WORKER) == [1], "the worker is back")
        running.until_well("workers")


def test_the_password_is_rotated(rabbitmq: RabbitServer, start: StartExporter, tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(rabbitmq.url(EXPORTER))
    with start(AIRFLOW_OBS_BROKER_URL="", AIRFLOW_OBS_BROKER_URL_FILE=str(file)) as running:
        running.until_well("broker")
        held = running.held()
        rabbitmq.administer("PUT", USER, password=ANOTHER, tags="monitoring")
        rabbitmq.hang_up(EXPORTER[0])
        down(running, "refuses the login of user exporter: correct user and password in AIRFLOW_OBS_BROKER_URL_FILE")
        file.write_text(rabbitmq.url((EXPORTER[0], ANOTHER)))
        recovered(running, held)
        running.until(lambda page: page.values(metrics.BROKER_ALARM.name, alarm="disk") == [0], "the API is read again")


def test_the_vhost_is_closed_to_us(rabbitmq: RabbitServer, start: StartExporter) -> None:
    with start() as running:
        running.until_well("broker")
        held = running.held()
        rabbitmq.administer("DELETE", RIGHTS)
        rabbitmq.hang_up(EXPORTER[0])
        down(running, "does not let user exporter into the vhost celery")
        rabbitmq.administer("PUT", RIGHTS, **dict.fromkeys(EVERYTHING, "^$"))
        recovered(running, held)


def test_a_memory_alarm(rabbitmq: RabbitServer, start: StartExporter, tmp_path: Path) -> None:
    with celery_worker(rabbitmq.url(), WORKER, tmp_path, "other"), start("control: true") as running:
        running.until_well("broker", "workers")
        held = running.held()
        with rabbitmq.memory_alarm():
            running.until(
                lambda page: page.values(metrics.BROKER_ALARM.name, alarm="memory") == [1], "the alarm is seen"
            )
            running.until_down("workers")
            running.until_said("it blocks its publishers")
            running.until_said("no worker can be asked; free memory or disk")
            page = running.until_well("broker")
            assert page.value(metrics.BROKER_MESSAGES.name, queue="default") == 1
            assert page.value(metrics.SOURCE_UP.name, source="workers") == 1
        running.until(lambda page: page.values(metrics.BROKER_ALARM.name, alarm="memory") == [0], "the alarm has ended")
        recovered(running, held)
        running.until_well("workers")


def test_the_management_api_is_missed_and_not_needed(start: StartExporter) -> None:
    with start(management="http://127.0.0.1:1") as running:
        page = running.until_well("broker")
        assert page.value(metrics.BROKER_MESSAGES.name, queue="default") == 1
        assert page.values(metrics.BROKER_ALARM.name) == []
        running.until_said("RabbitMQ's management API: cannot connect")
        held = running.held()
        for _ in range(3):
            running.until_collected_again("broker")
        assert running.log.count("management API") == 1
        assert not running.leaked_since(held)


def test_a_management_api_that_drips_costs_only_what_it_knows(start: StartExporter) -> None:
    with (
        talker(dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")) as port,
        start(management=f"http://127.0.0.1:{port}") as running,
    ):
        running.until_well("broker")
        running.until_said("RabbitMQ's management API: no answer in time")
        held = running.held()
        for _ in range(3):
            page = running.until_collected_again("broker")
        assert page.value(metrics.BROKER_MESSAGES.name, queue="default") == 1
        assert running.log.count("management API") == 1
        assert not running.leaked_since(held)


def test_what_is_no_rabbitmq(rabbitmq: RabbitServer, start: StartExporter) -> None:
    url = f"amqp://exporter:{quote(EXPORTER[1], safe='')}@127.0.0.1:{rabbitmq.management_port}/{VHOST}"
    with start("control: true", None, AIRFLOW_OBS_BROKER_URL=url) as running:
        running.until_down("broker", "workers")
        running.until_well()
        held = running.held()
        running.until_tried_again("broker", 3)
        assert running.log.count("source broker: failed") == 1, running.log
        assert not running.leaked_since(held)
