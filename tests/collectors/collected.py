"""Runs one collector against a database and looks up what it said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

import sqlalchemy as sa

from airflow_obs.collectors.collector import AnyCollector
from airflow_obs.collectors.registry import collectors
from airflow_obs.model import Distribution, Metric, Quantiles, Reading
from airflow_obs.policy import DagsPolicy, load, loads
from airflow_obs.policy.slos import Slo
from airflow_obs.sources.database import Database
from airflow_obs.sources.discovery import AirflowSettings, Found
from tests.airflow_database import AirflowDatabase

POLICY = load(None)
SLOS = loads(
    """slos:
- {name: succeeds, kind: dag_success, objective: 99%}
- {name: fresh, kind: dag_freshness, dag_id: "*", threshold: 1h, objective: 99%}
- {name: by-midnight, kind: dag_deadline, dag_id: "*", deadline: "00:00", objective: 99%}
""",
    "the tests",
).slos
"""An objective of each kind that needs to know of runs."""
BUDGET = 10.0


@dataclass(frozen=True)
class Collected:
    """The readings of one run."""

    readings: tuple[Reading, ...]

    def all(self, metric: Metric) -> dict[tuple[str, ...], float]:
        """Label values (in the order of the catalogue, those left out missing) → value; a distribution's is its count."""
        return {
            tuple(value for _, value in reading.labels): _value(reading)
            for reading in self.readings
            if reading.metric is metric
        }

    def one(self, metric: Metric, *labels: str) -> float | None:
        """The value of one series, or None if it is not there."""
        return self.all(metric).get(labels)


def source(url: str) -> Database:
    """The database as the exporter reaches it."""
    found = Found(sa.make_url(url.replace("postgresql://", "postgresql+psycopg2://")), "the test")
    return Database(lambda: found)


def collect(db: AirflowDatabase, name: str) -> Collected:
    """What the collector of that name says, read as the exporter's own role."""
    return _collect(db.exporter_url, collector(name))


def read(db: AirflowDatabase, one: AnyCollector) -> Collected:
    """What this collector says, which may remember what it read before, read as the exporter's own role."""
    return _collect(db.exporter_url, one)


def collector(name: str) -> AnyCollector:
    """The collector of that name, with the default policy."""
    return next(one for one in collectors(POLICY.collectors) if one.name == name)


def everything(db: AirflowDatabase, settings: AirflowSettings | None = None, slos: Sequence[Slo] = SLOS) -> Collected:
    """What all database collectors say, under these settings of Airflow's."""
    return Collected(tuple(_readings(_collect(db.exporter_url, one) for one in every_collector(settings, slos))))


def every_collector(settings: AirflowSettings | None = None, slos: Sequence[Slo] = SLOS) -> list[AnyCollector]:
    """All database collectors, with all that the policy can switch on."""
    every = collectors(POLICY.collectors, None, settings, DagsPolicy(task_level=True), slos=slos)
    return [one for one in every if one.source == "database"]


def _collect(url: str, one: AnyCollector) -> Collected:
    with closing(source(url)) as database:
        with database.session(BUDGET) as session:
            rows = one.read(session)
        return Collected(tuple(one.samples(rows)))


def _readings(many: Iterable[Collected]) -> Iterable[Reading]:
    for collected in many:
        yield from collected.readings


def _value(reading: Reading) -> float:
    if isinstance(reading, Quantiles):
        return reading.count
    return sum(reading.counts) if isinstance(reading, Distribution) else reading.value
