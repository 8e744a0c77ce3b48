"""A family that is said to have series always has them in an Airflow in which nothing ever happened, and no other one has."""

from __future__ import annotations

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import OLDEST_RELEASE
from airflow_obs.catalog.collectors import source_of
from airflow_obs.model import Metric
from airflow_obs.sources.discovery import AirflowSettings
from tests.airflow_database import AirflowDatabase, Templates
from tests.airflow_schemas import DISTINCT_SCHEMAS
from tests.collectors.collected import everything

OURS = [metric for metric in metrics.ALL if source_of(metric.collector) == "database"]


def exposed(db: AirflowDatabase) -> set[Metric]:
    """Whose series there are, in the database of an Airflow that was just installed, under a policy without objectives."""
    readings = everything(db, AirflowSettings("CeleryExecutor"), slos=()).readings
    return {metric for metric in OURS if any(reading.metric is metric for reading in readings)}


def has(version: str, metric: Metric) -> bool:
    """Whether the release is one of those that have what the metric reads."""
    return _minor(metric.since or OLDEST_RELEASE) <= _minor(version) <= _minor(metric.until or "9.0")


def test_always_is_what_an_empty_airflow_has(templates: Templates) -> None:
    by_schema = {}
    for schema in DISTINCT_SCHEMAS:
        with templates.database(schema) as db:
            by_schema[schema] = exposed(db)
            db.engine.dispose()
    wrong = {
        metric.name
        for metric in OURS
        if metric.always
        != all(metric in there for schema, there in by_schema.items() if has(schema.release.version, metric))
    }
    assert wrong == set()


def test_nothing_else_is_said_to_be_there_always() -> None:
    """Of other sources nobody has proven it."""
    assert [metric.name for metric in metrics.ALL if metric.always and metric not in OURS] == []


def _minor(version: str) -> tuple[int, int]:
    major, minor, *_ = version.split(".")
    return int(major), int(minor)
