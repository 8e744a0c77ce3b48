"""Pools, as Airflow's own arithmetic has them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from airflow_obs.catalog import metrics
from tests.airflow_database import AirflowDatabase
from tests.collectors.collected import collect
from tests.states import (
    a_finished_task_instance,
    a_pool,
    a_task_instance_deferred,
    a_task_instance_queued,
    a_task_instance_running,
    a_task_instance_scheduled,
)

MOMENT = datetime.now(UTC) - timedelta(minutes=1)


def test_an_empty_pool_has_all_its_series(airflow_db: AirflowDatabase) -> None:
    seen = collect(airflow_db, "pools")
    assert {reading.metric.name: reading.value for reading in seen.readings} == {  # type: ignore[union-attr]  # all are samples
        metrics.POOL_SLOTS.name: 128, metrics.POOL_OPEN.name: 128, metrics.POOL_USED.name: 0, metrics.POOL_RUNNING.name: 0,
        metrics.POOL_QUEUED.name: 0, metrics.POOL_DEFERRED.name: 0, metrics.POOL_SCHEDULED.name: 0,
    }  # fmt: skip


def test_slots_not_instances_are_counted(airflow_db: AirflowDatabase) -> None:
    a_pool(airflow_db, "warehouse", 10)
    a_task_instance_running(airflow_db, started=MOMENT, pool="warehouse", pool_slots=4)
    a_task_instance_queued(airflow_db, queued_at=MOMENT, pool="warehouse", pool_slots=2)
    a_task_instance_queued(airflow_db, queued_at=MOMENT, pool="warehouse")
    a_task_instance_deferred(airflow_db, started=MOMENT, pool="warehouse")
    a_task_instance_scheduled(airflow_db, scheduled_at=MOMENT, pool="warehouse", pool_slots=5)
    a_finished_task_instance(airflow_db, "success", ended=MOMENT, pool="warehouse")
    seen = collect(airflow_db, "pools")
    assert seen.one(metrics.POOL_SLOTS, "warehouse") == 10
    assert seen.one(metrics.POOL_RUNNING, "warehouse") == 4
    assert seen.one(metrics.POOL_QUEUED, "warehouse") == 3
    assert seen.one(metrics.POOL_DEFERRED, "warehouse") == 1
    assert seen.one(metrics.POOL_SCHEDULED, "warehouse") == 5
    assert seen.one(metrics.POOL_USED, "warehouse") == 7
    assert seen.one(metrics.POOL_OPEN, "warehouse") == 3


def test_deferred_tasks_hold_a_slot_where_the_pool_says_so(airflow_db: AirflowDatabase) -> None:
    a_pool(airflow_db, "sensors", 2, include_deferred=True)
    a_task_instance_deferred(airflow_db, started=MOMENT, pool="sensors")
    chosen = "include_deferred" in airflow_db.tables["slot_pool"].columns
    assert collect(airflow_db, "pools").one(metrics.POOL_OPEN, "sensors") == (1 if chosen else 2)


def test_an_unlimited_and_an_overfull_pool(airflow_db: AirflowDatabase) -> None:
    a_pool(airflow_db, "endless", -1)
    a_pool(airflow_db, "shrunk", 1)
    for _ in range(3):
        a_task_instance_running(airflow_db, started=MOMENT, pool="shrunk")
    seen = collect(airflow_db, "pools")
    assert seen.one(metrics.POOL_SLOTS, "endless") == seen.one(metrics.POOL_OPEN, "endless") == math.inf
    assert seen.one(metrics.POOL_OPEN, "shrunk") == -2


def test_a_pool_without_size_or_name_costs_no_other(postgresql_db: AirflowDatabase) -> None:
    nullable = (
        "SELECT count(*) FROM information_schema.columns "
        "WHERE table_name = 'slot_pool' AND column_name = '{}' AND is_nullable = 'YES'"
    )
    if postgresql_db.execute(nullable.format("slots"))[0][0]:
        a_pool(postgresql_db, "sizeless", None)  # type: ignore[arg-type]  # a column may be NULL
        assert collect(postgresql_db, "pools").one(metrics.POOL_SLOTS, "sizeless") == 0
    if postgresql_db.execute(nullable.format("pool"))[0][0]:
        a_pool(postgresql_db, None, 3)  # type: ignore[arg-type]  # a column may be NULL
    assert collect(postgresql_db, "pools").one(metrics.POOL_SLOTS, "default_pool") == 128
