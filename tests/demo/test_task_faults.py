"""Faults of tasks, runs and limits, seen with the eyes of the real exporter, beside a healthy world."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.demo import exporter, faults, fleet
from airflow_obs.demo.company import WORKERS
from airflow_obs.demo.faults.fault import Fault
from airflow_obs.demo.figures import Page
from airflow_obs.demo.keeper import Keeper
from airflow_obs.demo.postgres import WATCHER, Server
from airflow_obs.demo.redis import Redis
from airflow_obs.demo.world import World, utc_now
from tests.demo.conftest import NewDatabase
from tests.demo.sick_worlds import PATIENCE, SICK_FOR, Observe, lost
from tests.exporter_process import Exporter
from tests.exporter_process import exporter as running_exporter

POLICY = exporter.POLICY.replace("2s", "1s")
"""The demo's own, so that what it asks for is proved to be enough."""


@dataclass
class Watched:
    """A world that lives on while an exporter serves, as counters need: they stand at 0 on the first page."""

    world: World
    server: Exporter
    fault: Fault

    def until(self, seen: Callable[[Page], bool], what: str) -> Page:
        """Live on until a page shows it; that page."""
        pages: list[Page] = []

        def look(_: object) -> bool:
            self.world.step(utc_now())
            self.fault.step(self.world)
            pages.append(Page(self.server.pages[-1]))
            return seen(pages[-1])

        self.server.until(look, what)
        return pages[-1]


@contextmanager
def watched(server: Server, database: str, name: str, folder: Path) -> Iterator[Watched]:
    fault = faults.by_name(name)
    with Keeper() as keeper:
        redis = Redis(keeper)
        fleet.start(keeper, redis)
        redis.wait()
        world = World(
            lambda application: server.connect(application, database=database), redis, utc_now(), patience=PATIENCE
        )
        env = exporter.environment(server.url(WATCHER, database), redis.watcher_url)
        try:
            with running_exporter(folder, env, POLICY) as running:
                yield Watched(world, running, fault)
        finally:
            world.close()
            fault.end()
        fleet.check(keeper)


@pytest.fixture
def live(
    demo_server: Server, new_demo_database: NewDatabase, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Watched]:
    """A healthy world with the fault that the test is named after at hand, watched by an exporter."""
    name = request.function.__name__.removeprefix("test_").replace("_", "-")
    with watched(demo_server, new_demo_database(), name, tmp_path) as world:
        yield world


def waited(page: Page, moments: list[float]) -> float:
    """Seconds from the oldest of these moments to the page; 0 when there are none."""
    read = max(page.values(metrics.JOB_HEARTBEAT))
    return read - min(moments, default=read)


def counted(page: Page) -> bool:
    """Whether every collector has succeeded, so that all counters stand where they will be compared from."""
    return set(page.values(metrics.COLLECTOR_SUCCESS)) == {1}


def test_nothing_is_astray_in_a_healthy_world(healthy: Page) -> None:
    for metric in (metrics.GHOSTS, metrics.ORPHANS, metrics.HEARTBEATS_OVERDUE, metrics.DAGS_AT_LIMIT):
        assert set(healthy.values(metric)) == {0}, metric.name
    assert healthy.total(metrics.UNNAMED) == 0
    for held_by in ("pool", "max_active_tasks", "run"):
        assert healthy.values(metrics.SCHEDULED, held_by=held_by) == [0]


def test_scheduler_creates_no_runs(observe: Observe, healthy: Page) -> None:
    page = observe("scheduler-creates-no-runs")
    assert page.total(metrics.DAGS_OVERDUE) > healthy.total(metrics.DAGS_OVERDUE) == 0
    assert (
        waited(page, page.values(metrics.NEXT_RUN_DUE))
        > SICK_FOR / 2
        > waited(healthy, healthy.values(metrics.NEXT_RUN_DUE))
    )
    assert waited(page, page.values(metrics.DAG_NEXT_RUN, dag_id="sales_orders_ingest")) > 0
    assert page.total(metrics.JOBS_ALIVE, job_type="SchedulerJob") == 2


def test_tasks_without_owner(observe: Observe, healthy: Page) -> None:
    page = observe("tasks-without-owner")
    assert healthy.total(metrics.GHOSTS) == healthy.total(metrics.ORPHANS) == 0
    assert page.total(metrics.GHOSTS, state="queued") >= 6
    assert page.total(metrics.ORPHANS, state="queued") >= 6
    assert waited(page, page.values(metrics.GHOSTS_OLDEST, state="queued")) > SICK_FOR / 2
    assert waited(page, page.values(metrics.ORPHANS_OLDEST, state="queued")) > SICK_FOR / 2
    assert page.total(metrics.JOBS_ALIVE, job_type="SchedulerJob") == 1
    assert lost(page) >= 6


def test_requeues_exhausted(live: Watched) -> None:
    exceeded = {"event": "stuck in queued tries exceeded"}
    before = live.until(counted, "the first figures")
    assert before.values(metrics.TASK_EVENTS, **exceeded) == before.values(metrics.TASKS_REQUEUED) == [0]
    live.fault.begin(live.world)
    after = live.until(
        lambda page: page.total(metrics.TASK_EVENTS, **exceeded) > 0 and page.total(metrics.TASKS_REQUEUED) == 12,
        "the scheduler gives tasks up",
    )
    assert after.values(metrics.TASK_EVENTS, **exceeded) == [6]
    assert after.values(metrics.TASK_REQUEUES_MAX) == [2]
    assert waited(after, after.values(metrics.TASK_INSTANCES_OLDEST, state="queued", queue="gpu")) > 300
    assert after.total(metrics.TASK_EVENTS, event="heartbeat timeout") == 0


def test_heartbeats_lost(live: Watched) -> None:
    sick = WORKERS[-1].name
    before = live.until(counted, "the first figures")
    assert before.values(metrics.HEARTBEATS_OVERDUE) == [0]
    assert before.values(metrics.TASK_EVENTS, event="heartbeat timeout") == [0]
    assert waited(before, before.values(metrics.HEARTBEAT_OLDEST)) < 60
    live.fault.begin(live.world)
    after = live.until(
        lambda page: (
            page.total(metrics.TASK_EVENTS, event="heartbeat timeout") > 0
            and page.total(metrics.WORKER_STARTED, worker=sick) > before.total(metrics.WORKER_STARTED, worker=sick)
        ),
        "a scheduler fails a task for want of heartbeats, and the worker began anew",
    )
    assert after.total(metrics.HEARTBEATS_OVERDUE) >= 4
    assert waited(after, after.values(metrics.HEARTBEAT_OLDEST)) > 200
    assert after.total(metrics.TASK_EVENTS, event="state mismatch") > 0
    assert {up for _, up in after.series(metrics.WORKER_UP)} == {1}


def test_executor_state_mismatch(live: Watched) -> None:
    before = live.until(counted, "the first figures")
    assert before.values(metrics.TASK_EVENTS, event="state mismatch") == [0]
    live.fault.begin(live.world)
    after = live.until(
        lambda page: (
            page.total(metrics.TASK_EVENTS, event="state mismatch") >= 3
            and page.total(metrics.TRIES_RETRIED) >= before.total(metrics.TRIES_RETRIED) + 3
        ),
        "the executor and the database disagree",
    )
    assert after.total(metrics.TASK_EVENTS, event="heartbeat timeout") == 0
    assert {up for _, up in after.series(metrics.WORKER_UP)} == {1}


def test_failures_wave(live: Watched) -> None:
    tried = ("crm_contacts_sync", "inventory_sync")
    before = live.until(counted, "the first figures")
    live.fault.begin(live.world)

    def grown(page: Page, state: str) -> float:
        return page.total(metrics.RUNS_FINISHED, state=state) - before.total(metrics.RUNS_FINISHED, state=state)

    def success_is_older(page: Page, dag_id: str) -> bool:
        """Not at once: a run that began before the last one may succeed after that one has failed."""
        [success], [end] = (
            page.values(metric, dag_id=dag_id) for metric in (metrics.DAG_LAST_SUCCESS, metrics.DAG_LAST_RUN_END)
        )
        return page.values(metrics.DAG_LAST_RUN_SUCCESS, dag_id=dag_id) == [0] and success < end

    after = live.until(
        lambda page: (
            grown(page, "failed") >= 2
            and grown(page, "success") >= 1
            and all(success_is_older(page, dag_id) for dag_id in tried)
        ),
        "runs fail, and others do not",
    )
    assert after.total(metrics.TASKS_FINISHED, state="failed", queue="partners") >= 2
    assert after.total(metrics.DAG_LAST_RUN_SUCCESS) > len(tried)


def test_deadlines_missed(live: Watched) -> None:
    before = live.until(counted, "the first figures")
    assert before.values(metrics.DEADLINES_MISSED) == [0]
    assert before.total(metrics.CALLBACKS_WAITING) == before.total(metrics.DEADLINES_OVERDUE) == 0
    live.fault.begin(live.world)
    after = live.until(
        lambda page: (
            page.total(metrics.DEADLINES_MISSED) >= 2
            and page.total(metrics.CALLBACKS_WAITING, runner="triggerer", state="queued") >= 2
        ),
        "deadlines are missed, and nobody runs their callbacks",
    )
    assert waited(after, after.values(metrics.CALLBACKS_OLDEST, runner="triggerer")) > 2
    # The scheduler has done its part, and the triggerer looks well.
    assert after.total(metrics.DEADLINES_OVERDUE) <= 1
    assert after.total(metrics.JOBS_ALIVE, job_type="TriggererJob") == 1
    assert after.total(metrics.DEFERRED_OVERDUE) == 0


def test_deferred_hold_pool(observe: Observe, healthy: Page) -> None:
    page = observe("deferred-hold-pool")
    assert page.values(metrics.POOL_DEFERRED, pool="partner_api") == [12]
    assert (
        page.values(metrics.POOL_OPEN, pool="partner_api")
        == [0]
        != healthy.values(metrics.POOL_OPEN, pool="partner_api")
    )
    assert page.values(metrics.POOL_RUNNING, pool="partner_api") == [0]
    assert page.total(metrics.SCHEDULED, held_by="pool") >= 3 > healthy.total(metrics.SCHEDULED, held_by="pool")
    assert page.total(metrics.POOL_OPEN, pool="default_pool") > 0


def test_dag_wedged_at_max_runs(observe: Observe, healthy: Page) -> None:
    dag_id = "crm_contacts_sync"
    page = observe("dag-wedged-at-max-runs")
    assert waited(page, page.values(metrics.DAG_OLDEST_RUN, dag_id=dag_id)) > 3000
    assert waited(healthy, healthy.values(metrics.DAG_OLDEST_RUN)) < 600
    # One that the scheduler had begun before may not be over yet.
    assert page.total(metrics.DAG_UNFINISHED_RUNS, dag_id=dag_id, state="running") in {4, 5}
    assert page.total(metrics.QUEUED_RUNS, held_by="max_active_runs") >= 3
    assert healthy.total(metrics.QUEUED_RUNS, held_by="max_active_runs") == 0
    assert page.total(metrics.DAGS_AT_LIMIT, limit="max_active_runs") == 1
    assert page.series(metrics.DAG_NEXT_RUN, dag_id=dag_id) == []
    assert len(healthy.series(metrics.DAG_NEXT_RUN, dag_id=dag_id)) == 1
    assert page.total(metrics.DAGS_OVERDUE) == 0


def test_starvation(observe: Observe, healthy: Page) -> None:
    page = observe("starvation")
    assert page.total(metrics.SCHEDULED, held_by="max_active_tasks") >= 3 * (40 - 16)
    assert page.total(metrics.SCHEDULED, held_by="nothing") > healthy.total(metrics.SCHEDULED, held_by="nothing")
    assert waited(page, page.values(metrics.SCHEDULED_OLDEST, held_by="nothing")) > 15
    assert waited(healthy, healthy.values(metrics.SCHEDULED_OLDEST, held_by="nothing")) < 15
    assert page.total(metrics.DAGS_AT_LIMIT, limit="max_active_tasks") == 1
    assert healthy.total(metrics.DAGS_AT_LIMIT) == 0
    assert min(page.values(metrics.POOL_OPEN, pool="default_pool")) > 0
