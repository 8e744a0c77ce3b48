"""Celery's control protocol as we speak it, to real workers over a real Redis and a real RabbitMQ."""

from __future__ import annotations

import gc
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import amqp
import psutil
import pytest
from celery import Celery

from airflow_obs.errors import SourceError, SourceUnreachable
from airflow_obs.sources.broker_url import broker_address
from airflow_obs.sources.control import Worker, Workers
from airflow_obs.sources.control_broker import ABANDONED, GRANTS
from tests.brokers.test_redis_sentinel import WORD, sentinel
from tests.celery_workers import TASK, CeleryWorker, app, celery_worker
from tests.eventually import eventually
from tests.rabbitmq_server import AIRFLOW, CONTROLLER, READER, VHOST, RabbitServer, rabbitmq_server
from tests.redis_server import EXPORTER, SECRETS, RedisServer, redis_server

BUDGET = 10.0
SHORT = 2.0
TOKEN = "eyJ-a-live-token"
NAMES = ("celery@one", "celery@two")


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[RabbitServer]:
    with rabbitmq_server() as server:
        yield server


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


class Fleet:
    """A broker of either kind, two workers on this host, and an app that speaks to them."""

    def __init__(self, server: RedisServer | RabbitServer, workers: tuple[CeleryWorker, ...]) -> None:
        self.server = server
        self.url = server.url()
        self.workers = workers

    @contextmanager
    def celery(self) -> Iterator[Celery]:
        with app(self.url) as made:
            yield made


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    server = request.getfixturevalue(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    with celery_worker(server.url(), NAMES[0], folder) as one, celery_worker(server.url(), NAMES[1], folder) as two:
        yield Fleet(server, (one, two))


def source(url: str, stop: threading.Event | None = None) -> Workers:
    address = broker_address(None, {"AIRFLOW_OBS_BROKER_URL": url})
    return Workers(lambda: address, stop)


def ask(one: Workers, *expected: str, budget: float = BUDGET) -> dict[str, Worker]:
    with one.session(budget) as session:
        assert session is not None
        return {worker.name: worker for worker in session.workers(expected)}


def keys(server: RedisServer) -> dict[str, frozenset[str]]:
    """Every set of bindings, every list, and who is in them."""
    client = server.client()
    sets = {name: frozenset(client.smembers(name)) for name in client.keys("*") if client.type(name) == "set"}
    return sets | {name: frozenset() for name in client.keys("*") if client.type(name) == "list"}


def test_two_workers_on_one_host_are_two(fleet: Fleet) -> None:
    before = time.time()
    found = ask(source(fleet.url))
    assert tuple(found) == NAMES
    for worker in found.values():
        assert worker.queues == ("default", "highmem")
        assert (worker.pool_size, worker.prefetch, worker.active) == (2, 2, 0)
        assert worker.started
        assert worker.started < before


def test_tasks_are_counted_without_their_arguments(fleet: Fleet) -> None:
    one = source(fleet.url)
    before = sum(worker.processed or 0 for worker in ask(one, *NAMES).values())
    with fleet.celery() as celery:
        for _ in range(3):
            celery.send_task(TASK, (TOKEN, 8), queue="default")
    eventually(lambda: sum(worker.active or 0 for worker in ask(one, *NAMES).values()) == 3, "three tasks run")
    found = ask(one, *NAMES)
    assert sum(worker.processed or 0 for worker in found.values()) == before + 3
    assert TOKEN not in repr(found)
    eventually(lambda: sum(worker.active or 0 for worker in ask(one, *NAMES).values()) == 0, "no task runs")


def test_a_worker_without_a_queue_answers_with_none(fleet: Fleet) -> None:
    with fleet.celery() as celery:
        for queue in ("default", "highmem"):
            celery.control.cancel_consumer(queue, destination=[NAMES[1]], reply=True, timeout=5)
        try:
            found = ask(source(fleet.url))
        finally:
            for queue in ("default", "highmem"):
                celery.control.add_consumer(queue, destination=[NAMES[1]], reply=True, timeout=5)
    assert found[NAMES[0]].queues == ("default", "highmem")
    assert found[NAMES[1]].queues == ()


def test_a_worker_without_remote_control_is_alive_for_its_heartbeats(fleet: Fleet, tmp_path: Path) -> None:
    mute = "celery@mute"
    with celery_worker(fleet.url, mute, tmp_path, remote_control=False):
        found = ask(source(fleet.url), *NAMES)
    assert found[mute] == Worker(mute, active=0)
    assert found[NAMES[0]].queues == ("default", "highmem")


def test_a_worker_that_stands_still_is_silent_and_the_other_is_not(fleet: Fleet) -> None:
    one = source(fleet.url)
    with fleet.workers[0].frozen():
        assert tuple(ask(one, *NAMES, budget=5.0)) == NAMES[1:]
    eventually(lambda: tuple(ask(one, *NAMES)) == NAMES, "both answer again")


def test_a_frozen_broker_is_given_up_and_found_again(fleet: Fleet) -> None:
    one = source(fleet.url)
    assert tuple(ask(one)) == NAMES
    with fleet.server.frozen():
        for _ in range(2):
            with pytest.raises(SourceUnreachable, match="no answer in time"):
                ask(one, *NAMES, budget=SHORT)
    eventually(lambda: tuple(ask(one, *NAMES)) == NAMES, "both answer again")
    assert lanes() == 0


def test_a_broker_that_freezes_in_the_middle_of_a_call_is_no_silence_of_workers(fleet: Fleet) -> None:
    one = source(fleet.url)
    said: list[object] = []

    def call() -> None:
        try:
            said.append(ask(one, *NAMES, "celery@gone", budget=5.0))
        except SourceError as error:
            said.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    time.sleep(1.5)  # in the middle: it waits three seconds for the one that is gone
    with fleet.server.frozen():
        caller.join()
    assert isinstance(said[0], SourceUnreachable)
    eventually(lambda: tuple(ask(one, *NAMES)) == NAMES, "both answer again")


@contextmanager
def no_descriptor_is_left(one: Workers) -> Iterator[None]:
    """Within, what is left to the garbage collector stays, and so would be seen at the end."""
    with suppress(SourceError):
        ask(one, budget=SHORT)  # the first call imports, and opens what the process keeps
    gc.collect()
    gc.disable()
    before = descriptors()
    try:
        yield
        eventually(lambda: descriptors() <= before, f"no more than {before} files are open")
    finally:
        gc.enable()


def descriptors() -> int:
    """Files that this process has open."""
    return psutil.Process().num_fds()


def test_no_descriptor_is_left_by_calls_that_succeed_or_meet_a_frozen_broker(fleet: Fleet) -> None:
    one = source(fleet.url)
    with no_descriptor_is_left(one):
        for _ in range(3):
            assert ask(one)
        with fleet.server.frozen():
            for _ in range(3):
                with pytest.raises(SourceUnreachable, match="no answer in time"):
                    ask(one, budget=SHORT)
    eventually(lambda: tuple(ask(one, *NAMES)) == NAMES, "both answer again")


@pytest.mark.parametrize(
    "url", ["redis://localhost:1/0", "sentinel://localhost:1;sentinel://localhost:2", "amqp://localhost:1"]
)
def test_no_descriptor_is_left_where_nobody_is(url: str) -> None:
    address = broker_address(None, {
        "AIRFLOW_OBS_BROKER_URL": url, "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__MASTER_NAME": "celery",
    })  # fmt: skip
    one = Workers(lambda: address)
    with no_descriptor_is_left(one):
        for _ in range(10):
            with pytest.raises(SourceUnreachable):
                ask(one, budget=SHORT)


def test_no_descriptor_is_left_where_a_password_is_wrong(redis: RedisServer, rabbitmq: RabbitServer) -> None:
    for url in (redis.url(password="wrong"), rabbitmq.url((AIRFLOW[0], "wrong"))):
        one = source(url)
        with no_descriptor_is_left(one):
            for _ in range(3):
                with pytest.raises(SourceUnreachable):
                    ask(one, budget=SHORT)


def test_what_killed_exporters_left_is_removed_and_what_others_use_is_not(redis: RedisServer, tmp_path: Path) -> None:
    client = redis.client()
    client.flushall()
    with celery_worker(redis.url(), "celery@alone", tmp_path):
        before = keys(redis)
        one = source(redis.url())
        during: list[dict[str, frozenset[str]]] = []

        def look() -> None:
            def more() -> bool:
                now = keys(redis)
                return sum(map(len, now.values())) >= sum(map(len, before.values())) + 4

            eventually(more, "it listens to replies and to heartbeats")
            during.append(keys(redis))

        looker = threading.Thread(target=look)
        looker.start()
        ask(one, "celery@gone")
        looker.join()
        others = {name: members - before.get(name, frozenset()) for name, members in during[0].items()}
        made = {member.split("-")[2] for members in others.values() for member in members}
        assert len(made) == 1
        long_ago = str(int(made.pop()) - int(ABANDONED) - 60)
        for name, members in others.items():
            for member in members:
                parts = member.split("-")
                old = member.replace(f"airflow-obs-{parts[2]}-", f"airflow-obs-{long_ago}-")
                client.sadd(name, member, old, f"airflow-obs-{long_ago}-x\x06\x16\x06\x16precious")
                if "reply" in old:
                    client.rpush(old.rpartition("\x16")[2], "an answer")
        client.rpush("precious", "a task")
        ask(one, "celery@alone")
        left = keys(redis)
    assert left.pop("precious") == frozenset()
    stray = f"airflow-obs-{long_ago}-x\x06\x16\x06\x16precious"
    assert {name: left[name] - {stray} for name in left} == {
        name: before.get(name, frozenset()) | others.get(name, frozenset()) for name in before.keys() | others.keys()
    }


def test_stop_ends_the_waiting(fleet: Fleet) -> None:
    stop = threading.Event()
    with fleet.server.frozen():
        threading.Timer(0.5, stop.set).start()
        with pytest.raises(SourceUnreachable, match="the exporter is stopping"):
            ask(source(fleet.url, stop), budget=30.0)


def test_stop_in_the_middle_of_a_call_leaves_nothing_in_redis(redis: RedisServer, tmp_path: Path) -> None:
    redis.client().flushall()
    with celery_worker(redis.url(), "celery@alone", tmp_path):
        before = keys(redis)
        stop = threading.Event()

        def stop_in_the_middle() -> None:
            eventually(lambda: keys(redis).keys() > before.keys(), "it listens")
            stop.set()

        stopper = threading.Thread(target=stop_in_the_middle)
        stopper.start()
        with pytest.raises(SourceUnreachable, match="the exporter is stopping"):
            ask(source(redis.url(), stop), "celery@gone", budget=30.0)
        stopper.join()
        assert keys(redis) == before


def test_nothing_is_left_in_redis(redis: RedisServer, tmp_path: Path) -> None:
    redis.client().flushall()
    with celery_worker(redis.url(), "celery@alone", tmp_path):
        before = keys(redis)
        one = source(redis.url())
        assert tuple(ask(one)) == ("celery@alone",)
        assert keys(redis) == before
        with redis.frozen(), pytest.raises(SourceUnreachable):
            ask(one, budget=SHORT)
        assert tuple(ask(one)) == ("celery@alone",)
        assert keys(redis) == before


def test_nothing_is_left_in_rabbitmq(rabbitmq: RabbitServer, tmp_path: Path) -> None:
    with celery_worker(rabbitmq.url(), "celery@alone", tmp_path):
        one = source(rabbitmq.url(CONTROLLER))
        ask(one)  # the first of all makes the exchange for replies, which stays, as it does after any `celery inspect`
        before = rabbitmq.queues(), rabbitmq.bindings()
        assert "celery@alone" in ask(one)
        assert (rabbitmq.queues(), rabbitmq.bindings()) == before


def test_messages_that_workers_hold_are_not_given_out_again(redis: RedisServer, tmp_path: Path) -> None:
    """With kombu's own defaults every call would put tasks that run for more than an hour back into their queue."""
    with celery_worker(redis.url(), "celery@busy", tmp_path), app(redis.url()) as celery:
        celery.send_task(TASK, (TOKEN, 20), queue="default")
        client = redis.client()
        eventually(lambda: client.hlen("unacked") == 1, "the task runs")
        [(tag, _)] = client.zrange("unacked_index", 0, -1, withscores=True)
        client.zadd("unacked_index", {tag: time.time() - 7200})
        one = source(redis.url())
        for _ in range(3):
            ask(one, "celery@busy", "celery@gone", budget=3.0)
        assert (client.hlen("unacked"), client.llen("default")) == (1, 0)
        client.delete("unacked_mutex")


def test_the_grants_suffice_on_redis(redis: RedisServer, tmp_path: Path) -> None:
    redis.grant(f"resetchannels +smembers {GRANTS}")  # the latter, for those that read
    with celery_worker(redis.url(), "celery@alone", tmp_path):
        found = ask(source(redis.exporter_url))
        assert (found["celery@alone"].active, found["celery@alone"].queues) == (0, ("default", "highmem"))
        redis.grant("~* resetchannels +info +llen")
        with pytest.raises(SourceError, match=r"sources\.broker\.control") as refused:
            ask(source(redis.exporter_url))
    assert EXPORTER[1] not in str(refused.value)


def test_the_permissions_suffice_on_rabbitmq(rabbitmq: RabbitServer, tmp_path: Path) -> None:
    with celery_worker(rabbitmq.url(), "celery@alone", tmp_path):
        found = ask(source(rabbitmq.url(CONTROLLER)))
        assert (found["celery@alone"].active, found["celery@alone"].queues) == (0, ("default", "highmem"))
        with pytest.raises(SourceError, match=r"sources\.broker\.control"):
            ask(source(rabbitmq.url(READER)))


def test_before_the_first_worker_there_is_nobody() -> None:
    with redis_server() as server:
        assert ask(source(server.url()), budget=SHORT) == {}


def test_before_the_first_worker_there_is_nobody_on_rabbitmq(rabbitmq: RabbitServer) -> None:
    # The exchanges that workers make for themselves are not there yet.
    user, password = AIRFLOW
    with amqp.Connection(
        f"127.0.0.1:{rabbitmq.port}", userid=user, password=password, virtual_host=VHOST
    ) as connection:
        for exchange in ("celery.pidbox", "reply.celery.pidbox", "celeryev"):
            connection.channel().exchange_delete(exchange)
    assert ask(source(rabbitmq.url()), budget=SHORT) == {}


def test_an_alarm_that_stops_publishers_is_told(rabbitmq: RabbitServer, tmp_path: Path) -> None:
    with (
        celery_worker(rabbitmq.url(), "celery@alone", tmp_path),
        rabbitmq.disk_alarm(),
        pytest.raises(SourceError, match="blocks its publishers"),
    ):
        ask(source(rabbitmq.url()), budget=5.0)


@pytest.mark.parametrize(
    "url", ["redis://:wr%40ng@127.0.0.1:{redis}/0", "amqp://airflow:wr%40ng@127.0.0.1:{rabbitmq}/celery"]
)
def test_a_wrong_password_is_told_without_it(redis: RedisServer, rabbitmq: RabbitServer, url: str) -> None:
    with pytest.raises(SourceUnreachable) as refused:
        ask(source(url.format(redis=redis.port, rabbitmq=rabbitmq.port)))
    assert "wr@ng" not in str(refused.value)
    assert "wr%40ng" not in str(refused.value)


def test_a_killed_broker_is_told_and_its_successor_is_found(tmp_path: Path) -> None:
    with redis_server() as server, celery_worker(server.url(), "celery@alone", tmp_path):
        one = source(server.url())
        assert tuple(ask(one)) == ("celery@alone",)
        server.kill()
        with pytest.raises(SourceUnreachable, match="cannot be reached"):
            ask(one)
        server.start()
        eventually(lambda: tuple(ask(one)) == ("celery@alone",), "the worker has come back, and answers", 90.0)


def test_a_full_redis_is_told() -> None:
    with redis_server() as server:
        server.client().config_set("maxmemory", "1mb")
        with pytest.raises(SourceError, match=r"memory is full"):
            ask(source(server.url()), budget=SHORT)
        server.client().config_set("maxmemory", "0")
        assert ask(source(server.url()), budget=SHORT) == {}


def lanes() -> int:
    """Threads of ours that still hang in a call."""

    def count() -> int:
        return sum(thread.name == "workers-control" for thread in threading.enumerate())

    eventually(lambda: count() == 0, "no thread is left")
    return count()


def test_workers_are_asked_through_sentinels(tmp_path: Path) -> None:
    with (
        redis_server() as server,
        celery_worker(server.url(), "celery@alone", tmp_path),
        sentinel(server, tmp_path) as port,
    ):
        address = broker_address(None, {
            "AIRFLOW_OBS_BROKER_URL": f"sentinel://:{SECRETS[1]}@127.0.0.1:1;sentinel://127.0.0.1:{port}",
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__MASTER_NAME": "celery",
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__SENTINEL_KWARGS": json.dumps({"password": WORD}),
        })  # fmt: skip
        assert tuple(ask(Workers(lambda: address))) == ("celery@alone",)
