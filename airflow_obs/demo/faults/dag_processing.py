"""Faults of the dag processor, and of the files and bundles that it reads."""

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


class DagFileBreaks(Fault):
    """Every other file is parsed on time."""

    name = "dag-file-breaks"
    sick = "a new DAG file imports a library that the image has not: its DAGs never appear"
    shows = (metrics.IMPORT_ERRORS,)

    def begin(self, world: World) -> None:
        """Let there be the file from now on."""
        world.processor.broken = True


class DagsVanish(Fault):
    """Their rows and their past stay, and what remains runs well: only the number of DAGs tells."""

    name = "dags-vanish"
    sick = "the DAG folder is only half mounted: the DAGs of three teams go stale, and no run of them is created"
    shows = (metrics.DAGS,)

    _FOLDERS = ("sales/", "web/", "ml/")

    def begin(self, world: World) -> None:
        """Find no file in the folders from now on."""
        world.processor.gone = self._FOLDERS


class BundleNotRefreshed(Fault):
    """Every file is still parsed on time, but it is yesterday's file."""

    name = "bundle-not-refreshed"
    sick = "the key for the DAGs' repository has expired: the dag processor parses the old files on time, new ones do not come"
    shows = (metrics.BUNDLE_REFRESHED,)

    def begin(self, world: World) -> None:
        """Refresh nothing from now on."""
        world.processor.refreshing = False


class DagVersionChurn(Fault):
    """A start date of now(), or a list in the order of a set: no two parses are alike."""

    name = "dag-version-churn"
    sick = "a shared module puts the moment of parsing into every DAG: each parse after a run makes a new version"
    shows = (metrics.DAG_VERSIONS, metrics.DAG_VERSIONS_MAX)

    def begin(self, world: World) -> None:
        """Let every parse differ."""
        world.processor.changing = True
