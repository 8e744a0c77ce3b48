"""A broker with two Celery workers on this host, and the questions that the tests ask them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery

from airflow_obs.sources.broker_url import broker_address
from airflow_obs.sources.control import Worker, Workers
from tests.celery_workers import CeleryWorker, app
from tests.rabbitmq_server import RabbitServer
from tests.redis_server import RedisServer

BUDGET = 10.0
SHORT = 2.0
NAMES = ("celery@one", "celery@two")


class Fleet:
    """A broker of either kind, two workers on this host, and an app that speaks to them."""

    def __init__(self, server: RedisServer | RabbitServer, workers: tuple[CeleryWorker, ...]) -> None:
        self.server = server
        self.url = server.url()
        self.workers = workers

    @contextmanager
    def celery(self) -> Iterator[Celery]:
        with app(self.url) as made:
            yield made


def source(url: str, stop: threading.Event | None = None) -> Workers:
    address = broker_address(None, {"AIRFLOW_OBS_BROKER_URL": url})
    return Workers(lambda: address, stop)


def ask(one: Workers, *expected: str, budget: float = BUDGET) -> dict[str, Worker]:
    with one.session(budget) as session:
        assert session is not None
        return {worker.name: worker for worker in session.workers(expected)}


def keys(server: RedisServer) -> dict[str, frozenset[str]]:
    """Every set of bindings, every list, and who is in them."""
    client = server.client()
    sets = {name: frozenset(client.smembers(name)) for name in client.keys("*") if client.type(name) == "set"}
    return sets | {name: frozenset() for name in client.keys("*") if client.type(name) == "list"}
