"""Faults of Celery's broker."""

from __future__ import annotations

import json
import secrets
from datetime import datetime, timedelta

from airflow_obs.catalog import metrics
from airflow_obs.demo.company import CHECKS, HIGHMEM, TRAINING, WORKERS
from airflow_obs.demo.faults.fault import Fault
from airflow_obs.demo.redis import Redis
from airflow_obs.demo.state import LiveTask
from airflow_obs.demo.world import World


class RedisFrozen(Fault):
    """As under a swapping host or a KEYS over millions: connections open, and nothing comes back."""

    name = "redis-frozen"
    sick = (
        "Redis stands still: nothing can be queued or taken, no worker can be asked, and no figure of either is known"
    )
    shows = (metrics.SOURCE_UP, metrics.COLLECTOR_SUCCESS, metrics.BROKER_MESSAGES, metrics.TASK_INSTANCES_OLDEST)

    def __init__(self) -> None:
        self._redis: Redis | None = None

    def begin(self, world: World) -> None:
        """SIGSTOP."""
        self._redis = world.redis
        self._redis.freeze()

    def end(self) -> None:
        """SIGCONT: a stopped process would not hear that it shall end."""
        if self._redis is not None:
            self._redis.thaw()


class RedisEvicting(Fault):
    """A cache's settings on a broker: what Redis throws away may be a queue, the unacked messages or a binding."""

    name = "redis-evicting"
    sick = "task results go to the broker's Redis, which was set up as a cache: its memory is full, and it throws keys away"
    shows = (metrics.BROKER_EVICTED, metrics.BROKER_MEMORY, metrics.BROKER_MEMORY_MAX, metrics.BROKER_INFO)

    _MEMORY = "6mb"
    _RESULTS, _BYTES = 64, 8192
    """Results a tick, and the size of each."""
    _EXPIRY = 86400

    def begin(self, world: World) -> None:
        """Limit the memory."""
        world.broker.order(
            ("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"), ("CONFIG", "SET", "maxmemory", self._MEMORY)
        )

    def step(self, world: World) -> None:
        """Write the results of some tasks, as Celery does."""
        for _ in range(self._RESULTS):
            number = secrets.token_hex(16)
            result = json.dumps({"status": "SUCCESS", "result": "x" * self._BYTES, "task_id": number})
            world.broker.order(("SETEX", f"celery-task-meta-{number}", self._EXPIRY, result))


class MessagesLost(Fault):
    """Without persistence a restart is a loss: Airflow sees it at task_queued_timeout, 10 minutes later, if ever."""

    name = "messages-lost"
    sick = (
        "Redis is killed every 20 seconds and comes back empty: "
        "what waited in it stays queued in the database, and nothing happens for 10 minutes"
    )
    shows = (metrics.BROKER_STARTED, metrics.BROKER_MESSAGES, metrics.BROKER_UNACKED, metrics.CELERY_TASK_INSTANCES)

    _EVERY = timedelta(seconds=20)
    _FEWEST = len(CHECKS.tasks[0].map_indexes)
    """Messages that shall be lost."""

    def __init__(self) -> None:
        self._next: datetime | None = None

    def begin(self, world: World) -> None:
        """Give it something to lose."""
        self._next = world.now
        world.trigger(CHECKS.dag_id)

    def step(self, world: World) -> None:
        """Restart it when it is time and something can be lost."""
        waiting = sum(1 for _ in world.state.tasks("queued"))
        if self._next is not None and world.now >= self._next and waiting >= self._FEWEST:
            self._next = world.now + self._EVERY
            world.redis.restart()
            world.trigger(CHECKS.dag_id)


class UnackedNearVisibilityTimeout(Fault):
    """Redis cannot tell a task that runs long from a worker that died with it."""

    name = "unacked-near-visibility-timeout"
    sick = "a training has run for almost a day: in 10 minutes Redis delivers its message again, and it may run twice"
    shows = (metrics.BROKER_UNACKED_OLDEST, metrics.BROKER_VISIBILITY_TIMEOUT)

    VISIBILITY_TIMEOUT = timedelta(days=1)
    """What Airflow sets."""
    _LEFT = timedelta(minutes=10)

    def __init__(self) -> None:
        self._task: LiveTask | None = None
        self._again: datetime | None = None

    def begin(self, world: World) -> None:
        """Somebody began it almost a day ago."""
        [worker] = [worker.name for worker in WORKERS if HIGHMEM in worker.queues]
        self._again = world.now + self._LEFT
        self._task = world.resume(TRAINING.dag_id, self._again - self.VISIBILITY_TIMEOUT, worker)

    def step(self, world: World) -> None:
        """Deliver it again when its time has come."""
        if self._task is not None and self._again is not None and world.now >= self._again:
            world.broker.redeliver(self._task, world.now)
            self._again += self.VISIBILITY_TIMEOUT
