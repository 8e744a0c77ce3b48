"""Heartbeats: dead members stay visible, and 2.x's rows per task try do not count."""

from __future__ import annotations

from airflow_obs.catalog import metrics
from tests.airflow_database import AirflowDatabase
from tests.collectors.collected import collect
from tests.collectors.conftest import Ago
from tests.states import (
    a_buried_scheduler,
    a_dag_processor,
    a_finished_task_job,
    a_killed_scheduler,
    a_live_scheduler,
    a_live_triggerer,
    a_stopped_scheduler,
)


def test_nobody_was_ever_there(airflow_db: AirflowDatabase) -> None:
    seen = collect(airflow_db, "jobs")
    assert seen.all(metrics.JOB_HEARTBEAT) == {}
    assert seen.all(metrics.JOBS_ALIVE) == {("SchedulerJob",): 0, ("TriggererJob",): 0, ("DagProcessorJob",): 0}


def test_a_dead_scheduler_beside_a_live_one(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_live_scheduler(airflow_db, "one", heartbeat=ago(seconds=3))
    a_killed_scheduler(airflow_db, "two", heartbeat=ago(minutes=20))
    a_buried_scheduler(airflow_db, "three", heartbeat=ago(minutes=40))
    a_stopped_scheduler(airflow_db, "four", ended=ago(minutes=50))
    a_killed_scheduler(airflow_db, "forgotten", heartbeat=ago(hours=2))
    a_live_triggerer(airflow_db, heartbeat=ago(seconds=2))
    a_dag_processor(airflow_db, heartbeat=ago(seconds=1))
    seen = collect(airflow_db, "jobs")
    beats = seen.all(metrics.JOB_HEARTBEAT)
    assert set(beats) == {
        ("SchedulerJob", "one"), ("SchedulerJob", "two"), ("SchedulerJob", "three"), ("SchedulerJob", "four"),
        ("TriggererJob", "triggerer-0"), ("DagProcessorJob", "dag-processor-0"),
    }  # fmt: skip
    assert beats["SchedulerJob", "two"] == ago(minutes=20).timestamp()
    assert seen.all(metrics.JOBS_ALIVE) == {("SchedulerJob",): 1, ("TriggererJob",): 1, ("DagProcessorJob",): 1}


def test_two_schedulers_on_one_host_are_two(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_live_scheduler(airflow_db, "vm", heartbeat=ago(seconds=3))
    a_live_scheduler(airflow_db, "vm", heartbeat=ago(seconds=8))
    seen = collect(airflow_db, "jobs")
    assert seen.one(metrics.JOB_HEARTBEAT, "SchedulerJob", "vm") == ago(seconds=3).timestamp()
    assert seen.one(metrics.JOBS_ALIVE, "SchedulerJob") == 2


def test_a_host_whose_clock_is_ahead(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_live_scheduler(airflow_db, "ahead", heartbeat=ago(hours=-1))
    a_live_scheduler(airflow_db, "right", heartbeat=ago(seconds=3))
    ahead = collect(airflow_db, "jobs").all(metrics.JOB_CLOCK_AHEAD)
    assert 0 < ahead["SchedulerJob", "ahead"] <= 3600
    assert ahead["SchedulerJob", "right"] == 0


def test_a_job_per_task_try_is_not_a_component(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_finished_task_job(airflow_db, ended=ago(seconds=5))
    assert collect(airflow_db, "jobs").all(metrics.JOB_HEARTBEAT) == {}
