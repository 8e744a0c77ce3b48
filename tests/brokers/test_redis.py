"""What is said of a Redis with Celery's queues in it, seen by exactly the user that the README grants."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
from kombu import Connection, Exchange, Producer, Queue

from airflow_obs.catalog import metrics
from airflow_obs.collectors import broker_redis
from airflow_obs.collectors.queues import FORGET
from airflow_obs.policy import BrokerSource
from tests.brokers.collected import BrokerReader
from tests.brokers.conftest import ReadAs, on_both
from tests.redis_server import SECRETS, RedisServer

TOKEN = "eyJhbGciOiJIUzUxMiJ9.live.token"
OPTIONS = "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__"


@pytest.fixture
def celery(server: RedisServer, reader: ReadAs) -> BrokerReader:
    """A reader of that Redis, as the exporter's own user."""
    return reader(AIRFLOW_OBS_BROKER_URL=server.exporter_url)


def push(server: RedisServer, queue: str, *priorities: int, hold: int = 0, **options: Any) -> None:
    """Send a message of each priority, as Celery does, and take `hold` of them without acknowledging them."""
    with Connection(server.url(), transport_options=options) as connection:
        declared = Queue(queue, Exchange(queue), routing_key=queue)
        producer = Producer(connection)
        for priority in priorities:
            producer.publish(
                {"token": TOKEN}, exchange=declared.exchange, routing_key=queue, declare=[declared], priority=priority
            )
        bound = declared(connection.channel())
        bound.declare()
        held = [bound.get() for _ in range(hold)]
        assert None not in held
        # Else kombu puts them back when it closes the channel.
        for message in held:
            message.channel.qos._dirty.add(message.delivery_tag)
            message.channel.qos._delivered.pop(message.delivery_tag, None)


@on_both
def test_messages_of_every_priority_are_counted(server: RedisServer, celery: BrokerReader) -> None:
    push(server, "default", *range(10), priority_steps=list(range(10)))
    push(server, "highmem", 0, 5, 9, 9)
    push(server, "drained")
    assert celery.queues() == {"default": 10, "highmem": 4, "drained": 0}


@on_both
def test_names_are_kombus_whatever_the_transport_options(server: RedisServer, reader: ReadAs) -> None:
    settings = {"global_keyprefix": "blue[1]*", "sep": ":", "priority_steps": [0, 20, 40]}
    push(server, "default", 0, 20, 41, hold=1, **settings)
    push(server, "default", 0, 0, 0, 0)
    blue = reader(
        AIRFLOW_OBS_BROKER_URL=server.exporter_url,
        **{f"{OPTIONS}GLOBAL_KEYPREFIX": "blue[1]*", f"{OPTIONS}SEP": ":", f"{OPTIONS}PRIORITY_STEPS": "[0, 20, 40]"},
    )
    assert blue.queues() == {"default": 2}
    assert blue.read().one(metrics.BROKER_UNACKED) == 1


@on_both
def test_what_is_held_unacknowledged(server: RedisServer, celery: BrokerReader) -> None:
    before = time.time()
    assert celery.read().one(metrics.BROKER_UNACKED) == 0
    assert celery.read().one(metrics.BROKER_UNACKED_OLDEST) is None
    push(server, "default", 0, 0, 0, hold=2)
    seen = celery.read()
    assert seen.one(metrics.BROKER_UNACKED) == 2
    assert before <= (seen.one(metrics.BROKER_UNACKED_OLDEST) or 0) <= time.time()
    assert seen.one(metrics.BROKER_VISIBILITY_TIMEOUT) == 86400


@pytest.mark.parametrize(
    ("in_policy", "in_airflow", "seconds"), [("auto", "21600", 21600), (3600.0, "21600", 3600), ("auto", "", 86400)]
)
def test_the_visibility_timeout(server: RedisServer, in_policy: Any, in_airflow: str, seconds: float) -> None:
    settings = {"AIRFLOW_OBS_BROKER_URL": server.exporter_url, f"{OPTIONS}VISIBILITY_TIMEOUT": in_airflow}
    one = BrokerReader(settings, BrokerSource(visibility_timeout=in_policy))
    assert one.read().one(metrics.BROKER_VISIBILITY_TIMEOUT) == seconds
    one.source.close()


def test_a_queue_is_known_from_bindings_the_policy_and_the_database(server: RedisServer) -> None:
    push(server, "bound", 0)
    server.client().lpush("unbound", "message")
    one = BrokerReader({"AIRFLOW_OBS_BROKER_URL": server.exporter_url}, BrokerSource(queues=("chosen",)))
    one.names.add(["unbound", "never seen by the broker"])
    assert one.queues() == {"bound": 1, "chosen": 0, "unbound": 1, "never seen by the broker": 0}
    assert one.names.all() == {"bound", "chosen", "unbound", "never seen by the broker"}, "for the workers' collector"
    one.source.close()


def test_what_is_no_queue_of_tasks_is_left_out(server: RedisServer, celery: BrokerReader) -> None:
    push(server, "default", 0)
    client = server.client()
    separator = "\x06\x16"
    client.sadd("_kombu.binding.celery.pidbox", f"{separator}{separator}celery@host.celery.pidbox")
    client.sadd("_kombu.binding.reply.celery.pidbox", f"x{separator}{separator}x.reply.celery.pidbox")
    client.sadd("_kombu.binding.celeryev", f"worker.#{separator}{separator}celeryev.01234")
    client.set("a text", "x")
    celery.names.add(["unacked", "a text"])
    push(server, "default", hold=1)
    assert celery.queues() == {"default": 0}


def test_queues_of_tasks_with_unlucky_names(server: RedisServer, celery: BrokerReader) -> None:
    names = ("celeryevents_proc", "pidbox", "team.pidbox")
    for name in names:
        push(server, name, 0)
    assert celery.queues() == dict.fromkeys(names, 1)


def test_queues_among_many_results(server: RedisServer, celery: BrokerReader) -> None:
    pipeline = server.client().pipeline(transaction=False)
    for index in range(100_000):
        pipeline.set(f"celery-task-meta-{index}", "{}", ex=86400)
    pipeline.execute()
    for index in range(20):
        push(server, f"queue-{index}", 0)
    assert celery.queues() == {f"queue-{index}": 1 for index in range(20)}
    push(server, "later", 0)
    celery.names.add(["later"])
    before = server.client().info("commandstats")["cmdstat_scan"]["calls"]
    assert celery.queues()["later"] == 1
    assert server.client().info("commandstats")["cmdstat_scan"]["calls"] == before, "the search rests"


def test_a_search_goes_on_from_run_to_run_and_forgets_what_is_gone(server: RedisServer, celery: BrokerReader) -> None:
    push(server, "old")
    assert celery.queues() == {"old": 0}
    client = server.client()
    client.flushall()
    client.mset({f"celery-task-meta-{index}": "{}" for index in range(3 * broker_redis.SCAN_STEP)})
    push(server, "new", 0)
    for _ in range(broker_redis.REST):
        assert celery.queues() == {"old": 0}, "it rests"
    runs = [celery.queues() for _ in range(8)]
    assert {"old": 0, "new": 1} in runs, "it has not been everywhere yet"
    celery.clock.now += FORGET + 1
    assert celery.queues() == {"new": 1}
    assert "cmdstat_keys" not in client.info("commandstats")


def test_one_round_trip(server: RedisServer, celery: BrokerReader) -> None:
    push(server, "default", 0)
    celery.read()
    session_of = celery.source.session
    asked: list[int] = []
    with session_of(5.0) as session:
        assert session is not None
        assert session.kind == "redis"
        ask = session.ask

        def counting(commands: Any) -> list[Any]:
            asked.append(len(commands))
            return ask(commands)

        session.ask = counting  # type: ignore[method-assign]  # it counts, then asks
        celery.collector.read(session)
    assert len(asked) == 1


@on_both
def test_the_server_itself(server: RedisServer, celery: BrokerReader) -> None:
    client = server.client()
    client.ping()
    seen = celery.read()
    info = client.info()
    assert seen.all(metrics.BROKER_INFO) == {("redis", info["redis_version"], "noeviction", "master"): 1}
    assert seen.one(metrics.BROKER_MEMORY) == pytest.approx(info["used_memory"], rel=0.2)
    assert seen.one(metrics.BROKER_MEMORY_MAX) == math.inf
    assert seen.one(metrics.BROKER_EVICTED) == 0
    assert seen.one(metrics.BROKER_CLIENTS) == info["connected_clients"]
    assert seen.one(metrics.BROKER_CLIENTS_MAX) == info["maxclients"]
    assert seen.one(metrics.BROKER_BLOCKED_CLIENTS) == 0
    assert seen.one(metrics.BROKER_STARTED) == pytest.approx(time.time() - info["uptime_in_seconds"], abs=2)
    assert seen.one(metrics.BROKER_SAVE_OK) == 1
    assert seen.one(metrics.BROKER_LAST_SAVE) == info["rdb_last_save_time"]
    assert seen.one(metrics.BROKER_REPLICAS) == 0
    assert seen.one(metrics.BROKER_REPLICATION_UP) is None


def test_the_moment_of_its_start_does_not_wander(celery: BrokerReader) -> None:
    first = celery.read().one(metrics.BROKER_STARTED)
    time.sleep(0.6)  # uptimes are whole seconds: half of the readings would tell another moment
    assert {celery.read().one(metrics.BROKER_STARTED) for _ in range(3)} == {first}


def test_memory_that_is_full(server: RedisServer, celery: BrokerReader) -> None:
    push(server, "default", 0, 0)
    client = server.client()
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("maxmemory", client.info()["used_memory"])
    try:
        for index in range(200):
            client.set(f"filler-{index}", "x" * 1000)
        seen = celery.read()
        assert seen.all(metrics.BROKER_INFO).keys() == {
            ("redis", client.info()["redis_version"], "allkeys-lru", "master")
        }
        assert (seen.one(metrics.BROKER_EVICTED) or 0) > 0
        assert seen.one(metrics.BROKER_MEMORY_MAX) == int(client.config_get("maxmemory")["maxmemory"])
    finally:
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")
        client.config_resetstat()


@pytest.mark.parametrize(("backend", "keys"), [
    ("redis://:secret@127.0.0.1:{port}/1", 3),
    ("redis://localhost:{port}/0", 2),
    ("redis://127.0.0.1:{port}/2", 0),
    ("redis://127.0.0.1:1/1", None),
    ("redis://[bad/1", None),
    ("db+postgresql://airflow:secret@127.0.0.1/airflow", None),
    ("", None),
])  # fmt: skip
def test_results(server: RedisServer, reader: ReadAs, backend: str, keys: int | None) -> None:
    push(server, "default", 0)
    server.client().set("celery-task-meta-1", "{}", ex=100)
    server.client().set("celery-task-meta-2", "{}", ex=100)
    server.client(1).mset({"celery-task-meta-3": "{}", "celery-task-meta-4": "{}", "celery-task-meta-5": "{}"})
    one = reader(
        AIRFLOW_OBS_BROKER_URL=server.exporter_url, AIRFLOW__CELERY__RESULT_BACKEND=backend.format(port=server.port)
    )
    assert one.read().one(metrics.BROKER_RESULT_KEYS) == keys


@pytest.mark.parametrize(("query", "keys"), [("?virtual_host=1", 1), ("?db=1", 1), ("", 0), ("/elsewhere", None)])
def test_results_over_the_same_socket(server: RedisServer, reader: ReadAs, query: str, keys: int | None) -> None:
    server.client(1).set("celery-task-meta-1", "{}")
    url = f"redis+socket://:{SECRETS[1]}@{server.socket}"
    one = reader(AIRFLOW_OBS_BROKER_URL=url, AIRFLOW__CELERY__RESULT_BACKEND=url + query)
    assert one.read().one(metrics.BROKER_RESULT_KEYS) == keys


def test_nothing_of_a_message_is_ever_said(
    server: RedisServer, celery: BrokerReader, caplog: pytest.LogCaptureFixture
) -> None:
    push(server, "default", 0, 0, 3, hold=1)
    with celery.source.session(5.0) as session:
        rows = celery.collector.read(session)
    said = repr(rows) + repr(list(celery.collector.samples(rows))) + caplog.text + repr(celery.source)
    assert TOKEN not in said
    assert not [secret for secret in SECRETS if secret in said + repr(session)]
