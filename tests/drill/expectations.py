"""What each fault of the demo must make fire, and what else it may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_obs.demo.company import DAGS

Knobs = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True)
class Expectation:
    """The alerts of one fault: all of `fires` must fire, those of `consequences` may, at a severity that wakes nobody.

    `sooner`: what the fault's own deployment has otherwise in its policy, beside `for` and `window`, where the fault reaches
    the default threshold only after minutes.
    """

    fault: str
    fires: tuple[str, ...]
    consequences: tuple[str, ...] = ()
    sooner: Knobs = field(default_factory=dict)


BY_CHANCE = "AirflowDagRunFailed"
"""What may be told, as info, of a healthy company, too, but of these DAGs alone: one try in twenty of a task of theirs fails."""
UNSURE = frozenset(dag.dag_id for dag in DAGS if any(task.fails >= 0.05 for task in dag.tasks))


def _after(seconds: int, alert: str) -> Knobs:
    """A threshold of a time that begins with the fault, in which nothing else changes."""
    return {alert: {"threshold": f"{seconds}s"}}


TABLE = (
    Expectation("scheduler-dead", ("AirflowSchedulerDown",), ("AirflowSchedulerMissing", "AirflowOrphanedTasks")),
    Expectation("one-scheduler-of-two-dead", ("AirflowSchedulerMissing",), ("AirflowOrphanedTasks",)),
    Expectation(
        "scheduler-creates-no-runs", ("AirflowSchedulesOverdue",), sooner=_after(20, "AirflowSchedulesOverdue")
    ),
    Expectation("tasks-stuck-in-queued", ("AirflowQueueStalled",)),
    Expectation(
        "requeues-exhausted",
        ("AirflowTaskRequeuesRunningOut", "AirflowTaskRequeuesExhausted", "AirflowQueueWithoutWorker"),
        ("AirflowTasksQueuedLong", "AirflowDagRunFailed"),
    ),
    Expectation(
        "tasks-without-owner", ("AirflowGhostTasks", "AirflowOrphanedTasks", "AirflowSchedulerMissing"),
        # The Redis that went with the node is soon back.
        ("AirflowCollectorFailing", "AirflowBrokerMessagesLost",
         "AirflowDagRunFailed"),
    ),
    Expectation(
        "heartbeats-lost", ("AirflowTaskHeartbeatsOverdue",), ("AirflowTaskHeartbeatsLost",),
    ),
    Expectation("executor-state-mismatch", ("AirflowExecutorStateMismatch",), ("AirflowTaskFailureWave", "AirflowDagRunFailed")),
    Expectation(
        "failures-wave", ("AirflowTaskFailureWave", "AirflowDagRunFailed"),
        # In the drill's short window two runs and whatever is due fail, not a quarter of an hour's.
        sooner={"AirflowTaskFailureWave": {"minimum": 2, "threshold": "5%"}},
    ),
    Expectation(
        "dag-processor-stalled", ("AirflowDagProcessorStalled",), sooner=_after(20, "AirflowDagProcessorStalled")
    ),
    Expectation("dag-file-breaks", ("AirflowDagImportErrors",)),
    Expectation("pool-exhausted", ("AirflowPoolExhausted",)),
    Expectation("deferred-hold-pool", ("AirflowPoolHeldByDeferred",), ("AirflowPoolExhausted",)),
    Expectation("dag-wedged-at-max-runs", ("AirflowDagWedged",)),
    Expectation("starvation", ("AirflowTasksStarving",), sooner=_after(20, "AirflowTasksStarving")),
    Expectation(
        "idle-in-transaction", ("AirflowDatabaseTransactionIdle",), sooner=_after(15, "AirflowDatabaseTransactionIdle")
    ),
    Expectation("table-bloat", ("AirflowAutovacuumOff", "AirflowTableDeadRows")),
    Expectation(
        "redis-frozen", ("AirflowBrokerDown",),
        ("AirflowCollectorFailing", "AirflowBrokerMessagesLost"),
    ),
    Expectation(
        "redis-evicting", ("AirflowBrokerEvicting", "AirflowBrokerEvictionPolicy"), ("AirflowBrokerMemoryHigh",)
    ),
    Expectation(
        "messages-lost", ("AirflowBrokerMessagesLost",),
        ("AirflowCollectorFailing",),
    ),
    Expectation("unacked-near-visibility-timeout", ("AirflowVisibilityTimeoutNear",), ("AirflowDagRunTooLong",)),
    Expectation("worker-catatonic", ("AirflowWorkerWithoutQueues",)),
    Expectation("queue-without-worker", ("AirflowQueueWithoutWorker",)),
    Expectation("triggerer-dead", ("AirflowTriggererDown",), ("AirflowTriggererMissing",)),
    Expectation(
        "triggers-overdue", ("AirflowTriggererStalled", "AirflowDeferredTasksOverdue"), ("AirflowDagWedged",),
        # Six tasks wait, and of a day before nothing is known.
        sooner={"AirflowTriggererStalled": {"threshold": 3, "usual": 0}},
    ),
    Expectation(
        # It has waited for a day and two hours.
        "assets-waiting", ("AirflowAssetUpdatesWaiting",), sooner={"AirflowAssetUpdatesWaiting": {"threshold": "1d"}},
    ),
    Expectation("deadlines-missed", ("AirflowDeadlinesMissed", "AirflowCallbacksWaiting")),
    Expectation("dags-vanish", ("AirflowDagsVanished",)),
    Expectation("bundle-not-refreshed", ("AirflowDagBundleStale",), sooner=_after(20, "AirflowDagBundleStale")),
    Expectation(
        "dag-version-churn", ("AirflowDagVersionsMultiply",),
        # A version for each parse after a run: twenty take a quarter of an hour.
        sooner={"AirflowDagVersionsMultiply": {"threshold": 1}},
    ),
    Expectation("deadlocks", ("AirflowDatabaseDeadlocks",)),
    Expectation(
        "vacuum-held-back", ("AirflowPreparedTransactionLeft",), sooner=_after(15, "AirflowPreparedTransactionLeft")
    ),
    Expectation("clean-up-overdue", ("AirflowCleanUpOverdue",)),
    # The runs that were marked as failed are the DAG's newest to be written.
    Expectation("undated-rows", ("AirflowCleanUpBlind",), ("AirflowDagRunFailed", "AirflowDagWithoutSuccess")),
)  # fmt: skip
