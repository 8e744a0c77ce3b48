"""Moments for the rows of a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.airflow_database import EXPORTER_ROLE, AirflowDatabase
from tests.airflow_schemas import POSTGRESQL_SCHEMAS
from tests.conftest import NewDatabase
from tests.embedded_postgres import EmbeddedPostgres

Ago = Callable[..., datetime]
AllSeeing = Callable[[AirflowDatabase], None]


@pytest.fixture
def ago() -> Ago:
    """ago(minutes=5) is five minutes before this test began, each time it is asked."""
    began = datetime.now(UTC)
    return lambda **since: began - timedelta(**since)


@pytest.fixture
def all_seeing(postgres_server: EmbeddedPostgres) -> Iterator[AllSeeing]:
    """all_seeing(db): the exporter's role sees other roles' sessions until the test ends."""

    def grant(db: AirflowDatabase) -> None:
        assert db.exporter_url  # makes the role
        postgres_server.execute(f"GRANT pg_read_all_stats TO {EXPORTER_ROLE}")

    yield grant
    if postgres_server.execute(f"SELECT 1 FROM pg_roles WHERE rolname = '{EXPORTER_ROLE}'"):
        postgres_server.execute(f"REVOKE pg_read_all_stats FROM {EXPORTER_ROLE}")


@pytest.fixture
def elsewhere(new_database: NewDatabase) -> AirflowDatabase:
    """Another Airflow's database on the same server."""
    return new_database(POSTGRESQL_SCHEMAS[-2])
