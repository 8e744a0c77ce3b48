"""Brokers of a module's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.celery_workers import celery_worker
from tests.rabbitmq_server import RabbitServer, rabbitmq_server
from tests.redis_server import RedisServer, redis_server
from tests.sources.fleet import NAMES, Fleet


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[RabbitServer]:
    with rabbitmq_server() as server:
        yield server


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    server = request.getfixturevalue(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    with celery_worker(server.url(), NAMES[0], folder) as one, celery_worker(server.url(), NAMES[1], folder) as two:
        yield Fleet(server, (one, two))
