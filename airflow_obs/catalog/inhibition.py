"""What stands on what in an Airflow: while an alert on a cause fires, nobody need be told of what only follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter


@dataclass(frozen=True)
class Effect:
    """An alert that follows from a cause; with a `label`, only those of its series for which that fits the `pattern`."""

    alert: str
    label: str = ""
    pattern: str = ""


@dataclass(frozen=True)
class Part:
    """A part of an Airflow, and the parts that it needs to work.

    The alerts `down` say that it does not work at all, `effects` are what can fire when it, or a part that it needs, does not.
    `equal` are labels, beside the deployment, that an effect and its cause must share.
    """

    name: str
    needs: tuple[str, ...]
    down: tuple[str, ...]
    effects: tuple[Effect, ...]
    equal: tuple[str, ...] = ()

    @property
    def alerts(self) -> tuple[Effect, ...]:
        """All of it that a part which it needs takes along."""
        return (*_of(*self.down), *self.effects)


@dataclass(frozen=True)
class Edge:
    """While `cause` fires, nobody is told of `effect` of the same deployment, and of the same value of each label in `equal`."""

    cause: str
    effect: Effect
    equal: tuple[str, ...] = ()


def _of(*alerts: str) -> tuple[Effect, ...]:
    return tuple(map(Effect, alerts))


def _unhealthy(component: str) -> Effect:
    return Effect("AirflowHealthUnhealthy", "component", component)


def _unread(source: str) -> Effect:
    return Effect("AirflowCollectorFailing", "source", source)


def _callbacks(runner: str) -> Effect:
    return Effect("AirflowCallbacksWaiting", "runner", runner)


# Not among the effects is what has to be made up for (tasks that were given up, DAGs that vanished, deadlines of Airflow's own),
# what fills or wears out whatever else happens, and what may tell why a part is down. Messages count as lost while nobody can
# count them; those that are lost indeed are told of once the broker answers. What somebody else has seen (Kubernetes of the pods,
# the health endpoint of a component) is no effect of what the exporter cannot reach: it may tell that only the exporter cannot.
PARTS = (
    Part(
        "exporter", (), ("AirflowExporterAbsent",),
        _of("AirflowCollectorAbsent", "AirflowFamilyAbsent", "AirflowSourceUnknown", "AirflowSloUnjudged"),
    ),
    Part(
        "database", (), ("AirflowDatabaseDown",),
        (_unhealthy("metadatabase"), _unread("database"), *_of("AirflowSloUnjudged", "AirflowSloDagMissing")),
    ),
    Part("api", ("database",), ("AirflowApiServerDown",), (_unread("health"), *_of("AirflowWebserverDown"))),
    Part(
        "scheduler", ("database",), ("AirflowSchedulerDown",),
        _of(
            "AirflowSchedulerMissing", "AirflowSchedulesOverdue", "AirflowDagRunsNotStarted", "AirflowTasksStarving",
            "AirflowSchedulerLoopSlow", "AirflowOrphanedTasks", "AirflowGhostTasks", "AirflowDeferredTasksOverdue",
            "AirflowAssetUpdatesWaiting", "AirflowExecutorSlotsGone", "AirflowExecutorSlotsLeaked", "AirflowIngestSilent",
        ),
    ),
    Part(
        "triggerer", ("database",), ("AirflowTriggererDown",),
        (
            _callbacks("triggerer"),
            *_of("AirflowTriggererMissing", "AirflowTriggersStranded", "AirflowTriggererStalled"),
        ),
    ),
    Part(
        "dag processor", ("database",), (),
        (
            _callbacks("dag_processor"),
            *_of(
                "AirflowDagProcessorMissing", "AirflowDagProcessorStalled", "AirflowDagParsingBehind", "AirflowDagBundleStale"
            ),
        ),
    ),
    Part(
        "broker", (), ("AirflowBrokerDown",),
        (_unread("broker"), *_of("AirflowBrokerPublishTimeouts", "AirflowBrokerMessagesLost")),
    ),
    Part(
        "workers", ("broker",), (),
        _of("AirflowQueueWithoutWorker", "AirflowQueueStalled", "AirflowWorkerWithoutQueues", "AirflowWorkerKilled"),
    ),
    Part(
        "queue", ("scheduler", "workers", "api"), ("AirflowNoTaskStarts",),
        _of("AirflowTasksQueuedLong", "AirflowTaskRequeuesRunningOut"),
    ),
    Part(
        "tasks", ("database", "workers", "api"), (),
        _of(
            "AirflowTaskHeartbeatsOverdue", "AirflowTaskHeartbeatsLost", "AirflowExecutorStateMismatch",
            "AirflowTaskFailureWave", "AirflowDagRunFailed",
        ),
    ),
    Part("runs", ("queue",), (), _of("AirflowDagRunTooLong", "AirflowDagWedged")),
    # Who answers for a promise hears that it is broken, even while another team is told why.
    # What stops only a part of the runs burns objectives of some kinds and not of others: see `catalog.burning`.
    Part(
        "objectives", ("runs",), (),
        _of("AirflowErrorBudgetBurnFast", "AirflowErrorBudgetBurnSlow", "AirflowDagDeadlinePassed"), ("team",),
    ),
)  # fmt: skip
"""Everything that Airflow is made of, and its exporter."""

PARTIAL = (
    *(
        Edge(cause, Effect(effect))
        for cause in ("AirflowDatabaseConnectionsExhausted", "AirflowDatabaseLockWait")
        # Those whose heartbeats have to be written. What else would fire is silent by its own expression.
        for effect in ("AirflowSchedulerDown", "AirflowTriggererDown", "AirflowTriggererStalled")
    ),
    # What is measured from moments in the database looks late where these are shown late. Whatever wakes somebody is told all the
    # same: seen from a standby, a primary that is dead is one that has nothing new.
    *(
        Edge("AirflowDatabaseStale", Effect(effect))
        for effect in (
            "AirflowSchedulerMissing",
            "AirflowDagRunsNotStarted",
            "AirflowTasksStarving",
            "AirflowTasksQueuedLong",
            "AirflowAssetUpdatesWaiting",
            "AirflowDeferredTasksOverdue",
            "AirflowTaskHeartbeatsOverdue",
            "AirflowTaskHeartbeatsLost",
            "AirflowTriggererMissing",
            "AirflowTriggersStranded",
            "AirflowDagProcessorMissing",
            "AirflowDagProcessorStalled",
            "AirflowDagParsingBehind",
            "AirflowDagBundleStale",
            "AirflowCallbacksWaiting",
        )
    ),
    # Of a replica Airflow has no need: what cannot be read without it is all that follows.
    Edge("AirflowDatabaseReplicaDown", _unread("database")),
    Edge("AirflowDatabaseReplicaDown", Effect("AirflowSloUnjudged")),
    Edge("AirflowDatabaseReplicaDown", Effect("AirflowSloDagMissing")),
    Edge("AirflowSchedulerDown", _unhealthy("scheduler")),
    Edge("AirflowTriggererDown", _unhealthy("triggerer")),
    # A scheduler that hangs starts no task before its runs are overdue.
    Edge("AirflowNoTaskStarts", Effect("AirflowSchedulesOverdue")),
    Edge("AirflowWebserverDown", Effect("AirflowHealthUnhealthy")),
    Edge("AirflowWebserverDown", _unread("health")),
    Edge("AirflowBrokerFull", Effect("AirflowNoTaskStarts")),
    Edge("AirflowBrokerFull", Effect("AirflowTasksQueuedLong")),
    Edge("AirflowBrokerFull", Effect("AirflowTaskRequeuesRunningOut")),
    Edge("AirflowBrokerFull", Effect("AirflowBrokerPublishTimeouts")),
    Edge("AirflowBrokerFull", Effect("AirflowQueueStalled")),
    Edge("AirflowBrokerFull", _unread("broker")),
    Edge("AirflowQueueWithoutWorker", Effect("AirflowTasksQueuedLong"), ("queue",)),
    Edge("AirflowQueueWithoutWorker", Effect("AirflowTaskRequeuesRunningOut")),
    Edge("AirflowQueueStalled", Effect("AirflowTasksQueuedLong"), ("queue",)),
    Edge("AirflowQueueStalled", Effect("AirflowTaskRequeuesRunningOut")),
    Edge("AirflowExecutorSlotsGone", Effect("AirflowTasksStarving")),
    Edge("AirflowDagProcessorStalled", Effect("AirflowDagBundleStale")),
    Edge("AirflowDagProcessorStalled", _callbacks("dag_processor")),
)
"""What stops a part of a part."""

STAGES = (
    Edge("AirflowDatabaseConnectionsExhausted", Effect("AirflowDatabaseConnectionsHigh")),
    Edge("AirflowTransactionIdsRunningOut", Effect("AirflowTransactionIdsAging")),
    Edge("AirflowBrokerFull", Effect("AirflowBrokerMemoryHigh"), ("node",)),
    Edge("AirflowBrokerEvicting", Effect("AirflowBrokerMemoryHigh")),
    Edge("AirflowBrokerEvicting", Effect("AirflowBrokerEvictionPolicy")),
    Edge("AirflowVolumeFull", Effect("AirflowVolumeFilling"), ("persistentvolumeclaim",)),
    Edge("AirflowExecutorSlotsGone", Effect("AirflowExecutorSlotsLeaked")),
    Edge("AirflowDagWithoutSuccess", Effect("AirflowDagRunFailed"), ("dag_id",)),
    Edge("AirflowErrorBudgetBurnFast", Effect("AirflowErrorBudgetBurnSlow"), ("slo",)),
    Edge("AirflowDatabaseReplicationStopped", Effect("AirflowDatabaseStale")),
)
"""What is worse says all that the milder stage of the same figure would."""


def _edges(parts: Iterable[Part]) -> Iterator[Edge]:
    """From what says that a part is down to what follows in it and in all that needs it, directly or not."""
    by_name = {part.name: part for part in parts}
    above: dict[str, list[str]] = {}
    for name in TopologicalSorter({part.name: part.needs for part in by_name.values()}).static_order():
        part = by_name[name]
        above[name] = list(dict.fromkeys(one for need in part.needs for one in (*above[need], need)))
        causes = [(cause, part.alerts) for one in above[name] for cause in by_name[one].down]
        for cause, effects in [*causes, *((cause, part.effects) for cause in part.down)]:
            yield from (Edge(cause, effect, part.equal) for effect in effects)


def in_order(edges: Iterable[Edge]) -> tuple[str, ...]:
    """The alerts, each after those that hush it; raises CycleError, a ValueError, where nobody would be told of any of some."""
    before: dict[str, list[str]] = {}
    for edge in edges:
        before.setdefault(edge.effect.alert, []).append(edge.cause)
    return tuple(TopologicalSorter(before).static_order())


EDGES = (*_edges(PARTS), *PARTIAL, *STAGES)
"""All that hushes and is hushed."""

CAUSES = tuple(name for name in in_order(EDGES) if name in {edge.cause for edge in EDGES})
"""The alerts that hush others, each after those that hush it."""
