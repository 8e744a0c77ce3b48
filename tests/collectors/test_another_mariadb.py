"""On MariaDB a database is known by its name and its rows: those of another Airflow under that name are no news."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

from airflow_obs.catalog import metrics
from tests.airflow_database import AirflowDatabase, Templates
from tests.airflow_schemas import DISTINCT_MARIADB_SCHEMAS
from tests.collectors.test_another_database import COUNTERS, Exporter, done, name_of, work
from tests.conftest import NewDatabase
from tests.mariadb_server import MariaDBServer

SCHEMAS = [schema for schema in DISTINCT_MARIADB_SCHEMAS if schema.release.version in {"2.10.5", "3.3.2"}]
COUNTED = [metric for metric in COUNTERS if metric is not metrics.SLA_MISSES]
"""MariaDB counts no inserts where its performance schema is off."""
Switch = Callable[[MariaDBServer, AirflowDatabase], None]


@pytest.fixture(params=SCHEMAS, ids=str)
def db(request: pytest.FixtureRequest, new_database: NewDatabase) -> AirflowDatabase:
    return new_database(request.param)


def restored_from_a_dump(server: MariaDBServer, db: AirflowDatabase) -> None:
    """Dropped, and made anew under its name: what was granted on it stays."""
    db.engine.dispose()
    name = name_of(db)
    server.end_sessions(f"db = '{name}'")
    server.execute(f"DROP DATABASE {name}; CREATE DATABASE {name}; USE {name}; {db.schema.file.read_text()}")
    work(db, 3)


def its_tables_are_made_anew(server: MariaDBServer, db: AirflowDatabase) -> None:
    """As by `airflow db reset`, or a dump that drops each table first, while we are connected."""
    dropped = "; ".join(f"DROP TABLE `{table}`" for table in db.tables)
    server.execute(f"SET FOREIGN_KEY_CHECKS = 0; {dropped}; {db.schema.file.read_text()}", name_of(db))
    work(db, 3)


def its_tables_are_filled_anew(server: MariaDBServer, db: AirflowDatabase) -> None:
    """With rows of another Airflow whose numbers are greater: only the rows tell."""
    for table in {"dag_run", "log", "deadline"} & db.tables.keys():
        server.execute(f"DELETE FROM {table}", name_of(db))
    for table in ("dag_run", "log"):
        server.execute(f"ALTER TABLE {table} AUTO_INCREMENT = 70000", name_of(db))
    work(db, 3)


@pytest.mark.parametrize("switch", [restored_from_a_dump, its_tables_are_made_anew, its_tables_are_filled_anew])
def test_its_past_is_no_news(templates: Templates, db: AirflowDatabase, switch: Switch) -> None:
    work(db)
    exporter = Exporter(db.exporter_url)
    with closing(exporter.source):
        before = exporter.run()
        work(db)
        counted = exporter.run()
        assert {metric: counted[metric] - before[metric] for metric in COUNTED} == {m: done(db)[m] for m in COUNTED}
        switch(templates.mariadb, db)
        assert exporter.run() == counted
        work(db, 2)
        news = exporter.run()
        assert {metric: news[metric] - counted[metric] for metric in COUNTED} == {m: done(db, 2)[m] for m in COUNTED}


def cut_off(server: MariaDBServer, db: AirflowDatabase) -> None:
    server.end_sessions(f"db = '{name_of(db)}'")


def rewritten(server: MariaDBServer, db: AirflowDatabase) -> None:
    server.execute("; ".join(f"ALTER TABLE `{table}` FORCE" for table in db.tables), name_of(db))


def upgraded(server: MariaDBServer, db: AirflowDatabase) -> None:
    server.execute("UPDATE alembic_version SET version_num = 'upgraded'", name_of(db))


@pytest.mark.parametrize("meanwhile", [cut_off, rewritten, upgraded])
def test_the_same_database_goes_on(templates: Templates, db: AirflowDatabase, meanwhile: Switch) -> None:
    work(db)
    exporter = Exporter(db.exporter_url)
    with closing(exporter.source):
        counted = exporter.run()
        work(db)
        meanwhile(templates.mariadb, db)
        db.engine.dispose()
        news = exporter.run()
        assert {metric: news[metric] - counted[metric] for metric in COUNTED} == {m: done(db)[m] for m in COUNTED}
