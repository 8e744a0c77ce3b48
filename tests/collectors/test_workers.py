"""What the workers' metrics show of real workers on a real Redis, and how long a worker is remembered."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.collectors.queues import QueueNames
from airflow_obs.collectors.workers import Workers
from airflow_obs.policy import WorkersPolicy, load
from airflow_obs.sources import control
from airflow_obs.sources.broker_url import broker_address
from airflow_obs.sources.control import ControlSession, Worker
from tests.celery_workers import TASK, app, celery_worker, consume_from
from tests.collectors.collected import Collected
from tests.eventually import eventually
from tests.exporter.fakes import Clock
from tests.redis_server import RedisServer, redis_server

POLICY: WorkersPolicy = load(None).collectors.workers
BUDGET = 10.0
ONE, TWO = "celery@one", "celery@two"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


def source(server: RedisServer) -> control.Workers:
    address = broker_address(None, {"AIRFLOW_OBS_BROKER_URL": server.url()})
    return control.Workers(lambda: address)


def collect(workers: Workers, reach: control.Workers) -> Collected:
    with reach.session(BUDGET) as session:
        return Collected(tuple(workers.samples(workers.read(session))))


def said(workers: Workers, *answers: Worker) -> Collected:
    """What the collector says when these workers answer."""

    def ask(_expected: Collection[str]) -> list[Worker]:
        return list(answers)

    return Collected(tuple(workers.samples(workers.read(ControlSession(ask)))))


def test_a_catatonic_worker_a_dead_one_and_a_queue_that_nobody_serves(server: RedisServer, tmp_path: Path) -> None:
    names = QueueNames(lambda: "default")
    workers, reach = Workers(POLICY, names), source(server)
    with celery_worker(server.url(), ONE, tmp_path) as one, celery_worker(server.url(), TWO, tmp_path, "default"):
        seen = collect(workers, reach)
        assert seen.all(metrics.WORKER_UP) == {(ONE,): 1, (TWO,): 1}
        assert seen.all(metrics.WORKER_SUBSCRIBED) == {(ONE, "default"): 1, (ONE, "highmem"): 1, (TWO, "default"): 1}
        assert seen.all(metrics.WORKER_QUEUES) == {(ONE,): 2, (TWO,): 1}
        assert seen.all(metrics.WORKER_ACTIVE) == {(ONE,): 0, (TWO,): 0}
        assert seen.all(metrics.WORKER_POOL_SIZE) == {(ONE,): 2, (TWO,): 2}
        assert seen.all(metrics.QUEUE_WORKERS) == {("default",): 2, ("highmem",): 1}
        started = seen.all(metrics.WORKER_STARTED)

        with app(server.url()) as celery:
            # as `airflow celery remove-all-queues` does
            consume_from(celery, TWO)
            celery.send_task(TASK, ("token", 0), queue="gpu")
        seen = collect(workers, reach)
        assert seen.one(metrics.WORKER_UP, TWO) == 1
        assert seen.one(metrics.WORKER_QUEUES, TWO) == 0
        assert seen.all(metrics.WORKER_SUBSCRIBED) == {(ONE, "default"): 1, (ONE, "highmem"): 1}
        names.add(["gpu"])  # by the collector that finds it in the broker
        assert collect(workers, reach).all(metrics.QUEUE_WORKERS) == {("gpu",): 0, ("default",): 1, ("highmem",): 1}
        assert seen.all(metrics.WORKER_STARTED) == started

        one.kill()
        seen = collect(workers, reach)
        assert seen.all(metrics.WORKER_UP) == {(ONE,): 0, (TWO,): 1}
        assert seen.all(metrics.WORKER_SUBSCRIBED) == {}
        assert seen.one(metrics.WORKER_ACTIVE, ONE) is None


def test_tasks_that_run_wait_and_ran(server: RedisServer, tmp_path: Path) -> None:
    workers, reach = Workers(POLICY, QueueNames()), source(server)
    with celery_worker(server.url(), ONE, tmp_path, prefetch=4), app(server.url()) as celery:
        for _ in range(5):
            celery.send_task(TASK, ("token", 8), queue="highmem")
        eventually(lambda: collect(workers, reach).one(metrics.WORKER_ACTIVE, ONE) == 2, "two tasks run")
        seen = collect(workers, reach)
        assert seen.one(metrics.WORKER_RESERVED, ONE) == 3
        assert seen.one(metrics.WORKER_PROCESSED, ONE) == 2
        assert "token" not in repr(seen)


def test_without_a_broker_there_is_nothing_to_report() -> None:
    with control.Workers(lambda: None).session(BUDGET) as session:
        assert session is None
        workers = Workers(POLICY, QueueNames())
        assert workers.read(session) is None
        assert list(workers.samples(None)) == []


def test_a_silent_worker_is_down_until_it_is_forgotten() -> None:
    clock = Clock()
    workers = Workers(POLICY, QueueNames(), clock)
    said(workers, Worker(ONE, ("default",)), Worker(TWO, ()))
    clock.now += POLICY.forget
    assert said(workers, Worker(TWO, ())).all(metrics.WORKER_UP) == {(ONE,): 0, (TWO,): 1}
    clock.now += 1
    assert said(workers).all(metrics.WORKER_UP) == {(TWO,): 0}
    assert said(workers, Worker(ONE, ("default",))).all(metrics.WORKER_UP) == {(ONE,): 1, (TWO,): 0}


def test_what_a_worker_does_not_say_is_absent() -> None:
    seen = said(Workers(POLICY, QueueNames()), Worker(ONE))
    assert [reading.metric for reading in seen.readings] == [metrics.WORKER_UP]


def test_a_worker_that_does_not_say_what_it_consumes_leaves_no_queue_unserved() -> None:
    workers = Workers(POLICY, QueueNames(lambda: "default"))
    assert said(workers).all(metrics.QUEUE_WORKERS) == {("default",): 0}
    seen = said(workers, Worker(ONE, None), Worker(TWO, ("other",)))
    assert seen.all(metrics.QUEUE_WORKERS) == {("other",): 1}


def test_the_moment_of_its_start_does_not_wander() -> None:
    workers = Workers(POLICY, QueueNames())
    first = said(workers, Worker(ONE, started=1000.4)).one(metrics.WORKER_STARTED, ONE)
    assert said(workers, Worker(ONE, started=1001.3)).one(metrics.WORKER_STARTED, ONE) == first == 1000
    assert said(workers, Worker(ONE, started=1500.0)).one(metrics.WORKER_STARTED, ONE) == 1500


def test_whoever_answered_within_the_forget_window_is_waited_for() -> None:
    asked: list[Collection[str]] = []
    answers = [[Worker(ONE), Worker(TWO)], [Worker(TWO)], []]

    def ask(expected: Collection[str]) -> list[Worker]:
        asked.append(sorted(expected))
        return answers[len(asked) - 1]

    now = 0.0
    workers = Workers(POLICY, QueueNames(), lambda: now)
    for _ in answers:
        workers.read(ControlSession(ask))
    assert asked == [[], [ONE, TWO], [ONE, TWO]]
    now = POLICY.forget + 1
    answers.extend([[Worker(TWO)], []])
    workers.read(ControlSession(ask))
    workers.read(ControlSession(ask))
    assert asked[3:] == [[ONE, TWO], [TWO]]
