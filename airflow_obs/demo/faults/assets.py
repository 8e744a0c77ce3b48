"""Faults of assets."""

from __future__ import annotations

from datetime import timedelta

from airflow_obs.catalog import metrics
from airflow_obs.demo.company import RESCORING
from airflow_obs.demo.faults.fault import Fault
from airflow_obs.demo.records import insert, insert_with_id, update
from airflow_obs.demo.world import World


class AssetsWaiting(Fault):
    """Nothing fails and nothing is late, since no clock says when an asset should come: the DAG just never runs."""

    name = "assets-waiting"
    sick = (
        "a DAG waits for two assets, and the task that updated one of them was removed: since yesterday it has not run"
    )
    shows = (metrics.ASSETS_QUEUED, metrics.ASSETS_QUEUED_OLDEST)

    _UPDATED = ("s3://lake/crm_contacts", "crm_contacts_sync", "publish")
    """An asset, and the task that updates it."""
    _ORPHANED = "s3://lake/web_sessions"
    _HOURS = 26
    """Since the DAG has been waiting."""

    def begin(self, world: World) -> None:
        """Schedule the DAG on both assets, and update the one every hour."""
        moments = [world.now - timedelta(hours=hours) for hours in range(self._HOURS, 0, -1)]
        born = moments[0] - timedelta(days=30)
        consumer, (name, producer, task_id) = RESCORING.dag_id, self._UPDATED
        session = world.connect("airflow scheduler")
        try:
            with session, session.cursor() as cur:
                update(cur, "dag", "dag_id", consumer, timetable_summary="Asset",
                       timetable_type="airflow.timetables.simple.AssetTriggeredTimetable")  # fmt: skip
                made = {"created_at": born, "updated_at": born}
                numbers = {}
                for one in (name, self._ORPHANED):
                    asset = insert_with_id(cur, "asset", name=one, uri=one, group="asset", extra="{}", **made)
                    insert(cur, "asset_active", name=one, uri=one)
                    insert(cur, "dag_schedule_asset_reference", asset_id=asset, dag_id=consumer, **made)
                    numbers[one] = asset
                asset = numbers[name]
                insert(cur, "task_outlet_asset_reference", asset_id=asset, dag_id=producer, task_id=task_id, **made)
                for moment in moments:
                    insert(cur, "asset_event", asset_id=asset, extra="{}", timestamp=moment, source_dag_id=producer,
                           source_task_id=task_id)  # fmt: skip
                # One row however often the asset is updated, of the first time.
                insert(cur, "asset_dag_run_queue", asset_id=asset, target_dag_id=consumer, created_at=moments[0])
        finally:
            session.close()
