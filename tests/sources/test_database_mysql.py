"""MariaDB as the metadata database: what a session may cost, what ends it, and how refusals are worded."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pymysql
import pytest
import sqlalchemy as sa

from airflow_obs.errors import SourceError, SourceUnreachable
from airflow_obs.sources.database import Database, Session
from airflow_obs.sources.discovery import Found
from tests.airflow_schemas import ROOT
from tests.embedded_postgres import memory_folder
from tests.mariadb_server import MariaDBServer, mariadb_server

BUDGET = 5.0
PASSWORD = "sesame"
DDL = ROOT / "tests" / "schemas" / "mariadb" / "2.10.5.sql"


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDBServer]:
    """A server for these tests alone, with an Airflow's tables in a database whose name InnoDB writes otherwise."""
    with mariadb_server(memory_folder(), options=("--max-connections=10",)) as running:
        running.execute(
            "CREATE DATABASE `air-flow`; CREATE USER reader IDENTIFIED BY 'sesame'; GRANT PROCESS ON *.* TO reader"
        )
        running.execute(DDL.read_text(), "air-flow")
        running.execute("GRANT SELECT ON `air-flow`.* TO reader")
        yield running


def source(
    server: MariaDBServer,
    stop: threading.Event | None = None,
    database: str = "air-flow",
    username: str = "reader",
    password: str = PASSWORD,
) -> Database:
    found = Found(sa.make_url(server.url(database, username, password)), "the test")
    return Database(lambda: found, stop=stop)


def refusal(database: Database) -> str:
    """Why no session can be had."""
    with closing(database), pytest.raises(SourceError) as caught, database.session(BUDGET):
        pass
    return str(caught.value)


def test_a_session_cannot_write_and_has_its_limits(server: MariaDBServer) -> None:
    with closing(source(server)) as database, database.session(2.5) as session:
        limits = session.one(sa.text("SELECT @@max_statement_time, @@lock_wait_timeout, @@time_zone, @@autocommit"))
        assert tuple(map(str, limits)) == ("2.5", "1", "+00:00", "0")
        assert (session.kind, session.mariadb, session.schema.revision) == ("mysql", True, "5f2621c13b39")


def test_nobody_can_write_whatever_he_may(server: MariaDBServer) -> None:
    with (
        closing(source(server, username="root", password="")) as database,
        database.session(BUDGET) as session,
        pytest.raises(sa.exc.DBAPIError, match="READ ONLY transaction"),
    ):
        session.connection.exec_driver_sql("UPDATE slot_pool SET slots = 0")


def test_each_statement_sees_what_is_there_when_it_begins(server: MariaDBServer) -> None:
    pools = sa.text("SELECT count(*) FROM slot_pool")
    with closing(source(server)) as database, database.session(BUDGET) as session:
        before = session.one(pools)[0]
        server.execute("INSERT INTO slot_pool (pool, slots, include_deferred) VALUES ('new', 1, 0)", "air-flow")
        assert session.one(pools)[0] == before + 1
    server.execute("DELETE FROM slot_pool WHERE pool = 'new'", "air-flow")


def test_a_statement_that_takes_too_long(server: MariaDBServer) -> None:
    slow = sa.text(
        "SELECT count(*) FROM information_schema.columns a, information_schema.columns b, information_schema.columns c"
    )
    with closing(source(server)) as database:
        with pytest.raises(SourceError, match=r"more than its timeout of 0\.2s"), database.session(0.2) as session:
            session.rows(slow)
        with database.session(BUDGET) as session:  # the next one is not held by it
            assert session.schema.revision


def test_a_server_that_freezes_is_not_waited_for(server: MariaDBServer) -> None:
    with closing(source(server)) as database:
        with database.session(BUDGET):
            pass
        with server.frozen():
            for _ in range(2):  # on the connection that there is, and on a new one
                with pytest.raises(SourceUnreachable, match="no answer in time: the server"), database.session(0.2):
                    pass
        with database.session(BUDGET) as session:
            assert session.schema.revision


def test_who_stops_does_not_wait_for_a_server(server: MariaDBServer) -> None:
    stop = threading.Event()
    with closing(source(server, stop)) as database, server.frozen():
        threading.Timer(0.3, stop.set).start()
        began = time.monotonic()
        with pytest.raises(SourceUnreachable, match="the exporter is stopping"), database.session(600):
            pass
        assert time.monotonic() - began < 300


def test_a_session_that_is_killed_is_followed_by_another(server: MariaDBServer) -> None:
    with closing(source(server)) as database:
        with pytest.raises(SourceUnreachable, match="cannot be reached"), database.session(BUDGET) as session:
            session.rows(killed(server, session))
        with database.session(BUDGET) as session:
            assert session.schema.revision


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"password": "open"}, "Access denied for user 'reader'"),
        ({"username": "nobody"}, "Access denied for user 'nobody'"),
        ({"database": "elsewhere"}, "elsewhere"),
    ],
)
def test_how_refusals_are_worded(server: MariaDBServer, parts: dict[str, str], says: str) -> None:
    named = {"database": "air-flow", "username": "reader", "password": PASSWORD} | parts
    text = refusal(source(server, None, named["database"], named["username"], named["password"]))
    assert text.startswith("database: cannot be reached (")
    assert says in text
    assert PASSWORD not in text


def test_a_port_at_which_nobody_listens() -> None:
    url = sa.make_url(f"mysql+pymysql://me:{PASSWORD}@127.0.0.1:1/airflow")
    text = refusal(Database(lambda: Found(url, "the test")))
    assert text.startswith("database: cannot be reached (127.0.0.1:1, by the test): Connection refused")
    assert PASSWORD not in text


def test_a_host_whose_name_none_can_have() -> None:
    url = sa.make_url("mysql+pymysql://me:sesame@db..x/airflow")
    assert "(db..x:3306, by the test): db..x is no name of a host" in refusal(Database(lambda: Found(url, "the test")))


def test_a_database_that_is_not_airflows(server: MariaDBServer) -> None:
    server.execute("CREATE DATABASE IF NOT EXISTS empty; GRANT SELECT ON empty.* TO reader")
    assert "it has no table alembic_version" in refusal(source(server, database="empty"))


def test_a_server_that_is_full(server: MariaDBServer) -> None:
    with all_connections(server), closing(source(server)) as database:
        assert "Too many connections" in refusal(database)
    with closing(source(server)) as database, database.session(BUDGET) as session:
        assert session.schema.revision


@contextmanager
def all_connections(server: MariaDBServer) -> Iterator[None]:
    """Within, none is left but the one that is kept for administrators."""
    with ExitStack() as taken:
        with pytest.raises(pymysql.OperationalError, match="Too many connections"):
            take_all(server, taken)
        yield


def take_all(server: MariaDBServer, taken: ExitStack) -> None:
    """Connect for ever; `taken` closes what came of it."""
    while True:
        taken.enter_context(closing(server.connect(user="reader", password="sesame")))


def killed(server: MariaDBServer, session: Session) -> sa.Executable:
    """A statement for a session that an administrator has just ended."""
    server.execute(f"KILL {session.one(sa.text('SELECT connection_id()'))[0]}")
    return sa.text("SELECT 1")
