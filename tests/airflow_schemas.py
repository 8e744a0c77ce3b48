"""Which schemas the tests run on, and where the DDL of each is kept."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.airflow_releases import RELEASES, AirflowRelease

ROOT = Path(__file__).resolve().parent.parent
DEMO_VERSION = "3.3.2"
NOT_ON_SQLITE = {"3.4.0b2"}


class Kind(StrEnum):
    """The database servers under an Airflow."""

    POSTGRESQL = "postgresql"
    SQLITE = "sqlite"


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables that one release of Airflow makes on one kind of database."""

    kind: Kind
    release: AirflowRelease

    def __str__(self) -> str:
        return f"{self.kind}-{self.release.version}"

    @property
    def file(self) -> Path:
        """The DDL; the one the demo ships stands in the package, and only there."""
        if (self.kind, self.release.version) == (Kind.POSTGRESQL, DEMO_VERSION):
            return ROOT / "airflow_obs" / "demo" / "schema.sql"
        return ROOT / "tests" / "schemas" / self.kind / f"{self.release.version}.sql"


POSTGRESQL_SCHEMAS = [Schema(Kind.POSTGRESQL, release) for release in RELEASES.values()]
SQLITE_SCHEMAS = [Schema(Kind.SQLITE, release) for release in RELEASES.values() if release.version not in NOT_ON_SQLITE]
SCHEMAS = [*POSTGRESQL_SCHEMAS, *SQLITE_SCHEMAS]
"""Every schema there is a file of."""

SAME_AS = {"2.11.2": "2.10.5"}
"""Releases without a migration between them: tests/test_schemas.py holds their files together, and one stands for both."""
NOT_TWICE = {"3.1.8", "3.2.2"}
"""What they bring is tested on PostgreSQL; how SQLite is asked, their neighbours tell."""
DISTINCT_POSTGRESQL_SCHEMAS = [schema for schema in POSTGRESQL_SCHEMAS if schema.release.version not in SAME_AS]
DISTINCT_SQLITE_SCHEMAS = [
    schema for schema in SQLITE_SCHEMAS if schema.release.version not in SAME_AS.keys() | NOT_TWICE
]
DISTINCT_SCHEMAS = [*DISTINCT_POSTGRESQL_SCHEMAS, *DISTINCT_SQLITE_SCHEMAS]
"""Those that the tests of the collectors run on: each shows what no other does."""
