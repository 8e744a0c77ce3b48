"""Alerts on what Kubernetes says of the pods of Airflow and of its tasks."""

from __future__ import annotations

from decimal import Decimal

from airflow_obs.catalog import foreign
from airflow_obs.catalog.alerts.alert import Alert, Cases, Scope, Series
from airflow_obs.catalog.alerts.kubernetes_pods import (
    CONTAINER,
    TASK,
    named,
    of,
    ours,
    series,
    worker,
)
from airflow_obs.model import External, Knob, Severity
from airflow_obs.promql import (
    Expr,
    Match,
    Number,
    count_by,
    increase,
    max_by,
    now,
    over_time,
    sum_by,
)

STUCK = Match(
    "=~",
    "CrashLoopBackOff|ImagePullBackOff|ErrImagePull|InvalidImageName|CreateContainerConfigError|CreateContainerError|RunContainerError",
)
EVICTED = Match("=~", "Evicted|NodeLost|Shutdown|UnexpectedAdmissionError")
DRAINED = Match("=~", "EvictionByEvictionAPI|DeletionByTaintManager|PreemptionByScheduler|DeletionByPodGC")


def _new(at: Scope, family: External, *by: str, **matchers: str | Match) -> Expr:
    """1 for each that is so, and was not a window ago, when somebody looked."""
    selected = of(at, family, **matchers)
    before = max_by(selected.offset(at.window), *by)
    watched = max_by(of(at, foreign.POD_INFO).offset(at.window), "namespace")
    now_so = max_by(selected, *by, "namespace").equals(1)
    return max_by(now_so.on(*by).unless(before.equals(1)).on("namespace").and_(watched), *by)


def _restarts(at: Scope) -> Expr:
    return max_by(increase(of(at, foreign.RESTARTS, **named(at)), at.window), *CONTAINER)


def _stuck(at: Scope) -> Expr:
    # Two reasons of one container take turns, and a crash is followed by a short run.
    containers, inits = (
        max_by(over_time("max", of(at, family, reason=STUCK), at.window), *CONTAINER)
        for family in (foreign.WAITING_REASON, foreign.INIT_WAITING_REASON)
    )
    return sum_by(containers.or_(inits).on("pod").and_(ours(at)), "pod") > 0


def _pending(at: Scope) -> Expr:
    pending = max_by(of(at, foreign.POD_PHASE, phase="Pending"), "pod").equals(1)
    age = now() - max_by(of(at, foreign.POD_CREATED), "pod")
    return count_by((age > at.threshold).on("pod").and_(pending).on("pod").and_(ours(at))) > 0


def _out_of_memory(at: Scope) -> Expr:
    restarted = max_by(increase(of(at, foreign.RESTARTS), at.window), *CONTAINER) > 0
    last = max_by(of(at, foreign.LAST_TERMINATED_REASON, reason="OOMKilled"), *CONTAINER).equals(1)
    ended = _new(at, foreign.TERMINATED_REASON, *CONTAINER, reason="OOMKilled")
    killed = restarted.on(*CONTAINER).and_(last).or_(ended)
    if foreign.OOM_EVENTS.source in at.sources:
        # The kernel may kill a process of a task, and the worker's container lives on. cAdvisor counts each pod as a whole, too.
        events = of(at, foreign.OOM_EVENTS, container=Match("!=", ""))
        killed = killed.or_(max_by(increase(events, at.window), *CONTAINER) > 0)
    return count_by(killed.on("pod").and_(ours(at)), "container") > at.threshold


def _evicted(at: Scope) -> Expr:
    by_kubelet = _new(at, foreign.POD_REASON, "pod", "reason", reason=EVICTED)
    by_others = _new(at, foreign.POD_DISRUPTION, "pod", "reason", reason=DRAINED)
    return count_by(by_kubelet.or_(by_others).on("pod").and_(ours(at)), "reason") > at.threshold


def _memory_high(at: Scope) -> Expr:
    used = max_by(of(at, foreign.MEMORY_WORKING_SET, container=Match("!=", ""), **named(at)), *CONTAINER)
    return used / max_by(of(at, foreign.LIMITS, resource="memory", **named(at)), *CONTAINER) > at.threshold


def _jump(at: Scope, to: Number) -> Series:
    """A worker's container that restarts so often in the last step."""
    return series(at, foreign.RESTARTS, 0, **worker(at), container="worker").then(at.horizon - at.step, to)


def _oom(at: Scope, container: str) -> tuple[Series, ...]:
    """A pod of a task in whose container a process is killed in the last step; all of the pod, if that has no name.

    Where cAdvisor is not asked, its container is killed.
    """
    if container and foreign.OOM_EVENTS.source not in at.sources:
        return _killed(at, 1, "etl-extract")
    events = series(at, foreign.OOM_EVENTS, 0, pod="etl-extract-0", container=container).then(at.horizon - at.step, 1)
    return series(at, foreign.POD_INFO, 1, pod="etl-extract-0", created_by_kind=""), events


def _killed(at: Scope, number: int, name: str = "etl-load") -> tuple[Series, ...]:
    """So many pods of tasks that were killed in the last step."""
    made: list[Series] = []
    for index in range(number):
        where = {"pod": f"{name}-{index}"}
        made += (
            series(at, foreign.POD_INFO, 1, **where, created_by_kind=""),
            series(at, foreign.TERMINATED_REASON, 1, **where, container="base", reason="OOMKilled").since(
                at.horizon - at.step
            ),
        )
    return tuple(made)


def _taken(at: Scope, number: int) -> tuple[Series, ...]:
    """So many pods of tasks that were evicted in the last step, one of which had another reason before."""
    made: list[Series] = [series(at, foreign.POD_INFO, 1, **worker(at), created_by_kind="StatefulSet")]
    for index in range(number):
        where = {"pod": f"etl-load-{index}"}
        made += (
            series(at, foreign.POD_INFO, 1, **where, created_by_kind=""),
            series(at, foreign.POD_REASON, 0, **where, reason="Evicted").then(at.horizon - at.step, 1),
        )
    return tuple(made)


KUBERNETES = (
    Alert(
        "AirflowContainerRestarting", "kubernetes", ("S3", "A2", "C8"), Severity.WARNING, "0s",
        expr=lambda at: _restarts(at) >= at.threshold,
        summary="{{ $labels.container }} in {{ $labels.pod }} restarted {{ $value | humanize }} times (threshold <threshold>)",
        impact="What it did stops at each restart; a worker loses the tasks that it runs.",
        knobs=(
            Knob("threshold", "count", 3, 1, 1000, "At how many restarts it is too many."),
            Knob("window", "duration", "1h", "1s", "7d", "Within which time."),
        ),
        cases=lambda at: Cases(
            fires=(_jump(at, at.threshold),),
            quiet=(_jump(at, at.threshold - 1),),
            value=at.threshold,
            labels={**worker(at), "container": "worker"},
        ),
    ),
    Alert(
        "AirflowContainerCannotStart", "kubernetes", ("K3", "S3"), Severity.WARNING, "10m",
        expr=_stuck,
        summary="{{ $value }} containers of {{ $labels.pod }} cannot start: image, configuration or crash loop",
        impact="The component, or the task, does not run.",
        knobs=(Knob("window", "duration", "5m", "1s", "1d", "How long a reason is remembered between two attempts."),),
        cases=lambda at: Cases(
            fires=(
                series(at, foreign.POD_INFO, 1, **worker(at), created_by_kind="StatefulSet"),
                series(at, foreign.WAITING_REASON, 1, **worker(at), container="worker", reason="ImagePullBackOff"),
                series(at, foreign.WAITING_REASON, 1, **worker(at), container="worker", reason="ErrImagePull"),
                series(at, foreign.INIT_WAITING_REASON, 1, **worker(at), container="git-sync-init", reason="CrashLoopBackOff"),
            ),
            quiet=(
                series(at, foreign.POD_INFO, 1, **worker(at), created_by_kind="StatefulSet"),
                series(at, foreign.WAITING_REASON, 1, **worker(at), container="worker", reason="ContainerCreating"),
                series(at, foreign.WAITING_REASON, 0, **worker(at), container="worker", reason="CrashLoopBackOff"),
            ),
            value=2,
            labels=worker(at),
        ),
    ),
    Alert(
        "AirflowPodsPending", "kubernetes", ("K3", "K2"), Severity.WARNING, "2m",
        expr=_pending,
        summary="{{ $value }} pods have been pending for more than <threshold>",
        impact="The component, or the tasks, that it is for do not run.",
        knobs=(Knob("threshold", "duration", "10m", "1s", "7d", "How long a pod may be pending."),),
        cases=lambda at: Cases(
            fires=(
                series(at, foreign.POD_INFO, 1, **TASK, created_by_kind=""),
                series(at, foreign.POD_PHASE, 1, **TASK, phase="Pending"),
                series(at, foreign.POD_CREATED, -at.threshold - 1, **TASK),
                series(at, foreign.POD_INFO, 1, pod="another", created_by_kind=""),
                series(at, foreign.POD_PHASE, 1, pod="another", phase="Pending"),
                series(at, foreign.POD_CREATED, at.horizon - at.threshold, pod="another"),
            ),
            quiet=(
                series(at, foreign.POD_INFO, 1, **TASK, created_by_kind=""),
                series(at, foreign.POD_PHASE, 1, **TASK, phase="Pending"),
                series(at, foreign.POD_CREATED, at.horizon - at.threshold, **TASK),
                series(at, foreign.POD_INFO, 1, **worker(at), created_by_kind="StatefulSet"),
                series(at, foreign.POD_PHASE, 0, **worker(at), phase="Pending"),
                series(at, foreign.POD_CREATED, -at.threshold - 1, **worker(at)),
            ),
            value=1,
        ),
    ),
    Alert(
        "AirflowContainerOutOfMemory", "kubernetes", ("T6", "A2"), Severity.WARNING, "0s",
        expr=_out_of_memory,
        summary="{{ $value }} containers {{ $labels.container }}, or processes in them, killed for memory (threshold <threshold>)",
        impact="What ran in them is lost: a task, or in a worker some or all of its tasks.",
        knobs=(
            Knob("threshold", "count", 0, 0, 10_000, "How many may be killed within the window."),
            Knob("window", "duration", "15m", "1s", "1d", "Within which time."),
        ),
        cases=lambda at: Cases(
            fires=(
                _jump(at, 1),
                series(at, foreign.POD_INFO, 1, **worker(at), created_by_kind="StatefulSet"),
                *_killed(at, int(at.threshold)),
                *_oom(at, "base"),
                series(at, foreign.LAST_TERMINATED_REASON, 1, **worker(at), container="worker", reason="Error"),
            ),
            quiet=(
                _jump(at, 1),
                series(at, foreign.POD_INFO, 1, **worker(at), created_by_kind="StatefulSet"),
                *_killed(at, int(at.threshold)),
                *_oom(at, ""),
                # Long ago, and told for as long as the pod is there.
                series(at, foreign.TERMINATED_REASON, 1, **worker(at), container="base", reason="OOMKilled"),
            ),
            value=at.threshold + 1,
            labels={"container": "base"},
        ),
    ),
    Alert(
        "AirflowContainerMemoryHigh", "kubernetes", ("T6", "A2"), Severity.WARNING, "15m",
        expr=_memory_high,
        summary="{{ $labels.pod }} uses {{ $value | humanizePercentage }} of its memory limit (threshold <threshold>)",
        impact="At its limit the kernel kills it, and with it what runs there.",
        knobs=(Knob("threshold", "ratio", "90%", "1%", "99%", "Share of its memory limit that a container may use."),),
        cases=lambda at: Cases(
            fires=(
                series(at, foreign.MEMORY_WORKING_SET, at.threshold * 1000 + 1, **worker(at), container="worker"),
                series(at, foreign.LIMITS, 1000, **worker(at), container="worker", resource="memory"),
            ),
            quiet=(
                series(at, foreign.MEMORY_WORKING_SET, at.threshold * 1000, **worker(at), container="worker"),
                series(at, foreign.LIMITS, 1000, **worker(at), container="worker", resource="memory"),
                series(at, foreign.LIMITS, 2, **worker(at), container="worker", resource="cpu"),
            ),
            value=at.threshold + Decimal("0.001"),
            labels={**worker(at), "container": "worker"},
        ),
    ),
    Alert(
        "AirflowPodsEvicted", "kubernetes", ("K4", "C3"), Severity.WARNING, "0s",
        expr=_evicted,
        summary="{{ $value }} pods were taken away: {{ $labels.reason }} (threshold <threshold>)",
        impact="Tasks that ran in them are lost, or run again where they have retries.",
        knobs=(
            Knob("threshold", "count", 5, 0, 10_000, "How many may be taken away within the window: spot nodes take some."),
            Knob("window", "duration", "15m", "1s", "1d", "Within which time."),
        ),
        cases=lambda at: Cases(
            fires=_taken(at, int(at.threshold) + 1),
            quiet=(
                *_taken(at, int(at.threshold)),
                series(at, foreign.POD_INFO, 1, **worker(at), created_by_kind="StatefulSet"),
                # Long ago, and told for as long as the pod is there.
                series(at, foreign.POD_REASON, 1, **worker(at), reason="Evicted"),
            ),
            value=at.threshold + 1,
            labels={"reason": "Evicted"},
        ),
    ),
)  # fmt: skip
