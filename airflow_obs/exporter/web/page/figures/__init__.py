"""The telling figures of an Airflow, of whatever has series, each judged by the alert on it."""

from __future__ import annotations

from airflow_obs.exporter.web.page.figures.broker import broker, workers
from airflow_obs.exporter.web.page.figures.database import database
from airflow_obs.exporter.web.page.figures.figure import Seen, Topic
from airflow_obs.exporter.web.page.figures.parsing import parsing
from airflow_obs.exporter.web.page.figures.pools import pools
from airflow_obs.exporter.web.page.figures.replication import replication
from airflow_obs.exporter.web.page.figures.scheduling import outcomes, schedulers, tasks
from airflow_obs.exporter.web.page.figures.triggers import triggers

_TOPICS = (
    ("Schedulers, triggerers, DAG processors", schedulers),
    ("Tasks and runs", tasks),
    ("Pools", pools),
    ("How they ended", outcomes),
    ("DAG files", parsing),
    ("Deferred tasks", triggers),
    ("Broker", broker),
    ("Workers", workers),
    ("Metadata database", database),
    ("Its replication", replication),
)


def topics(seen: Seen) -> list[Topic]:
    """Those of which there is a figure."""
    every = [Topic(title, tuple(of(seen))) for title, of in _TOPICS]
    return [one for one in every if one.figures]
