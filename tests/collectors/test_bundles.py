"""Bundles that are no longer refreshed, and DAGs that make a version at every parse."""

from __future__ import annotations

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.collectors.dags import Dags
from airflow_obs.policy import DagsPolicy
from tests.airflow_database import AirflowDatabase
from tests.airflow_schemas import DISTINCT_SCHEMAS, Schema
from tests.collectors.collected import collect, read
from tests.collectors.conftest import Ago
from tests.conftest import NewDatabase
from tests.states import a_bundle, a_dag, a_dag_that_changes_at_every_parse
from tests.states.rows import update

AIRFLOW_2 = [schema for schema in DISTINCT_SCHEMAS if schema.release.major == 2]
AIRFLOW_3 = [schema for schema in DISTINCT_SCHEMAS if schema.release.major == 3]


@pytest.fixture(params=AIRFLOW_3, ids=str)
def airflow_3(request: pytest.FixtureRequest, new_database: NewDatabase) -> AirflowDatabase:
    """An Airflow with bundles."""
    return new_database(request.param)


@pytest.mark.parametrize("schema", AIRFLOW_2, ids=str)
def test_nothing_is_said_of_what_airflow_2_has_not(schema: Schema, new_database: NewDatabase) -> None:
    db = new_database(schema)
    a_dag(db, "sales")
    assert collect(db, "bundles").readings == ()
    assert collect(db, "dags").all(metrics.DAG_NEW_VERSIONS) == {}


def test_a_bundle_that_is_no_longer_refreshed(airflow_3: AirflowDatabase, ago: Ago) -> None:
    a_bundle(airflow_3, "git", refreshed=ago(hours=2))
    a_bundle(airflow_3, "new", refreshed=None)
    a_bundle(airflow_3, "removed", refreshed=ago(days=30), active=False)
    seen = collect(airflow_3, "bundles")
    assert {name: seen.one(metrics.BUNDLE_ACTIVE, name) for name in ("git", "new", "removed")} == {
        "git": 1, "new": 1, "removed": 0,
    }  # fmt: skip
    assert seen.one(metrics.BUNDLE_REFRESHED, "git") == ago(hours=2).timestamp()
    assert seen.one(metrics.BUNDLE_REFRESHED, "new") is None
    update(airflow_3, "dag_bundle", {"last_refreshed": ago(minutes=1)}, name="git")
    assert collect(airflow_3, "bundles").one(metrics.BUNDLE_REFRESHED, "git") == ago(minutes=1).timestamp()


def test_a_dag_that_changes_at_every_parse(airflow_3: AirflowDatabase, ago: Ago) -> None:
    seen = collect(airflow_3, "bundles")
    assert (seen.one(metrics.DAG_VERSIONS), seen.one(metrics.DAG_VERSIONS_MAX)) == (0, 0)
    a_dag_that_changes_at_every_parse(airflow_3, "steady", parsed=[ago(days=30), ago(hours=1)])
    a_dag_that_changes_at_every_parse(airflow_3, "clock", parsed=[ago(hours=hours) for hours in (49, 25, 23, 2, 1)])
    seen = collect(airflow_3, "bundles")
    assert (seen.one(metrics.DAG_VERSIONS), seen.one(metrics.DAG_VERSIONS_MAX)) == (4, 3)
    airflow_3.execute("DELETE FROM dag_version WHERE dag_id = 'clock'")
    seen = collect(airflow_3, "bundles")
    assert (seen.one(metrics.DAG_VERSIONS), seen.one(metrics.DAG_VERSIONS_MAX)) == (1, 1)


def test_which_dag_changes_at_every_parse(airflow_3: AirflowDatabase, ago: Ago) -> None:
    a_dag_that_changes_at_every_parse(airflow_3, "clock", parsed=[ago(hours=hours) for hours in (49, 25, 23, 2, 1)])
    a_dag_that_changes_at_every_parse(airflow_3, "steady", parsed=[ago(days=30)])
    a_dag_that_changes_at_every_parse(airflow_3, "secret", parsed=[ago(hours=2)])
    dags = Dags(DagsPolicy(exclude=("secret",)))
    assert read(airflow_3, dags).all(metrics.DAG_NEW_VERSIONS) == {("clock",): 3, ("steady",): 0}
    airflow_3.execute("DELETE FROM dag_version WHERE dag_id = 'clock'")
    assert read(airflow_3, dags).all(metrics.DAG_NEW_VERSIONS) == {("clock",): 0, ("steady",): 0}
