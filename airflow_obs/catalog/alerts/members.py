"""Which schedulers, triggerers and dag processors should be alive, and are not."""

from __future__ import annotations

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts.alert import Cases, Scope
from airflow_obs.promql import Expr, max_by, over_time

_REMEMBERED = 86_400
"""Seconds after which a component that is gone was removed on purpose."""


def alive(at: Scope, job_type: str) -> Expr:
    """How many have a fresh heartbeat."""
    return max_by(at(metrics.JOBS_ALIVE, job_type=job_type), "airflow")


def gone(at: Scope, job_type: str, component: str) -> Expr:
    """0 where none is alive, though the policy expects some or, where it does not say, there was one within a day."""
    none = alive(at, job_type).equals(0)
    if at.replicas.get(component):
        return none
    was = max_by(over_time("max", at(metrics.JOBS_ALIVE, job_type=job_type), _REMEMBERED), "airflow") > 0
    return none.on("airflow").and_(was)


def missing(at: Scope, job_type: str, component: str) -> Expr:
    """How many are alive, where that is fewer than the policy expects; where it does not say, where they are gone."""
    expected = at.replicas.get(component)
    return alive(at, job_type) < expected if expected else gone(at, job_type, component)


def missing_cases(at: Scope, job_type: str, component: str) -> Cases:
    """One of those that the policy expects is away; where it does not say, the only one is since a moment ago, or never was."""
    if expected := at.replicas.get(component):
        away, there = (at.series(metrics.JOBS_ALIVE, count, job_type=job_type) for count in (expected - 1, expected))
        return Cases(fires=(away,), quiet=(there,), value=expected - 1)
    series = at.series(metrics.JOBS_ALIVE, 1, job_type=job_type)
    never = at.series(metrics.JOBS_ALIVE, 0, job_type=job_type)
    return Cases(fires=(series.then(at.step, 0),), quiet=(never,), value=0)
