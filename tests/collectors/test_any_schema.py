"""Whatever is missing from a schema, no collector raises anything but a refusal in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from airflow_obs.collectors.collector import AnyCollector
from airflow_obs.errors import SourceError
from tests.airflow_database import EXPORTER_ROLE, GRANTS, AirflowDatabase, Templates, engine_for
from tests.airflow_schemas import (
    DISTINCT_MARIADB_SCHEMAS,
    DISTINCT_POSTGRESQL_SCHEMAS,
    DISTINCT_SQLITE_SCHEMAS,
    Schema,
)
from tests.collectors.collected import BUDGET, every_collector, source
from tests.conftest import NewDatabase
from tests.embedded_postgres import memory_folder
from tests.test_meta import a_busy_airflow

settings.register_profile(
    "schemas", deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)  # fmt: skip
quick = settings.get_profile("schemas")

READ = {
    table: columns.split(",")
    for table, columns in re.findall(r"^ +\('(\w+)', '\{(.+)\}'\)", GRANTS.read_text(), re.MULTILINE)
}
"""Every column that any collector reads: what the exporter's role is granted."""
NEEDED = {
    "jobs": {"job"},
    "task_instances": {"task_instance"},
    "dag_runs": {"dag_run"},
    "dag_processing": {"dag"},
    "pools": {"slot_pool", "task_instance"},
    "outcomes": {"dag_run", "task_instance", "task_instance_history"},
    "dags": {"dag", "dag_run", "task_instance"},
    "slos": {"dag", "dag_run"},
}
"""What a collector is about: it refuses rather than keep silent without it. Without anything else it goes on."""
COLUMNS = [(table, column) for table, columns in READ.items() for column in columns]
LOST_TABLES = st.sets(st.sampled_from(sorted(READ)), max_size=4)
LOST_COLUMNS = st.sets(st.sampled_from(COLUMNS), max_size=12)


def run_all(url: str, every: list[AnyCollector]) -> dict[str, str | None]:
    """The name of each collector and what it refused for, None if it succeeded; anything else that it raises comes out."""
    refusals: dict[str, str | None] = {}
    with closing(source(url)) as database:
        for one in every:
            refusals[one.name] = None
            try:
                with database.session(BUDGET) as session:
                    rows = one.read(session)
            except SourceError as refusal:
                refusals[one.name] = str(refusal)
            else:
                list(one.samples(rows))
    return refusals


def says_what_it_needs(name: str, refusal: str) -> bool:
    """Whether the refusal names a table of those that the collector is about, or says that this is no Airflow at all."""
    lacks = re.match(r"database: (?:it has no table|table|this is not .* no table) (\w+)", refusal)
    return lacks is not None and lacks[1] in {*NEEDED.get(name, ()), "alembic_version", "dag_run"}


@pytest.fixture(scope="module")
def busy_files(templates: Templates) -> Iterator[Callable[[Schema], AirflowDatabase]]:
    """A busy Airflow of each release on SQLite, to copy from."""
    with ExitStack() as stack:
        found = {schema: stack.enter_context(templates.database(schema)) for schema in DISTINCT_SQLITE_SCHEMAS}
        for db in found.values():
            a_busy_airflow(db)
        yield lambda schema: found[schema]


def a_copy_without(db: AirflowDatabase, tables: set[str], columns: set[tuple[str, str]], file: Path) -> str:
    """The URL of a new file with the rows of `db`, without these tables and columns, and with the keys and indexes left."""
    engine = engine_for(f"sqlite:///{file}")
    with engine.begin() as connection:
        connection.exec_driver_sql(f"ATTACH DATABASE '{sa.make_url(db.url).database}' AS whole")
        for table in db.tables.values():
            kept = [column for column in table.columns if (table.name, column.name) not in columns]
            if table.name not in tables and kept:
                typed = ", ".join(f'"{one.name}" {one.type.compile(engine.dialect)}' for one in kept)
                names = ", ".join(f'"{one.name}"' for one in kept)
                connection.exec_driver_sql(f'CREATE TABLE main."{table.name}" ({typed})')
                connection.exec_driver_sql(
                    f'INSERT INTO main."{table.name}" ({names}) SELECT {names} FROM whole."{table.name}"'
                )
                key = [column.name for column in table.primary_key]
                lost = {column for table_name, column in columns if table_name == table.name}
                if key and not lost.intersection(key):
                    listed = ", ".join(f'"{name}"' for name in key)
                    connection.exec_driver_sql(
                        f'CREATE UNIQUE INDEX "key of {table.name}" ON "{table.name}" ({listed})'
                    )
                named = sa.text(
                    "SELECT sql FROM whole.sqlite_master WHERE type = 'index' AND sql > '' AND tbl_name = :name"
                )
                for index in connection.execute(named, {"name": table.name}).scalars().all():
                    if not lost.intersection(re.findall(r"\w+", index)):
                        connection.exec_driver_sql(index)
    engine.dispose()
    return f"sqlite:///{file}"


@settings(quick, max_examples=15)
@given(schema=st.sampled_from(DISTINCT_SQLITE_SCHEMAS), tables=LOST_TABLES, columns=LOST_COLUMNS)
def test_on_sqlite(
    busy_files: Callable[[Schema], AirflowDatabase], schema: Schema, tables: set[str], columns: set[tuple[str, str]]
) -> None:
    whole, every = busy_files(schema), every_collector()
    with TemporaryDirectory(prefix="airflow-obs-", dir=memory_folder()) as folder:
        refusals = run_all(a_copy_without(whole, tables, columns, Path(folder) / "airflow.db"), every)
    for name, refusal in refusals.items():
        assert refusal is None or says_what_it_needs(name, refusal)


@settings(quick, max_examples=8)
@given(
    schema=st.sampled_from(DISTINCT_POSTGRESQL_SCHEMAS), tables=LOST_TABLES, columns=LOST_COLUMNS,
    withheld=LOST_COLUMNS,
)  # fmt: skip
def test_on_postgresql(
    templates: Templates, schema: Schema, tables: set[str], columns: set[tuple[str, str]],
    withheld: set[tuple[str, str]],
) -> None:  # fmt: skip
    with templates.database(schema) as db:
        a_busy_airflow(db)
        url, every = db.exporter_url, every_collector()
        # What was read before it went is remembered, as in a migration under a running exporter.
        assert set(run_all(url, every).values()) == {None}
        there = {(name, column.name) for name, table in db.tables.items() for column in table.columns}
        for table, column in sorted(withheld & there):
            db.execute(f"REVOKE SELECT ({column}) ON {table} FROM {EXPORTER_ROLE}")
        for table, column in sorted(columns & there):
            db.execute(f"ALTER TABLE {table} DROP COLUMN {column} CASCADE")
        for table in sorted(tables & db.tables.keys()):
            db.execute(f"DROP TABLE {table} CASCADE")
        for name, refusal in run_all(url, every).items():
            assert refusal is None or says_what_it_needs(name, refusal) or (withheld and "permission denied" in refusal)


def _drop_foreign_keys(db: AirflowDatabase) -> None:
    keys = (
        "SELECT table_name, constraint_name FROM information_schema.referential_constraints "
        "WHERE constraint_schema = DATABASE()"
    )
    for table, key in db.execute(keys):
        db.execute(f"ALTER TABLE `{table}` DROP FOREIGN KEY `{key}`")


def _drop_column(db: AirflowDatabase, table: str, column: str) -> None:
    """With its indexes, as PostgreSQL's CASCADE; with the table, where it is the last: MariaDB has none without columns."""
    named = (
        "SELECT DISTINCT index_name FROM information_schema.statistics "
        f"WHERE table_schema = DATABASE() AND table_name = '{table}' AND column_name = '{column}'"
    )
    dropped = [f"DROP INDEX `{index}`" for (index,) in db.execute(named)]
    left = "SELECT count(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = "
    if db.execute(f"{left}'{table}'") == [(1,)]:
        db.execute(f"DROP TABLE `{table}`")
    else:
        db.execute(f"ALTER TABLE `{table}` {', '.join([*dropped, f'DROP COLUMN `{column}`'])}")


@settings(quick, max_examples=8)
@given(
    schema=st.sampled_from(DISTINCT_MARIADB_SCHEMAS), tables=LOST_TABLES, columns=LOST_COLUMNS,
    withheld=LOST_COLUMNS,
)  # fmt: skip
def test_on_mariadb(
    templates: Templates, schema: Schema, tables: set[str], columns: set[tuple[str, str]],
    withheld: set[tuple[str, str]],
) -> None:  # fmt: skip
    with templates.database(schema) as db:
        a_busy_airflow(db)
        url, every = db.exporter_url, every_collector()
        assert set(run_all(url, every).values()) == {None}
        there = {(name, column.name) for name, table in db.tables.items() for column in table.columns}
        for table, column in sorted(withheld & there):
            db.execute(f"REVOKE SELECT (`{column}`) ON `{table}` FROM {EXPORTER_ROLE}")
        _drop_foreign_keys(db)
        for table, column in sorted(columns & there):
            _drop_column(db, table, column)
        for table in sorted(tables & db.tables.keys()):
            db.execute(f"DROP TABLE IF EXISTS `{table}`")
        for name, refusal in run_all(url, every).items():
            assert refusal is None or says_what_it_needs(name, refusal) or (withheld and "command denied" in refusal)


def test_an_empty_airflow_is_no_failure(new_database: NewDatabase) -> None:
    assert set(run_all(new_database(DISTINCT_SQLITE_SCHEMAS[-1]).url, every_collector()).values()) == {None}
