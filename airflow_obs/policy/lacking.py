"""What a deployment lacks to have the series of a family."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_obs.catalog.alerts.alert import Scope
from airflow_obs.catalog.collectors import source_of
from airflow_obs.model import External, Metric, Recorded
from airflow_obs.promql import Family

EXPORTER = "exporter"
"""Feeds the families that an exporter has whatever its sources are."""

LISTED_AS = {"ingest": "sources.statsd or sources.otlp", "workers": "sources.broker with control"}
"""What the policy calls a source, where it is not its name."""


def lacking(family: Family, at: Scope) -> str | None:
    """What a deployment lacks to have series of the family; None if nothing. What is recorded lacks what it is made of."""
    if isinstance(family, Recorded):
        return None
    if isinstance(family, External):
        return (
            None
            if family.source in at.sources
            else f"sources.kubernetes of the deployment does not list {family.source}"
        )
    if at.misled_by(family):
        return "it is of the server that is read, and sources.database.replica says that this is not the one that Airflow uses"
    if family.collector == EXPORTER or (family.also and family.also in at.collectors):
        return None
    if family.collector not in at.collectors:
        source = source_of(family.collector)
        if source in at.sources:
            return f"its collector {family.collector} is switched off"
        return f"its collector {family.collector} needs {LISTED_AS.get(source, source)}, which the deployment does not list"
    return _of_another_release(family, at.version) if at.version != "auto" else None


def _of_another_release(family: Metric, version: str) -> str | None:
    if family.since and _minor(version) < _minor(family.since):
        return f"it is there from Airflow {family.since} on, and this is {version}"
    if family.until and _minor(version) > _minor(family.until):
        return f"it is there up to Airflow {family.until}, and this is {version}"
    if family.gap and _minor(family.gap[0]) <= _minor(version) <= _minor(family.gap[1]):
        return f"Airflow {family.gap[0]} to {family.gap[1]} do not have it, and this is {version}"
    return None


def first_lacking(families: Iterable[Family], at: Scope) -> str | None:
    """The first of the families, by name, that cannot be had, and why; None if all can."""
    whys = ((family.name, lacking(family, at)) for family in sorted(families, key=lambda family: family.name))
    return next((f"{name}: {why}" for name, why in whys if why), None)


def certain(family: Metric, at: Scope) -> bool:
    """Whether the release has it, if the deployment's collectors feed it; of one that nobody named, what all have."""
    return at.version != "auto" or not (family.since or family.until or family.gap)


def _minor(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int("".join(character for character in minor if character.isdigit()))
