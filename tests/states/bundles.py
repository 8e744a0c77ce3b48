"""Bundles of DAG files, and versions of DAGs; Airflow 3 only."""

from __future__ import annotations

from datetime import datetime

from tests.airflow_database import AirflowDatabase
from tests.states.dags import BUNDLE, dag_there
from tests.states.rows import insert, newest, time_ordered_id


def a_bundle(db: AirflowDatabase, name: str, *, refreshed: datetime | None, active: bool = True) -> None:
    """A bundle that the dag processor last refreshed then."""
    insert(db, "dag_bundle", {"name": name, "active": active, "last_refreshed": refreshed})


def a_dag_that_changes_at_every_parse(db: AirflowDatabase, dag_id: str, *, parsed: list[datetime]) -> None:
    """A DAG whose file holds the time, or a random number: each parse makes a version of it."""
    dag_there(db, dag_id, min(parsed))
    for moment in parsed:
        number = (newest(db, "dag_version", "version_number", dag_id=dag_id) or 0) + 1
        values = {"id": time_ordered_id(moment), "version_number": number, "dag_id": dag_id, "bundle_name": BUNDLE}
        insert(db, "dag_version", {**values, "created_at": moment, "last_updated": moment})
