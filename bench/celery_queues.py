"""A Redis as Celery leaves it when tasks wait: queues with bindings and priorities, held messages, and results."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from tests.celery_workers import TASK, app
from tests.redis_server import RedisServer

PRIORITIES = ("", "\x06\x163", "\x06\x166", "\x06\x169")
"""What Kombu adds to a queue's name for the lists of its four default priorities."""
BODY = 3_000
"""Bytes of a task's argument: a workload of Airflow 3 has 2 to 4 kB, most of it DAG run, bundle and token."""
HELD = 100
"""One message in so many is held unacknowledged, beside those that wait."""
_AT_ONCE = 500


@dataclass(frozen=True)
class Backlog:
    """How much waits: `messages` in all lists together, spread evenly; every fourth queue has them in four priorities."""

    queues: int
    messages: int

    @property
    def names(self) -> list[str]:
        """The queues' names."""
        return [f"team-{number:03}" for number in range(self.queues)]

    @property
    def held(self) -> int:
        """Messages held unacknowledged."""
        return self.messages // HELD

    def lists(self) -> Iterator[tuple[str, int]]:
        """(the key of a list, its messages)."""
        for number, name in enumerate(self.names):
            each = self.messages // self.queues + (number < self.messages % self.queues)
            suffixes = PRIORITIES if number % 4 == 0 else PRIORITIES[:1]
            for place, suffix in enumerate(suffixes):
                yield name + suffix, each // len(suffixes) + (place < each % len(suffixes))


def fill(server: RedisServer, backlog: Backlog) -> None:
    """Make the queues and their messages, each a real one of Celery; its task would sleep for an hour."""
    client = server.client()
    messages = _messages(server)
    for name in backlog.names:
        client.sadd(f"_kombu.binding.{name}", f"{name}\x06\x16\x06\x16{name}")
    for key, count in backlog.lists():
        for start in range(0, count, _AT_ONCE):
            client.lpush(key, *islice(messages, min(_AT_ONCE, count - start)))
    now = time.time()
    for number in range(backlog.held):
        tag = str(uuid.uuid4())
        client.hset("unacked", tag, json.dumps([next(messages), "", backlog.names[0]]))
        client.zadd("unacked_index", {tag: now - number})


def add_results(server: RedisServer, count: int) -> None:
    """Results of tasks in the same database, which expire in a day, as Celery writes them."""
    result = json.dumps({"status": "SUCCESS", "result": None, "traceback": None, "children": []})
    for start in range(0, count, _AT_ONCE):
        pipeline = server.client().pipeline(transaction=False)
        for _ in range(min(_AT_ONCE, count - start)):
            pipeline.set(f"celery-task-meta-{uuid.uuid4()}", result, ex=86_400)
        pipeline.execute()


def waiting(server: RedisServer, queues: Sequence[str]) -> dict[str, int]:
    """The truth: messages that wait in each queue now, in the lists of all its priorities."""
    pipeline = server.client().pipeline(transaction=False)
    for queue in queues:
        for suffix in PRIORITIES:
            pipeline.llen(queue + suffix)
    lengths: list[int] = pipeline.execute()
    each = len(PRIORITIES)
    return {queue: sum(lengths[at * each : (at + 1) * each]) for at, queue in enumerate(queues)}


def _messages(server: RedisServer) -> Iterator[str]:
    """Messages without end, copies of one that Celery made, each with ids of its own."""
    client = server.client()
    with app(server.url()) as celery:
        sent = celery.send_task(TASK, ("x" * BODY, 3600.0), queue="sample")
    sample = str(client.rpop("sample"))
    client.delete("_kombu.binding.sample")
    delivery = json.loads(sample)["properties"]["delivery_tag"]
    while True:
        yield sample.replace(sent.id, str(uuid.uuid4())).replace(delivery, str(uuid.uuid4()))
