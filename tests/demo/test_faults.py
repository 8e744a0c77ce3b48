"""Each fault, seen with the eyes of the real exporter, beside a healthy world."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.demo import faults
from airflow_obs.demo.company import WORKERS
from airflow_obs.demo.figures import Page
from airflow_obs.errors import UsageError
from tests.demo.sick_worlds import SICK_FOR, Observe, age, beats, lost


def test_scheduler_dead(observe: Observe, healthy: Page) -> None:
    page = observe("scheduler-dead")
    assert healthy.total(metrics.JOBS_ALIVE, job_type="SchedulerJob") == 2
    assert page.total(metrics.JOBS_ALIVE, job_type="SchedulerJob") == 0
    assert len(beats(page, "SchedulerJob")) == 2
    assert max(beats(page, "SchedulerJob")) < min(beats(page, "TriggererJob")) - SICK_FOR / 2
    assert page.total(metrics.DAGS_OVERDUE) > healthy.total(metrics.DAGS_OVERDUE) == 0


def test_one_scheduler_of_two_dead(observe: Observe, healthy: Page) -> None:
    page = observe("one-scheduler-of-two-dead")
    assert page.total(metrics.JOBS_ALIVE, job_type="SchedulerJob") == 1
    dead, living = beats(page, "SchedulerJob")
    assert dead < living - SICK_FOR / 2
    assert beats(healthy, "SchedulerJob")[0] > beats(healthy, "SchedulerJob")[1] - SICK_FOR / 2
    assert page.total(metrics.DAGS_OVERDUE) == 0


def test_tasks_stuck_in_queued(observe: Observe, healthy: Page) -> None:
    page = observe("tasks-stuck-in-queued")
    assert age(page.values(metrics.TASK_INSTANCES_OLDEST, state="queued")) > SICK_FOR / 2
    assert page.total(metrics.TASK_INSTANCES, state="queued") > healthy.total(metrics.TASK_INSTANCES, state="queued")
    assert page.total(metrics.POOL_QUEUED) > healthy.total(metrics.POOL_QUEUED)
    assert page.total(metrics.JOBS_ALIVE) == healthy.total(metrics.JOBS_ALIVE)
    assert page.total(metrics.BROKER_MESSAGES) == page.total(metrics.CELERY_TASK_INSTANCES, state="queued")
    assert page.total(metrics.BROKER_MESSAGES) > healthy.total(metrics.BROKER_MESSAGES)
    assert set(page.values(metrics.WORKER_UP)) == {1}
    assert lost(page) == 0


def test_dag_processor_stalled(observe: Observe, healthy: Page) -> None:
    page = observe("dag-processor-stalled")
    [stalled], [fine] = page.values(metrics.NEWEST_PARSE), healthy.values(metrics.NEWEST_PARSE)
    assert stalled < beats(page, "DagProcessorJob")[0] - SICK_FOR / 2
    assert fine > beats(healthy, "DagProcessorJob")[0] - SICK_FOR / 2
    assert page.total(metrics.JOBS_ALIVE, job_type="DagProcessorJob") == 1


def test_dag_file_breaks(observe: Observe, healthy: Page) -> None:
    page = observe("dag-file-breaks")
    assert page.total(metrics.IMPORT_ERRORS) == 1
    assert healthy.total(metrics.IMPORT_ERRORS) == 0
    assert page.total(metrics.JOBS_ALIVE) == healthy.total(metrics.JOBS_ALIVE)


def test_pool_exhausted(observe: Observe, healthy: Page) -> None:
    page = observe("pool-exhausted")
    assert page.values(metrics.POOL_OPEN, pool="warehouse") == [0]
    assert page.values(metrics.POOL_USED, pool="warehouse") == page.values(metrics.POOL_SLOTS, pool="warehouse")
    waiting = page.total(metrics.POOL_SCHEDULED, pool="warehouse")
    assert waiting >= 6 > healthy.total(metrics.POOL_SCHEDULED, pool="warehouse")
    assert page.total(metrics.POOL_OPEN, pool="default_pool") > 0


def test_idle_in_transaction(observe: Observe, healthy: Page) -> None:
    page = observe("idle-in-transaction")
    assert len(page.values(metrics.DB_OLDEST_TRANSACTION, state="idle in transaction")) == 1
    assert page.total(metrics.DB_CONNECTIONS, state="idle in transaction") == 1
    assert healthy.values(metrics.DB_OLDEST_TRANSACTION, state="idle in transaction") == []


def test_table_bloat(observe: Observe, healthy: Page) -> None:
    page = observe("table-bloat")
    assert page.total(metrics.TABLE_DEAD_ROWS, table="log") > 40_000
    assert healthy.total(metrics.TABLE_DEAD_ROWS, table="log") < 10_000
    assert page.total(metrics.TABLE_SIZE, table="log") > 2 * healthy.total(metrics.TABLE_SIZE, table="log")


def test_a_healthy_world_has_busy_workers_and_every_message(healthy: Page) -> None:
    assert {value for _, value in healthy.series(metrics.COLLECTOR_SUCCESS)} == {1}
    assert healthy.series(metrics.SOURCE_UP) != []
    assert set(healthy.values(metrics.SOURCE_UP)) == {1}
    assert {labels["worker"] for labels, up in healthy.series(metrics.WORKER_UP) if up} == {one.name for one in WORKERS}
    for worker in WORKERS:
        queues = {labels["queue"] for labels, _ in healthy.series(metrics.WORKER_SUBSCRIBED, worker=worker.name)}
        assert queues == set(worker.queues)
        assert healthy.values(metrics.WORKER_POOL_SIZE, worker=worker.name) == [worker.slots]
        assert healthy.total(metrics.WORKER_PROCESSED, worker=worker.name) > 0
    running = healthy.total(metrics.CELERY_TASK_INSTANCES, state="running")
    assert running == healthy.total(metrics.WORKER_ACTIVE) == healthy.total(metrics.BROKER_UNACKED) > 0
    assert healthy.total(metrics.BROKER_MESSAGES) == healthy.total(metrics.CELERY_TASK_INSTANCES, state="queued")
    assert lost(healthy) == 0
    assert 0 not in healthy.values(metrics.QUEUE_WORKERS)
    assert healthy.values(metrics.BROKER_EVICTED) == [0]
    assert healthy.values(metrics.BROKER_MEMORY_MAX) == [math.inf]


def test_redis_frozen(observe: Observe, healthy: Page) -> None:
    page = observe("redis-frozen")
    assert healthy.values(metrics.SOURCE_UP, source="broker") == [1]
    for name in ("broker", "workers"):
        assert page.values(metrics.SOURCE_UP, source=name) == [0]
        assert page.values(metrics.COLLECTOR_SUCCESS, collector=name) == [0]
    assert page.series(metrics.BROKER_MESSAGES) == page.series(metrics.WORKER_UP) == []
    assert age(page.values(metrics.TASK_INSTANCES_OLDEST, state="queued")) > SICK_FOR / 2


def test_redis_evicting(observe: Observe, healthy: Page) -> None:
    page = observe("redis-evicting")
    assert page.total(metrics.BROKER_EVICTED) > 0 == healthy.total(metrics.BROKER_EVICTED)
    [limit] = page.values(metrics.BROKER_MEMORY_MAX)
    assert limit == 6 * 2**20
    assert page.total(metrics.BROKER_MEMORY) > 0.8 * limit > 2 * healthy.total(metrics.BROKER_MEMORY)
    assert len(page.series(metrics.BROKER_INFO, eviction_policy="allkeys-lru")) == 1


def test_messages_lost(observe: Observe, healthy: Page) -> None:
    page = observe("messages-lost")
    assert lost(page) >= 4 > lost(healthy)
    assert age(page.values(metrics.TASK_INSTANCES_OLDEST, state="queued")) > SICK_FOR / 2
    assert set(page.values(metrics.WORKER_UP)) == {1}


def test_unacked_near_visibility_timeout(observe: Observe, healthy: Page) -> None:
    page = observe("unacked-near-visibility-timeout")
    [timeout] = page.values(metrics.BROKER_VISIBILITY_TIMEOUT)
    assert timeout - 900 < age(page.values(metrics.BROKER_UNACKED_OLDEST)) < timeout
    assert age(healthy.values(metrics.BROKER_UNACKED_OLDEST)) < 3600
    assert lost(page) == 0


def test_worker_catatonic(observe: Observe, healthy: Page) -> None:
    page = observe("worker-catatonic")
    sick = WORKERS[-1].name
    assert page.values(metrics.WORKER_UP, worker=sick) == [1]
    assert page.values(metrics.WORKER_QUEUES, worker=sick) == [0]
    assert page.series(metrics.WORKER_SUBSCRIBED, worker=sick) == []
    assert page.values(metrics.QUEUE_WORKERS, queue="default") == [1]
    assert healthy.values(metrics.QUEUE_WORKERS, queue="default") == [2]
    assert healthy.values(metrics.WORKER_QUEUES, worker=sick) == [2]


def test_queue_without_worker(observe: Observe, healthy: Page) -> None:
    page = observe("queue-without-worker")
    assert page.values(metrics.QUEUE_WORKERS, queue="gpu") == [0]
    assert page.total(metrics.BROKER_MESSAGES, queue="gpu") >= 12
    assert age(page.values(metrics.TASK_INSTANCES_OLDEST, state="queued", queue="gpu")) > SICK_FOR / 2
    assert healthy.series(metrics.BROKER_MESSAGES, queue="gpu") == []
    assert lost(page) == 0


def test_every_fault_has_a_test_a_line_and_metrics() -> None:
    files = [file.read_text() for file in Path(__file__).parent.glob("test_*faults*.py")]
    tests = {name.replace("_", "-") for text in files for name in re.findall(r"^def test_(\w+)", text, re.MULTILINE)}
    assert {fault.name for fault in faults.ALL} <= tests
    assert len({fault.name for fault in faults.ALL}) == len(faults.ALL)
    for fault in faults.ALL:
        assert fault.sick in faults.table()
        assert set(fault.shows) <= set(metrics.ALL)
        assert fault.shows


def test_an_unknown_fault_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"--fault: there is no fault 'x': choose one of scheduler-dead, "):
        faults.by_name("x")
