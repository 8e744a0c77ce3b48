"""Faults of the triggerer."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow_obs.catalog import metrics
from airflow_obs.demo.company import WORKERS
from airflow_obs.demo.faults.fault import Fault
from airflow_obs.demo.workers import TRIGGER_TIMEOUT
from airflow_obs.demo.world import World


class TriggererDead(Fault):
    """What is deferred stays deferred: those that the dead one had taken, and those that nobody takes."""

    name = "triggerer-dead"
    sick = "the only triggerer is killed: its row stays running, and no deferred task is ever woken"
    shows = (metrics.TRIGGERS_STRANDED, metrics.TRIGGERS_STRANDED_OLDEST, metrics.JOB_HEARTBEAT, metrics.JOBS_ALIVE)

    _DAG = "payments_reconcile"

    def begin(self, world: World) -> None:
        """Kill it, and defer a task soon."""
        world.triggerer.job.alive = False
        world.trigger(self._DAG)


class TriggersOverdue(Fault):
    """The nasty one: the triggers share one loop, but the heartbeat is another process's, so every check stays green."""

    name = "triggers-overdue"
    sick = (
        "a trigger that sleeps blocks all others: the triggerer beats on and takes new ones, and none fires; "
        "no scheduler fails those past their timeout, for trigger_timeout_check_interval is a day"
    )
    shows = (
        metrics.TRIGGERS_OLDEST,
        metrics.DEFERRED_OVERDUE,
        metrics.DEFERRED_TIMEOUT,
        metrics.TRIGGERS,
        metrics.TASK_INSTANCES,
    )

    _DAGS = ("payments_reconcile", "clickstream_sessionize")
    _EVERY = timedelta(seconds=4)
    _RUNS = 3
    """Of each DAG."""
    _BEFORE = TRIGGER_TIMEOUT + timedelta(minutes=30)
    """How long ago the first ones were deferred."""

    def __init__(self) -> None:
        self._runs = 0
        self._next: datetime | None = None

    def begin(self, world: World) -> None:
        """Fire nothing from now on."""
        world.triggerer.firing = False
        self._next = world.now
        for dag_id in self._DAGS:
            world.defer(world.resume(dag_id, world.now - self._BEFORE, WORKERS[0].name), world.now - self._BEFORE)

    def step(self, world: World) -> None:
        """Somebody asks for what does not come."""
        if self._next is not None and world.now >= self._next and self._runs < self._RUNS:
            self._runs += 1
            self._next = world.now + self._EVERY
            for dag_id in self._DAGS:
                world.trigger(dag_id)
