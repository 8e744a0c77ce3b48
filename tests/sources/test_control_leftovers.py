"""What a call leaves behind when all goes well, and when it does not: no open file, and nothing in the broker."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from airflow_obs.errors import SourceError, SourceUnreachable
from airflow_obs.sources.broker_url import broker_address
from airflow_obs.sources.control import Workers
from airflow_obs.sources.control_broker import ABANDONED
from tests.celery_workers import celery_worker
from tests.eventually import eventually
from tests.rabbitmq_server import AIRFLOW, CONTROLLER, RabbitServer
from tests.redis_server import RedisServer
from tests.sources.fleet import NAMES, SHORT, Fleet, ask, keys, source


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
