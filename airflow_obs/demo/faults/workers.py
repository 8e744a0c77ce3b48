"""Faults of the executor and its workers."""

from __future__ import annotations

from airflow_obs.catalog import metrics
from airflow_obs.demo.faults.fault import Fault
from airflow_obs.demo.world import World


class TasksStuckInQueued(Fault):
    """Broker lost its messages, or no worker listens: everything else looks healthy."""

    name = "tasks-stuck-in-queued"
    sick = "no worker takes a task: what is queued stays queued, behind it the runs pile up"
    shows = (metrics.TASK_INSTANCES, metrics.TASK_INSTANCES_OLDEST, metrics.TASK_QUEUE_WAIT, metrics.POOL_QUEUED)

    def begin(self, world: World) -> None:
        """Take nothing from now on."""
        world.workers.taking = False
