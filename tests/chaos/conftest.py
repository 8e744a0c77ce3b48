"""What the chaos tests share: a server of their own, an Airflow with some work in it, and an exporter of that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests import states
from tests.airflow_database import EXPORTER_ROLE, POOLED_PASSWORD, AirflowDatabase, Templates
from tests.airflow_schemas import DEMO_VERSION, POSTGRESQL_SCHEMAS
from tests.chaos.server import Server
from tests.embedded_postgres import embedded_postgres
from tests.eventually import eventually
from tests.exporter_process import Exporter, exporter
from tests.pgbouncer_server import Chart, PgBouncer, pgbouncer
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
def chaos_templates(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Templates]:
    """The schemas on that server."""
    with ExitStack() as stack:
        yield Templates(server.postgres, tmp_path_factory.mktemp("templates"), stack)


@pytest.fixture
def db(chaos_templates: Templates) -> Iterator[AirflowDatabase]:
    """An Airflow with a scheduler, a queued task and a paused DAG."""
    with chaos_templates.database(NEWEST) as database:
        now = datetime.now(UTC)
        states.a_live_scheduler(database, heartbeat=now)
        states.a_task_instance_queued(database, queued_at=now)
        states.a_dag(database, "paused", paused=True, last_parsed=now)
        yield database


@pytest.fixture(params=[None, Chart.OFFICIAL], ids=["direct", "pgbouncer"])
def pooler(request: pytest.FixtureRequest, server: Server, db: AirflowDatabase) -> Iterator[PgBouncer | None]:
    """None, and a PgBouncer for this test alone, as the official chart sets it up."""
    if request.param is None:
        yield None
        return
    assert db.exporter_url  # makes the role
    passwords, name = {EXPORTER_ROLE: POOLED_PASSWORD}, str(db.engine.url.database)
    # By default it waits for 15 s before it asks a server again that did not let it in.
    with pgbouncer(server.postgres, passwords, request.param, name, server_login_retry="1") as running:
        yield running


@pytest.fixture
def reached_db(db: AirflowDatabase, pooler: PgBouncer | None) -> AirflowDatabase:
    """As `db`, reached by the exporter directly and through PgBouncer."""
    return replace(db, pooler=pooler)


@pytest.fixture
def door(request: pytest.FixtureRequest, server: Server) -> Server | PgBouncer:
    """What the exporter has its sessions with: the server, or the pooler before it."""
    through = request.getfixturevalue("pooler") if "pooler" in request.fixturenames else None
    return through or server


@pytest.fixture
def start(door: Server | PgBouncer, tmp_path: Path) -> StartExporter:
    """Start an exporter with these variables in its environment; it may leave no more than one session behind."""

    @contextmanager
    def start(secrets: tuple[str, ...] = (), policy: str | None = None, **variables: str) -> Iterator[Exporter]:
        more = {} if policy is None else {"policy": policy}
        with exporter(tmp_path, variables, secrets=secrets, **more) as running:
            yield running
            if door.answers:
                eventually(lambda: door.sessions() <= 1, "at most one session")
        if door.answers:
            eventually(lambda: door.sessions() == 0, "no session stays")

    return start
