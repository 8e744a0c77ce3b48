"""A time of the day in a time zone, as moments: the newest that has passed, and the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from airflow_obs.errors import SourceError
from airflow_obs.policy.slos import days_of

_AROUND = range(-8, 9)
"""Days before and after today among which there is one of every weekday on either side."""


@dataclass(frozen=True)
class Daily:
    """`at` of each of these days of the week (0 is sunday).

    Where clocks are put forward over it, it is as long after midnight as ever, by the clock one hour later; where they are put
    back, it is the first of the two.
    """

    at: time
    zone: tzinfo
    weekdays: frozenset[int]

    def around(self, now: datetime) -> tuple[datetime, datetime]:
        """The newest moment that has passed, this one included, and the next, both in UTC."""
        today = now.astimezone(self.zone).date()
        days = (today + timedelta(days=number) for number in _AROUND)
        moments = [self._on(day) for day in days if day.isoweekday() % 7 in self.weekdays]
        passed = [moment for moment in moments if moment <= now]
        return max(passed), moments[len(passed)]

    def _on(self, day: date) -> datetime:
        # In UTC: Python compares moments of one zone by their clocks.
        return datetime.combine(day, self.at, self.zone).astimezone(UTC)


def daily(clock: str, location: str | None, weekdays: Sequence[str]) -> Daily:
    """As the policy writes it: "07:00", the name of a zone (None: UTC), and days or ranges of days (none: every day).

    Raises SourceError where this machine does not know the zone.
    """
    return Daily(time.fromisoformat(clock), _zone(location), days_of(weekdays))


def _zone(location: str | None) -> tzinfo:
    if location in {None, "UTC"}:
        return UTC
    try:
        return ZoneInfo(str(location))
    except (OSError, ValueError, ZoneInfoNotFoundError):
        raise SourceError(f"slos: this machine does not know the time zone {location}: install tzdata") from None
