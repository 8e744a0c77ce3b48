"""What the brokers' tests share: a Redis, and the collector that reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.brokers.collected import BrokerReader
from tests.redis_server import RedisServer, debians, redis_server

ReadAs = Callable[..., BrokerReader]
on_both = pytest.mark.parametrize("redis_of_the_session", ["6.2", "7"], indirect=True)
"""For a test of what the releases of Redis may differ in."""


@pytest.fixture(scope="session")
def redis_of_the_session(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A Redis (6.2, or 7 for a test that asks for both); no test may stop it, or change its settings for good."""
    with redis_server(program=debians() if getattr(request, "param", "6.2") == "7" else "") as server:
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
