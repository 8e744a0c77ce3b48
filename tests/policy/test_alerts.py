"""What a site says of an alert: made from the declarations, whatever they are, and merged exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from airflow_obs.catalog.alerts import ALL, BY_NAME
from airflow_obs.model import Knob, Severity
from airflow_obs.policy import Policy, durations, json_schema, load, quantities, settings
from airflow_obs.policy.alerts import exact, written

Site = Callable[[str], Policy]
Complaints = Callable[[str], list[str]]

KNOBS = [(alert, knob) for alert in ALL for knob in alert.knobs]
EXAMPLE = BY_NAME["AirflowSchedulesOverdue"]
WRONG_UNIT: dict[str, tuple[str, str]] = {
    "duration": ("10", "a number without a unit: write a duration, such as 30s, 5m or 1h30m"),
    "ratio": ("0.5", "a ratio is written as a percentage, such as 80%"),
    "bytes": (
        "50GB",
        "not a number of bytes: write a number and one of B, KiB, MiB, GiB, TiB (1 KiB is 1024 B), such as 50GiB",
    ),
    "count": ("1.5", "write a whole number from {low} to {high}"),
    "number": ("5m", "write a number from {low} to {high}, without a unit"),
}


def said(values: dict[str, dict[str, object]]) -> str:
    """A policy with these values for these alerts, one a line."""
    lines = [
        f"  {name}: {{{', '.join(f'{key}: {value}' for key, value in of.items())}}}" for name, of in values.items()
    ]
    return "\n".join(["alerts:", *lines])


def every_knob(value: Callable[[Knob], object]) -> str:
    """A policy with one value for each number of each alert."""
    return said({alert.name: {knob.name: value(knob) for knob in alert.knobs} for alert in ALL if alert.knobs})


def test_what_is_declared_is_in_force_and_to_say_it_changes_nothing(site: Site) -> None:
    unsaid = load()
    same = site(said({alert.name: {**written(alert), "enabled": "true", "shadow": "false"} for alert in ALL}))
    for alert in ALL:
        found = settings(unsaid, unsaid.deployment(), alert)
        assert (found.enabled, found.severity, found.shadow) == (True, alert.severity, False)
        assert found.wait == durations.parse(alert.wait)
        assert found.knobs == {knob.name: exact(knob) for knob in alert.knobs}
        assert settings(same, same.deployment(), alert) == found


@pytest.mark.parametrize("bound", ["low", "high"])
def test_bounds_are_allowed(site: Site, bound: str) -> None:
    policy = site(every_knob(lambda knob: getattr(knob, bound)))
    for alert, knob in KNOBS:
        expected = exact(replace(knob, default=getattr(knob, bound)))
        assert settings(policy, policy.deployment(), alert).knobs[knob.name] == expected


def test_what_is_beyond_or_in_another_unit_is_refused_in_its_place(complaints: Complaints) -> None:
    beyond = {"duration": "9999d", "ratio": "99999%", "bytes": "99999TiB", "count": 10**17, "number": 10**17}
    found = complaints(every_knob(lambda knob: beyond[knob.unit]))
    assert [line.split(": ", 1)[1] for line in found] == [
        f"alerts.{alert.name}.{knob.name}: out of bounds: must be from {knob.low} to {knob.high}"
        for alert, knob in KNOBS
    ]
    found = complaints(every_knob(lambda knob: WRONG_UNIT[knob.unit][0]))
    assert [line.split(": ", 1)[1] for line in found] == [
        f"alerts.{alert.name}.{knob.name}: {WRONG_UNIT[knob.unit][1].format(low=knob.low, high=knob.high)}"
        for alert, knob in KNOBS
    ]


def test_a_deployment_has_the_last_word_on_what_it_says(site: Site) -> None:
    policy = site("""\
        alerts:
          AirflowSchedulesOverdue: {threshold: 2m500ms, for: 0s, severity: warning}
        deployments:
          - name: a
            alerts: {AirflowSchedulesOverdue: {severity: info, shadow: true}}
          - name: b
            alerts:
              AirflowSchedulesOverdue: {enabled: false, threshold: 1m}
              AirflowSchedulerDown:
    """)
    a, b = (settings(policy, deployment, EXAMPLE) for deployment in policy.deployments)
    assert (a.enabled, a.severity, a.wait, a.shadow) == (True, Severity.INFO, 0, True)
    assert a.knobs == {"threshold": Decimal("120.5")}
    assert (b.enabled, b.severity, b.wait, b.shadow) == (False, Severity.WARNING, 0, False)
    assert b.knobs == {"threshold": 60}


@pytest.mark.parametrize(("text", "value"), [("80%", "0.8"), ("99.95%", "0.9995"), ("0.1%", "0.001"), ("100%", "1")])
def test_ratios_are_exact(text: str, value: str) -> None:
    assert quantities.ratio(text) == Decimal(value)
    assert quantities.text_of_ratio(Decimal(value)) == text


@pytest.mark.parametrize(
    ("text", "value"), [("0B", 0), ("1KiB", 1024), ("1.5MiB", 1572864), ("50GiB", 50 << 30), ("2TiB", 2 << 40)]
)
def test_bytes_are_powers_of_1024(text: str, value: int) -> None:
    assert quantities.bytes_(text) == value


@pytest.mark.parametrize("text", ["50", "50GB", "50 GiB", "GiB", "1e3B", "-1B", "\u0661B"])
def test_what_is_no_number_of_bytes(text: str) -> None:
    with pytest.raises(ValueError, match="1 KiB is 1024 B"):
        quantities.bytes_(text)


def test_what_is_no_mapping_of_alerts(complaints: Complaints) -> None:
    assert complaints("alerts: [AirflowSchedulerDown]") == [
        "site.yaml:1:9: alerts: write a mapping: the names of alerts, each with what should be otherwise"
    ]
    assert complaints("alerts: {AirflowSchedulerDown: critical}") == [
        "site.yaml:1:32: alerts.AirflowSchedulerDown: write a mapping of enabled, severity, for, shadow"
    ]


def test_editors_are_told_of_every_alert_and_number() -> None:
    shown = json_schema()["$defs"]["AlertsPolicy"]["properties"]
    assert list(shown) == [alert.name for alert in ALL]
    for alert, knob in KNOBS:
        about = shown[alert.name]["properties"][knob.name]
        assert about["description"].startswith(knob.description)
        assert shown[alert.name]["default"][knob.name] == knob.default
