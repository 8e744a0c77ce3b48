"""Work that waits: each cause is provoked and named, then cured and gone."""

from __future__ import annotations

from typing import Any

from airflow_obs.catalog import metrics
from airflow_obs.collectors.starvation import OF_RUNS, OF_TASKS
from tests.airflow_database import AirflowDatabase
from tests.collectors.collected import collect
from tests.collectors.conftest import Ago
from tests.states import (
    a_dag,
    a_dag_at_max_active_tasks,
    a_dag_paused_in_mid_run,
    a_dag_wedged_at_max_active_runs,
    a_ghost,
    a_pool,
    a_pool_exhausted,
    a_pool_full_of_deferred_tasks,
    a_queued_dag_run,
    a_running_dag_run,
    a_starving_task,
    a_task_instance_queued,
    a_task_instance_scheduled,
    an_archived_try,
    end_run,
    end_task,
    unpause,
)
from tests.states.rows import insert, update


def tasks(db: AirflowDatabase) -> dict[str, float]:
    """Scheduled task instances by what holds them, without the zeros."""
    seen = collect(db, "starvation").all(metrics.SCHEDULED)
    assert set(seen) == {(cause,) for cause in OF_TASKS}
    return {cause: count for (cause,), count in seen.items() if count}


def runs(db: AirflowDatabase) -> dict[str, float]:
    """Queued runs by what holds them, without the zeros."""
    seen = collect(db, "starvation").all(metrics.QUEUED_RUNS)
    assert set(seen) == {(cause,) for cause in OF_RUNS}
    return {cause: count for (cause,), count in seen.items() if count}


def dags_at_limit(db: AirflowDatabase) -> dict[tuple[str, ...], float]:
    return collect(db, "starvation").all(metrics.DAGS_AT_LIMIT)


def test_nothing_waits(airflow_db: AirflowDatabase, ago: Ago) -> None:
    key = a_task_instance_queued(airflow_db, queued_at=ago(minutes=1), try_number=2)
    an_archived_try(airflow_db, key, started=ago(minutes=9), ended=ago(minutes=8), state="scheduled")
    assert tasks(airflow_db) == runs(airflow_db) == {}
    assert dags_at_limit(airflow_db) == {("max_active_tasks",): 0, ("max_active_runs",): 0}
    seen = collect(airflow_db, "starvation")
    assert not seen.all(metrics.SCHEDULED_OLDEST)
    assert not seen.all(metrics.QUEUED_RUNS_OLDEST)


def test_s5_starving_beside_free_slots(airflow_db: AirflowDatabase, ago: Ago) -> None:
    key = a_starving_task(airflow_db, scheduled_at=ago(minutes=40))
    a_starving_task(airflow_db, scheduled_at=ago(minutes=4))
    assert tasks(airflow_db) == {"nothing": 2}
    since = "updated_at" in airflow_db.tables["task_instance"].columns
    oldest = collect(airflow_db, "starvation").one(metrics.SCHEDULED_OLDEST, "nothing")
    assert oldest == (ago(minutes=40).timestamp() if since else None)
    end_task(airflow_db, key, "running")
    assert tasks(airflow_db) == {"nothing": 1}


def test_p1_a_pool_exhausted(airflow_db: AirflowDatabase, ago: Ago) -> None:
    holder, _ = a_pool_exhausted(airflow_db, scheduled_at=ago(minutes=20))
    assert tasks(airflow_db) == {"pool": 1}
    end_task(airflow_db, holder, "success")
    assert tasks(airflow_db) == {"nothing": 1}


def test_p1_a_task_that_asks_for_more_than_is_left(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_pool(airflow_db, "warehouse", 3)
    a_task_instance_scheduled(airflow_db, scheduled_at=ago(minutes=20), pool="warehouse", pool_slots=4)
    assert tasks(airflow_db) == {"pool": 1}
    a_pool(airflow_db, "endless", -1)
    a_task_instance_scheduled(airflow_db, scheduled_at=ago(minutes=20), pool="endless", pool_slots=400)
    assert tasks(airflow_db) == {"pool": 1, "nothing": 1}


def test_p1_a_pool_that_was_deleted(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_task_instance_scheduled(airflow_db, scheduled_at=ago(minutes=20), pool="gone")
    assert tasks(airflow_db) == {"pool": 1}


def test_p2_a_pool_full_of_deferred_tasks(airflow_db: AirflowDatabase, ago: Ago) -> None:
    holder, _ = a_pool_full_of_deferred_tasks(airflow_db, scheduled_at=ago(minutes=20))
    counts = "include_deferred" in airflow_db.tables["slot_pool"].columns
    assert tasks(airflow_db) == {"pool" if counts else "nothing": 1}
    end_task(airflow_db, holder, "success")
    assert tasks(airflow_db) == {"nothing": 1}


def test_s5_a_dag_at_max_active_tasks(airflow_db: AirflowDatabase, ago: Ago) -> None:
    at_work, _ = a_dag_at_max_active_tasks(airflow_db, scheduled_at=ago(minutes=20))
    assert tasks(airflow_db) == {"max_active_tasks": 1}
    assert dags_at_limit(airflow_db) == {("max_active_tasks",): 1, ("max_active_runs",): 0}
    end_task(airflow_db, at_work, "success")
    assert tasks(airflow_db) == {"nothing": 1}
    assert dags_at_limit(airflow_db) == {("max_active_tasks",): 0, ("max_active_runs",): 0}


def test_s5_airflow_3_counts_the_tasks_of_each_run_by_itself(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_dag_at_max_active_tasks(airflow_db, scheduled_at=ago(minutes=20), other_run=True)
    assert tasks(airflow_db) == {"nothing" if airflow_db.release.major >= 3 else "max_active_tasks": 1}


def test_p3_a_task_of_a_paused_dag(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_dag_paused_in_mid_run(airflow_db, queued=ago(minutes=90))
    assert tasks(airflow_db) == {"paused": 1}
    unpause(airflow_db, "paused")
    assert tasks(airflow_db) == {"nothing": 1}


def test_t3_a_task_of_a_run_that_is_not_running(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_ghost(airflow_db, "scheduled", run_ended=ago(minutes=50))
    a_queued_dag_run(airflow_db, "sales", "queued", queued=ago(minutes=5))
    a_task_instance_scheduled(airflow_db, scheduled_at=ago(minutes=5), run_id="queued")
    assert tasks(airflow_db) == {"run": 2}
    update(airflow_db, "dag_run", {"state": "running"}, run_id="queued")
    assert tasks(airflow_db) == {"run": 1, "nothing": 1}


def test_p3_wedged_at_max_active_runs(airflow_db: AirflowDatabase, ago: Ago) -> None:
    running, _ = a_dag_wedged_at_max_active_runs(airflow_db, queued=ago(hours=3), running=2)
    a_queued_dag_run(airflow_db, "wedged", queued=ago(hours=2))
    seen = collect(airflow_db, "starvation")
    assert runs(airflow_db) == {"max_active_runs": 2}
    assert seen.one(metrics.QUEUED_RUNS_OLDEST, "max_active_runs") == ago(hours=3).timestamp()
    assert seen.one(metrics.DAGS_AT_LIMIT, "max_active_runs") == 1
    end_run(airflow_db, "wedged", running[0])
    assert runs(airflow_db) == {"nothing": 2}
    assert dags_at_limit(airflow_db) == {("max_active_tasks",): 0, ("max_active_runs",): 0}


def test_s2_runs_that_nothing_holds(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_queued_dag_run(airflow_db, queued=ago(minutes=30))
    assert runs(airflow_db) == {"nothing": 1}
    assert collect(airflow_db, "starvation").one(metrics.QUEUED_RUNS_OLDEST, "nothing") == ago(minutes=30).timestamp()


def test_runs_that_should_wait(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_dag(airflow_db, "paused", paused=True)
    a_dag(airflow_db, "gone", stale=True)
    a_queued_dag_run(airflow_db, "paused", queued=ago(minutes=30))
    a_queued_dag_run(airflow_db, "gone", queued=ago(minutes=30))
    later: dict[str, Any] = (
        {"run_after": ago(hours=-4)} if airflow_db.release.major >= 3 else {"execution_date": ago(hours=-4)}
    )
    a_queued_dag_run(airflow_db, "sales", queued=ago(minutes=30), **later)
    assert runs(airflow_db) == {"paused": 1, "stale": 1, "not_due": 1}


def test_p3_a_backfill_has_a_limit_of_its_own(airflow_db: AirflowDatabase, ago: Ago) -> None:
    if "backfill_id" not in airflow_db.tables["dag_run"].columns:
        assert airflow_db.release.major == 2
        return
    a_dag(airflow_db, "sales", max_active_runs=1)
    a_running_dag_run(airflow_db, "sales", started=ago(hours=1))
    moments = {"from_date": ago(days=9), "to_date": ago(days=1), "created_at": ago(hours=1), "updated_at": ago(hours=1)}
    values = {
        "dag_id": "sales",
        "dag_run_conf": {},
        "is_paused": False,
        "max_active_runs": 1,
        "reprocess_behavior": "none",
    }
    backfill = insert(airflow_db, "backfill", values | moments)
    a_queued_dag_run(airflow_db, "sales", queued=ago(minutes=9), backfill_id=backfill, run_type="backfill")
    assert runs(airflow_db) == {"nothing": 1}
    a_running_dag_run(airflow_db, "sales", started=ago(minutes=8), backfill_id=backfill, run_type="backfill")
    assert runs(airflow_db) == {"max_active_runs": 1}
    update(airflow_db, "backfill", {"is_paused": True}, id=backfill)
    assert runs(airflow_db) == {"paused": 1}
