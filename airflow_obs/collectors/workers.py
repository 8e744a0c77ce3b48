"""Celery's workers: who answers, which queues each consumes from, and how busy it is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from airflow_obs.catalog import metrics
from airflow_obs.collectors.queues import QueueNames
from airflow_obs.model import Reading
from airflow_obs.policy import WorkersPolicy
from airflow_obs.sources.control import ControlSession, Worker
from airflow_obs.sources.steady import SteadyMoments

STARTED_WITHIN = 5.0
"""Seconds within which two moments of a worker's start are one: it tells its uptime in whole seconds, and answers late."""


@dataclass(frozen=True)
class Fleet:
    """The workers that answered, the names of those that did not but had within the forget window, and every queue."""

    workers: list[Worker]
    silent: list[str]
    queues: frozenset[str] = frozenset()


class Workers:
    """A worker is known by its full node name once it has answered; what it told goes when it falls silent, `up` stays."""

    name = "workers"
    source = "workers"

    def __init__(self, policy: WorkersPolicy, queues: QueueNames, clock: Callable[[], float] = time.monotonic) -> None:
        self._policy = policy
        self._queues = queues
        self._clock = clock
        self._answered: dict[str, float] = {}
        self._started = SteadyMoments(STARTED_WITHIN)

    def read(self, session: ControlSession | None) -> Fleet | None:
        """None where there is no broker. One that was silent last time is waited for too: it may only be slow."""
        if session is None:
            return None
        workers = session.workers(self._answered.keys())
        now = self._clock()
        alive = {worker.name for worker in workers}
        self._answered.update(dict.fromkeys(alive, now))
        for name in [name for name, moment in self._answered.items() if now - moment > self._policy.forget]:
            del self._answered[name]
            self._started.forget(name)
        self._queues.add(queue for worker in workers for queue in worker.queues or ())
        return Fleet(workers, sorted(self._answered.keys() - alive), self._queues.all())

    def samples(self, fleet: Fleet | None) -> Iterator[Reading]:
        if fleet is None:
            return
        for name in fleet.silent:
            yield metrics.WORKER_UP.sample(0, worker=name)
        for worker in sorted(fleet.workers, key=lambda worker: len(worker.queues or ())):
            yield from self._of(worker)
        consumers = Counter(queue for worker in fleet.workers for queue in worker.queues or ())
        for queue in sorted(fleet.queues | consumers.keys(), key=lambda queue: (consumers[queue], queue)):
            # One that did not say what it consumes may be the one that serves a queue.
            if consumers[queue] or all(worker.queues is not None for worker in fleet.workers):
                yield metrics.QUEUE_WORKERS.sample(consumers[queue], queue=queue)

    def _of(self, worker: Worker) -> Iterator[Reading]:
        yield metrics.WORKER_UP.sample(1, worker=worker.name)
        if worker.queues is not None:
            yield metrics.WORKER_QUEUES.sample(len(worker.queues), worker=worker.name)
            for queue in worker.queues:
                yield metrics.WORKER_SUBSCRIBED.sample(1, worker=worker.name, queue=queue)
        for metric, value in (
            (metrics.WORKER_ACTIVE, worker.active),
            (metrics.WORKER_RESERVED, worker.reserved),
            (metrics.WORKER_POOL_SIZE, worker.pool_size),
            (metrics.WORKER_PREFETCH, worker.prefetch),
            (metrics.WORKER_PROCESSED, worker.processed),
            (metrics.WORKER_STARTED, worker.started and self._started.of(worker.name, worker.started)),
        ):
            if value is not None:
                yield metric.sample(value, worker=worker.name)
