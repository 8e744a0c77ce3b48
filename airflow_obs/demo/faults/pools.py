"""Faults of pools, and of the other limits that hold work back."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow_obs.catalog import metrics
from airflow_obs.demo.company import BACKFILL, PARTNER_API, PARTNER_FILES, RESCORING, WORKERS
from airflow_obs.demo.faults.fault import Fault
from airflow_obs.demo.scheduling import MAX_ACTIVE_RUNS
from airflow_obs.demo.state import NEVER
from airflow_obs.demo.world import World


class PoolExhausted(Fault):
    """Someone's backfill takes every slot of the small pool for an hour."""

    name = "pool-exhausted"
    sick = "a backfill by hand takes every slot of the pool warehouse: whatever else needs it waits in scheduled"
    shows = (metrics.POOL_OPEN, metrics.POOL_USED, metrics.POOL_SCHEDULED, metrics.TASK_INSTANCES_OLDEST)

    def begin(self, world: World) -> None:
        """Trigger the backfill."""
        world.trigger(BACKFILL.dag_id)


class DeferredHoldPool(Fault):
    """The point of deferring is to hold nothing; this choice of the pool takes it back."""

    name = "deferred-hold-pool"
    sick = (
        "the pool partner_api was set to count deferred tasks, and a backfill's 12 sensors wait in it: "
        "nothing runs there, and nothing else may"
    )
    shows = (metrics.POOL_DEFERRED, metrics.POOL_OPEN, metrics.POOL_RUNNING, metrics.SCHEDULED)

    _OTHERS = ("crm_contacts_sync", "inventory_sync", "ad_spend_import")
    """DAGs whose first task calls a partner, too."""

    def begin(self, world: World) -> None:
        """Count them, trigger the backfill, and then what has to wait for it."""
        world.count_deferred(PARTNER_API)
        world.trigger(PARTNER_FILES.dag_id)
        for dag_id in self._OTHERS:
            world.trigger(dag_id)


class DagWedgedAtMaxRuns(Fault):
    """Airflow says so nowhere but in the scheduler's log: a DAG at its limit is not overdue."""

    name = "dag-wedged-at-max-runs"
    sick = "four runs of crm_contacts_sync hang on a socket without a timeout: no other run of the DAG may start, or is created"
    shows = (metrics.DAG_OLDEST_RUN, metrics.DAG_UNFINISHED_RUNS, metrics.QUEUED_RUNS, metrics.DAGS_AT_LIMIT,
             metrics.DAG_NEXT_RUN)  # fmt: skip

    _DAG = "crm_contacts_sync"
    _SINCE = timedelta(hours=1)
    _EVERY = timedelta(seconds=5)
    _TRIGGERED = 3

    def __init__(self) -> None:
        self._triggered = 0
        self._next: datetime | None = None

    def begin(self, world: World) -> None:
        """They were begun an hour ago, and beat on."""
        for number in range(MAX_ACTIVE_RUNS):
            since = world.now - self._SINCE + number * timedelta(minutes=3)
            world.resume(self._DAG, since, WORKERS[number % 2 * 2].name).due = NEVER
        self._next = world.now

    def step(self, world: World) -> None:
        """Somebody misses the DAG's data and triggers it, some times over."""
        if self._next is not None and world.now >= self._next and self._triggered < self._TRIGGERED:
            world.trigger(self._DAG)
            self._triggered += 1
            self._next = world.now + self._EVERY


class Starvation(Fault):
    """Each run keeps to its own limit; nothing limits the DAG, and no pool is full."""

    name = "starvation"
    sick = (
        "four runs of one DAG, each at its limit of 16 tasks, hold all 64 slots of the executor for an hour: "
        "every other DAG waits in scheduled"
    )
    shows = (metrics.SCHEDULED, metrics.SCHEDULED_OLDEST, metrics.DAGS_AT_LIMIT)

    def begin(self, world: World) -> None:
        """Trigger the DAG, as often as it may run."""
        for number in range(MAX_ACTIVE_RUNS):
            world.trigger(RESCORING.dag_id, at=world.now - timedelta(seconds=number))
