"""A database with the schema of one real Airflow, made in milliseconds from a template, and how to write rows to it."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import ReflectedColumn

from tests.airflow_releases import AirflowRelease
from tests.airflow_schemas import ROOT, Kind, Schema
from tests.embedded_postgres import EmbeddedPostgres, memory_folder
from tests.mariadb_server import MariaDBServer, mariadb_server
from tests.pgbouncer_server import Chart, PgBouncer, pgbouncer

EXPORTER_ROLE = "airflow_obs"
POOLED_PASSWORD = "p@ss/w:rd of the pool"
GRANTS = ROOT / "exporters" / "postgresql" / "grants.sql"
MYSQL_GRANTS = ROOT / "exporters" / "mysql" / "grants.sql"

_tables: dict[Schema, Mapping[str, sa.Table]] = {}
"""Reflection costs more than a database does, and all databases of a schema have the same tables."""


@dataclass(frozen=True)
class AirflowDatabase:
    """An Airflow metadata database: its `url` as owner, as the exporter takes it, and an `engine` to write rows."""

    schema: Schema
    url: str
    engine: sa.Engine
    pooler: PgBouncer | None = None
    """What the exporter goes through."""

    @property
    def kind(self) -> Kind:
        """The server under it."""
        return self.schema.kind

    @property
    def release(self) -> AirflowRelease:
        """Whose schema it has."""
        return self.schema.release

    @property
    def tables(self) -> Mapping[str, sa.Table]:
        """The tables of the schema by name, with columns and primary keys (no foreign keys, no indexes)."""
        if self.schema not in _tables:
            _tables[self.schema] = _reflect(self.engine)
        return _tables[self.schema]

    @cached_property
    def exporter_url(self) -> str:
        """The URL as a role that may do what the server's grants.sql under exporters/ allows, and nothing else.

        SQLite knows no roles: there it is `url`.
        """
        if self.kind is Kind.SQLITE:
            return self.url
        with self.engine.begin() as connection:
            # Without parameters the driver leaves a % in the script alone, as psql and mariadb do.
            GRANT[self.kind](connection.execution_options(no_parameters=True))
        if self.pooler is not None:
            return self.pooler.url(str(self.engine.url.database), EXPORTER_ROLE)
        return sa.make_url(self.url).set(username=EXPORTER_ROLE).render_as_string(hide_password=False)

    def execute(self, statement: str) -> list[Any]:
        """Run one plain SQL statement as the owner; returns its rows, if it has any."""
        with self.engine.begin() as connection:
            result = connection.execute(sa.text(statement))
            return list(result) if result.returns_rows else []


def _grant_on_postgresql(connection: sa.Connection) -> None:
    if connection.exec_driver_sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{EXPORTER_ROLE}'").first() is None:
        connection.exec_driver_sql(f"CREATE ROLE {EXPORTER_ROLE} LOGIN")
    connection.exec_driver_sql(GRANTS.read_text())


def _grant_on_mariadb(connection: sa.Connection) -> None:
    connection.exec_driver_sql(f"CREATE USER IF NOT EXISTS {EXPORTER_ROLE}@'%'")
    connection.exec_driver_sql(f"GRANT PROCESS ON *.* TO {EXPORTER_ROLE}@'%'")
    for (statement,) in connection.exec_driver_sql(MYSQL_GRANTS.read_text()).all():
        connection.exec_driver_sql(statement)


GRANT = {Kind.POSTGRESQL: _grant_on_postgresql, Kind.MARIADB: _grant_on_mariadb}
"""What an administrator does, and the script."""


def engine_for(url: str) -> sa.Engine:
    """An engine for a URL the exporter takes, with the driver the tests have (SQLAlchemy's own choice varies)."""
    parts = sa.make_url(url)
    if parts.get_backend_name() == "mysql":
        return sa.create_engine(parts, connect_args={"init_command": "SET time_zone = '+00:00'"})  # as Airflow's
    return sa.create_engine(parts.set(drivername=parts.drivername.replace("postgresql", "postgresql+psycopg2")))


def _reflect(engine: sa.Engine) -> Mapping[str, sa.Table]:
    inspector, metadata = sa.inspect(engine), sa.MetaData()
    keys = inspector.get_multi_pk_constraint()
    documents = _documents(engine)
    return {
        name: sa.Table(
            name,
            metadata,
            *(
                sa.Column(
                    column["name"],
                    sa.JSON() if (name, column["name"]) in documents else column["type"],
                    nullable=column["nullable"],
                    primary_key=column["name"] in keys[schema, name]["constrained_columns"],
                    server_default=_default(column),
                )
                for column in columns
            ),
        )
        for (schema, name), columns in inspector.get_multi_columns().items()
    }


def _default(column: ReflectedColumn) -> sa.TextClause | sa.FetchedValue | None:
    if column["default"] is not None:
        return sa.text(column["default"])
    # A number that PostgreSQL gives by a default, and MariaDB by itself.
    return sa.FetchedValue() if column.get("autoincrement") is True else None


def _documents(engine: sa.Engine) -> set[tuple[str, str]]:
    """The columns that MariaDB checks to be JSON, which are texts to it."""
    if not getattr(engine.dialect, "is_mariadb", False):
        return set()
    checked = "SELECT table_name, constraint_name FROM information_schema.check_constraints WHERE constraint_schema = DATABASE()"
    with engine.connect() as connection:
        found = connection.execute(sa.text(f"{checked} AND level = 'Column' AND check_clause LIKE 'json_valid(%'"))
        return {(table, column) for table, column in found}


@dataclass
class Templates:
    """One template per schema, loaded at first use: a database that is copied, a file that is, or the DDL itself."""

    postgres: EmbeddedPostgres
    folder: Path
    stack: ExitStack
    """Ends what was started for them."""
    mariadb_options: tuple[str, ...] = ()
    _loaded: set[Schema] = field(default_factory=set)
    _number: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def database(self, schema: Schema) -> Iterator[AirflowDatabase]:
        """A fresh database with this schema and the few rows a new Airflow has; dropped at the end."""
        template = replace(schema, pooled=False)
        if template not in self._loaded:
            self._load(template)
            self._loaded.add(template)
        copied = {
            Kind.POSTGRESQL: self._copied_database,
            Kind.MARIADB: self._made_database,
            Kind.SQLITE: self._copied_file,
        }
        with copied[schema.kind](template) as url:
            engine = engine_for(url)
            if schema.kind is Kind.SQLITE:
                sa.event.listen(engine, "connect", _check_foreign_keys)
            made = AirflowDatabase(schema, url, engine, self.pooler if schema.pooled else None)
            # Known from the first on: a test may make tables of its own, which the others' databases lack.
            assert made.tables
            try:
                yield made
            finally:
                engine.dispose()

    @cached_property
    def pooler(self) -> PgBouncer:
        """A PgBouncer before the server, started when first asked for."""
        return self.stack.enter_context(pgbouncer(self.postgres, {EXPORTER_ROLE: POOLED_PASSWORD}, Chart.COMMUNITY))

    @cached_property
    def mariadb(self) -> MariaDBServer:
        """A MariaDB, started when first asked for."""
        return self.stack.enter_context(mariadb_server(memory_folder(), options=self.mariadb_options))

    @contextmanager
    def _copied_database(self, schema: Schema) -> Iterator[str]:
        name = f"airflow_{next(self._number)}"
        # By copying its files, with what its first sessions found out of the catalogue: half the cost of a copy page by page.
        self.postgres.execute(f'CREATE DATABASE {name} TEMPLATE "{schema}" STRATEGY file_copy')
        try:
            yield self.postgres.url(name)
        finally:
            self.postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def _made_database(self, schema: Schema) -> Iterator[str]:
        name = f"airflow_{next(self._number)}"
        # MariaDB has no templates, but makes the tables in as little time: in memory, nothing has to be safe.
        self.mariadb.execute(f"CREATE DATABASE {name}; USE {name}; {schema.file.read_text()}")
        try:
            yield self.mariadb.url(name)
        finally:
            self.mariadb.end_sessions(f"db = '{name}'")  # they may hold what is to be dropped
            self.mariadb.execute(f"DROP DATABASE {name}")

    @contextmanager
    def _copied_file(self, schema: Schema) -> Iterator[str]:
        file = self.folder / f"airflow_{next(self._number)}.db"
        shutil.copyfile(self.folder / f"{schema}.db", file)
        try:
            yield f"sqlite:///{file}"
        finally:
            for path in self.folder.glob(f"{file.name}*"):
                path.unlink()

    def _load(self, schema: Schema) -> None:
        ddl = schema.file.read_text()
        if schema.kind is Kind.POSTGRESQL:
            self.postgres.execute(f'CREATE DATABASE "{schema}"')
            self.postgres.execute(ddl, str(schema))
        elif schema.kind is Kind.SQLITE:
            with closing(sqlite3.connect(self.folder / f"{schema}.db")) as connection:
                connection.executescript(f"BEGIN; {ddl} COMMIT;")


def _check_foreign_keys(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
