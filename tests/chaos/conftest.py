"""What the chaos tests share: a server of their own, an Airflow with some work in it, and an exporter of that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests import states
from tests.airflow_database import AirflowDatabase, Templates
from tests.airflow_schemas import DEMO_VERSION, POSTGRESQL_SCHEMAS
from tests.chaos.server import Server
from tests.embedded_postgres import embedded_postgres
from tests.eventually import eventually
from tests.exporter_process import Exporter, exporter
from tests.rabbitmq_server import RabbitServer, rabbitmq_server

NEWEST = next(schema for schema in POSTGRESQL_SCHEMAS if schema.release.version == DEMO_VERSION)

StartExporter = Callable[..., AbstractContextManager[Exporter]]


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL for these tests alone."""
    with embedded_postgres() as postgres:
        server = Server(postgres)
        try:
            yield server
        finally:
            if server.started_again:  # which the wheel does not know
                server.stop()


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitServer]:
    """A RabbitMQ for these tests alone; whoever stops it starts it again."""
    with rabbitmq_server() as running:
        yield running


@pytest.fixture(scope="session")
def chaos_templates(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """The schemas on that server."""
    return Templates(server.postgres, tmp_path_factory.mktemp("templates"))


@pytest.fixture
def db(chaos_templates: Templates) -> Iterator[AirflowDatabase]:
    """An Airflow with a scheduler, a queued task and a paused DAG."""
    with chaos_templates.database(NEWEST) as database:
        now = datetime.now(UTC)
        states.a_live_scheduler(database, heartbeat=now)
        states.a_task_instance_queued(database, queued_at=now)
        states.a_dag(database, "paused", paused=True, last_parsed=now)
        yield database


@pytest.fixture
def start(server: Server, tmp_path: Path) -> StartExporter:
    """Start an exporter with these variables in its environment; it may leave no more than one session behind."""

    @contextmanager
    def start(secrets: tuple[str, ...] = (), policy: str | None = None, **variables: str) -> Iterator[Exporter]:
        more = {} if policy is None else {"policy": policy}
        with exporter(tmp_path, variables, secrets=secrets, **more) as running:
            yield running
            if server.answers:
                eventually(lambda: server.sessions() <= 1, "at most one session")
        if server.answers:
            eventually(lambda: server.sessions() == 0, "no session stays")

    return start
