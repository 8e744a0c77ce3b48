"""What the brokers' tests share: a Redis, and the collector that reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.brokers.collected import BrokerReader
from tests.redis_server import RedisServer, redis_server

ReadAs = Callable[..., BrokerReader]


@pytest.fixture(scope="session")
def redis_of_the_session() -> Iterator[RedisServer]:
    """A Redis; no test may stop it, or change its settings for good."""
    with redis_server() as server:
        yield server


@pytest.fixture
def server(redis_of_the_session: RedisServer) -> RedisServer:
    """That Redis, empty."""
    redis_of_the_session.client().flushall()
    return redis_of_the_session


@pytest.fixture
def reader() -> Iterator[ReadAs]:
    """Make a reader of the broker under these settings of the environment; all are closed after the test."""
    made: list[BrokerReader] = []

    def reader(**settings: str) -> BrokerReader:
        made.append(BrokerReader(settings))
        return made[-1]

    yield reader
    for one in made:
        one.source.close()
