"""Updates of assets that no run has consumed."""

from __future__ import annotations

from airflow_obs.catalog import metrics
from airflow_obs.collectors.assets import PER_DAG
from tests.airflow_database import AirflowDatabase
from tests.airflow_schemas import POSTGRESQL_SCHEMAS
from tests.collectors.collected import collect
from tests.collectors.conftest import Ago
from tests.conftest import NewDatabase
from tests.states import a_dag, an_asset_update_that_waits, the_updates_are_consumed

NONE = {("active",): 0, ("paused",): 0, ("stale",): 0}


def test_updates_that_wait_until_they_are_consumed(airflow_db: AirflowDatabase, ago: Ago) -> None:
    assert collect(airflow_db, "assets").all(metrics.ASSETS_QUEUED) == NONE
    an_asset_update_that_waits(airflow_db, "sales", since=ago(hours=3))
    an_asset_update_that_waits(airflow_db, "sales", since=ago(minutes=1))
    an_asset_update_that_waits(airflow_db, "orders", since=ago(hours=2))
    seen = collect(airflow_db, "assets")
    assert seen.all(metrics.ASSETS_QUEUED) == {**NONE, ("active",): 3}
    assert seen.all(metrics.ASSETS_QUEUED_OLDEST) == {("active",): ago(hours=3).timestamp()}
    the_updates_are_consumed(airflow_db)
    seen = collect(airflow_db, "assets")
    assert seen.all(metrics.ASSETS_QUEUED) == NONE
    assert seen.all(metrics.ASSETS_QUEUED_OLDEST) == {}


def test_a_dag_that_is_paused_or_gone_waits_for_good_reason(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_dag(airflow_db, "paused", paused=True)
    a_dag(airflow_db, "stale", stale=True)
    for dag_id in ("paused", "stale"):
        an_asset_update_that_waits(airflow_db, dag_id, since=ago(days=9))
    an_asset_update_that_waits(airflow_db, "sales", since=ago(minutes=1))
    seen = collect(airflow_db, "assets")
    assert seen.all(metrics.ASSETS_QUEUED) == {("active",): 1, ("paused",): 1, ("stale",): 1}
    assert seen.one(metrics.ASSETS_QUEUED_OLDEST, "active") == ago(minutes=1).timestamp()
    assert seen.one(metrics.ASSETS_QUEUED_OLDEST, "paused") == ago(days=9).timestamp()


def test_the_many_updates_of_a_paused_dag_hide_nobody_else_s(new_database: NewDatabase, ago: Ago) -> None:
    """From 3.4 on a paused DAG collects every update, and not only the last of each asset."""
    db = new_database(POSTGRESQL_SCHEMAS[-1])
    a_dag(db, "paused", paused=True)
    an_asset_update_that_waits(db, "paused", since=ago(days=9))
    asset = db.execute("SELECT asset_id, asset_event_id FROM asset_dag_run_queue")[0]
    db.execute(
        f"INSERT INTO asset_event (id, asset_id, extra, timestamp, source_map_index) "
        f"SELECT {asset.asset_event_id} + g, {asset.asset_id}, '{{}}', now(), -1 FROM generate_series(1, 20000) g"
    )
    db.execute(
        "INSERT INTO asset_dag_run_queue (target_dag_id, asset_id, asset_event_id, created_at) "
        "SELECT 'paused', asset_id, id, timestamp FROM asset_event ON CONFLICT DO NOTHING"
    )
    db.execute("SELECT setval(pg_get_serial_sequence('asset_event', 'id'), (SELECT max(id) FROM asset_event))")
    an_asset_update_that_waits(db, "sales", since=ago(hours=2))
    seen = collect(db, "assets")
    assert seen.all(metrics.ASSETS_QUEUED) == {("active",): 1, ("paused",): PER_DAG, ("stale",): 0}
    assert seen.one(metrics.ASSETS_QUEUED_OLDEST, "active") == ago(hours=2).timestamp()
    assert seen.one(metrics.ASSETS_QUEUED_OLDEST, "paused") == ago(days=9).timestamp()
