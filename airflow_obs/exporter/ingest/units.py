"""In which unit a timer of Airflow comes over StatsD: it depends on the timer, on the client and on the release."""

from __future__ import annotations

from enum import StrEnum

from airflow_obs.model import Unit

Release = tuple[int, int | None]
"""Airflow's major and, where known, minor version."""

SECONDS, MILLISECONDS = 1.0, 0.001


class Style(StrEnum):
    """How Airflow's StatsD client sends tags, by which one knows the client; the value is the policy's word and the label."""

    PLAIN = "plain"
    INFLUXDB = "influxdb"
    DATADOG = "datadog"


def seconds_per_unit(unit: Unit, style: Style, release: Release | None, *, bundle: bool = False) -> float | None:
    """By what to multiply a timer's value to have seconds; None while it takes a release to know.

    `bundle`: it came with a DAG bundle, as parse times do in Airflow 3; so it looks, too, where the file's name has a dot. This
    was observed with 2.10 and 3.3, and is in the sources of the others: stats.py or metrics/, and the callers of Stats.timing.
    """
    major, minor = release or (None, None)
    if style is Style.DATADOG:
        # Its client of 2.x gives all in seconds. In 3.x Stats.timing gives it milliseconds; Stats.timer still measures in seconds.
        if unit is Unit.TIMER or unit is Unit.PARSE:
            return SECONDS
        return None if major is None else SECONDS if major == 2 else MILLISECONDS
    if unit is Unit.PARSE:
        # 3.2 and later pass seconds where the client takes milliseconds.
        return SECONDS if (bundle if major is None else major > 2) else MILLISECONDS
    if unit is not Unit.QUEUED:
        return MILLISECONDS
    if major is None or (major == 2 and minor is None):
        return None
    return SECONDS if (major, minor) in {(2, 7), (2, 8), (2, 11)} else MILLISECONDS
