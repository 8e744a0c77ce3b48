"""What hushes what is a graph of alerts that exist, hushes nobody for good, and each that hushes comes before what it hushes."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from airflow_obs.catalog.alerts import ALL, BY_NAME
from airflow_obs.catalog.burning import BURN_FAST, BURN_SLOW, BURNED_BY
from airflow_obs.catalog.inhibition import CAUSES, EDGES, PARTS, Edge, Effect, in_order
from airflow_obs.generate.rule import Emitted
from airflow_obs.model import Severity
from airflow_obs.policy import durations
from tests.catalog.alert_policies import TEAMS, of_everything, policy_of

LOUD = {alert.name for alert in ALL if alert.severity == Severity.CRITICAL}
BURNING = {name for those in BURNED_BY.values() for name in those}
DOWN = {
    "AirflowDatabaseDown", "AirflowBrokerDown", "AirflowSchedulerDown", "AirflowApiServerDown", "AirflowNoTaskStarts",
}  # fmt: skip
HARMLESS = {
    "AirflowExporterAbsent": "it says that nobody looks, not that anything is wrong",
    "AirflowVolumeFull": "when it stops something, that has an alert of its own",
    "AirflowTransactionIdsRunningOut": "when it stops the database, that has an alert of its own",
}
"""What wakes somebody and burns no objective, and why."""


@pytest.fixture(scope="module")
def everything() -> dict[str, Emitted]:
    return of_everything(policy_of(teams=TEAMS))


def effects_of(cause: str) -> set[str]:
    """All that it hushes, wholly or in part."""
    return {edge.effect.alert for edge in EDGES if edge.cause == cause}


def test_it_is_of_alerts_that_exist() -> None:
    named = {name for edge in EDGES for name in (edge.cause, edge.effect.alert)}
    assert sorted(named - set(BY_NAME)) == []


def test_nothing_is_said_twice() -> None:
    parts = {(edge.cause, edge.effect) for edge in EDGES}
    assert len(parts) == len(EDGES)
    wholly = {(cause, Effect(effect.alert)) for cause, effect in parts if effect.label}
    assert not wholly & parts
    assert len({part.name for part in PARTS}) == len(PARTS)


def test_two_that_hush_each_other_are_refused() -> None:
    circle = [Edge("A", Effect("B")), Edge("B", Effect("C", "queue", "x")), Edge("C", Effect("A"), ("queue",))]
    with pytest.raises(ValueError, match="cycle"):
        in_order(circle)
    assert in_order(circle[:2]) == ("A", "B", "C")


def test_causes_come_after_what_hushes_them() -> None:
    later = {(edge.cause, edge.effect.alert) for edge in EDGES if edge.effect.alert in CAUSES}
    assert all(CAUSES.index(cause) < CAUSES.index(effect) for cause, effect in later)
    assert ("AirflowDatabaseDown", "AirflowSchedulerDown") in later


@pytest.mark.parametrize(
    "chain",
    [
        ("AirflowDatabaseDown", "AirflowSchedulerDown", "AirflowNoTaskStarts", "AirflowTasksQueuedLong"),
        ("AirflowDatabaseDown", "AirflowApiServerDown", "AirflowNoTaskStarts", "AirflowDagRunTooLong"),
        ("AirflowDatabaseDown", "AirflowTriggererDown", "AirflowTriggererStalled"),
        ("AirflowBrokerDown", "AirflowQueueWithoutWorker", "AirflowTasksQueuedLong"),
        ("AirflowBrokerDown", "AirflowNoTaskStarts", "AirflowErrorBudgetBurnFast", "AirflowErrorBudgetBurnSlow"),
        ("AirflowSchedulerDown", "AirflowErrorBudgetBurnFast"),
        ("AirflowBrokerEvicting", "AirflowBrokerEvictionPolicy"),
        ("AirflowBrokerFull", "AirflowQueueStalled", "AirflowTasksQueuedLong"),
        ("AirflowDatabaseLockWait", "AirflowSchedulerDown"),
        ("AirflowDatabaseLockWait", "AirflowTriggererDown", "AirflowTriggererStalled"),
        ("AirflowDatabaseConnectionsExhausted", "AirflowSchedulerDown"),
        ("AirflowDatabaseConnectionsExhausted", "AirflowTriggererDown", "AirflowTriggererStalled"),
        ("AirflowSchedulerDown", "AirflowNoTaskStarts", "AirflowSchedulesOverdue"),
        ("AirflowSchedulerDown", "AirflowNoTaskStarts", "AirflowErrorBudgetBurnFast", "AirflowErrorBudgetBurnSlow"),
    ],
    ids=" → ".join,
)
def test_a_cause_hushes_all_that_comes_after_it(chain: tuple[str, ...]) -> None:
    missing = [
        (cause, effect)
        for place, cause in enumerate(chain)
        for effect in chain[place + 1 :]
        if effect not in effects_of(cause)
    ]
    assert not missing


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        # Whatever else stands still because of them is silent by itself, or worth its own message.
        ("AirflowDatabaseLockWait", {"AirflowSchedulesOverdue", "AirflowNoTaskStarts", "AirflowDagDeadlinePassed"}),
        ("AirflowDatabaseConnectionsExhausted", {"AirflowApiServerDown", "AirflowNoTaskStarts", "AirflowDagDeadlinePassed"}),
        # One queue is not all of them.
        ("AirflowQueueWithoutWorker", {"AirflowNoTaskStarts", "AirflowQueueStalled"}),
        # Workers need no scheduler, and nobody reads a queue again because there is one.
        ("AirflowSchedulerDown", {"AirflowQueueWithoutWorker", "AirflowBrokerDown", "AirflowBrokerMessagesLost"}),
        # Why it is down.
        ("AirflowSchedulerDown", {"AirflowContainerOutOfMemory", "AirflowContainerCannotStart", "AirflowReplicasNotReady"}),
        ("AirflowDatabaseDown", {"AirflowVolumeFull", "AirflowDatabaseConnectionsExhausted", "AirflowBrokerDown"}),
        # What others than the exporter have seen: perhaps only the exporter cannot reach the database.
        (
            "AirflowDatabaseDown",
            {"AirflowReplicasNotReady", "AirflowContainerRestarting", "AirflowContainerCannotStart", "AirflowContainerOutOfMemory"},
        ),
        ("AirflowBrokerDown", {"AirflowBrokerNodeDown", "AirflowBrokerMemoryHigh", "AirflowSchedulerDown"}),
    ],
)  # fmt: skip
def test_a_cause_hushes_nothing_else(cause: str, told: set[str]) -> None:
    assert sorted(effects_of(cause) & told) == []


@pytest.mark.parametrize(
    "told",
    [
        "AirflowWatchdog", "AirflowExporterAbsent", "AirflowDatabaseDown", "AirflowBrokerDown", "AirflowMigrationStuck",
        "AirflowVolumeFull", "AirflowTransactionIdsRunningOut", "AirflowBrokerEvicting", "AirflowBrokerFull",
        "AirflowBrokerNotSaving",
        "AirflowDagsVanished", "AirflowTaskRequeuesExhausted", "AirflowReplicationSlotRetaining", "AirflowTableLarge",
        "AirflowCronJobFailing", "AirflowCleanUpOverdue", "AirflowContainerOutOfMemory", "AirflowDeadlinesMissed",
    ],
)  # fmt: skip
def test_some_are_always_told(told: str) -> None:
    """The first causes, what is lost, and what fills or wears out while others fail."""
    assert told in BY_NAME
    assert not [edge for edge in EDGES if edge.effect.alert == told]


def test_each_that_wakes_somebody_has_a_place_in_it_or_burns_objectives_of_some_kind() -> None:
    placed = {name for edge in EDGES for name in (edge.cause, edge.effect.alert)}
    assert sorted(LOUD - placed - BURNING) == []


def test_the_health_of_a_component_is_hushed_by_what_says_that_it_is_down_and_by_nothing_above_it() -> None:
    hushing = {(edge.effect.pattern, edge.cause) for edge in EDGES if edge.effect.alert == "AirflowHealthUnhealthy"}
    assert hushing == {
        ("metadatabase", "AirflowDatabaseDown"),
        ("scheduler", "AirflowSchedulerDown"),
        ("triggerer", "AirflowTriggererDown"),
        ("", "AirflowWebserverDown"),
    }


def test_what_a_stale_standby_shows_wakes_somebody_all_the_same() -> None:
    """A primary that is dead looks like that from there."""
    assert effects_of("AirflowDatabaseStale")
    assert not effects_of("AirflowDatabaseStale") & LOUD


SHOWN_LATE = {
    "AirflowSchedulerMissing", "AirflowTriggererMissing", "AirflowDagProcessorMissing",
    "AirflowDagRunsNotStarted", "AirflowTasksStarving", "AirflowTasksQueuedLong", "AirflowAssetUpdatesWaiting",
    "AirflowDeferredTasksOverdue", "AirflowTriggersStranded", "AirflowCallbacksWaiting",
    "AirflowTaskHeartbeatsOverdue", "AirflowTaskHeartbeatsLost",
    "AirflowDagProcessorStalled", "AirflowDagParsingBehind", "AirflowDagBundleStale",
}  # fmt: skip
"""What a moment that a standby shows late makes look late."""


def test_a_stale_standby_hushes_what_it_shows_late_and_is_hushed_by_why_it_is_stale() -> None:
    assert effects_of("AirflowDatabaseStale") == SHOWN_LATE
    assert {edge.cause for edge in EDGES if edge.effect.alert == "AirflowDatabaseStale"} == {
        "AirflowDatabaseReplicationStopped"
    }


def test_without_the_replica_nothing_fails_but_the_reading_of_it() -> None:
    """What stops Airflow may be seen elsewhere all the same."""
    assert {edge.effect for edge in EDGES if edge.cause == "AirflowDatabaseReplicaDown"} == {
        Effect("AirflowCollectorFailing", "source", "database"), Effect("AirflowSloUnjudged"), Effect("AirflowSloDagMissing"),
    }  # fmt: skip


def test_a_full_broker_is_why_it_cannot_be_read() -> None:
    assert Edge("AirflowBrokerFull", Effect("AirflowCollectorFailing", "source", "broker")) in EDGES


def test_whatever_wakes_somebody_for_the_platform_can_burn_an_objective_of_some_kind_or_it_is_said_why_not() -> None:
    platform = {name for name in LOUD if not (BY_NAME[name].per_slo or BY_NAME[name].per_dag)}
    assert platform == BURNING | HARMLESS.keys()
    assert not BURNING & HARMLESS.keys()


@pytest.mark.parametrize("promise", [BURN_FAST, BURN_SLOW, "AirflowDagDeadlinePassed"])
def test_alertmanager_hushes_a_promise_by_what_stops_all_runs_and_by_nothing_narrower(promise: str) -> None:
    hushing = {edge.cause for edge in EDGES if edge.effect.alert == promise and edge.equal == ("team",)}
    assert hushing == DOWN < BURNING


def test_a_promise_is_hushed_by_what_its_own_team_is_told_and_by_nothing_else() -> None:
    blind = {"AirflowSloUnjudged", "AirflowSloDagMissing"}
    effects = [edge for edge in EDGES if BY_NAME[edge.effect.alert].per_slo and edge.effect.alert not in blind]
    assert {edge.effect.alert for edge in effects} >= {"AirflowErrorBudgetBurnFast", "AirflowDagDeadlinePassed"}
    # Of the same objective is of the same team.
    assert {edge.equal for edge in effects} == {("team",), ("slo",)}


def test_what_is_named_of_an_alert_are_labels_of_its_series(everything: dict[str, Emitted]) -> None:
    def lacking(name: str, labels: Iterable[str]) -> set[str]:
        own = {*(everything[name].expr.labels or ()), *everything[name].labels}
        return {label for label in labels if label and label not in own}

    wrong = [
        edge for edge in EDGES
        if edge.cause in everything and edge.effect.alert in everything
        if lacking(edge.cause, edge.equal) or lacking(edge.effect.alert, (*edge.equal, edge.effect.label))
    ]  # fmt: skip
    assert not wrong


def test_a_cause_that_wakes_somebody_is_there_before_what_it_hushes_would() -> None:
    """Else both would wake him: the effect is told a group's first wait after it fires."""
    first_wait = policy_of().alertmanager.group_wait
    late = [
        (edge.cause, edge.effect.alert)
        for edge in EDGES
        if {edge.cause, edge.effect.alert} <= LOUD
        if _wait(edge.cause) > _wait(edge.effect.alert) + first_wait
    ]
    assert not late
    assert not [cause for cause in BURNING if _wait(cause) > _wait(BURN_FAST)]


def _wait(alert: str) -> float:
    return durations.parse(BY_NAME[alert].wait)
