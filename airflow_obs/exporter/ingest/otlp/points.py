"""What an OTLP request says, as values of our own: points of numbers and of distributions, each with where it comes from."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_obs.exporter.ingest.accounts import Reason
from airflow_obs.exporter.ingest.otlp.distributions import Explicit, Exponential

Attributes = tuple[tuple[str, str], ...]
"""Names and values, as text, in the order of the names."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who says it: the resource (a process, or at least a host) and the name of the instrumentation scope in it."""

    resource: Attributes
    scope: str


@dataclass(frozen=True, slots=True)
class Gauge:
    """What is so now."""

    value: float


@dataclass(frozen=True, slots=True)
class Sum:
    """What has happened since the point's start (`delta`: since the point before); it may fall unless `monotonic`."""

    value: float
    monotonic: bool
    delta: bool


@dataclass(frozen=True, slots=True)
class Observations:
    """What was observed since the point's start (`delta`: since the point before)."""

    distribution: Explicit | Exponential
    delta: bool


Value = Gauge | Sum | Observations


@dataclass(frozen=True, slots=True)
class Point:
    """One data point. `start` and `time` are Unix nanoseconds by the sender's clock, 0 where it does not say.

    `value` is the Reason for which it cannot be used, where that is so; None is a series that its sender says has ended.
    """

    origin: Origin
    name: str
    unit: str
    attributes: Attributes
    start: int
    time: int
    value: Value | Reason | None
