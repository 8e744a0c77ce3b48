"""Accounts that MariaDB does not let in: what is said of them, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from airflow_obs.errors import SourceUnreachable
from airflow_obs.sources.database import Database
from airflow_obs.sources.discovery import database_url
from airflow_obs.sources.grants import RUN_GRANTS
from tests.embedded_postgres import memory_folder
from tests.mariadb_server import MariaDBServer, mariadb_server

PASSWORD = "p@ss/w:ord ö"
CAPITAL = "CREATE DATABASE Airflow; GRANT SELECT ON Airflow.* TO reader; DROP DATABASE airflow; REVOKE ALL ON airflow.* FROM reader"


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDBServer]:
    """A server for these tests alone."""
    with mariadb_server(memory_folder()) as running:
        yield running


@pytest.fixture
def settings(mariadb: MariaDBServer) -> Iterator[dict[str, str]]:
    """Of an account `reader`, which may log in and read an empty database."""
    mariadb.execute("CREATE DATABASE airflow")
    mariadb.execute(f"CREATE USER reader IDENTIFIED BY '{PASSWORD}'; GRANT SELECT ON airflow.* TO reader")
    parts = {"SCHEME": "mariadb", "HOST": str(mariadb.socket), "USER": "reader", "PASSWORD": PASSWORD}
    yield {f"AIRFLOW_OBS_DB_{part}": value for part, value in parts.items()}
    mariadb.execute("DROP USER reader; DROP DATABASE airflow")


@pytest.mark.parametrize(
    ("done", "said"),
    [
        ("ALTER USER reader IDENTIFIED BY 'another'", "(using password: YES) (error 1045); the password is wrong, there is no"),
        ("ALTER USER reader IDENTIFIED VIA unix_socket", "(error 1698); the password is wrong, there is no such account"),
        ("ALTER USER reader REQUIRE SSL", "or it demands TLS (ssl_mode)"),
        ("ALTER USER reader ACCOUNT LOCK", "this account is locked (error 4151)"),
        ("ALTER USER reader PASSWORD EXPIRE", "You must SET PASSWORD before executing this statement (error 1820)"),
        ("REVOKE SELECT ON airflow.* FROM reader", f"to database 'airflow' (error 1044); {RUN_GRANTS['mysql']}, or the database's"),
        (CAPITAL, "to database 'airflow' (error 1044); run `airflow-obs grants"),
        ("DROP DATABASE airflow; CREATE DATABASE other; GRANT SELECT ON *.* TO reader", "Unknown database 'airflow' (error 1049)"),
    ],
)  # fmt: skip
def test_who_is_not_let_in(mariadb: MariaDBServer, settings: dict[str, str], done: str, said: str) -> None:
    mariadb.execute(done)
    try:
        with (
            pytest.raises(SourceUnreachable) as caught,
            closing(Database(lambda: database_url(settings))) as database,
            database.session(10.0),
        ):
            pass
        assert "database: cannot be reached" in str(caught.value)
        assert said in str(caught.value)
        assert PASSWORD not in str(caught.value)
    finally:
        mariadb.execute(
            "CREATE DATABASE IF NOT EXISTS airflow; DROP DATABASE IF EXISTS other; DROP DATABASE IF EXISTS Airflow"
        )
