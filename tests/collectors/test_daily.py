"""A time of the day in a time zone, whatever its clocks do, and on which days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_obs.collectors.daily import daily
from airflow_obs.errors import SourceError
from airflow_obs.policy.silences import WEEKDAYS

ZONES = [
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
    "Asia/Kathmandu",
    "Africa/Cairo",
]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(("clock", "zone", "now", "passed", "coming"), [
    ("07:00", None, "2026-03-10 07:00", "2026-03-10 07:00", "2026-03-11 07:00"),
    ("07:00", None, "2026-03-10 06:59:59", "2026-03-09 07:00", "2026-03-10 07:00"),
    ("07:00", "Europe/Paris", "2026-03-10 06:00", "2026-03-10 06:00", "2026-03-11 06:00"),
    # The clocks are put forward: twenty-three hours lie between, and half past two is half past three.
    ("07:00", "Europe/Paris", "2026-03-29 05:00", "2026-03-29 05:00", "2026-03-30 05:00"),
    ("07:00", "Europe/Paris", "2026-03-29 04:59", "2026-03-28 06:00", "2026-03-29 05:00"),
    ("02:30", "Europe/Paris", "2026-03-29 12:00", "2026-03-29 01:30", "2026-03-30 00:30"),
    # They are put back: of both half past twos it is the first.
    ("02:30", "Europe/Paris", "2026-10-25 00:30", "2026-10-25 00:30", "2026-10-26 01:30"),
    ("02:30", "Europe/Paris", "2026-10-25 01:30", "2026-10-25 00:30", "2026-10-26 01:30"),
    # Where it is another day than here.
    ("01:00", "Pacific/Kiritimati", "2026-03-09 11:00", "2026-03-09 11:00", "2026-03-10 11:00"),
])  # fmt: skip
def test_the_newest_and_the_next(clock: str, zone: str | None, now: str, passed: str, coming: str) -> None:
    assert daily(clock, zone, ()).around(utc(now)) == (utc(passed), utc(coming))


@pytest.mark.parametrize(("weekdays", "now", "passed", "coming"), [
    (("monday:friday",), "2026-03-08 12:00", "2026-03-06 07:00", "2026-03-09 07:00"),
    (("sunday", "saturday"), "2026-03-10 12:00", "2026-03-08 07:00", "2026-03-14 07:00"),
    (("saturday:monday",), "2026-03-10 12:00", "2026-03-09 07:00", "2026-03-14 07:00"),
    (("tuesday",), "2026-03-10 06:00", "2026-03-03 07:00", "2026-03-10 07:00"),
    (("tuesday",), "2026-03-10 07:00", "2026-03-10 07:00", "2026-03-17 07:00"),
])  # fmt: skip
def test_days_of_the_week(weekdays: tuple[str, ...], now: str, passed: str, coming: str) -> None:
    assert daily("07:00", None, weekdays).around(utc(now)) == (utc(passed), utc(coming))


@given(
    zone=st.sampled_from(ZONES), minute=st.integers(0, 24 * 60 - 1), day=st.sampled_from(WEEKDAYS),
    seconds=st.integers(0, 6 * 365 * 86_400),
)  # fmt: skip
def test_it_is_that_time_of_that_day_there(zone: str, minute: int, day: str, seconds: int) -> None:
    now = utc("2024-01-01") + timedelta(seconds=seconds)
    clock = f"{minute // 60:02}:{minute % 60:02}"
    passed, coming = daily(clock, zone, (day,)).around(now)
    assert passed <= now < coming
    assert timedelta(days=6, hours=22) <= coming - passed <= timedelta(days=7, hours=2)
    for moment in (passed, coming):
        there = moment.astimezone(ZoneInfo(zone))
        assert WEEKDAYS[there.isoweekday() % 7] == day
        asked = there.replace(hour=minute // 60, minute=minute % 60, fold=0)
        exists = asked.astimezone(UTC).astimezone(asked.tzinfo).replace(fold=0) == asked
        assert there.fold == 0
        assert not exists or f"{there:%H:%M}" == clock


def test_a_zone_that_this_machine_does_not_know() -> None:
    with pytest.raises(SourceError, match="does not know the time zone Mars/Base: install tzdata"):
        daily("07:00", "Mars/Base", ())
