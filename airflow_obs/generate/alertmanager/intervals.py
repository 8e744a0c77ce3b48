"""Silences as time intervals: as alertmanager.yml has them, as an AlertmanagerConfig has them, and in words."""

from __future__ import annotations

from airflow_obs.generate.yaml_text import Value
from airflow_obs.policy.silences import Silence

UTC = "UTC"


def raw(silence: Silence) -> dict[str, Value]:
    """An entry of alertmanager.yml's time_intervals."""
    interval: dict[str, Value] = {
        "weekdays": list(silence.weekdays),
        "times": [{"start_time": one.start_time, "end_time": one.end_time} for one in silence.times],
        "months": list(silence.months),
        "days_of_month": list(silence.days_of_month),
        "years": list(silence.years),
        "location": "" if silence.location == UTC else silence.location,
    }
    return {"name": silence.name, "time_intervals": [_said(interval)]}


def custom(silence: Silence) -> dict[str, Value]:
    """An entry of an AlertmanagerConfig's muteTimeIntervals, all of which are UTC.

    https://github.com/prometheus-operator/prometheus-operator/issues/5512
    """
    interval: dict[str, Value] = {
        "weekdays": list(silence.weekdays),
        "times": [{"startTime": one.start_time, "endTime": one.end_time} for one in silence.times],
        "months": list(silence.months),
        "daysOfMonth": [_days(days) for days in silence.days_of_month],
        "years": list(silence.years),
    }
    return {"name": silence.name, "timeIntervals": [_said(interval)]}


def in_words(silence: Silence) -> str:
    """When it is silent: `outside of monday to friday, 09:00 to 17:00 (Europe/Paris)`."""
    lists = (
        map(_range, silence.weekdays),
        (f"{one.start_time} to {one.end_time}" for one in silence.times),
        (f"day {_range(one)} of the month" for one in silence.days_of_month),
        (f"month {_range(one)}" if one[0].isdigit() else _range(one) for one in silence.months),
        map(_range, silence.years),
    )
    said = ", ".join(filter(None, map(" or ".join, lists)))
    return f"{'outside of ' if silence.when == 'outside' else ''}{said} ({silence.location})"


def _range(text: str) -> str:
    return text.replace(":", " to ")


def _days(text: str) -> Value:
    start, _, end = text.partition(":")
    return {"start": int(start), "end": int(end or start)}


def _said(interval: dict[str, Value]) -> dict[str, Value]:
    return {key: value for key, value in interval.items() if value}
