"""In which unit a timer of Airflow comes over OTLP: the unit that it names, if it does, and else by release."""

from __future__ import annotations

from airflow_obs.exporter.ingest.units import MILLISECONDS, SECONDS, Release
from airflow_obs.model import Unit

_NAMED = {"s": SECONDS, "ms": MILLISECONDS}
_SINCE_3_2 = "._shared."
"""Part of the scope, which is the Python module that sends; 3.2 moved it."""


def seconds_per_unit(unit: Unit, named: str, scope: str, release: Release | None) -> float | None:
    """By what to multiply a timer's value to have seconds; None while it takes a release to know.

    Since 3.3 timers are histograms that name their unit, which of parse times is not true: they are in seconds. Before they are
    gauges without unit: seconds in 2.x, milliseconds in 3.x, but for parse times. All this was observed with 2.10 and 3.3 and is
    in the sources of the others (airflow/metrics/otel_logger.py).
    """
    if unit is Unit.PARSE:
        return SECONDS
    if named in _NAMED:
        return _NAMED[named]
    if later_than_3_1(scope):
        return MILLISECONDS
    if release is None:
        return None
    return SECONDS if release[0] == 2 else MILLISECONDS


def later_than_3_1(scope: str) -> bool:
    """Whether the scope shows that Airflow 3.2 or newer sends."""
    return _SINCE_3_2 in scope
