"""Fixtures: a database with Airflow's tables on the MySQL that is named, and an account with the exporter's grants."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property

import pytest
import sqlalchemy as sa

from tests.airflow_database import EXPORTER_ROLE, MYSQL_GRANTS, AirflowDatabase, engine_for
from tests.airflow_releases import RELEASES
from tests.airflow_schemas import Kind, Schema

SCHEMA = Schema(Kind.MARIADB, RELEASES["2.10.5"])
"""MySQL takes it, too, where it has none of MariaDB's own types, as those of Airflow 3 have."""
STEP_4 = (
    "REPLICATION CLIENT ON *.*",
    *(
        f"SELECT ON performance_schema.{table}"
        for table in ("table_io_waits_summary_by_table", "data_lock_waits", "metadata_locks")
    ),
)
"""What the head of the script says is to be granted besides."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mysql", help="URL of a MySQL 8 or later, as an administrator: mysql://root@127.0.0.1:3306.")


@dataclass(frozen=True)
class MysqlDatabase(AirflowDatabase):
    """Its exporter has an account of its own, lest an exporter that uses this server be locked out."""

    role: str = ""
    password: str = ""

    @cached_property
    def exporter_url(self) -> str:
        """The URL as that account."""
        made = sa.make_url(self.url).set(username=self.role, password=self.password)
        return made.render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def administrator(request: pytest.FixtureRequest) -> Iterator[sa.Engine]:
    """Sessions in no database."""
    url = request.config.getoption("--mysql")
    if not url:
        raise pytest.UsageError("no MySQL is named: make mysql URL=mysql://root@127.0.0.1:3306")
    named = sa.make_url(url).set(drivername="mysql+pymysql", database="")
    engine = sa.create_engine(named, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        mariadb = getattr(connection.dialect, "is_mariadb", False)
        assert not mariadb, f"{named!r} is a MariaDB, on which all other tests are run"
    yield engine
    engine.dispose()


@pytest.fixture
def db(administrator: sa.Engine) -> Iterator[MysqlDatabase]:
    """An Airflow without work, and an account that may do what all steps of grants.sql give; both are dropped at the end."""
    name = f"airflow_obs_{secrets.token_hex(4)}"
    role, password = name, secrets.token_urlsafe(16) + "aA1!"
    url = administrator.url.set(database=name).render_as_string(hide_password=False)
    with administrator.connect().execution_options(no_parameters=True) as session:
        try:
            session.exec_driver_sql(f"CREATE DATABASE {name}")
            session.exec_driver_sql(f"CREATE USER {role}@'%' IDENTIFIED BY '{password}'")
            engine = engine_for(url)
            with closing(engine.raw_connection()) as tables, closing(tables.cursor()) as cursor:
                for statement in SCHEMA.file.read_text().split(";\n"):
                    if statement.strip():
                        cursor.execute(statement)
                tables.commit()
                cursor.execute(MYSQL_GRANTS.read_text())
                for (statement,) in cursor.fetchall():
                    cursor.execute(statement.replace(f"`{EXPORTER_ROLE}`@", f"`{role}`@"))
            for privilege in ("PROCESS ON *.*", *STEP_4):
                session.exec_driver_sql(f"GRANT {privilege} TO {role}@'%'")
            yield MysqlDatabase(SCHEMA, url, engine, role=role, password=password)
            engine.dispose()
        finally:
            session.exec_driver_sql(f"DROP USER IF EXISTS {role}@'%'")
            session.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")
