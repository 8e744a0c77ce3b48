"""Units of timers: a table of what each release's clients send."""

from __future__ import annotations

import pytest

from airflow_obs.exporter.ingest.units import MILLISECONDS, SECONDS, Release, Style, seconds_per_unit
from airflow_obs.model import Unit

MS, S = MILLISECONDS, SECONDS
LINES = [Style.PLAIN, Style.INFLUXDB]
RELEASES: list[Release] = [*((2, minor) for minor in range(4, 12)), *((3, minor) for minor in range(5))]


@pytest.mark.parametrize("style", LINES)
@pytest.mark.parametrize("unit", [Unit.TIMER, Unit.TIMING])
@pytest.mark.parametrize("release", [None, *RELEASES])
def test_most_timers_are_milliseconds(style: Style, unit: Unit, release: Release | None) -> None:
    assert seconds_per_unit(unit, style, release) == MS


@pytest.mark.parametrize("style", LINES)
@pytest.mark.parametrize(
    ("release", "factor"),
    [
        ((2, 7), S), ((2, 8), S), ((2, 9), MS), ((2, 10), MS), ((2, 11), S), ((3, 4), MS),
        ((3, None), MS), ((2, None), None), (None, None),
    ],
)  # fmt: skip
def test_queued_durations_take_a_release(style: Style, release: Release | None, factor: float | None) -> None:
    assert seconds_per_unit(Unit.QUEUED, style, release) == factor


@pytest.mark.parametrize("style", LINES)
@pytest.mark.parametrize(
    ("release", "bundle", "factor"),
    [
        (None, False, MS), (None, True, S),
        ((2, 10), False, MS), ((2, 10), True, MS), ((2, None), True, MS),
        ((3, 2), True, S), ((3, 3), False, S), ((3, None), True, S),
    ],
)  # fmt: skip
def test_parse_times_tell_by_their_bundle(style: Style, release: Release | None, bundle: bool, factor: float) -> None:
    assert seconds_per_unit(Unit.PARSE, style, release, bundle=bundle) == factor


@pytest.mark.parametrize(
    ("unit", "release", "factor"),
    [
        (Unit.TIMER, None, S), (Unit.TIMER, (2, 10), S), (Unit.TIMER, (3, 3), S),
        (Unit.PARSE, None, S), (Unit.PARSE, (2, 10), S), (Unit.PARSE, (3, 3), S),
        (Unit.TIMING, None, None), (Unit.TIMING, (2, None), S), (Unit.TIMING, (2, 10), S), (Unit.TIMING, (3, 3), MS),
        (Unit.QUEUED, None, None), (Unit.QUEUED, (2, None), S), (Unit.QUEUED, (2, 10), S), (Unit.QUEUED, (3, 4), MS),
    ],
)  # fmt: skip
def test_datadog_has_units_of_its_own(unit: Unit, release: Release | None, factor: float | None) -> None:
    assert seconds_per_unit(unit, Style.DATADOG, release) == factor
