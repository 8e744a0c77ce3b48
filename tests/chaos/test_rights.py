"""The whole exporter, brokers and workers, with exactly the rights that the README tells one to give, and none beside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import amqp
import pytest
import redis
from celery import Celery

from airflow_obs.catalog import metrics
from tests.airflow_schemas import SQLITE_SCHEMAS
from tests.celery_workers import TASK, app, celery_worker
from tests.conftest import NewDatabase
from tests.exporter_process import Exporter, exporter, quick
from tests.rabbitmq_server import AIRFLOW, RabbitServer
from tests.readme import acl_lines, commands
from tests.redis_server import PASSWORD, RedisServer, debians, redis_server

TOKEN = "eyJ.live.token"
WORKER = "celery@one"
USER, WORD, VHOST = "airflow_obs", "password", "vhost"
"""As the README calls them."""
TIMES = quick(workers="5s")
SITE = "deployments: [{{name: airflow, sources: {{database: , broker: {{{}}}}}}}]\n"


@contextmanager
def exporting(
    folder: Path, database: str, url: str, secrets: tuple[str, ...], site: str = "", **more: str
) -> Iterator[Exporter]:
    settings = {"AIRFLOW_OBS_DB_URL": database, "AIRFLOW_OBS_BROKER_URL": url, **more}
    with exporter(folder, settings, TIMES + SITE.format(site), (*secrets, TOKEN)) as running:
        yield running


def send(celery: Celery, *queues: str) -> None:
    for queue in queues:
        celery.send_task(TASK, (TOKEN, 0), queue=queue)


def shows_all(running: Exporter) -> None:
    """A message that waits, the worker, and what it consumes."""
    running.until_well("broker", "workers")
    running.until(
        lambda page: (
            page.values(metrics.BROKER_MESSAGES.name, queue="gpu") == [2]
            and page.values(metrics.WORKER_SUBSCRIBED.name, worker=WORKER, queue="default") == [1]
            and page.values(metrics.WORKER_ACTIVE.name, worker=WORKER) == [0]
        ),
        "messages and worker are shown",
    )
    assert running.page().value(metrics.QUEUE_WORKERS.name, queue="gpu") == 0


def granted(server: RedisServer, prefix: str = "") -> Any:
    """Give the README's user the README's rights, as it says they are for this release; returns the user's connection."""
    for line in acl_lines():
        if server.program == "":
            # Redis 6 has no %R~: without resetkeys and the keys after it.
            line = (
                line if "resetkeys" not in line else [word for word in line if word != "resetkeys" and "~" not in word]
            )
        keys = [f"~{prefix}{word[1:]}" if word.startswith("~") and word != "~*" else word for word in line]
        server.client().execute_command(*[f"&{prefix}{word[1:]}" if word.startswith("&") else word for word in keys])
    return redis.Redis(port=server.port, username=USER, password=WORD, protocol=2)


@pytest.mark.parametrize(("release", "prefix"), [("6.2", ""), ("7", ""), ("7", "blue:")])
def test_on_redis(new_database: NewDatabase, tmp_path: Path, release: str, prefix: str) -> None:
    options = {"global_keyprefix": prefix} if prefix else {}
    variables = {"AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__GLOBAL_KEYPREFIX": prefix} if prefix else {}
    with (
        redis_server(program=debians() if release == "7" else "") as server,
        celery_worker(server.url(), WORKER, tmp_path, options=options),
        app(server.url(), options) as celery,
    ):
        user = granted(server, prefix)
        client = server.client()
        client.execute_command("ACL", "LOG", "RESET")
        send(celery, "gpu", "gpu")
        url = f"redis://{USER}:{WORD}@127.0.0.1:{server.port}/0"
        with exporting(tmp_path, new_database(SQLITE_SCHEMAS[-1]).url, url, (PASSWORD,), **variables) as running:
            shows_all(running)
            running.until_collected_again("workers")
        assert not (log := client.execute_command("ACL", "LOG")), f"refused: {log}"
        refused = [("LPOP",), ("RPOP",), ("LRANGE", 0, -1), ("LPUSH", "x"), ("UNLINK",)]
        refused += [("DEL",), ("BRPOP", 1), ("SADD", "x")] if release == "7" else []  # 6 cannot tell keys apart
        for command, *arguments in refused:
            with pytest.raises(redis.exceptions.NoPermissionError):
                user.execute_command(command, f"{prefix}gpu", *arguments)
        for line in (
            ["GET", "x"],
            ["HGETALL", f"{prefix}unacked"],
            ["KEYS", "*"],
            ["FLUSHALL"],
            ["CONFIG", "GET", "*"],
            ["EVAL", "", 0],
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                user.execute_command(*line)
        with pytest.raises(redis.exceptions.NoPermissionError):
            user.publish("another", "message")
        assert client.llen(f"{prefix}gpu") == 2
        user.close()


def test_reading_alone_on_redis(new_database: NewDatabase, tmp_path: Path) -> None:
    with redis_server(program=debians()) as server, app(server.url()) as celery:
        server.client().execute_command(*acl_lines()[0])
        server.client().execute_command("ACL", "LOG", "RESET")
        send(celery, "gpu", "gpu")
        url = f"redis://{USER}:{WORD}@127.0.0.1:{server.port}/0"
        database = new_database(SQLITE_SCHEMAS[-1]).url
        with exporting(tmp_path, database, url, (PASSWORD,), "control: false") as running:
            running.until_well("broker")
            running.until(lambda page: page.values(metrics.BROKER_MESSAGES.name, queue="gpu") == [2], "two messages")
        assert server.client().execute_command("ACL", "LOG") == []


def test_on_rabbitmq(rabbitmq: RabbitServer, new_database: NewDatabase, tmp_path: Path) -> None:
    reading, asking = commands("rabbitmqctl set_permissions")
    [tags] = commands("rabbitmqctl set_user_tags")
    rabbitmq.run("rabbitmqctl", "add_vhost", VHOST)
    rabbitmq.run("rabbitmqctl", "set_permissions", "-p", VHOST, AIRFLOW[0], ".*", ".*", ".*")
    rabbitmq.run("rabbitmqctl", "add_user", USER, WORD)
    rabbitmq.run(*reading)
    celerys = rabbitmq.url(vhost=VHOST)
    url = rabbitmq.url((USER, WORD), VHOST)
    database = new_database(SQLITE_SCHEMAS[-1]).url
    with celery_worker(celerys, WORKER, tmp_path), app(celerys) as celery:
        send(celery, "gpu", "gpu")
        with exporting(tmp_path, database, url, (AIRFLOW[1],), "control: false, queues: [gpu]") as running:
            running.until_well("broker")
            running.until(lambda page: page.values(metrics.BROKER_MESSAGES.name, queue="gpu") == [2], "two messages")
        rabbitmq.run(*asking)
        rabbitmq.run(*tags)
        site = f"management_url: '{rabbitmq.management_url}'"
        with exporting(tmp_path, database, url, (AIRFLOW[1],), site) as running:
            shows_all(running)
            page = running.until(lambda page: bool(page.values(metrics.BROKER_ALARM.name)), "the API answers")
            assert page.value(metrics.BROKER_UNACKED.name) == 0
            assert "WARNING" not in running.log
    for forbidden, arguments in (
        ("basic_get", ["gpu"]),
        ("queue_purge", ["gpu"]),
        ("queue_delete", ["gpu"]),
        ("queue_declare", ["mine"]),
        ("basic_consume", ["gpu"]),
    ):
        with (
            amqp.Connection(f"127.0.0.1:{rabbitmq.port}", userid=USER, password=WORD, virtual_host=VHOST) as connection,
            pytest.raises(amqp.AccessRefused),
        ):
            getattr(connection.channel(), forbidden)(*arguments)
