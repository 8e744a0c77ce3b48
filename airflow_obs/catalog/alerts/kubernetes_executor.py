"""Alerts on the KubernetesExecutor and what Kubernetes says when it asks for pods."""

from __future__ import annotations

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts.alert import Alert, Cases, Scope, Series
from airflow_obs.model import Knob, Severity
from airflow_obs.promql import Expr, Match, Number, max_by, sum_by

EXECUTOR = ("Kubernetes",)
_OURS = Match("=~", "|Kubernetes.*")
"""Older releases do not say whose slots they are."""
_GONE = "AirflowExecutorSlotsGone"
_LEAST = 10
"""Tasks below which a share may be chance: the executor learns of an end a little later than the database."""


def _running(at: Scope) -> Expr:
    return sum_by(max_by(at(metrics.EXECUTOR_RUNNING, executor=_OURS), "airflow", "executor", "team"), "airflow")


def _leaked(at: Scope) -> Expr:
    """The share of the tasks that the executor takes for running of which the database knows nothing; as long as it is read."""
    running = _running(at)
    family = metrics.TASK_INSTANCES
    every = max_by(at(family, state=Match("=~", "queued|running")), "airflow", *family.labels, *family.optional)
    leaked = (running - sum_by(every, "airflow").or_(running * 0)) / running
    read = max_by(at(metrics.COLLECTOR_SUCCESS, collector=family.collector), "airflow").equals(1)
    return (leaked > at.threshold).on("airflow").and_(read)


def _none_left(at: Scope) -> Expr:
    return max_by(at(metrics.EXECUTOR_OPEN, executor=_OURS), "airflow").equals(0)


def _counted_together(at: Scope) -> bool:
    """Whether the executor's figures are of as many schedulers as the database's: over StatsD they are of the last to speak."""
    return at.replicas.get("scheduler", 1) <= 1 or "otlp" in at.sources


def _leaking(at: Scope) -> Expr:
    leaked = _leaked(at).on("airflow").and_(_running(at) >= _LEAST)
    return leaked.on("airflow").unless(_none_left(at)) if at.tells(_GONE) else leaked


def _executor(at: Scope, tasks: Number, slots: int) -> tuple[Series, ...]:
    """An executor that takes 1000 tasks for running, beside so many that are, and so many slots."""
    where = {"queue": "default", "pool": "default_pool"}
    return (
        at.series(metrics.EXECUTOR_RUNNING, 1000, executor="KubernetesExecutor"),
        at.series(metrics.EXECUTOR_OPEN, slots, executor="KubernetesExecutor"),
        at.series(metrics.TASK_INSTANCES, tasks, 0, "", state="running", **where),
        at.series(metrics.TASK_INSTANCES, 1000, 0, "", state="scheduled", **where),
    )


def _requests(at: Scope, number: Number, status: str) -> Series:
    return at.series(metrics.POD_REQUESTS, number, request="create", status=status).since(at.horizon - at.step)


KUBERNETES_EXECUTOR = (
    Alert(
        _GONE, "kubernetes_executor", ("K1",), Severity.WARNING, "10m",
        expr=lambda at: _leaked(at).on("airflow").and_(_none_left(at)),
        summary="No slot is left, and {{ $value | humanizePercentage }} of those taken are taken by nobody (threshold <threshold>)",
        impact="The executor takes no more tasks, or hardly any: they stay scheduled, although next to nothing runs.",
        executors=EXECUTOR,
        when=_counted_together,
        knobs=(Knob("threshold", "ratio", "50%", "1%", "99%", "Share of the slots taken in which no task runs."),),
        cases=lambda at: Cases(
            fires=_executor(at, 0, 0),
            quiet=_executor(at, 1000 * (1 - at.threshold), 0),
            value=1,
        ),
    ),
    Alert(
        "AirflowExecutorSlotsLeaked", "kubernetes_executor", ("K1",), Severity.WARNING, "15m",
        expr=_leaking,
        summary="{{ $value | humanizePercentage }} of what the executor takes for running does not run (threshold <threshold>)",
        impact="These slots are free, and never given to another task; with all of them gone nothing is queued.",
        executors=EXECUTOR,
        when=_counted_together,
        knobs=(Knob("threshold", "ratio", "25%", "1%", "99%", "Share of the tasks taken for running that do not run."),),
        cases=lambda at: Cases(
            fires=_executor(at, 0, 1),
            quiet=_executor(at, 1000 * (1 - at.threshold), 1),
            value=1,
        ),
    ),
    Alert(
        "AirflowPodRequestsFailing", "kubernetes_executor", ("K2",), Severity.WARNING, "0s",
        expr=lambda at: max_by(
            at.happened(metrics.POD_REQUESTS, request="create", status=Match("!~", "2..")), "airflow", "status"
        ) > at.threshold,
        summary="Kubernetes refused {{ $value | humanize }} pods of tasks with {{ $labels.status }} (threshold <threshold>)",
        impact="These tasks fail at once, or are tried again with [kubernetes_executor] task_publish_max_retries.",
        executors=EXECUTOR,
        knobs=(
            Knob("threshold", "count", 0, 0, 10_000, "How many may be refused within the window."),
            Knob("window", "duration", "10m", "1s", "1d", "Within which time."),
        ),
        cases=lambda at: Cases(
            fires=(_requests(at, at.threshold + 1, "403"),),
            quiet=(_requests(at, at.threshold, "403"), _requests(at, at.threshold + 1, "201")),
            value=at.threshold + 1,
            labels={"status": "403"},
        ),
    ),
)  # fmt: skip
