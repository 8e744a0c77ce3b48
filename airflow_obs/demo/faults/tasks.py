"""Faults of task instances: nobody runs them, or they fail."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from airflow_obs.catalog import metrics
from airflow_obs.demo.astray import QUEUED_TIMEOUT, REQUEUES
from airflow_obs.demo.company import CHECKS, DAGS, EMBEDDINGS, PARTNER_API, WORKERS
from airflow_obs.demo.faults.fault import Fault
from airflow_obs.demo.world import World


class TasksWithoutOwner(Fault):
    """Adoption and requeueing look at tasks of runs that run, and at a scheduler's own: these are neither."""

    name = "tasks-without-owner"
    sick = (
        "a node takes Redis and a scheduler with it, and someone ends the hanging runs in SQL: "
        "their tasks stay queued, and nobody will ever move them"
    )
    shows = (metrics.GHOSTS, metrics.GHOSTS_OLDEST, metrics.ORPHANS, metrics.ORPHANS_OLDEST, metrics.JOBS_ALIVE)

    _FEWEST = len(CHECKS.tasks[0].map_indexes)
    """Task instances that shall be queued at that moment."""

    def __init__(self) -> None:
        self._done = False

    def begin(self, world: World) -> None:
        """See to it that there is something to lose."""
        world.trigger(CHECKS.dag_id)

    def step(self, world: World) -> None:
        """Strike when enough is queued."""
        queued = list(world.state.tasks("queued"))
        if self._done or len(queued) < self._FEWEST:
            return
        self._done = True
        [(owner, _)] = Counter(task.scheduler for task in queued).most_common(1)
        for job in world.scheduling.jobs:
            job.alive = job.alive and job.number != owner
        world.redis.restart()
        world.end_in_sql({task.run for task in queued if task.scheduler == owner})


class RequeuesExhausted(Fault):
    """What becomes of tasks that no worker takes: half an hour after the first attempt Airflow gives them up."""

    name = "requeues-exhausted"
    sick = (
        "nobody takes the tasks of the queue gpu: every 10 minutes the scheduler queues them again, "
        "and after the second time it fails them"
    )
    shows = (metrics.TASK_EVENTS, metrics.TASKS_REQUEUED, metrics.TASK_REQUEUES_MAX, metrics.TASK_INSTANCES_OLDEST)

    _LEFT = (20, 80, 200)
    """Seconds until those of each run are given up."""

    def begin(self, world: World) -> None:
        """They were begun half an hour ago."""
        for left in self._LEFT:
            moment = world.now + timedelta(seconds=left)
            requeued = [moment - back * QUEUED_TIMEOUT for back in range(REQUEUES, 0, -1)]
            world.wait_for_long(EMBEDDINGS.dag_id, moment - QUEUED_TIMEOUT, requeued)


class HeartbeatsLost(Fault):
    """The workers look well whenever one looks: only their start moves, and what they ran is not known to be gone."""

    name = "heartbeats-lost"
    sick = (
        "a worker's pod is killed every 30 seconds and comes back: what it ran stays running without heartbeats, "
        "until the scheduler fails it after 5 minutes"
    )
    shows = (metrics.HEARTBEATS_OVERDUE, metrics.HEARTBEAT_OLDEST, metrics.TASK_EVENTS, metrics.WORKER_STARTED)

    _WORKER = WORKERS[-1].name
    _EVERY = timedelta(seconds=30)
    _FIRST = timedelta(seconds=295)
    """How long it has been going on."""
    _DAGS = tuple(
        dag.dag_id for dag in DAGS
        if dag.every and not (dag.paused or dag.stale)
        and (dag.tasks[0].queue, dag.tasks[0].pool, dag.tasks[0].defers) == ("default", "default_pool", False)
    )  # fmt: skip

    def __init__(self) -> None:
        self._next: datetime | None = None

    def begin(self, world: World) -> None:
        """One task instance is left of each time before; and then it is killed again."""
        for number, dag_id in enumerate(self._DAGS):
            world.resume(dag_id, world.now - self._FIRST + number * self._EVERY, self._WORKER).lost = True
        self._kill(world)

    def step(self, world: World) -> None:
        """Kill it when it is time to."""
        if self._next is not None and world.now >= self._next:
            self._kill(world)

    def _kill(self, world: World) -> None:
        [worker] = [worker for worker in world.workers.fleet if worker.spec.name == self._WORKER]
        world.workers.kill(worker, world.now)
        self._next = world.now + self._EVERY


class ExecutorStateMismatch(Fault):
    """The failed task has no log of its own: it never began. Airflow tries it again, perhaps on the other worker."""

    name = "executor-state-mismatch"
    sick = (
        "the image of one default worker lacks a library: what it takes dies before it begins, "
        "and the scheduler hears of failed tasks that it knows as queued"
    )
    shows = (metrics.TASK_EVENTS, metrics.TRIES_RETRIED)

    def begin(self, world: World) -> None:
        """Break it."""
        world.workers.fleet[-1].broken = True


class FailuresWave(Fault):
    """Nothing of Airflow is sick: the runs of several DAGs fail, and the others go on as ever."""

    name = "failures-wave"
    sick = "the partners' API refuses our expired token: every task that calls it fails at once and for good, and its run with it"
    shows = (metrics.TASKS_FINISHED, metrics.RUNS_FINISHED, metrics.DAG_LAST_RUN_SUCCESS, metrics.DAG_LAST_SUCCESS)

    _TRIED = ("crm_contacts_sync", "inventory_sync")

    def begin(self, world: World) -> None:
        """Refuse every call; somebody triggers two of the DAGs, to see what is wrong."""
        world.workers.refused.add(PARTNER_API)
        for dag_id in self._TRIED:
            world.trigger(dag_id)
