"""Faults of the dag processor."""

from __future__ import annotations

from airflow_obs.catalog import metrics
from airflow_obs.demo.faults.fault import Fault
from airflow_obs.demo.world import World


class DagProcessorStalled(Fault):
    """Its heartbeat goes on, so a check of heartbeats sees nothing."""

    name = "dag-processor-stalled"
    sick = "the dag processor beats on but parses nothing: no change to a DAG arrives any more"
    shows = (metrics.NEWEST_PARSE, metrics.OLDEST_PARSE)

    def begin(self, world: World) -> None:
        """Parse nothing from now on."""
        world.processor.parsing = False
