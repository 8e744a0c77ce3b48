"""Unfinished runs, and what the scheduler should have created by now."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow_obs.catalog import metrics
from tests.airflow_database import AirflowDatabase
from tests.collectors.collected import collect, collector, read
from tests.collectors.conftest import Ago
from tests.states import a_dag, a_finished_dag_run, a_queued_dag_run, a_running_dag_run
from tests.states.rows import update


def test_nothing_to_do(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_finished_dag_run(airflow_db, started=ago(minutes=9), ended=ago(minutes=8))
    seen = collect(airflow_db, "dag_runs")
    assert seen.all(metrics.DAG_RUNS) == {}
    assert seen.all(metrics.DAG_RUNS_OLDEST) == {}
    assert seen.one(metrics.DAGS_OVERDUE) == 0


def test_queued_and_running_runs(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_queued_dag_run(airflow_db, queued=ago(minutes=4))
    a_queued_dag_run(airflow_db, queued=ago(minutes=6))
    a_running_dag_run(airflow_db, started=ago(minutes=50))
    a_running_dag_run(airflow_db, started=ago(minutes=20), run_type="manual")
    a_finished_dag_run(airflow_db, started=ago(minutes=90), ended=ago(minutes=70), state="failed")
    seen = collect(airflow_db, "dag_runs")
    assert seen.all(metrics.DAG_RUNS) == {
        ("queued", "scheduled"): 2, ("running", "scheduled"): 1, ("running", "manual"): 1,
    }  # fmt: skip
    assert seen.all(metrics.DAG_RUNS_OLDEST) == {
        ("queued",): ago(minutes=6).timestamp(), ("running",): ago(minutes=50).timestamp(),
    }  # fmt: skip


def test_the_most_overdue_dag(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_dag(airflow_db, "late", next_run_due=ago(minutes=20))
    a_dag(airflow_db, "later", next_run_due=ago(minutes=10))
    a_dag(airflow_db, "in_time", next_run_due=ago(hours=-1))
    a_dag(airflow_db, "just_due", next_run_due=ago(seconds=20))
    a_dag(airflow_db, "paused", next_run_due=ago(days=20), paused=True)
    a_dag(airflow_db, "gone", next_run_due=ago(days=30), stale=True)
    a_dag(airflow_db, "by_hand")
    seen = collect(airflow_db, "dag_runs")
    assert seen.one(metrics.NEXT_RUN_DUE) == ago(minutes=20).timestamp()
    assert seen.one(metrics.DAGS_OVERDUE) == 2


def test_a_dag_at_its_limit_waits_for_itself(airflow_db: AirflowDatabase, ago: Ago) -> None:
    if "exceeds_max_non_backfill" in airflow_db.tables["dag"].columns:
        a_dag(airflow_db, "full", next_run_due=ago(days=1), exceeds_max_non_backfill=True)
    else:
        a_dag(airflow_db, "full", next_run_due=None)
    seen = collect(airflow_db, "dag_runs")
    assert seen.one(metrics.NEXT_RUN_DUE) is None
    assert seen.one(metrics.DAGS_OVERDUE) == 0


def test_a_broken_file_gets_no_runs(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_dag(airflow_db, "broken", next_run_due=ago(days=1), has_import_errors=True)
    seen = collect(airflow_db, "dag_runs")
    assert seen.one(metrics.NEXT_RUN_DUE) is seen.one(metrics.NEXT_RUN_LEFT) is None
    assert seen.one(metrics.DAGS_OVERDUE) == 0


def test_a_dag_that_catches_up_is_overdue_but_not_left(airflow_db: AirflowDatabase, ago: Ago) -> None:
    runs, begun = collector("dag_runs"), datetime.now(UTC).timestamp()
    a_dag(airflow_db, "catches_up", next_run_due=ago(days=20))
    first = read(airflow_db, runs).one(metrics.NEXT_RUN_LEFT)
    assert first is not None
    assert first >= begun
    assert read(airflow_db, runs).one(metrics.NEXT_RUN_LEFT) == first
    update(airflow_db, "dag", {"next_dagrun_create_after": ago(days=19)}, dag_id="catches_up")
    seen = read(airflow_db, runs)
    second = seen.one(metrics.NEXT_RUN_LEFT)
    assert second is not None
    assert second > first
    assert seen.one(metrics.NEXT_RUN_DUE) == ago(days=19).timestamp()
    assert read(airflow_db, runs).one(metrics.NEXT_RUN_LEFT) == second
    update(airflow_db, "dag", {"next_dagrun_create_after": ago(days=-1)}, dag_id="catches_up")
    assert read(airflow_db, runs).one(metrics.NEXT_RUN_LEFT) is None


def test_a_run_is_left_since_it_was_due(airflow_db: AirflowDatabase) -> None:
    runs = collector("dag_runs")
    a_dag(airflow_db, "in_time")
    assert read(airflow_db, runs).one(metrics.NEXT_RUN_LEFT) is None
    due = datetime.now(UTC)
    update(airflow_db, "dag", {"next_dagrun_create_after": due}, dag_id="in_time")
    assert read(airflow_db, runs).one(metrics.NEXT_RUN_LEFT) == due.timestamp()
