"""Write the schema fixtures again: install each real Airflow, let it make its tables, and keep the DDL.

Run from the root of the repository: `python -m tests.schemas.regenerate [--check] [VERSION ...]`.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.airflow_install import InstallError, installed_airflow
from tests.airflow_releases import RELEASES, cache_folder
from tests.airflow_schemas import ROOT, SCHEMAS, Kind, Schema
from tests.embedded_postgres import embedded_postgres
from tests.mariadb_server import MariaDBServer, mariadb_server
from tests.tools import tool

SERVER_VERSION = 16
"""The oldest PostgreSQL in the wheel: its DDL loads on every newer one."""

ROWS = {
    "alembic_version": ("version_num",),
    "log_template": ("filename", "elasticsearch_id", "created_at"),
    "slot_pool": ("pool", "slots", "description", "include_deferred"),
}
"""The rows a fresh Airflow has and its other tables refer to; their ids come from the sequence, as they did there."""

FIXED = {"created_at": "2020-01-01 00:00:00.000000"}
"""The moment of the migration (UTC) would change the file at each run."""

EXTRA = {Kind.POSTGRESQL: "postgres", Kind.MARIADB: "mysql", Kind.SQLITE: "postgres"}
"""What brings the driver; mysqlclient is compiled, for which Debian has libmariadb-dev."""

MARIADB_HEAD = "SET FOREIGN_KEY_CHECKS = 0;\n"
"""The tables come in the order of their names, and may refer to later ones."""

SQLITE_DDL = """
SELECT made.sql FROM sqlite_master made JOIN sqlite_master owner ON owner.type = 'table' AND owner.name = made.tbl_name
WHERE made.sql IS NOT NULL AND made.name NOT LIKE 'sqlite_%'
ORDER BY owner.rowid, made.type = 'table' DESC, made.name
"""
"""Each table as it was made, then its indexes by name: Airflow makes those in an order that varies from run to run."""


def main() -> int:
    """0 when done or nothing would change, 1 when --check finds a difference, 2 when a release cannot be run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", metavar="VERSION", help=f"default: {' '.join(RELEASES)}")
    parser.add_argument("--check", action="store_true", help="write nothing, show what would change")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="where Airflow is installed (%(default)s)")
    options = parser.parse_args()
    if unknown := set(options.versions) - set(RELEASES):
        parser.error(f"unknown version {', '.join(sorted(unknown))}: choose from {' '.join(RELEASES)}")
    try:
        return max(_schema(schema, options.cache, check=options.check) for schema in _wanted(options.versions))
    except (InstallError, MigrationError) as problem:
        sys.stderr.write(f"{problem}\n")
        return 2


class MigrationError(Exception):
    """A release did not make its tables; the text says which, where, and what it printed."""


def _wanted(versions: list[str]) -> list[Schema]:
    return [schema for schema in SCHEMAS if not versions or schema.release.version in versions]


def _schema(schema: Schema, cache: Path, *, check: bool) -> int:
    installation = installed_airflow(schema.release, EXTRA[schema.kind], cache=cache)
    made_by = (
        f"-- Airflow {schema.release.version} on {schema.kind}, made by tests/schemas/regenerate.py: do not edit.\n"
    )
    text = made_by + DDL[schema.kind](schema, installation)
    name = schema.file.relative_to(ROOT)
    kept = schema.file.read_text() if schema.file.exists() else ""
    if kept == text:
        sys.stdout.write(f"{name}: current\n")
        return 0
    if check:
        lines = difflib.unified_diff(
            kept.splitlines(keepends=True), text.splitlines(keepends=True), str(name), f"{name} (made again)"
        )
        sys.stdout.writelines(lines)
        return 1
    schema.file.parent.mkdir(parents=True, exist_ok=True)
    schema.file.write_text(text)
    sys.stdout.write(f"{name}: written\n")
    return 0


def _migrate(schema: Schema, installation: Path, url: str) -> None:
    with tempfile.TemporaryDirectory(prefix="airflow-obs-home-") as home:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
        settings = {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
        }
        command = [str(installation / "bin" / "airflow"), *schema.release.migrate_command]
        done = subprocess.run(
            command, env=kept | settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode:
            raise MigrationError(f"{schema}: `{' '.join(command)}` failed:\n{done.stdout[-3000:]}")


def _postgresql_ddl(schema: Schema, installation: Path) -> str:
    with embedded_postgres(SERVER_VERSION) as postgres:
        postgres.execute("CREATE DATABASE airflow")
        _migrate(schema, installation, postgres.url("airflow", driver="psycopg2"))
        command = [str(postgres.binaries / "pg_dump"), "--schema-only", "--no-owner", "--no-privileges"]
        dump = subprocess.run([*command, postgres.url("airflow")], stdout=subprocess.PIPE, text=True, check=True)
        # Comments, SET and psql's own commands: they name the server's version, or only psql understands them.
        ddl = [line for line in dump.stdout.splitlines() if not line.startswith(("--", "SET ", "SELECT ", "\\"))]
        columns = "SELECT attname FROM pg_attribute WHERE attrelid = 'public.{}'::regclass AND attnum > 0"
        rows = _rows(lambda query: postgres.execute(query, "airflow"), columns, prefix="public.", zone="+00")
        return "".join(f"{line}\n" for line in ddl if line) + rows


def _mariadb_ddl(schema: Schema, installation: Path) -> str:
    with mariadb_server() as mariadb:
        # As Airflow's documentation says; Airflow itself gives its ids a collation that tells upper from lower case.
        mariadb.execute("CREATE DATABASE airflow CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
        _migrate(schema, installation, mariadb.url("airflow", driver="mysqldb"))
        columns = (
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'airflow' AND table_name = '{}'"
        )
        rows = _rows(lambda query: mariadb.execute(query, "airflow"), columns)
        return MARIADB_HEAD + _with_sorted_keys(_dump(mariadb, "airflow")) + rows


def _dump(mariadb: MariaDBServer, database: str) -> str:
    command = [tool("mariadb-dump"), "--no-defaults", f"--socket={mariadb.socket}", "--user=root"]
    # Compact: without comments and SET, which name the server and the day, and only the server's own commands understand.
    done = subprocess.run([*command, "--no-data", "--compact", database], stdout=subprocess.PIPE, text=True, check=True)
    kept = [line for line in done.stdout.splitlines() if not line.startswith("/*")]
    return "".join(f"{re.sub(' AUTO_INCREMENT=[0-9]+', '', line)}\n" for line in kept)


def _with_sorted_keys(ddl: str) -> str:
    """The DDL with the indexes of each table in the order of their names, as Airflow makes them in one that varies."""
    return re.sub("(?m)(^  (?:UNIQUE )?KEY .*,?\n)+", lambda keys: _sorted_lines(keys.group()), ddl)


def _sorted_lines(lines: str) -> str:
    # Unique ones first, as the server itself has them.
    separated = sorted(
        (line.removesuffix(",") for line in lines.splitlines()), key=lambda line: ("UNIQUE" not in line, line)
    )
    return ",\n".join(separated) + (",\n" if lines.endswith(",\n") else "\n")


def _sqlite_ddl(schema: Schema, installation: Path) -> str:
    with tempfile.TemporaryDirectory(prefix="airflow-obs-sqlite-") as folder:
        file = Path(folder) / "airflow.db"
        _migrate(schema, installation, f"sqlite:///{file}")
        with closing(sqlite3.connect(file)) as connection:
            made = connection.execute(SQLITE_DDL)
            lines = "".join(f"{sql};\n" for (sql,) in made).splitlines()
            rows = _rows(connection.execute, "SELECT name FROM pragma_table_info('{}')")
            return "".join(f"{line.rstrip()}\n" for line in lines) + rows


DDL = {Kind.POSTGRESQL: _postgresql_ddl, Kind.MARIADB: _mariadb_ddl, Kind.SQLITE: _sqlite_ddl}


def _rows(ask: Callable[[str], Iterable[tuple[Any, ...]]], catalogue: str, prefix: str = "", zone: str = "") -> str:
    """INSERT statements for the rows of ROWS; `catalogue` is the query for a table's columns, `{}` the table's name."""
    statements = []
    for table, columns in ROWS.items():
        there = {name for (name,) in ask(catalogue.format(table))}
        present = [column for column in columns if column in there]
        rows = ask(f"SELECT {', '.join(present)} FROM {table} ORDER BY {_order(there)}")
        statements += [_insert(f"{prefix}{table}", present, row, zone) for row in rows]
    return "".join(statements)


def _order(columns: set[str]) -> str:
    return "id" if "id" in columns else "1"


def _insert(table: str, columns: list[str], row: tuple[Any, ...], zone: str) -> str:
    values = (f"{FIXED[name]}{zone}" if name in FIXED else value for name, value in zip(columns, row, strict=True))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(map(_literal, values))});\n"


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool | int):
        return str(value).lower()
    return "'" + str(value).replace("'", "''") + "'"


if __name__ == "__main__":
    raise SystemExit(main())
