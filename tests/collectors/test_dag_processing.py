"""Parse times, import errors and the DAGs there are."""

from __future__ import annotations

from airflow_obs.catalog import metrics
from tests.airflow_database import AirflowDatabase
from tests.collectors.collected import collect
from tests.collectors.conftest import Ago
from tests.states import a_dag, an_import_error


def test_an_airflow_without_dags(airflow_db: AirflowDatabase) -> None:
    seen = collect(airflow_db, "dag_processing")
    assert seen.one(metrics.IMPORT_ERRORS) == 0
    assert seen.all(metrics.DAGS) == {("active",): 0, ("paused",): 0, ("stale",): 0}
    assert seen.one(metrics.OLDEST_PARSE) is None


def test_dags_by_state_and_when_they_were_parsed(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_dag(airflow_db, "a", last_parsed=ago(minutes=2))
    a_dag(airflow_db, "b", last_parsed=ago(minutes=30))
    a_dag(airflow_db, "c", last_parsed=ago(minutes=1), paused=True)
    a_dag(airflow_db, "d", last_parsed=ago(days=9), stale=True)
    a_dag(airflow_db, "e", last_parsed=ago(days=9), stale=True, paused=True)
    seen = collect(airflow_db, "dag_processing")
    assert seen.all(metrics.DAGS) == {("active",): 2, ("paused",): 1, ("stale",): 2}
    assert seen.one(metrics.OLDEST_PARSE) == ago(minutes=30).timestamp()
    assert seen.one(metrics.NEWEST_PARSE) == ago(minutes=1).timestamp()


def test_import_errors(airflow_db: AirflowDatabase, ago: Ago) -> None:
    an_import_error(airflow_db, "one.py", seen=ago(minutes=2))
    an_import_error(airflow_db, "two.py", seen=ago(minutes=3))
    assert collect(airflow_db, "dag_processing").one(metrics.IMPORT_ERRORS) == 2


def test_parse_durations_per_file_where_airflow_keeps_them(airflow_db: AirflowDatabase) -> None:
    a_dag(airflow_db, "a", file="finance/close.py", parse_duration=4.5)
    a_dag(airflow_db, "b", file="finance/close.py", parse_duration=4.5)
    a_dag(airflow_db, "c", file="sales.py", parse_duration=0.25)
    a_dag(airflow_db, "d", file="sales.py", bundle="other", parse_duration=0.75)
    a_dag(airflow_db, "e", file="gone.py", parse_duration=9, stale=True)
    a_dag(airflow_db, "f", file="new.py")
    seen = collect(airflow_db, "dag_processing").all(metrics.PARSE_DURATION)
    if "last_parse_duration" in airflow_db.tables["dag"].columns:
        assert seen == {("finance/close.py",): 4.5, ("sales.py",): 0.75}
    else:
        assert seen == {}


def test_a_file_without_relative_path_goes_by_its_stem(airflow_db: AirflowDatabase) -> None:
    if "last_parse_duration" in airflow_db.tables["dag"].columns:
        a_dag(airflow_db, "a", file="finance/close.py", parse_duration=4.5, relative_fileloc=None)
        assert collect(airflow_db, "dag_processing").all(metrics.PARSE_DURATION) == {("close",): 4.5}
