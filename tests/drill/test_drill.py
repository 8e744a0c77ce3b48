"""Every fault of the demo makes the right alert fire and wakes nobody for another; a healthy Airflow is left in peace."""

from __future__ import annotations

import pytest

from airflow_obs.catalog.alerts import ALL as ALERTS
from airflow_obs.model import Severity
from tests.drill.deployment import Record
from tests.drill.drill import Drill
from tests.drill.expectations import BY_CHANCE, TABLE, UNSURE, Expectation
from tests.drill.prometheus import Firing

pytestmark = pytest.mark.drill
ALWAYS = {alert.name for alert in ALERTS if alert.always_fires}


@pytest.mark.parametrize("expected", TABLE, ids=lambda one: one.fault)
def test_the_right_alert_fires_and_nobody_is_woken_for_another(
    expected: Expectation, drill: Drill, report: list[str]
) -> None:
    record = drill.sick(expected.fault)
    fired = alerts_of(record)
    report += [
        f"{one.since - record.began:7.1f}s  {expected.fault}: {one.name} ({one.severity})" for one in first(fired)
    ]
    early = [one for one in fired if one.since < record.began and not by_chance(one)]
    assert not early, f"it fired before the fault: {told(record, early)}"
    missing = set(expected.fires) - {one.name for one in fired}
    assert not missing, f"{', '.join(sorted(missing))} did not fire; instead: {told(record, fired)}"
    others = [one for one in fired if one.name not in expected.fires and not by_chance(one)]
    loud = [one for one in others if one.severity == Severity.CRITICAL or one.name not in expected.consequences]
    assert not loud, f"these should not have fired: {told(record, loud)}"
    assert_judged(record)


def test_a_healthy_deployment_is_left_in_peace_throughout(drill: Drill) -> None:
    record = drill.healthy()
    fired = [one for one in alerts_of(record) if not by_chance(one)]
    assert not fired, told(record, fired)
    assert_judged(record)


def by_chance(one: Firing) -> bool:
    """Whether nothing need be wrong for it."""
    return one.name == BY_CHANCE and one.severity == Severity.INFO and dict(one.labels)["dag_id"] in UNSURE


def assert_judged(record: Record) -> None:
    """Its rules were: what always fires did, and none failed."""
    assert {one.name for one in record.fired} >= ALWAYS
    assert not record.failures, f"rules failed: {record.failures}"


def first(firings: list[Firing]) -> list[Firing]:
    """The first of each name."""
    names = {one.name: one for one in reversed(firings)}
    return [one for one in firings if names[one.name] is one]


def alerts_of(record: Record) -> list[Firing]:
    """What fired beside that which always does."""
    return [one for one in record.fired if one.name not in ALWAYS]


def told(record: Record, firings: list[Firing]) -> str:
    """Each with when it fired, its labels and what it said."""
    lines = [
        f"{one.name} ({one.severity}) from {one.since - record.began:.0f} s to {one.until - record.began:.0f} s after the fault, "
        f"{dict(one.labels)}: {record.said.get(one.name, 'no more at the end')}"
        for one in firings
    ]
    return "\n  ".join(["", *lines]) if lines else "nothing"
