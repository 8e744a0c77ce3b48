"""Sizes and rows of tables as MySQL and MariaDB tell them without waiting for a lock."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from airflow_obs.sources.backends.innodb import file_name
from airflow_obs.sources.database import Session


@dataclass(frozen=True)
class Estimate:
    """A table's size in bytes and about how many rows it has; None is: not known."""

    size: float | None
    rows: float | None


def estimates(db: Session) -> dict[str, Estimate]:
    """Of each table by name: its file's size, for those with the privilege PROCESS, and what information_schema estimates.

    The latter has only the tables of which we may read a column. (InnoDB's own figures of rows know all of them, but on MySQL who
    asks for them waits for whoever changes a table.)
    """
    known = {row.name: Estimate(_float(row.size), _float(row.estimate)) for row in db.rows(_VISIBLE)}
    asked = _MARIADB_FILES if db.mariadb else _MYSQL_FILES
    for name, size in db.attempt(asked.bindparams(folder=f"{file_name(db.identity)}/%")) or ():
        known[name] = Estimate(float(size), known[name].rows if name in known else None)
    return known


def _float(value: object) -> float | None:
    return None if value is None else float(str(value))


_VISIBLE = sa.text("""
    SELECT table_name AS name, data_length + index_length AS size, table_rows AS estimate
    FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'
""")
# What follows # in a name is a partition's, or all of a table's that ALTER TABLE is making.
_FILES = """
    SELECT table_name AS name, SUM(file_size) AS size
    FROM (
        SELECT SUBSTRING_INDEX(SUBSTRING_INDEX(name, '/', -1), '#', 1) AS table_name, file_size
        FROM information_schema.{prefix}TABLESPACES WHERE name LIKE :folder ESCAPE '!'
    ) files
    WHERE table_name <> '' GROUP BY table_name
"""
_MARIADB_FILES = sa.text(_FILES.format(prefix="INNODB_SYS_"))
_MYSQL_FILES = sa.text(_FILES.format(prefix="INNODB_"))
