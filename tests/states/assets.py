"""Updates of assets (datasets in 2.x) that wait to start a DAG."""

from __future__ import annotations

from datetime import datetime

from tests.airflow_database import AirflowDatabase
from tests.states.dags import dag_there
from tests.states.rows import insert, numbers


def an_asset_update_that_waits(db: AirflowDatabase, dag_id: str = "sales", *, since: datetime) -> None:
    """A new asset was updated at that moment, and the DAG that it should start has not run since."""
    dag_there(db, dag_id, since)
    kind = "asset" if "asset" in db.tables else "dataset"
    name = f"s3://lake/{next(numbers)}"
    values = {"name": name, "uri": name, "group": "asset", "extra": {}, "created_at": since, "updated_at": since}
    asset = insert(db, kind, {**values, "is_orphaned": False})
    event = insert(db, f"{kind}_event", {f"{kind}_id": asset, "extra": {}, "timestamp": since})
    queued = {f"{kind}_id": asset, "target_dag_id": dag_id, "created_at": since, "asset_event_id": event}
    insert(db, f"{kind}_dag_run_queue", queued)


def the_updates_are_consumed(db: AirflowDatabase) -> None:
    """The scheduler created the runs that all updates were waiting for."""
    db.execute(f"DELETE FROM {'asset' if 'asset' in db.tables else 'dataset'}_dag_run_queue")
