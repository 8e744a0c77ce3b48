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

ROWS = Path(__file__).parent / "rows"
"""Per release the statements that make the rows: `<release>.sql`, with the parameters of Size."""
KNOWN = tuple(sorted(file.stem for file in ROWS.glob("*.sql")))
"""Releases whose history can be made."""
TASKS_PER_RUN = 20
DAGS = 1_000


@dataclass(frozen=True)
class Size:
    """How much history: rows of each large table, all following from the task instances."""

    task_instances: int

    @property
    def dag_runs(self) -> int:
        return self.task_instances // TASKS_PER_RUN

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
        return {**counts, "tasks": TASKS_PER_RUN}


@dataclass(frozen=True)
class Filled:
    """A database with its history, in the schema of `release`, and its name.

    It has two URLs, the owner's and the exporter's; `rows` says how much is in each table, `seconds` how long it took.
    """

    name: str
    release: str
    owner_url: str
    exporter_url: str
    size: Size
    rows: dict[str, int]
    megabytes: float
    seconds: float

    def __str__(self) -> str:
        return f"Airflow {self.release}, {self.size.task_instances:,} task instances"


def fill(server: EmbeddedPostgres, release: str, size: Size) -> Filled:
    """A new database of this size, vacuumed and analysed, with the exporter's role set up as its grants say.

    The exporter's role has the server log the duration of each of its statements.
    """
    started = time.monotonic()
    schema = Schema(Kind.POSTGRESQL, RELEASES[release])
    name = f"airflow_{release.replace('.', '_')}_{size.task_instances}"
    server.execute(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE 'C'")
    tables, constraints = tables_and_constraints(schema.file.read_text())
    # In the transaction that makes a table, its rows need no write-ahead log.
    with (
        closing(psycopg2.connect(host=str(server.socket_folder), user="postgres", dbname=name)) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(tables)
        cursor.execute((ROWS / f"{release}.sql").read_text(), size.parameters)
        cursor.execute(constraints)
    server.execute("VACUUM (ANALYZE)", name)
    url = server.url(name)
    database = AirflowDatabase(schema, url, engine_for(url))
    exporter_url = database.exporter_url  # asking for it makes the role
    database.execute(f"GRANT pg_read_all_stats TO {EXPORTER_ROLE}")
    database.execute(f"ALTER ROLE {EXPORTER_ROLE} SET log_min_duration_statement = 0")
    ((stored,),) = database.execute("SELECT pg_database_size(current_database())")
    took = time.monotonic() - started
    filled = Filled(name, release, url, exporter_url, size, _rows(database), stored / 1e6, took)
    database.engine.dispose()
    return filled


def drop(server: EmbeddedPostgres, filled: Filled) -> None:
    """Give its disk back."""
    server.execute(f"DROP DATABASE {filled.name} WITH (FORCE)")


def _rows(database: AirflowDatabase) -> dict[str, int]:
    counted = (
        "SELECT relname, reltuples::bigint FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    return dict(map(tuple, database.execute(counted)))
