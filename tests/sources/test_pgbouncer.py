"""Through PgBouncer in transaction mode a session has its limits, and leaves none of them to whoever has its connection next."""

from __future__ import annotations

from contextlib import closing

import psycopg2
import pytest
import sqlalchemy as sa

from airflow_obs.errors import SourceError, SourceUnreachable
from airflow_obs.sources.backends import pooler_errors
from tests.airflow_schemas import POOLED_SCHEMAS
from tests.collectors.collected import source
from tests.conftest import NewDatabase
from tests.pgbouncer_server import Chart, pgbouncer

SETTINGS = (
    "SELECT pg_backend_pid(), current_setting('statement_timeout'), current_setting('lock_timeout'), "
    + ", ".join(
        f"current_setting('{name}')"
        for name in ("transaction_read_only", "timezone", "max_parallel_workers_per_gather")
    )
)


def test_limits_are_the_transactions_own(new_database: NewDatabase) -> None:
    db = new_database(POOLED_SCHEMAS[-1])
    assert db.pooler is not None
    with closing(psycopg2.connect(db.exporter_url)) as other, closing(source(db.exporter_url)) as database:
        other.autocommit = True
        with other.cursor() as cursor:
            cursor.execute(SETTINGS)
            before = cursor.fetchone()
        with database.session(5.0) as session:
            [(server, *limits)] = session.rows(sa.text(SETTINGS))
            assert limits == ["5s", "250ms", "on", "UTC", "0"]
            assert db.pooler.sessions() == 1
        with other.cursor() as cursor:
            cursor.execute(SETTINGS)
            assert cursor.fetchone() == before
        assert before is not None
        assert before[0] == server, "both have had the same connection of the pool"


def test_a_query_that_takes_too_long_ends_there(new_database: NewDatabase) -> None:
    db = new_database(POOLED_SCHEMAS[-1])
    with closing(source(db.exporter_url)) as database:
        with (
            pytest.raises(SourceError, match=r"took more than its timeout of 0\.2s"),
            database.session(0.2) as session,
        ):
            session.rows(sa.text("SELECT pg_sleep(30)"))
        with database.session(5.0) as session:
            assert session.one(sa.text("SELECT 1"))[0] == 1


KNOWS = "PgBouncer knows the users of its auth_file, and those that its auth_query finds"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"auth_type": "scram-sha-256"}, "SASL authentication failed"),
        ({"auth_type": "md5"}, "password authentication failed"),
        ({"auth_type": "plain"}, "password authentication failed"),
        ({"auth_type": "trust"}, '"trust" authentication failed'),
        ({"auth_type": "md5", "auth_user": "postgres"}, "no such user"),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else "",
)
def test_whom_the_pooler_does_not_know(new_database: NewDatabase, options: dict[str, str], said: str) -> None:
    known = new_database(POOLED_SCHEMAS[-1]).pooler
    assert known is not None
    with pgbouncer(known.postgres, {"postgres": ""}, Chart.OFFICIAL, **options) as pooler:
        stranger = f"postgresql://stranger:sesame@127.0.0.1:{pooler.port}/postgres"
        with (
            closing(source(stranger)) as database,
            pytest.raises(SourceUnreachable) as caught,
            database.session(5.0),
        ):
            pass
    assert f"FATAL: {said}; {KNOWS}" in str(caught.value)


def test_an_option_that_the_pooler_does_not_pass_on(new_database: NewDatabase) -> None:
    url = new_database(POOLED_SCHEMAS[-1]).exporter_url + "?options=-c%20geqo%3Doff"
    with (
        closing(source(url)) as database,
        pytest.raises(SourceUnreachable, match="PgBouncer refuses that option: take it out of the URL"),
        database.session(5.0),
    ):
        pass


def test_whom_the_server_does_not_let_in_it_names_itself() -> None:
    assert pooler_errors.advice('FATAL: password authentication failed for user "airflow_obs"') == ""
