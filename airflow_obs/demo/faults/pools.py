"""Faults of the pools."""

from __future__ import annotations

from airflow_obs.catalog import metrics
from airflow_obs.demo.company import BACKFILL
from airflow_obs.demo.faults.fault import Fault
from airflow_obs.demo.world import World


class PoolExhausted(Fault):
    """Someone's backfill takes every slot of the small pool for an hour."""

    name = "pool-exhausted"
    sick = "a backfill by hand takes every slot of the pool warehouse: whatever else needs it waits in scheduled"
    shows = (metrics.POOL_OPEN, metrics.POOL_USED, metrics.POOL_SCHEDULED, metrics.TASK_INSTANCES_OLDEST)

    def begin(self, world: World) -> None:
        """Trigger the backfill."""
        world.trigger(BACKFILL.dag_id)
