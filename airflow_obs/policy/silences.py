"""When nobody is told: times of the week or year, in the shape of Alertmanager's time_intervals."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema, core_schema

from airflow_obs.errors import meant
from airflow_obs.policy.alerts import SeverityWord
from airflow_obs.policy.knobs import Text, refused
from airflow_obs.policy.strict import Strict
from airflow_obs.policy.teams import TeamName

WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
"""In Alertmanager's order: no range goes beyond Saturday."""
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
)  # fmt: skip

SilenceName = Annotated[
    str, Text("[a-zA-Z0-9_.-]{1,63}", "the name of a silence: 1 to 63 letters, digits, `_`, `.` or `-`")
]
DeploymentName = Annotated[str, Text("[a-zA-Z0-9_.-]{1,63}", "the name of one of `deployments`")]
AlertName = Annotated[str, Text("Airflow[A-Za-z0-9]{1,80}", "the name of an alert, such as AirflowSchedulerDown")]


@dataclass(frozen=True)
class Range:
    """Metadata of a text that is one of some names or numbers, or a range of two of them with a colon between."""

    pattern: str
    follows: Callable[[str, str], bool]
    what: str
    words: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{self._one()}(?::{self._one()})?$"}

    def _one(self) -> str:
        return f"(?:{'|'.join(filter(None, [*self.words, self.pattern]))})"

    def _check(self, value: object) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            raise refused(f"put it in quotes; must be {self.what}")
        if not isinstance(value, str) or not re.fullmatch(f"{self._one()}(?::{self._one()})?", value, re.ASCII):
            halves = [self._nearest(half) for half in value.split(":")] if isinstance(value, str) else [None]
            near = ":".join(half for half in halves if half) if all(halves) and len(halves) <= 2 else ""
            raise refused(f"must be {self.what}" + (f"; did you mean {near}?" if near else ""))
        first, _, last = value.partition(":")
        if last and not self.follows(first, last):
            raise refused(
                "the range runs backwards, which Alertmanager refuses: begin with the earlier, or write two items"
            )
        return value

    def _nearest(self, half: str) -> str | None:
        return half if re.fullmatch(self._one(), half, re.ASCII) else meant(half, self.words)


def _days_follow(first: str, last: str) -> bool:
    begin, end = int(first), int(last)
    if begin < 0 < end:
        return False
    # from the front to the back Alertmanager reckons as if -1 were the 27th
    return begin <= (28 + end if begin > 0 > end else end)


def _months_follow(first: str, last: str) -> bool:
    return _month(first) <= _month(last)


Weekday = Annotated[
    str,
    Range(
        "",
        lambda first, last: WEEKDAYS.index(first) <= WEEKDAYS.index(last),
        "a day such as saturday, or a range such as monday:friday; the week begins on sunday",
        WEEKDAYS,
    ),
]
DayOfMonth = Annotated[
    str,
    Range(
        "-?(?:[1-9]|[12][0-9]|3[01])",
        _days_follow,
        'a day such as "1", or a range such as "1:5"; "-1" is the last day',
    ),
]
Month = Annotated[
    str,
    Range("[1-9]|1[0-2]", _months_follow, 'a month such as december or "12", or a range such as july:august', MONTHS),
]
Year = Annotated[
    str,
    Range("2[0-9]{3}", lambda first, last: first <= last, 'a year such as "2027", or a range such as "2027:2028"'),
]
_TIME = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
Clock = Annotated[str, Text(_TIME, 'a time of the day in quotes, such as "09:00"')]


@dataclass(frozen=True)
class Zone:
    """Metadata of a text that is the name of a time zone."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_+/-]{0,63}$"}

    def _check(self, value: object) -> str:
        wrong = refused("not a time zone: write one of the IANA data base, such as UTC or Europe/Paris")
        if not isinstance(value, str) or not re.fullmatch("[A-Za-z][A-Za-z0-9_+/-]{0,63}", value, re.ASCII):
            raise wrong
        if value != "UTC" and not _exists(value):
            raise wrong
        return value


def _exists(zone: str) -> bool:
    import zoneinfo  # seldom needed

    try:
        zoneinfo.ZoneInfo(zone)
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        # small images come without the data base: then nobody here knows
        return not zoneinfo.available_timezones()
    return True


ALWAYS, SOMETIMES, NEVER = "always", "sometimes", "never"
YEARS = range(2000, 3000)
"""Those that can be written."""


class TimeRange(Strict):
    """From one time of the day to a later one; the end is not in it."""

    start_time: Clock = Field(description='From when on, in quotes ("00:00").')
    end_time: Annotated[str, Text(f"{_TIME}|24:00", 'a time of the day in quotes, such as "17:00"')] = Field(
        description='To when, in quotes, at most "24:00".'
    )

    @model_validator(mode="after")
    def _forwards(self) -> TimeRange:
        if self.start_time >= self.end_time:
            raise refused('a range ends after it begins; over midnight write two: one to "24:00", one from "00:00"')
        return self


class Silence(Strict):
    """When nobody is told of some alerts."""

    name: SilenceName = Field(description="Its name; no two share it.")
    when: Annotated[Literal["inside", "outside"], Text("", "inside or outside", ("inside", "outside"))] = Field(
        "inside",
        description=(
            "Silent inside of these times (maintenance), or outside of them (business hours). "
            "That an alert is over is not told then either, and what still fires is told afterwards."
        ),
    )
    weekdays: tuple[Weekday, ...] = Field(
        (), description='Days of the week ("monday:friday"); none given is every day.'
    )
    times: tuple[TimeRange, ...] = Field((), description="Times of the day; none given is the whole day.")
    months: tuple[Month, ...] = Field((), description='Months ("july:august"); none given is every month.')
    days_of_month: tuple[DayOfMonth, ...] = Field((), description='Days of the month ("1:3", "-1" is the last).')
    years: tuple[Year, ...] = Field((), description='Years ("2027").')
    location: Annotated[str, Zone()] = Field("UTC", description="Time zone of these times.")
    deployments: tuple[DeploymentName, ...] = Field((), description="Only for these Airflows; none given is all.")
    teams: tuple[TeamName, ...] = Field((), description="Only for alerts of these teams; none given is all.")
    severities: tuple[SeverityWord, ...] = Field((), description="Only for these severities; none given is all.")
    alerts: tuple[AlertName, ...] = Field((), description="Only for these alerts; none given is all.")

    elsewhere = dict.fromkeys(
        frozenset({"matchers", "time_intervals", "time_zone", "timezone"}),
        (
            "a silence says its times at once (weekdays, times, months, days_of_month, years, location), and whom it is for by "
            "deployments, teams, severities and alerts"
        ),
    )

    @model_validator(mode="after")
    def _some_time(self) -> Silence:
        if not (self.weekdays or self.times or self.months or self.days_of_month or self.years):
            raise refused(
                "no time is given, so it would be silent for ever: add weekdays, times, months, days_of_month or years"
            )
        if (extent := self._extent()) != SOMETIMES:
            times = "these times never end" if extent == ALWAYS else "these times never come"
            silent = "be silent for ever" if (extent == ALWAYS) == (self.when == "inside") else "never be silent"
            raise refused(f"{times}, so that it would {silent}: mend them, or remove the silence")
        return self

    def meets(self, other: Silence) -> bool:
        """Whether an alert may be that both are for."""
        limits = ("deployments", "teams", "severities", "alerts")
        pairs = [(set(getattr(self, limit)), set(getattr(other, limit))) for limit in limits]
        return all(not ours or not theirs or ours & theirs for ours, theirs in pairs)

    def _extent(self) -> str:
        """When its times are. Alertmanager wants a moment to be in one item of each list that is not empty."""
        minutes = {minute for one in self.times for minute in range(_minutes(one.start_time), _minutes(one.end_time))}
        weekdays = {day for one in self.weekdays for day in _ranged(one, WEEKDAYS.index)}
        years = {year for one in self.years for year in _ranged(one, int)} or set(YEARS)
        months = {month for one in self.months for month in _ranged(one, _month)} or set(range(1, 13))
        lengths = {calendar.monthrange(year, month)[1] for year in years for month in months}
        days = [_is_within(day, length, self.days_of_month) for length in lengths for day in range(1, length + 1)]
        if not any(days):
            return NEVER
        whole = (
            len(minutes) in (0, 1440),
            len(weekdays) in (0, 7),
            len(years) == len(YEARS),
            len(months) == 12,
            all(days),
        )
        return ALWAYS if all(whole) else SOMETIMES


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def _month(text: str) -> int:
    return int(text) if text.isdigit() else MONTHS.index(text) + 1


def _ranged(text: str, number: Callable[[str], int]) -> range:
    """All of a range, its end included."""
    first, _, last = text.partition(":")
    return range(number(first), number(last or first) + 1)


def _is_within(day: int, length: int, days: Sequence[str]) -> bool:
    """Whether a day of a month that has so many is one of these, of which those below zero count from the end."""
    ends = ([int(end) for end in one.split(":")] for one in days)
    bounds = [[end if end > 0 else length + 1 + end for end in those] for those in ends]
    return not days or any(those[0] <= day <= those[-1] for those in bounds)
