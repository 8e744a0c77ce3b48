"""Faults of the schedulers."""

from __future__ import annotations

from airflow_obs.catalog import metrics
from airflow_obs.demo.faults.fault import Fault
from airflow_obs.demo.world import World


class SchedulerDead(Fault):
    """What is queued is still run, then all stands still."""

    name = "scheduler-dead"
    sick = "both schedulers are killed: their rows stay running, their heartbeats freeze, nothing is scheduled"
    shows = (metrics.JOB_HEARTBEAT, metrics.JOBS_ALIVE, metrics.NEXT_RUN_DUE, metrics.DAGS_OVERDUE)

    def begin(self, world: World) -> None:
        """Kill both."""
        for job in world.scheduling.jobs:
            job.alive = False


class OneSchedulerOfTwoDead(Fault):
    """The nasty one: Airflow's own health endpoint judges only the newest heartbeat, so it stays green."""

    name = "one-scheduler-of-two-dead"
    sick = "one of two schedulers is killed: work goes on, and Airflow's health endpoint stays green"
    shows = (metrics.JOB_HEARTBEAT, metrics.JOBS_ALIVE)

    def begin(self, world: World) -> None:
        """Kill the first."""
        world.scheduling.jobs[0].alive = False


class SchedulerCreatesNoRuns(Fault):
    """As when every row of the table dag is locked by a session that went away: the scheduler skips rows that are."""

    name = "scheduler-creates-no-runs"
    sick = "both schedulers beat on and finish what there is, but no DAG gets a new run any more"
    shows = (metrics.NEXT_RUN_DUE, metrics.DAGS_OVERDUE, metrics.DAG_NEXT_RUN)

    def begin(self, world: World) -> None:
        """Create nothing from now on."""
        world.scheduling.creating = False
