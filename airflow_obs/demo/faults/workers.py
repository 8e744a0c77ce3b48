"""Faults of the executor and its workers."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow_obs.catalog import metrics
from airflow_obs.demo.company import EMBEDDINGS
from airflow_obs.demo.faults.fault import Fault
from airflow_obs.demo.world import World


class TasksStuckInQueued(Fault):
    """The workers' main processes hang in their pools: they answer and are subscribed, and everything else looks healthy."""

    name = "tasks-stuck-in-queued"
    sick = "no worker takes a task: what is queued stays queued, behind it the runs pile up"
    shows = (metrics.TASK_INSTANCES, metrics.TASK_INSTANCES_OLDEST, metrics.TASK_QUEUE_WAIT, metrics.POOL_QUEUED,
             metrics.BROKER_MESSAGES)  # fmt: skip

    def begin(self, world: World) -> None:
        """Take nothing from now on."""
        world.workers.taking = False


class WorkerCatatonic(Fault):
    """What `airflow celery remove-all-queues`, or a reconnect that went wrong, leaves: a ping is answered as ever."""

    name = "worker-catatonic"
    sick = "one of two default workers answers and beats on, but consumes from no queue any more: the other does all the work"
    shows = (metrics.WORKER_QUEUES, metrics.WORKER_SUBSCRIBED, metrics.QUEUE_WORKERS, metrics.WORKER_ACTIVE)

    def begin(self, world: World) -> None:
        """Take its queues away; what it runs it ends."""
        world.workers.fleet[-1].queues = ()


class QueueWithoutWorker(Fault):
    """A new DAG, a misspelt queue, or workers that nobody has set up: its tasks wait, the others do not."""

    name = "queue-without-worker"
    sick = "a DAG sends its tasks to the queue gpu, which no worker consumes from: they wait there"
    shows = (metrics.QUEUE_WORKERS, metrics.BROKER_MESSAGES, metrics.TASK_INSTANCES_OLDEST)

    _RUNS = 3
    _EVERY = timedelta(seconds=5)

    def __init__(self) -> None:
        self._runs = 0
        self._next: datetime | None = None

    def begin(self, world: World) -> None:
        """Trigger the DAG."""
        self._trigger(world)

    def step(self, world: World) -> None:
        """Trigger it again: somebody wonders why nothing happens."""
        if self._next is not None and world.now >= self._next and self._runs < self._RUNS:
            self._trigger(world)

    def _trigger(self, world: World) -> None:
        world.trigger(EMBEDDINGS.dag_id)
        self._runs += 1
        self._next = world.now + self._EVERY
