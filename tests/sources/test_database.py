"""The metadata database as a source: whose tables it finds, what it may cost, and how refusals are worded."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import Mock

import pytest
import sqlalchemy as sa

from airflow_obs.errors import SourceError, SourceUnreachable, redact
from airflow_obs.sources.database import SCHEMA_AGE, Database
from airflow_obs.sources.discovery import Found
from tests.airflow_database import GRANTS, AirflowDatabase, Templates
from tests.airflow_schemas import POSTGRESQL_SCHEMAS, SQLITE_SCHEMAS
from tests.chaos.server import Server
from tests.conftest import NewDatabase
from tests.embedded_postgres import embedded_postgres, memory_folder

BUDGET = 5.0
NEWEST = POSTGRESQL_SCHEMAS[-2]


def source(url: str, schema: str | None = None, age: float = SCHEMA_AGE) -> Database:
    found = Found(sa.make_url(url.replace("postgresql://", "postgresql+psycopg2://")), "the test")
    return Database(lambda: found, lambda: schema, schema_age=age)


def refusal(database: Database) -> str:
    """Why no session can be had."""
    with closing(database), pytest.raises(SourceError) as caught, database.session(BUDGET):
        pass
    return str(caught.value)


@pytest.fixture
def moved(new_database: NewDatabase) -> AirflowDatabase:
    """An Airflow whose tables are in the schema Air-Flow, and a role that may read there."""
    db = new_database(NEWEST)
    assert db.exporter_url  # makes the role
    db.execute('ALTER SCHEMA public RENAME TO "Air-Flow"')
    db.execute("CREATE SCHEMA public")
    return db


def test_tables_in_another_schema(moved: AirflowDatabase) -> None:
    with closing(source(moved.exporter_url, "Air-Flow")) as database, database.session(BUDGET) as session:
        assert session.schema.has("dag_run", "state")
        assert session.rows(sa.select(session.schema.table("dag").c.dag_id)) == []


def test_tables_in_a_schema_that_nobody_named(moved: AirflowDatabase) -> None:
    assert "Air-Flow has Airflow's: say `sources: {database: {schema: Air-Flow}}`" in refusal(
        source(moved.exporter_url)
    )


def test_tables_in_a_schema_that_our_role_may_not_use(moved: AirflowDatabase) -> None:
    moved.execute('REVOKE USAGE ON SCHEMA "Air-Flow" FROM airflow_obs, PUBLIC')
    for schema in (None, "Air-Flow"):
        assert "`GRANT USAGE ON SCHEMA Air-Flow TO`" in refusal(source(moved.exporter_url, schema))


def test_the_grants_say_when_they_are_run_in_the_wrong_schema(moved: AirflowDatabase) -> None:
    with (
        pytest.raises(sa.exc.DBAPIError, match="schema public has no table alembic_version"),
        moved.engine.begin() as owner,
    ):
        owner.execution_options(no_parameters=True).exec_driver_sql(GRANTS.read_text())


def test_sqlite_has_no_schemas(new_database: NewDatabase) -> None:
    db = new_database(SQLITE_SCHEMAS[0])
    with closing(source(db.url, "airflow")) as database, database.session(BUDGET) as session:
        assert session.schema.has("dag_run")


def test_a_session_cannot_write_and_has_its_limits(new_database: NewDatabase) -> None:
    with closing(source(new_database(NEWEST).url)) as database, database.session(2.5) as session:
        limits = session.one(
            sa.text(
                "SELECT current_setting('transaction_read_only'), current_setting('statement_timeout'), "
                "current_setting('lock_timeout'), current_setting('jit'), current_setting('application_name')"
            )
        )
        assert tuple(limits) == ("on", "2500ms", "250ms", "off", "airflow-obs")


def test_a_statement_that_takes_too_long(new_database: NewDatabase) -> None:
    with closing(source(new_database(NEWEST).url)) as database:
        with pytest.raises(SourceError, match=r"more than its timeout of 0\.2s"), database.session(0.2) as session:
            session.rows(sa.text("SELECT pg_sleep(30)"))
        with database.session(BUDGET) as session:  # the next one is not held by it
            assert session.schema.revision


def test_an_option_that_libpq_does_not_know() -> None:
    with (
        pytest.raises(SourceUnreachable, match=r"its options are not libpq's \(h:5432, by the test\)"),
        closing(source("postgresql://me:sesame@h/db?shoe_size=43")) as database,
        database.session(BUDGET),
    ):
        pass


def test_several_hosts_are_named() -> None:
    url = "postgresql://me@/db?host=127.0.0.1:1&host=localhost:2"
    assert "cannot be reached (127.0.0.1:1, localhost:2, by the test)" in refusal(source(url))


@pytest.mark.parametrize(
    ("text", "secret", "shown"),
    [
        ("FATAL: password authentication failed", "e", "FATAL: password authentication failed"),
        ("invalid option sesame", "sesame", "invalid option ***"),
        ("http://me:pa/ss@h/x", None, "http://me:***@h/x"),
        ("at postgresql://me:p%40@h and http://h", None, "at postgresql://me:***@h and http://h"),
        ("host=h password='a b' user=me", None, "host=h password=*** user=me"),
        ("Access denied (using password: YES)", None, "Access denied (using password: YES)"),
    ],
)
def test_what_is_blanked(text: str, secret: str | None, shown: str) -> None:
    assert redact(text, secret) == shown


def test_what_the_url_says_goes_before_our_defaults(new_database: NewDatabase) -> None:
    url = new_database(NEWEST).url + "&application_name=watcher&keepalives_count=7&tcp_user_timeout=0"
    with closing(source(url)) as database, database.session(BUDGET) as session:
        assert session.one(sa.text("SELECT current_setting('application_name')"))[0] == "watcher"
        raw = session.connection.connection.driver_connection
        assert raw is not None
        said = raw.info.dsn_parameters
        assert {name: said[name] for name in ("keepalives_count", "tcp_user_timeout", "keepalives_idle")} == {
            "keepalives_count": "7", "tcp_user_timeout": "0", "keepalives_idle": "30",
        }  # fmt: skip


def test_another_database_is_asked_within_what_the_first_has_left(new_database: NewDatabase) -> None:
    gone, there = new_database(NEWEST), new_database(NEWEST)
    urls = [there.url, gone.url]
    asked: list[str] = []

    def find() -> Found:
        asked.append(urls.pop())
        return Found(sa.make_url(asked[-1].replace("postgresql://", "postgresql+psycopg2://")), "the test")

    with closing(Database(find)) as database:
        with database.session(BUDGET):
            pass
        name = gone.engine.url.database
        there.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
        there.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        with database.session(BUDGET) as session:
            [limit] = session.one(sa.text("SELECT extract(epoch FROM current_setting('statement_timeout')::interval)"))
    assert asked == [gone.url, there.url]
    assert limit < BUDGET


def test_a_frozen_server_is_not_asked_twice() -> None:
    """One of its own, since it stands still."""
    with (
        embedded_postgres(parent=memory_folder()) as postgres,
        TemporaryDirectory() as folder,
        ExitStack() as stack,
    ):
        db = stack.enter_context(Templates(postgres, Path(folder), stack).database(NEWEST))
        found = Found(sa.make_url(db.url.replace("postgresql://", "postgresql+psycopg2://")), "the test")
        find = Mock(return_value=found)
        with closing(Database(find)) as database:
            with database.session(BUDGET):
                pass
            with (
                Server(postgres).frozen(),
                pytest.raises(SourceUnreachable, match="no answer in time"),
                database.session(0.2),
            ):
                pass
            assert find.call_count == 1


def test_a_migration_that_ends_while_the_schema_is_read_is_seen_by_the_next_session(new_database: NewDatabase) -> None:
    db = new_database(NEWEST)
    db.execute("ALTER TABLE slot_pool RENAME TO slot_pool_old")
    pending = ["UPDATE alembic_version SET version_num = 'upgraded'", "ALTER TABLE slot_pool_old RENAME TO slot_pool"]

    def migrate(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        while pending and "pg_attribute" in statement:
            db.execute(pending.pop())

    sa.event.listen(sa.Engine, "after_cursor_execute", migrate)
    try:
        with closing(source(db.url)) as database:
            with database.session(BUDGET) as session:
                assert not pending
                assert not session.schema.has("slot_pool")
            with database.session(BUDGET) as session:
                assert (session.schema.has("slot_pool"), session.schema.revision) == (True, "upgraded")
    finally:
        sa.event.remove(sa.Engine, "after_cursor_execute", migrate)


def test_tables_and_rights_that_change_without_a_migration_are_seen_in_time(new_database: NewDatabase) -> None:
    db = new_database(NEWEST)
    with closing(source(db.exporter_url)) as lasting, closing(source(db.exporter_url, age=0.0)) as renewed:
        for database in (lasting, renewed):
            with database.session(BUDGET) as session:
                assert not session.schema.has("celery_taskmeta")
                assert session.may_read("log", "id", "dttm")
        db.execute("CREATE TABLE celery_taskmeta (id integer PRIMARY KEY)")
        db.execute("REVOKE SELECT (dttm) ON log FROM airflow_obs")
        with lasting.session(BUDGET) as session:  # it costs a look at the catalogue, which is not for every session
            assert not session.schema.has("celery_taskmeta")
        with renewed.session(BUDGET) as session:
            assert session.schema.has("celery_taskmeta", "id")
            assert not session.may_read("celery_taskmeta", "id")
            assert (session.may_read("log", "id"), session.may_read("log", "id", "dttm")) == (True, False)
            assert session.missed == {("celery_taskmeta", "id"), ("log", "dttm")}
        db.execute("GRANT SELECT ON celery_taskmeta TO airflow_obs")
        with renewed.session(BUDGET) as session:
            assert session.may_read("celery_taskmeta", "id")


def test_a_right_that_is_lost_again_is_said_again(new_database: NewDatabase, caplog: pytest.LogCaptureFixture) -> None:
    db = new_database(NEWEST)
    with closing(source(db.exporter_url, age=0.0)) as database:
        for right in ("REVOKE SELECT (dttm) ON log FROM", "GRANT SELECT (dttm) ON log TO") * 2:
            db.execute(f"{right} airflow_obs")
            for _ in range(2):
                with database.session(BUDGET) as session:
                    assert session.may_read("log", "dttm") == right.startswith("GRANT")
    assert [message[: message.index(":", 9)] for message in caplog.messages] == [
        "database: our role may not read log.dttm"
    ] * 2
