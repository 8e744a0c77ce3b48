"""Fixtures for every test: one PostgreSQL per session, and a fresh database with a real Airflow schema per test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings

from tests.airflow_database import AirflowDatabase, Templates
from tests.airflow_schemas import (
    DISTINCT_MARIADB_SCHEMAS,
    DISTINCT_POSTGRESQL_SCHEMAS,
    DISTINCT_SCHEMAS,
    DISTINCT_SQLITE_SCHEMAS,
    POOLED_SCHEMAS,
    Schema,
)
from tests.embedded_postgres import EmbeddedPostgres, embedded_postgres, memory_folder
from tests.shared_compilation import share

share()
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")
NewDatabase = Callable[[Schema], AirflowDatabase]

WAITING = (
    "tests/test_bench.py", "tests/chaos/", "tests/demo/", "tests/exporter/web/test_limits.py", "tests/sources/", "tests/brokers/",
)  # fmt: skip
"""Tests that wait for servers and processes, half a minute some of them; the files that take longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file of those that wait, one of those that compute, and so on, lest all of either kind run at a time.

    What takes longest comes first, lest one process be still at it when the others are done.
    """
    files = list(dict.fromkeys(item.nodeid.partition("::")[0] for item in items))
    waiting = [file for place in WAITING for file in files if file.startswith(place)]
    computing = [file for file in files if not file.startswith(WAITING)]
    order = sorted(files, key=lambda file: (waiting if file in waiting else computing).index(file))
    items.sort(key=lambda item: order.index(item.nodeid.partition("::")[0]))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """A real PostgreSQL for the whole session; no test may stop it (start one's own with embedded_postgres())."""
    with embedded_postgres(parent=memory_folder()) as postgres:
        yield postgres


@pytest.fixture(scope="session")
def templates(postgres_server: EmbeddedPostgres) -> Iterator[Templates]:
    """The schemas, each loaded at first use."""
    with TemporaryDirectory(prefix="airflow-obs-", dir=memory_folder()) as folder, ExitStack() as stack:
        yield Templates(postgres_server, Path(folder), stack)


@pytest.fixture
def new_database(templates: Templates) -> Iterator[NewDatabase]:
    """Make a database with the schema one names; all are dropped after the test."""
    with ExitStack() as stack:
        yield lambda schema: stack.enter_context(templates.database(schema))


@pytest.fixture(params=DISTINCT_SCHEMAS, ids=str)
def airflow_db(request: pytest.FixtureRequest, new_database: NewDatabase) -> AirflowDatabase:
    """An Airflow without work, once for each distinct schema on PostgreSQL, through PgBouncer, on MariaDB and on SQLite."""
    return new_database(request.param)


@pytest.fixture(params=[*DISTINCT_POSTGRESQL_SCHEMAS, *POOLED_SCHEMAS], ids=str)
def postgresql_db(request: pytest.FixtureRequest, new_database: NewDatabase) -> AirflowDatabase:
    """An Airflow without work, once for each distinct schema on PostgreSQL, and through PgBouncer."""
    return new_database(request.param)


@pytest.fixture(params=[*DISTINCT_POSTGRESQL_SCHEMAS, *POOLED_SCHEMAS, *DISTINCT_MARIADB_SCHEMAS], ids=str)
def server_db(request: pytest.FixtureRequest, new_database: NewDatabase) -> AirflowDatabase:
    """An Airflow without work, once for each distinct schema on a server, which knows roles and what they may do."""
    return new_database(request.param)


@pytest.fixture(params=DISTINCT_MARIADB_SCHEMAS, ids=str)
def mariadb_db(request: pytest.FixtureRequest, new_database: NewDatabase) -> AirflowDatabase:
    """An Airflow without work, once for each distinct schema on MariaDB."""
    return new_database(request.param)


@pytest.fixture(params=DISTINCT_SQLITE_SCHEMAS, ids=str)
def sqlite_db(request: pytest.FixtureRequest, new_database: NewDatabase) -> AirflowDatabase:
    """An Airflow without work, once for each distinct schema on SQLite."""
    return new_database(request.param)
