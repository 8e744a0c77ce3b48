"""Unfinished task instances: every state, where it waits and since when; finished ones and archived tries never."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import UNFINISHED_STATES
from tests.airflow_database import AirflowDatabase
from tests.collectors.collected import collect
from tests.collectors.conftest import Ago
from tests.states import (
    a_finished_task_instance,
    a_task_instance,
    a_task_instance_deferred,
    a_task_instance_queued,
    a_task_instance_running,
    a_task_instance_scheduled,
    a_task_instance_up_for_retry,
    a_task_instance_without_state,
    an_archived_try,
    end_run,
)


def test_nothing_to_do(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_finished_task_instance(airflow_db, "success", ended=ago(minutes=1))
    assert collect(airflow_db, "task_instances").readings == ()


def test_each_is_counted_where_it_is(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_task_instance_queued(airflow_db, queued_at=ago(minutes=5))
    a_task_instance_queued(airflow_db, queued_at=ago(minutes=2), queue="highmem", pool="warehouse")
    a_task_instance_running(airflow_db, started=ago(minutes=3))
    a_task_instance_running(airflow_db, started=ago(minutes=1))
    a_task_instance_deferred(airflow_db, started=ago(minutes=9))
    a_task_instance_up_for_retry(airflow_db, failed_at=ago(minutes=4))
    a_task_instance_without_state(airflow_db, created=ago(minutes=4))
    a_finished_task_instance(airflow_db, "failed", ended=ago(minutes=1))
    assert collect(airflow_db, "task_instances").all(metrics.TASK_INSTANCES) == {
        ("queued", "default", "default_pool"): 1,
        ("queued", "highmem", "warehouse"): 1,
        ("running", "default", "default_pool"): 2,
        ("deferred", "default", "default_pool"): 1,
        ("up_for_retry", "default", "default_pool"): 1,
        ("none", "default", "default_pool"): 1,
    }


@pytest.mark.parametrize("state", UNFINISHED_STATES)
def test_no_unfinished_state_is_missed(airflow_db: AirflowDatabase, state: str, ago: Ago) -> None:
    a_task_instance(airflow_db, state, ago(minutes=1))
    assert collect(airflow_db, "task_instances").all(metrics.TASK_INSTANCES) == {(state, "default", "default_pool"): 1}


def test_the_executor_is_a_label_where_airflow_keeps_it(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_task_instance_queued(airflow_db, queued_at=ago(minutes=5), executor="KubernetesExecutor")
    executor = ("KubernetesExecutor",) if "executor" in airflow_db.tables["task_instance"].columns else ()
    seen = collect(airflow_db, "task_instances").all(metrics.TASK_INSTANCES)
    assert seen == {("queued", "default", "default_pool", *executor): 1}


def test_names_that_differ_in_case_are_two(airflow_db: AirflowDatabase, ago: Ago) -> None:
    for queue in ("gpu", "GPU", "GPU"):
        a_task_instance_queued(airflow_db, queued_at=ago(minutes=5), queue=queue)
    seen = collect(airflow_db, "task_instances")
    assert seen.all(metrics.TASK_INSTANCES) == {
        ("queued", "gpu", "default_pool"): 1,
        ("queued", "GPU", "default_pool"): 2,
    }
    assert seen.all(metrics.TASK_QUEUE_WAIT) == {("gpu",): 1, ("GPU",): 2}


def test_the_oldest_of_each_queue(airflow_db: AirflowDatabase, ago: Ago) -> None:
    for minutes in (3, 9, 6):
        a_task_instance_queued(airflow_db, queued_at=ago(minutes=minutes))
    a_task_instance_queued(airflow_db, queued_at=ago(minutes=1), queue="highmem")
    a_task_instance_scheduled(airflow_db, scheduled_at=ago(minutes=7))
    seen = collect(airflow_db, "task_instances")
    assert seen.one(metrics.TASK_INSTANCES_OLDEST, "queued", "default") == ago(minutes=9).timestamp()
    assert seen.one(metrics.TASK_INSTANCES_OLDEST, "queued", "highmem") == ago(minutes=1).timestamp()
    knows = {"scheduled_dttm", "updated_at"} & set(airflow_db.tables["task_instance"].columns.keys())
    expected = ago(minutes=7).timestamp() if knows else None
    assert seen.one(metrics.TASK_INSTANCES_OLDEST, "scheduled", "default") == expected


def test_the_newest_start(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_task_instance_queued(airflow_db, queued_at=ago(seconds=30))
    assert collect(airflow_db, "task_instances").one(metrics.TASK_INSTANCES_STARTED) is None
    a_task_instance_running(airflow_db, started=ago(minutes=30))
    a_task_instance_running(airflow_db, started=ago(minutes=3), queue="highmem")
    a_finished_task_instance(airflow_db, "success", ended=ago(minutes=1))
    assert collect(airflow_db, "task_instances").one(metrics.TASK_INSTANCES_STARTED) == ago(minutes=3).timestamp()


def test_time_in_queue_of_those_waiting_now(airflow_db: AirflowDatabase, ago: Ago) -> None:
    for seconds in (3, 20, 20, 700, 100_000):
        a_task_instance_queued(airflow_db, queued_at=datetime.now(UTC) - timedelta(seconds=seconds))
    a_task_instance_running(airflow_db, started=ago(minutes=30))
    (wait,) = (
        reading
        for reading in collect(airflow_db, "task_instances").readings
        if reading.metric is metrics.TASK_QUEUE_WAIT
    )
    assert wait.labels == (("queue", "default"),)
    counts = dict(zip((*metrics.WAIT_BUCKETS, float("inf")), wait.counts, strict=True))  # type: ignore[union-attr]  # a distribution
    assert {bound: count for bound, count in counts.items() if count} == {5: 1, 30: 2, 1200: 1, float("inf"): 1}
    assert wait.total == pytest.approx(100_743, abs=60)  # type: ignore[union-attr]  # a distribution


def test_nowhere_has_one_name(airflow_db: AirflowDatabase, ago: Ago) -> None:
    """Airflow would not write such rows; somebody's script did."""
    for odd in (None, "", "none"):
        a_task_instance(airflow_db, "queued", ago(minutes=1), queue=odd, queued_dttm=ago(minutes=1))  # type: ignore[arg-type]  # a column may be NULL
    a_task_instance(airflow_db, "scheduled", ago(minutes=1), pool="")
    seen = collect(airflow_db, "task_instances")
    assert seen.all(metrics.TASK_INSTANCES) == {
        ("queued", "none", "default_pool"): 3,
        ("scheduled", "default", "none"): 1,
    }
    assert seen.one(metrics.TASK_QUEUE_WAIT, "none") == 3


@pytest.mark.parametrize("archived", ["queued", "running"])
def test_earlier_tries_are_history(airflow_db: AirflowDatabase, archived: str, ago: Ago) -> None:
    key = a_task_instance_queued(airflow_db, queued_at=ago(minutes=5), try_number=2)
    an_archived_try(airflow_db, key, started=ago(minutes=9), ended=ago(minutes=8), state=archived)
    seen = collect(airflow_db, "task_instances")
    assert seen.all(metrics.TASK_INSTANCES) == {("queued", "default", "default_pool"): 1}
    assert seen.one(metrics.TASK_QUEUE_WAIT, "default") == 1
    assert collect(airflow_db, "pools").one(metrics.POOL_USED, "default_pool") == 1


def test_what_ended_runs_left_without_a_state_is_not_unfinished(airflow_db: AirflowDatabase, ago: Ago) -> None:
    for dag_id, state in (("left", "failed"), ("waits", "queued")):
        key = a_task_instance_without_state(airflow_db, created=ago(minutes=9), dag_id=dag_id)
        end_run(airflow_db, key.dag_id, key.run_id, state)
    a_task_instance_without_state(airflow_db, created=ago(minutes=4), queue="highmem")
    assert collect(airflow_db, "task_instances").all(metrics.TASK_INSTANCES) == {
        ("none", "default", "default_pool"): 1,
        ("none", "highmem", "default_pool"): 1,
    }
