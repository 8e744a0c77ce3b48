"""Archived tries are history: whatever state they were left in, every collector says the same with them and without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airflow_obs.catalog.airflow import UNFINISHED_STATES
from airflow_obs.collectors.collector import AnyCollector
from airflow_obs.model import Distribution, Sample
from airflow_obs.sources.discovery import AirflowSettings
from tests.airflow_database import AirflowDatabase
from tests.airflow_schemas import POSTGRESQL_SCHEMAS, Schema
from tests.collectors.collected import every_collector, read
from tests.collectors.conftest import Ago
from tests.conftest import NewDatabase
from tests.states import TaskKey, a_running_dag_run, a_task_instance, an_archived_try

OF_THE_TABLES = {"database", "tables", "vacuum", "locks", "replication", "clean_up"}
"""Collectors that tell of rows and sessions, whatever the rows are."""
STATES = (*UNFINISHED_STATES, "success", "failed")
LEFT_IN = ("queued", "running", "deferred", "success", "failed")
KEPT = [schema for schema in POSTGRESQL_SCHEMAS if schema.release.version in {"2.10.5", "3.3.2", "3.4.0b2"}]
"""Releases that keep them in a table of their own, and the one that keeps them among the others."""


def ours() -> list[AnyCollector]:
    """The collectors that this is about."""
    return [one for one in every_collector(AirflowSettings("CeleryExecutor")) if one.name not in OF_THE_TABLES]


def work(db: AirflowDatabase, ago: Ago) -> Iterator[TaskKey]:
    """A second try in every state, and an instance without a state."""
    a_running_dag_run(db, run_id="manual__1", started=ago(hours=1))
    for state in (*STATES, None):
        moments: dict[str, Any] = {"queued_dttm": ago(minutes=9), "start_date": ago(minutes=8)}
        if state in STATES[-2:]:
            moments["end_date"] = ago(minutes=7)
        yield a_task_instance(db, state, ago(minutes=9), task_id=f"task_{state}", try_number=2, **moments)


def said(db: AirflowDatabase, every: list[AnyCollector]) -> dict[tuple[str, tuple[tuple[str, str], ...]], object]:
    """Name and labels → value; of a distribution the counts, since seconds go by."""
    return {
        (reading.metric.name, reading.labels): reading.value if isinstance(reading, Sample) else reading.counts
        for one in every
        for reading in read(db, one).readings
        if isinstance(reading, Sample | Distribution)
    }


@pytest.mark.parametrize("schema", KEPT, ids=str)
def test_archived_tries_are_never_counted(schema: Schema, new_database: NewDatabase, ago: Ago) -> None:
    with_them, without = new_database(schema), new_database(schema)
    for key in list(work(with_them, ago)):
        for number, state in enumerate(LEFT_IN):
            # A negative number is free: 3.4 has one row for each try.
            an_archived_try(
                with_them, key, started=ago(minutes=30), ended=ago(minutes=29), state=state, try_number=-number
            )
    list(work(without, ago))
    first, second = ours(), ours()
    assert said(with_them, first) == said(without, second)
    # Again after some have ended, for those that remember what they saw.
    for db in (with_them, without):
        current = " AND working_set" if "working_set" in db.tables["task_instance"].columns else ""
        for state in ("queued", "running", "deferred"):
            db.execute(f"UPDATE task_instance SET state = 'failed' WHERE task_id = 'task_{state}'{current}")
    assert said(with_them, first) == said(without, second)
