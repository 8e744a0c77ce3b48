"""A database with the schema of one real Airflow, made in milliseconds from a template, and how to write rows to it."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.airflow_releases import AirflowRelease
from tests.airflow_schemas import ROOT, Kind, Schema
from tests.embedded_postgres import EmbeddedPostgres

EXPORTER_ROLE = "airflow_obs"
GRANTS = ROOT / "exporters" / "postgresql" / "grants.sql"

_tables: dict[Schema, Mapping[str, sa.Table]] = {}
"""Reflection costs more than a database does, and all databases of a schema have the same tables."""


@dataclass(frozen=True)
class AirflowDatabase:
    """An Airflow metadata database: its `url` as owner, as the exporter takes it, and an `engine` to write rows."""

    schema: Schema
    url: str
    engine: sa.Engine

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
        """The URL as a role that may do what exporters/postgresql/grants.sql allows, and nothing else.

        SQLite knows no roles: there it is `url`.
        """
        if self.kind is Kind.SQLITE:
            return self.url
        with self.engine.begin() as connection:
            known = sa.text("SELECT 1 FROM pg_roles WHERE rolname = :name")
            if connection.execute(known, {"name": EXPORTER_ROLE}).first() is None:
                connection.exec_driver_sql(f"CREATE ROLE {EXPORTER_ROLE} LOGIN")
            # Without parameters the driver leaves a % in the script alone, as psql does.
            connection.execution_options(no_parameters=True).exec_driver_sql(GRANTS.read_text())
        return sa.make_url(self.url).set(username=EXPORTER_ROLE).render_as_string(hide_password=False)

    def execute(self, statement: str) -> list[Any]:
        """Run one plain SQL statement as the owner; returns its rows, if it has any."""
        with self.engine.begin() as connection:
            result = connection.execute(sa.text(statement))
            return list(result) if result.returns_rows else []


def engine_for(url: str) -> sa.Engine:
    """An engine for a URL the exporter takes, with the driver the tests have (SQLAlchemy's own choice varies)."""
    parts = sa.make_url(url)
    return sa.create_engine(parts.set(drivername=parts.drivername.replace("postgresql", "postgresql+psycopg2")))


def _reflect(engine: sa.Engine) -> Mapping[str, sa.Table]:
    inspector, metadata = sa.inspect(engine), sa.MetaData()
    keys = inspector.get_multi_pk_constraint()
    return {
        name: sa.Table(
            name,
            metadata,
            *(
                sa.Column(
                    column["name"],
                    column["type"],
                    nullable=column["nullable"],
                    primary_key=column["name"] in keys[schema, name]["constrained_columns"],
                    server_default=None if column["default"] is None else sa.text(column["default"]),
                )
                for column in columns
            ),
        )
        for (schema, name), columns in inspector.get_multi_columns().items()
    }


@dataclass
class Templates:
    """One template per schema, loaded at first use: a database that is copied, or a file that is."""

    postgres: EmbeddedPostgres
    folder: Path
    _loaded: set[Schema] = field(default_factory=set)
    _number: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def database(self, schema: Schema) -> Iterator[AirflowDatabase]:
        """A fresh database with this schema and the few rows a new Airflow has; dropped at the end."""
        if schema not in self._loaded:
            self._load(schema)
            self._loaded.add(schema)
        copied = self._copied_database if schema.kind is Kind.POSTGRESQL else self._copied_file
        with copied(schema) as url:
            engine = engine_for(url)
            if schema.kind is Kind.SQLITE:
                sa.event.listen(engine, "connect", _check_foreign_keys)
            try:
                yield AirflowDatabase(schema, url, engine)
            finally:
                engine.dispose()

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
        else:
            with closing(sqlite3.connect(self.folder / f"{schema}.db")) as connection:
                connection.executescript(f"BEGIN; {ddl} COMMIT;")


def _check_foreign_keys(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
