"""Which schemas the tests run on, and where the DDL of each is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from tests.airflow_releases import RELEASES, AirflowRelease

ROOT = Path(__file__).resolve().parent.parent
DEMO_VERSION = "3.3.2"
POOLED = {"2.10.5", DEMO_VERSION}
NOT_ON_SQLITE = {"3.4.0b2"}


class Kind(StrEnum):
    """The database servers under an Airflow."""

    POSTGRESQL = "postgresql"
    MARIADB = "mariadb"
    SQLITE = "sqlite"


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables that one release of Airflow makes on one kind of database."""

    kind: Kind
    release: AirflowRelease
    pooled: bool = False
    """Whether the exporter reaches it through PgBouncer."""

    def __str__(self) -> str:
        return f"{'pgbouncer' if self.pooled else self.kind}-{self.release.version}"

    @property
    def file(self) -> Path:
        """The DDL; the one the demo ships stands in the package, and only there."""
        if (self.kind, self.release.version) == (Kind.POSTGRESQL, DEMO_VERSION):
            return ROOT / "airflow_obs" / "demo" / "schema.sql"
        return ROOT / "tests" / "schemas" / self.kind / f"{self.release.version}.sql"


POSTGRESQL_SCHEMAS = [Schema(Kind.POSTGRESQL, release) for release in RELEASES.values()]
MARIADB_SCHEMAS = [Schema(Kind.MARIADB, release) for release in RELEASES.values()]
SQLITE_SCHEMAS = [Schema(Kind.SQLITE, release) for release in RELEASES.values() if release.version not in NOT_ON_SQLITE]
SCHEMAS = [*POSTGRESQL_SCHEMAS, *MARIADB_SCHEMAS, *SQLITE_SCHEMAS]
"""Every schema there is a file of."""

POOLED_SCHEMAS = [replace(schema, pooled=True) for schema in POSTGRESQL_SCHEMAS if schema.release.version in POOLED]
"""What is asked of PostgreSQL is the same through a pooler: one Airflow of each major release tells whether it takes it."""

SAME_AS = {"2.11.2": "2.10.5"}
"""Releases without a migration between them: tests/test_schemas.py holds their files together, and one stands for both."""
NOT_TWICE = {"3.1.8", "3.2.2"}
"""What they bring is tested on PostgreSQL; how SQLite is asked, their neighbours tell."""
ON_MARIADB = {"2.4.3", "2.10.5", "3.3.2", "3.4.0b2"}
"""How MariaDB is asked, the first and the last of each major release tell, and the one that comes next."""
DISTINCT_POSTGRESQL_SCHEMAS = [schema for schema in POSTGRESQL_SCHEMAS if schema.release.version not in SAME_AS]
DISTINCT_MARIADB_SCHEMAS = [schema for schema in MARIADB_SCHEMAS if schema.release.version in ON_MARIADB]
DISTINCT_SQLITE_SCHEMAS = [
    schema for schema in SQLITE_SCHEMAS if schema.release.version not in SAME_AS.keys() | NOT_TWICE
]
DISTINCT_SCHEMAS = [
    *DISTINCT_POSTGRESQL_SCHEMAS,
    *POOLED_SCHEMAS,
    *DISTINCT_MARIADB_SCHEMAS,
    *DISTINCT_SQLITE_SCHEMAS,
]
"""Those that the tests of the collectors run on: each shows what no other does."""
