"""Workers as Airflow runs them, with processes, and workers that answer nonsense."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection
from kombu.pidbox import Mailbox

from airflow_obs.collectors.queues import QueueNames
from airflow_obs.collectors.workers import Workers as Collector
from airflow_obs.exporter.exposition import render
from airflow_obs.policy import load
from airflow_obs.sources.broker_url import broker_address
from airflow_obs.sources.control import ControlSession, Worker, Workers
from airflow_obs.sources.control_broker import explained
from tests.celery_workers import TASK, app, celery_worker
from tests.eventually import eventually
from tests.exporter.pages import Page
from tests.redis_server import RedisServer, redis_server

BUDGET = 6.0
SOUND = {"pool": {"max-concurrency": 2}, "prefetch_count": 2, "total": {}, "uptime": 7}
HUGE = 10**400


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


def ask(server: RedisServer, *expected: str) -> dict[str, Worker]:
    address = broker_address(None, {"AIRFLOW_OBS_BROKER_URL": server.url()})
    with Workers(lambda: address).session(BUDGET) as session:
        assert session is not None
        return {worker.name: worker for worker in session.workers(expected)}


@contextmanager
def answering(server: RedisServer, **workers: dict[str, Any]) -> Iterator[None]:
    """Within, workers of these names give these answers to these questions."""
    stop = threading.Event()

    def listen() -> None:
        with Connection(server.url()) as connection:
            mailbox = Mailbox("celery", type="fanout", accept=["json"])
            for name, answers in workers.items():
                handlers = {question: (lambda _state, said=said: said) for question, said in answers.items()}
                node = mailbox(connection).Node(name, handlers=handlers, state=None, channel=connection.channel())
                node.listen(callback=node.handle_message)
            ready.set()
            while not stop.is_set():
                with suppress(TimeoutError):
                    connection.drain_events(timeout=0.2)

    ready, thread = threading.Event(), threading.Thread(target=listen)
    thread.start()
    assert ready.wait(20)
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_nonsense_is_left_out_and_the_rest_stays(redis: RedisServer) -> None:
    sound = {"stats": SOUND, "active_queues": [{"name": "default"}], "reserved": []}
    odd: dict[str, dict[str, Any]] = {
        "celery@texts": {"stats": "x", "active_queues": "default", "reserved": "x"},
        "celery@lists": {"stats": [1], "active_queues": ["default", 7, None], "reserved": {"a": 1}},
        "celery@odd": {
            "stats": {"pool": {"max-concurrency": "2"}, "prefetch_count": float("nan"), "total": {"x": "7"}, "uptime": "long"},
            "active_queues": [{"name": 7}, {"name": ["x"]}],
            "reserved": None,
        },
        "celery@huge": {
            "stats": {"pool": {"max-concurrency": HUGE}, "prefetch_count": float("inf"), "total": {"x": HUGE}, "uptime": -HUGE},
            "active_queues": [{"name": f"queue-{index}"} for index in range(20_000)],
            "reserved": list(range(100)),
        },
        'new\nline"{}\\\0': sound,
        "celery@sound": sound,
    }  # fmt: skip
    with answering(redis, **odd):
        found = ask(redis, *odd)
    nothing = {name: found[name] for name in ("celery@texts", "celery@lists", "celery@odd")}
    assert nothing == {name: Worker(name) for name in nothing}
    huge = found["celery@huge"]
    assert (huge.pool_size, huge.prefetch, huge.processed, huge.started, huge.reserved) == (None, None, None, None, 100)
    assert len(huge.queues or ()) == 10_000
    assert (found["celery@sound"].pool_size, found["celery@sound"].queues) == (2, ("default",))
    collector = Collector(load(None).collectors.workers, QueueNames())
    page = Page(render(collector.samples(collector_rows(collector, found)), "airflow").text.decode())
    assert page.value("airflow_obs_worker_up", worker='new\nline"{}\\\\x00') == 1


def collector_rows(collector: Collector, found: dict[str, Worker]) -> Any:
    """The rows that the collector makes of these answers."""
    return collector.read(ControlSession(lambda _expected: list(found.values())))


def test_a_pool_of_processes(redis: RedisServer, tmp_path: Path) -> None:
    with celery_worker(redis.url(), "celery@one", tmp_path, pool="prefork", prefetch=2), app(redis.url()) as celery:
        for _ in range(5):
            celery.send_task(TASK, ("token", 15), queue="default")
        eventually(lambda: ask(redis, "celery@one")["celery@one"].active == 2, "two tasks run")
        one = ask(redis, "celery@one")["celery@one"]
        assert (one.pool_size, one.prefetch, one.active, one.reserved) == (2, 4, 2, 2)
        assert one.queues == ("default", "highmem")


def test_a_package_that_is_missing_is_not_blamed_on_the_broker(redis: RedisServer) -> None:
    """Kombu's Redis transport imports what kombu itself does not require."""
    address = broker_address(None, {"AIRFLOW_OBS_BROKER_URL": redis.url()})
    assert address is not None
    said = str(explained(ModuleNotFoundError("No module named 'packaging'"), address))
    assert said.startswith("workers: No module named 'packaging': the installation is incomplete: run pip install")
