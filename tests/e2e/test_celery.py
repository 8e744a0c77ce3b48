"""What Prometheus holds of Celery's broker and workers is what a real Airflow does with them.

In this order: each test leaves behind what the next one needs.
"""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from functools import partial
from typing import Any

import psutil
import pytest

from airflow_obs.catalog import metrics
from airflow_obs.model import Metric
from tests.e2e.agreement import agree, becomes
from tests.e2e.airflow_workers import BUSY, CROWDED, WORKERS, AirflowWorker
from tests.e2e.conftest import WHOLLY, World
from tests.e2e.monitoring import OPENMETRICS
from tests.redis_server import SECRETS

SEPARATOR = "\x06\x16"
"""Kombu's, between the name of a queue and a priority."""
MARKER = "a message that nobody may see"
VISIBILITY_TIMEOUT = {2: 43_200.0, 3: 86_400.0}
"""Seconds by Airflow's first number: set, or Airflow's default."""

VERSIONS = WHOLLY
pytestmark = pytest.mark.e2e


def test_the_broker(world: World) -> None:
    agree(partial(_running, world), partial(world.prometheus.value, metrics.BROKER_UNACKED))
    ((kind, version, eviction, role),) = world.prometheus.series(metrics.BROKER_INFO)
    assert (kind, eviction, role) == ("redis", "noeviction", "master")
    assert version == world.redis.client().info("server")["redis_version"]
    becomes({("default",): 0.0, ("elsewhere",): 0.0, ("crowded",): 0.0}, partial(_messages, world))
    agree(
        lambda: world.redis.client().zrange("unacked_index", 0, 0, withscores=True)[0][1],
        partial(world.prometheus.value, metrics.BROKER_UNACKED_OLDEST),
    )
    timeout = VISIBILITY_TIMEOUT[world.release.major]
    becomes(timeout, partial(world.prometheus.value, metrics.BROKER_VISIBILITY_TIMEOUT))
    agree(world.redis.client(1).dbsize, partial(world.prometheus.value, metrics.BROKER_RESULT_KEYS))
    assert world.redis.client(1).dbsize() > 0


def test_two_workers_on_one_host(world: World) -> None:
    becomes({(worker.name,): 1.0 for worker in WORKERS}, partial(world.prometheus.series, metrics.WORKER_UP))
    agree(lambda: _subscribed(BUSY, CROWDED), partial(world.prometheus.series, metrics.WORKER_SUBSCRIBED))
    _of_each(world, metrics.WORKER_QUEUES, busy=2, crowded=2)
    _of_each(world, metrics.WORKER_POOL_SIZE, busy=2, crowded=1)
    _of_each(world, metrics.WORKER_PREFETCH, busy=2, crowded=2)
    _of_each(world, metrics.WORKER_ACTIVE, busy=1, crowded=0)
    _of_each(world, metrics.WORKER_RESERVED, busy=0, crowded=0)
    assert _queue_workers(world) == {("default",): 1, ("elsewhere",): 2, ("crowded",): 1}
    agree(world.api.begun_tasks, partial(_processed, world))
    for name, program in world.workers.items():
        started = world.prometheus.value(metrics.WORKER_STARTED, worker=name)
        assert started is not None
        assert psutil.Process(program.process.pid).create_time() - 1 < started < time.time()


def test_more_tasks_than_the_workers_take(world: World) -> None:
    world.api.trigger("crowds")
    _of_each(world, metrics.WORKER_ACTIVE, busy=1, crowded=1)
    _of_each(world, metrics.WORKER_RESERVED, busy=0, crowded=1)
    agree(partial(_airflow_tasks, world), partial(_celery_tasks, world))
    assert _airflow_tasks(world) == {
        ("running", "default"): 1, ("running", "crowded"): 1, ("queued", "crowded"): 4, ("queued", "nobody"): 2
    }  # fmt: skip
    # Airflow takes a task for queued until it is begun, also the one that a worker has fetched and not begun.
    becomes(
        {("default",): 0.0, ("elsewhere",): 0.0, ("crowded",): 3.0, ("nobody",): 2.0},
        partial(_messages, world),
    )
    becomes(3.0, partial(world.prometheus.value, metrics.BROKER_UNACKED))
    agree(lambda: sum(_airflow_tasks(world).values()), partial(_held, world))
    agree(world.api.begun_tasks, partial(_processed, world))
    becomes(0.0, partial(world.prometheus.value, metrics.QUEUE_WORKERS, queue="nobody"))


def test_priorities(world: World) -> None:
    before = _messages(world)
    lists = ["nobody", *(f"nobody{SEPARATOR}{priority}" for priority in range(1, 10))]
    for count, name in enumerate(lists, start=1):
        world.redis.client().lpush(name, *[MARKER] * count)
    becomes({**before, ("nobody",): before["nobody",] + 55}, partial(_messages, world))


def test_nothing_of_a_message_is_told(world: World) -> None:
    """Asked while tasks wait in the broker and on a worker; what is secret is kept out of the assertions' texts."""
    bodies = [_body(text) for text in world.redis.client().lrange("crowded", 0, -1)]
    bodies += [_body(json.loads(text)[0]) for text in world.redis.client().hvals("unacked")]
    assert len(bodies) == 6
    in_all = [word for word in ("eyJ", "crowds", "manual__") if sum(word in body for body in bodies) >= 5]
    # 3.x signs a token into each.
    assert in_all == ["eyJ", "crowds", "manual__"][world.release.major == 2 :]
    shown = world.exporter.page() + world.exporter.page(OPENMETRICS) + world.exporter.program.log.read_text()
    told = [word for word in ("eyJ", "manual__", MARKER) if word in shown]
    assert told == []
    assert not any(secret in shown for secret in SECRETS)
    assert "Traceback" not in shown


def test_a_worker_that_answers_and_takes_nothing(world: World) -> None:
    tasks = _messages(world)
    CROWDED.unsubscribe(world.airflow)
    becomes(_subscribed(BUSY), partial(world.prometheus.series, metrics.WORKER_SUBSCRIBED))
    _of_each(world, metrics.WORKER_UP, busy=1, crowded=1)
    _of_each(world, metrics.WORKER_QUEUES, busy=2, crowded=0)
    _of_each(world, metrics.WORKER_ACTIVE, busy=1, crowded=1)
    assert _queue_workers(world) == {("default",): 1, ("elsewhere",): 1, ("crowded",): 0, ("nobody",): 0}
    assert _messages(world) == tasks
    CROWDED.subscribe(world.airflow)
    becomes(_subscribed(BUSY, CROWDED), partial(world.prometheus.series, metrics.WORKER_SUBSCRIBED))
    _of_each(world, metrics.WORKER_QUEUES, busy=2, crowded=2)
    assert _queue_workers(world) == {("default",): 1, ("elsewhere",): 2, ("crowded",): 1, ("nobody",): 0}


def test_a_killed_worker(world: World) -> None:
    held = _held(world)
    world.workers[CROWDED.name].kill()
    _of_each(world, metrics.WORKER_UP, busy=1, crowded=0)
    assert world.prometheus.series(metrics.WORKER_SUBSCRIBED) == _subscribed(BUSY)
    assert _queue_workers(world) == {("default",): 1, ("elsewhere",): 1, ("crowded",): 0, ("nobody",): 0}
    assert {name for (name,) in world.prometheus.series(metrics.WORKER_ACTIVE)} == {BUSY.name}
    # What it held stays unacknowledged until the visibility timeout.
    becomes(3.0, partial(world.prometheus.value, metrics.BROKER_UNACKED))
    assert _held(world) == held


def test_lost_messages(world: World) -> None:
    waiting = _celery_tasks(world)
    world.redis.client().delete("crowded", *world.redis.client().keys("nobody*"))
    becomes(dict.fromkeys(_messages(world), 0.0), partial(_messages, world))
    # Airflow knows nothing of it.
    agree(partial(_airflow_tasks, world), partial(_celery_tasks, world))
    assert _celery_tasks(world) == waiting
    assert sum(waiting.values()) - _held(world) == 5


# -- what they say ---------------------------------------------------------------------------------------------------


def _of_each(world: World, metric: Metric, *, busy: float, crowded: float) -> None:
    becomes({(BUSY.name,): busy, (CROWDED.name,): crowded}, partial(world.prometheus.series, metric))


def _subscribed(*workers: AirflowWorker) -> dict[tuple[str, ...], float]:
    return {(worker.name, queue): 1.0 for worker in workers for queue in worker.queues}


def _queue_workers(world: World) -> dict[tuple[str, ...], float]:
    return world.prometheus.series(metrics.QUEUE_WORKERS)


def _processed(world: World) -> float:
    return sum(world.prometheus.series(metrics.WORKER_PROCESSED).values())


def _messages(world: World) -> dict[tuple[str, ...], float]:
    return world.prometheus.series(metrics.BROKER_MESSAGES)


def _held(world: World) -> float:
    """Messages that wait and messages that workers have."""
    unacked = world.prometheus.value(metrics.BROKER_UNACKED)
    assert unacked is not None
    return sum(_messages(world).values()) + unacked


def _airflow_tasks(world: World) -> dict[tuple[str, ...], float]:
    """Queued and running task instances by state and queue, as Airflow says."""
    counts: Counter[tuple[str, ...]] = Counter()
    for (state, queue, _), count in world.api.unfinished_tasks().items():
        if state in ("queued", "running"):
            counts[state, queue] += count
    return dict(counts)


def _celery_tasks(world: World) -> dict[tuple[str, ...], float]:
    return {of: count for of, count in world.prometheus.series(metrics.CELERY_TASK_INSTANCES).items() if count}


def _running(world: World) -> float:
    return sum(count for (state, _), count in _airflow_tasks(world).items() if state == "running")


def _body(message: str | dict[str, Any]) -> str:
    """The text of a message's body, as Celery sent it."""
    envelope: dict[str, Any] = json.loads(message) if isinstance(message, str) else message
    return base64.b64decode(envelope["body"]).decode()
