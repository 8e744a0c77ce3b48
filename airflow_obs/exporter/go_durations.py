"""Durations as Go programs read them, in files whose format comes from one."""

from __future__ import annotations

import re

from airflow_obs.policy.knobs import refused

_DURATION = re.compile(r"\+?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+", re.ASCII)
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(value: object) -> float:
    """Seconds that `value` says, the number 0 being a duration as well; raises what a validator does when it is none.

    Other numbers have no unit, which makes them nanoseconds in Go.
    """
    if value == 0 and not isinstance(value, bool):
        return 0.0
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise refused("write a duration with its unit (ms, s, m, h), such as 30s, 10m or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)([a-zµμ]+)", value))
