"""A demo server for the whole session, a Redis for each test, and fresh databases on it for worlds of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count

import pytest

from airflow_obs.demo import postgres
from airflow_obs.demo.figures import Page
from airflow_obs.demo.keeper import Keeper
from airflow_obs.demo.postgres import Server
from airflow_obs.demo.redis import Redis
from tests.demo.sick_worlds import Observe, look

NewDatabase = Callable[[], str]


@pytest.fixture(scope="session")
def keeper() -> Iterator[Keeper]:
    """A keeper that ends with the session."""
    with Keeper() as keeper:
        yield keeper


@pytest.fixture
def own_keeper() -> Iterator[Keeper]:
    """A keeper that ends with the test."""
    with Keeper() as keeper:
        yield keeper


@pytest.fixture
def redis(own_keeper: Keeper) -> Redis:
    """The demo's Redis, new and empty."""
    redis = Redis(own_keeper)
    redis.wait()
    return redis


@pytest.fixture(scope="session")
def demo_server(keeper: Keeper) -> Server:
    """The demo's PostgreSQL with the shipped schema, no rows in it."""
    return postgres.start(keeper)


@pytest.fixture(scope="session")
def new_demo_database(demo_server: Server) -> NewDatabase:
    """Make a database with the shipped schema and give its name."""
    return partial(_copy_of_schema, demo_server, count())


@pytest.fixture(scope="session")
def observe(demo_server: Server, new_demo_database: NewDatabase) -> Observe:
    """What the exporter says of a world with these faults, or of a healthy one."""
    return lambda *names: look(demo_server, new_demo_database(), *names)


@pytest.fixture(scope="session")
def healthy(observe: Observe) -> Page:
    """What the exporter says of a healthy world."""
    return observe()


def _copy_of_schema(server: Server, numbers: Iterator[int]) -> str:
    name = f"world_{next(numbers)}"
    session = server.connect("tests", database="postgres")
    try:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} TEMPLATE {postgres.DATABASE} STRATEGY file_copy")
    finally:
        session.close()
    return name
