"""From the demo's fault through Prometheus and Alertmanager to who is told: the right team, once, for the cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from airflow_obs.model import Severity
from tests.drill.deployment import LATE, Record
from tests.drill.drill import Drill
from tests.drill.expectations import TABLE, Expectation
from tests.drill.pager import Message
from tests.drill.policy import (
    FIRST_MESSAGE,
    IN_MAINTENANCE,
    PAGER,
    PLATFORM,
    SALES,
    WATCHDOG,
    WATCHED,
    WATCHERS,
)
from tests.drill.prometheus import Firing
from tests.drill.test_drill import ALWAYS, alerts_of

pytestmark = pytest.mark.drill

SOON = FIRST_MESSAGE + LATE - 3
"""Seconds within which somebody is told of what fires."""

SICK = {one.fault: one for one in TABLE}


def of(*faults: str) -> pytest.MarkDecorator:
    """A test of what these faults of the drill made."""
    return pytest.mark.parametrize("expected", [SICK[fault] for fault in faults], ids=faults)


@pytest.mark.parametrize("expected", TABLE, ids=lambda one: one.fault)
def test_everybody_is_told_of_what_is_his_and_of_nothing_twice(expected: Expectation, drill: Drill) -> None:
    record = drill.sick(expected.fault)
    told = messages_of(record)
    for message in told:
        wrong = {one.name for one in message.alerts if receiver_of(expected.fault, one.labels) != message.receiver}
        assert not wrong, f"{message.receiver} was told of {wrong}: {shown(record)}"
    assert not repeated(told), shown(record)
    heard = {one.name for message in told for one in message.alerts}
    missed = {one.name for one in alerts_of(record) if is_due(record, one)} - heard
    assert not missed, f"nobody was told of {missed}: {shown(record)}"
    worst = loudest(one for one in record.fired if one.name in expected.fires)
    waited = any(lasts(record, one) for one in record.fired if one.name in worst)
    assert not waited or worst & heard, f"nobody was told of any of {worst}: {shown(record)}"


@of("scheduler-dead")
def test_a_page_says_what_it_is_and_what_to_do(expected: Expectation, drill: Drill) -> None:
    record = drill.sick(expected.fault)
    [message] = [one for one in messages_of(record) if one.receiver == PAGER]
    [alert] = message.alerts
    assert (alert.name, alert.status) == ("AirflowSchedulerDown", "firing")
    assert alert.labels["team"] == "platform"
    assert alert.annotations["summary"] == "No scheduler is alive (0 with a fresh heartbeat)"
    assert alert.annotations["runbook_url"].endswith("AirflowSchedulerDown.md")
    assert alert.annotations["command"].startswith(
        "airflow-obs runbook AirflowSchedulerDown --deployment scheduler-dead"
    )


@of("requeues-exhausted")
def test_nobody_is_told_of_the_effect_beside_its_cause(expected: Expectation, drill: Drill) -> None:
    """Though it may be seen a moment sooner than the cause. Once the queue's tasks have failed, the cause is over."""
    cause, effect = "AirflowQueueWithoutWorker", "AirflowTaskRequeuesRunningOut"
    record = drill.sick(expected.fault)
    assert {cause, effect} <= {one.name for one in record.fired}
    assert cause in record.known[effect], f"Alertmanager did not hush {effect}: {record.known}"
    until = max(one.until for one in record.fired if one.name == cause)
    heard = {one.name for message in record.messages if message.moment <= until for one in message.alerts}
    assert cause in heard
    assert effect not in heard, shown(record)


@of(IN_MAINTENANCE)
def test_nobody_is_told_anything_while_there_is_maintenance(expected: Expectation, drill: Drill) -> None:
    record = drill.sick(expected.fault)
    assert set(expected.fires) <= set(record.known), "Alertmanager does not even know"
    assert not messages_of(record), shown(record)


@of(*WATCHED)
def test_what_is_watched_reaches_nobody_else(expected: Expectation, drill: Drill) -> None:
    told = messages_of(drill.sick(expected.fault))
    assert {message.receiver for message in told} == {WATCHERS}
    assert {one.name for message in told for one in message.alerts} >= set(expected.fires)


@of("dag-wedged-at-max-runs")
def test_the_team_of_a_dag_is_told_of_it(expected: Expectation, drill: Drill) -> None:
    told = messages_of(drill.sick(expected.fault))
    heard = {(message.receiver, one.name, one.labels.get("dag_id")) for message in told for one in message.alerts}
    assert {one for one in heard if "AirflowDagWedged" in one} == {(SALES, "AirflowDagWedged", "crm_contacts_sync")}


def test_only_what_alertmanager_itself_hushed_need_not_be_told() -> None:
    cause, effect = (
        Firing(name, "critical", (), 0, 100) for name in ("AirflowSchedulerDown", "AirflowSchedulerMissing")
    )
    record = Record("scheduler-dead", ended=100, fired=[cause, effect], known={cause.name: set(), effect.name: set()})
    assert is_due(record, effect), "that a cause fired proves nothing"
    record.known[effect.name].add(cause.name)
    assert not is_due(record, effect)
    assert is_due(record, cause)


def test_the_loudest_of_what_fires_are_those_of_the_highest_severity() -> None:
    fired = [
        Firing(name, severity, (), 0, 100)
        for name, severity in (("a", "warning"), ("b", "critical"), ("c", "critical"))
    ]
    assert loudest(fired) == {"b", "c"}
    assert loudest(fired[:1]) == {"a"}


def test_of_a_healthy_deployment_only_the_watchdog_is_heard_again_and_again(drill: Drill) -> None:
    record = drill.healthy()
    assert not messages_of(record), shown(record)
    heard = [message for message in record.messages if message.receiver == WATCHDOG]
    assert len(heard) > 1
    assert {one.name for message in record.messages for one in message.alerts} == ALWAYS


def messages_of(record: Record) -> list[Message]:
    """All but those of what always fires."""
    return [message for message in record.messages if not {one.name for one in message.alerts} <= ALWAYS]


def receiver_of(deployment: str, labels: Mapping[str, str]) -> str:
    """Who should be told of an alert, by the drill's policy; nobody, if its deployment is in maintenance."""
    if deployment == IN_MAINTENANCE:
        return ""
    if labels.get("shadow"):
        return WATCHERS
    if labels["team"] == "sales":
        return SALES
    return PAGER if labels["severity"] == Severity.CRITICAL else PLATFORM


def loudest(fired: Iterable[Firing]) -> set[str]:
    """The names of those that have the highest severity of all of them: what only follows from others is never alone among them."""
    by_severity: dict[str, set[str]] = {}
    for one in fired:
        by_severity.setdefault(one.severity, set()).add(one.name)
    return next((by_severity[severity] for severity in Severity if severity in by_severity), set())


def repeated(told: Iterable[Message]) -> list[Message]:
    """The messages that say of a group what the one before them said."""
    before: dict[tuple[str, str], set[tuple[str, ...]]] = {}
    found = []
    for message in told:
        key = (message.receiver, message.group)
        now = {(one.status, *map(str, sorted(one.labels.items()))) for one in message.alerts}
        if before.get(key) == now:
            found.append(message)
        before[key] = now
    return found


def is_due(record: Record, one: Firing) -> bool:
    """Whether it has fired for so long that somebody must have been told, and Alertmanager never said that something hushed it."""
    return lasts(record, one) and not record.known.get(one.name)


def lasts(record: Record, one: Firing) -> bool:
    """Whether it has fired for so long that somebody must have been told, but for what hushes it; nobody is in maintenance."""
    for_long = one.until - one.since > SOON and one.since < record.ended - SOON
    return for_long and record.deployment != IN_MAINTENANCE


def shown(record: Record) -> str:
    """Everything that was told of a deployment, by seconds after its fault."""
    lines = [
        f"{message.moment - record.began:.0f} s: {message.receiver}: {[(one.status, one.name) for one in message.alerts]}"
        for message in messages_of(record)
    ]
    return "\n  ".join(["", *lines])
