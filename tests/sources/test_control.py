"""Celery's control protocol as we speak it, to real workers over a real Redis and a real RabbitMQ."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import amqp
import pytest

from airflow_obs.errors import SourceError, SourceUnreachable
from airflow_obs.sources.broker_url import broker_address
from airflow_obs.sources.control import Worker, Workers
from airflow_obs.sources.control_broker import GRANTS
from tests.brokers.test_redis_sentinel import WORD, sentinel
from tests.celery_workers import TASK, app, celery_worker, consume_from
from tests.eventually import eventually
from tests.rabbitmq_server import AIRFLOW, CONTROLLER, READER, VHOST, RabbitServer
from tests.redis_server import EXPORTER, SECRETS, RedisServer, redis_server
from tests.sources.fleet import NAMES, SHORT, Fleet, ask, source

TOKEN = "eyJ-a-live-token"


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
        consume_from(celery, NAMES[1])
        try:
            found = ask(source(fleet.url))
        finally:
            consume_from(celery, NAMES[1], "default", "highmem")
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


def test_stop_ends_the_waiting(fleet: Fleet) -> None:
    stop = threading.Event()
    with fleet.server.frozen():
        threading.Timer(0.5, stop.set).start()
        with pytest.raises(SourceUnreachable, match="the exporter is stopping"):
            ask(source(fleet.url, stop), budget=30.0)


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
        one = source(redis.exporter_url)
        # Of three questions a busy machine may answer one too late; without a grant none is ever answered.
        eventually(
            lambda: ask(one)["celery@alone"].queues == ("default", "highmem"), "the worker says what it consumes from"
        )
        eventually(lambda: ask(one)["celery@alone"].active == 0, "the worker says what it works on")
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
        server.client().config_set("maxmemory", "1")  # byte: an empty Redis may have less than 1 MB
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
