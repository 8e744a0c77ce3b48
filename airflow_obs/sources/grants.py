"""The grants that the exporter's role needs: the script, and how a message tells somebody to run it."""

from __future__ import annotations

from pathlib import Path

RUN_GRANTS = (
    "run `airflow-obs grants | psql …` as the owner of Airflow's tables (again after every `airflow db migrate`, and after "
    "Celery's first result)"
)
_IN_A_WHEEL = Path(__file__).with_name("grants.sql")
"""Put there by pyproject.toml; a clone, installed as editable or not at all, has it only where people look for it."""
_IN_A_CLONE = Path(__file__).parents[2] / "exporters" / "postgresql" / "grants.sql"


def script() -> bytes:
    """The SQL that gives the role airflow_obs its columns, for psql in Airflow's database: exporters/postgresql/grants.sql."""
    return (_IN_A_WHEEL if _IN_A_WHEEL.exists() else _IN_A_CLONE).read_bytes()
