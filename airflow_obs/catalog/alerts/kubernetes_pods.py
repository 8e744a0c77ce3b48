"""Which pods are Airflow's, and series of some for the cases of alerts on them."""

from __future__ import annotations

from airflow_obs.catalog import foreign
from airflow_obs.catalog.alerts.alert import Scope, Series
from airflow_obs.model import External
from airflow_obs.promql import Expr, Match, Number, Selector, max_by

CONTAINER = ("pod", "container")
COMPONENTS = (
    "scheduler|worker|triggerer|dag-processor|api-server|webserver|web|flower|statsd|pgbouncer|redis|postgresql"
)
"""What both charts call their pods after the release; the official one may put its own name between."""
BARE = Match("=~", "|<none>")
"""Who made a pod that nothing owns, as those of tasks are; older releases of kube-state-metrics say <none>."""


def named(at: Scope, label: str = "pod", before: str = "", after: str = "-.*") -> dict[str, str | Match]:
    """A matcher of the pods of Airflow's components, or of what else is named after them; none, so all, without a chart."""
    if at.chart == "none" or not at.release:
        return {}
    release = at.release.replace(".", "[.]")
    return {label: Match("=~", f"{before}{release}(-airflow)?-({COMPONENTS}){after}")}


def of(at: Scope, family: External, **matchers: str | Match) -> Selector:
    """The series of a family that are of the deployment's namespace."""
    return at(family, "", namespace=at.namespace, **matchers)


def bare(at: Scope) -> Expr:
    """The pods that nothing owns, as those of tasks are."""
    return max_by(of(at, foreign.POD_INFO, created_by_kind=BARE), "pod")


def ours(at: Scope) -> Expr:
    """The pods of Airflow's components and of tasks."""
    names = named(at)
    components = max_by(of(at, foreign.POD_INFO, **names), "pod")
    return components.or_(bare(at)) if names else components


def series(at: Scope, family: External, value: Number, slope: Number = 0, /, **labels: str) -> Series:
    """A series of the deployment's namespace."""
    return at.series(family, value, slope, "", namespace=at.namespace, **labels)


def worker(at: Scope) -> dict[str, str]:
    """The label of a worker's pod."""
    return {"pod": f"{at.release or 'airflow'}-worker-0"}


TASK = {"pod": "etl-load-x1y2z3"}
"""The label of a task's pod, which is called after its DAG and task."""
