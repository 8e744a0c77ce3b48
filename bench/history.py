"""Fills a database with years of a busy Airflow: millions of finished task instances, and a little live work."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from bench.postgres import tables_and_constraints
from tests.airflow_database import EXPORTER_ROLE, AirflowDatabase, engine_for
from tests.airflow_releases import RELEASES
from tests.airflow_schemas import Kind, Schema
from tests.embedded_postgres import EmbeddedPostgres
from tests.mariadb_server import MariaDBServer

ROWS = Path(__file__).parent / "rows"
"""Per kind of server and release the statements that make the rows: `<kind>/<release>.sql`, with the parameters of Size."""
KNOWN = tuple(sorted(file.stem for file in (ROWS / Kind.POSTGRESQL).glob("*.sql")))
"""Releases whose history can be made."""
TASKS_PER_RUN = 20
DAGS = 1_000


@dataclass(frozen=True)
class Size:
    """How much history: rows of each large table, all following from the task instances."""

    task_instances: int
    tasks_per_run: int = TASKS_PER_RUN

    @property
    def dag_runs(self) -> int:
        return self.task_instances // self.tasks_per_run

    @property
    def jobs(self) -> int:
        return self.task_instances // 5

    @property
    def log(self) -> int:
        return self.task_instances // 5

    @property
    def live_runs(self) -> int:
        """Unfinished dag runs, each with four unfinished task instances: the same at every size but the smallest."""
        return min(300, self.dag_runs // 2)

    @property
    def parameters(self) -> dict[str, int]:
        """What the statements that make the rows ask for."""
        counts = {"dag_runs": self.dag_runs, "live_runs": self.live_runs, "jobs": self.jobs, "log": self.log}
        return {**counts, "tasks": self.tasks_per_run}


@dataclass(frozen=True)
class Filled:
    """A database with its history, on which kind of server and in the schema of which `release`, and its name.

    It has two URLs, the owner's and the exporter's; `rows` says how much is in each table, `seconds` how long it took.
    """

    name: str
    kind: Kind
    release: str
    owner_url: str
    exporter_url: str
    size: Size
    rows: dict[str, int]
    megabytes: float
    seconds: float

    def __str__(self) -> str:
        where = "" if self.kind is Kind.POSTGRESQL else f" on {self.kind}"
        return f"Airflow {self.release}{where}, {self.size.task_instances:,} task instances"


def fill(server: EmbeddedPostgres | MariaDBServer, release: str, size: Size) -> Filled:
    """A new database of this size, with its statistics, and with the exporter's role set up as its grants say.

    On PostgreSQL the server logs the duration of each statement of the exporter's role from then on.
    """
    started = time.monotonic()
    name = f"airflow_{release.replace('.', '_')}_{size.task_instances}"
    postgresql = isinstance(server, EmbeddedPostgres)
    schema = Schema(Kind.POSTGRESQL if postgresql else Kind.MARIADB, RELEASES[release])
    if isinstance(server, EmbeddedPostgres):
        _fill_postgresql(server, name, schema, size)
    else:
        server.execute(f"CREATE DATABASE {name}; USE {name}; {schema.file.read_text()}")
    url = server.url(name)
    database = AirflowDatabase(schema, url, engine_for(url))
    if not postgresql:
        write(database, size)
    learn(database)
    exporter_url = database.exporter_url  # asking for it makes the role
    if postgresql:
        database.execute(f"GRANT pg_read_all_stats TO {EXPORTER_ROLE}")
        database.execute(f"ALTER ROLE {EXPORTER_ROLE} SET log_min_duration_statement = 0")
    ((stored,),) = database.execute(_STORED[schema.kind])
    took = time.monotonic() - started
    filled = Filled(name, schema.kind, release, url, exporter_url, size, counted(database), float(stored) / 1e6, took)
    database.engine.dispose()
    return filled


def _fill_postgresql(server: EmbeddedPostgres, name: str, schema: Schema, size: Size) -> None:
    server.execute(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE 'C'")
    tables, constraints = tables_and_constraints(schema.file.read_text())
    # In the transaction that makes a table, its rows need no write-ahead log.
    with (
        closing(psycopg2.connect(host=str(server.socket_folder), user="postgres", dbname=name)) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(tables)
        cursor.execute(_rows_of(schema), size.parameters)
        cursor.execute(constraints)


def write(database: AirflowDatabase, size: Size) -> None:
    """Write a history of this size into an Airflow without work."""
    with closing(database.engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
        for statement in _rows_of(database.schema).split(";\n"):
            if statement.strip():
                cursor.execute(statement, size.parameters)
        connection.commit()


def _rows_of(schema: Schema) -> str:
    return (ROWS / schema.kind / f"{schema.release.version}.sql").read_text()


def learn(database: AirflowDatabase) -> None:
    """Let the server look at what is there, as it does by itself after a while."""
    learns = {
        Kind.POSTGRESQL: ("VACUUM (ANALYZE)",),
        Kind.MARIADB: ("ANALYZE TABLE " + ", ".join(f"`{name}`" for name in database.tables),),
    }
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in learns[database.kind]:
            connection.exec_driver_sql(statement)


def counted(database: AirflowDatabase) -> dict[str, int]:
    """How many rows are in each table, as the server estimates it."""
    return dict(map(tuple, database.execute(_COUNTED[database.kind])))


def drop(server: EmbeddedPostgres | MariaDBServer, filled: Filled) -> None:
    """Give its disk back."""
    server.execute(f"DROP DATABASE {filled.name}" + (" WITH (FORCE)" if filled.kind is Kind.POSTGRESQL else ""))


_STORED = {
    Kind.POSTGRESQL: "SELECT pg_database_size(current_database())",
    Kind.MARIADB: "SELECT sum(data_length + index_length) FROM information_schema.tables WHERE table_schema = DATABASE()",
}
_COUNTED = {
    Kind.POSTGRESQL: (
        "SELECT relname, reltuples::bigint FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    ),
    Kind.MARIADB: "SELECT table_name, table_rows FROM information_schema.tables WHERE table_schema = DATABASE()",
}
