"""Alerts by the name that somebody typed."""

from __future__ import annotations

from airflow_obs.catalog.alerts import BY_NAME
from airflow_obs.catalog.alerts.alert import Alert
from airflow_obs.errors import UsageError, meant


def named(name: str) -> Alert:
    """The alert of that name; raises UsageError, with the one that may be meant."""
    if found := BY_NAME.get(name):
        return found
    near = meant(name, BY_NAME)
    raise UsageError(
        f"there is no alert {name}: {f'did you mean {near}?' if near else 'rules/README.md lists all of them'}"
    )
