"""The scripts of grants: both give the same columns, and MySQL's does so through its own client, and no more."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.airflow_database import EXPORTER_ROLE, GRANTS, MYSQL_GRANTS, AirflowDatabase, Templates
from tests.exporter_process import airflow_obs
from tests.mariadb_server import MariaDBServer
from tests.tools import tool

SCRIPTS = {"postgresql": GRANTS, "mysql": MYSQL_GRANTS}
LISTED = r"table_name = '(\w+)' AND column_name IN \(([^)]*)\)"
"""How the script for MySQL lists a table and its columns."""


@pytest.mark.parametrize("kind", SCRIPTS)
def test_the_command_prints_the_script_that_the_tests_run(tmp_path: Path, kind: str) -> None:
    done = airflow_obs(tmp_path, "grants", "--for", kind)
    assert (done.returncode, done.stdout, done.stderr) == (0, SCRIPTS[kind].read_text(), "")


def test_both_scripts_name_the_same_columns() -> None:
    postgresql = _columns(GRANTS, r"\('(\w+)', '\{([^}]*)\}'\)")
    assert _columns(MYSQL_GRANTS, LISTED) == postgresql
    assert len(postgresql["task_instance"]) > 20


def _columns(script: Path, pattern: str) -> dict[str, set[str]]:
    return {table: set(re.findall(r"\w+", columns)) for table, columns in re.findall(pattern, script.read_text())}


def granted(server: MariaDBServer, database: str, *options: str) -> subprocess.CompletedProcess[str]:
    """What `airflow-obs grants --for mysql | mariadb -N DATABASE | mariadb DATABASE` says, as the script's head has it."""
    client = f"{tool('mariadb')} --no-defaults --socket={server.socket} --user=root"
    command = f"{client} {shlex.join(options)} -N {database} <{MYSQL_GRANTS} | {client} {database}"
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)


def privileges(server: MariaDBServer, host: str = "%") -> list[str]:
    """What the exporter's role may do, in the server's words."""
    return [line for (line,) in server.execute(f"SHOW GRANTS FOR {EXPORTER_ROLE}@'{host}'")]


def test_it_gives_what_there_is_and_no_more(templates: Templates, mariadb_db: AirflowDatabase) -> None:
    server, database = templates.mariadb, str(mariadb_db.engine.url.database)
    server.execute(f"CREATE USER IF NOT EXISTS {EXPORTER_ROLE}@'%'")
    done = granted(server, database)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    given = {
        (table, column)
        for line in privileges(server)
        for columns, table in re.findall(rf"GRANT SELECT \(([^)]*)\) ON `{database}`\.`(\w+)`", line)
        for column in re.findall(r"\w+", columns)
    }
    wanted = _columns(MYSQL_GRANTS, LISTED)
    there = {(table, column) for table, columns in wanted.items() for column in columns}
    assert given == {
        (table, column)
        for table, column in there
        if table in mariadb_db.tables and column in mariadb_db.tables[table].c
    }
    # Nothing else of this database, and no privilege but to read.
    assert not [
        line for line in privileges(server) if f"`{database}`" in line and not line.startswith("GRANT SELECT (")
    ]


def test_an_account_of_another_host(templates: Templates, mariadb_db: AirflowDatabase) -> None:
    server, database = templates.mariadb, str(mariadb_db.engine.url.database)
    server.execute(f"CREATE OR REPLACE USER {EXPORTER_ROLE}@'10.0.%'")
    try:
        assert granted(server, database, "--init-command=SET @host = '10.0.%'").returncode == 0
        assert any(f"ON `{database}`.`task_instance`" in line for line in privileges(server, "10.0.%"))
        assert not any(f"`{database}`" in line for line in privileges(server))
    finally:
        server.execute(f"DROP USER {EXPORTER_ROLE}@'10.0.%'")


def test_the_longest_line_fits_into_mysqls_default(mariadb_db: AirflowDatabase) -> None:
    """MySQL cuts what GROUP_CONCAT makes after 1024 bytes, MariaDB after a million."""
    with mariadb_db.engine.connect() as connection:
        plain = connection.execution_options(no_parameters=True)
        whole = plain.exec_driver_sql(MYSQL_GRANTS.read_text()).scalars().all()
        plain.exec_driver_sql("SET SESSION group_concat_max_len = 1024")
        assert plain.exec_driver_sql(MYSQL_GRANTS.read_text()).scalars().all() == whole


def test_it_refuses_a_database_without_airflow(templates: Templates) -> None:
    longest = "o'" + "x" * 62
    templates.mariadb.execute(f"CREATE DATABASE `{longest}`")
    try:
        done = granted(templates.mariadb, shlex.quote(longest))
    finally:
        templates.mariadb.execute(f"DROP DATABASE `{longest}`")
    assert done.returncode == 1
    assert f"database {longest} has no table alembic_version: name Airflow's database" in done.stderr
    done = granted(templates.mariadb, "")
    assert done.returncode == 1
    assert "no database has no table alembic_version" in done.stderr
