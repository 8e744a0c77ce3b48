"""The grants that the exporter's role needs: the scripts, and how a message tells somebody to run them."""

from __future__ import annotations

from pathlib import Path

_AGAIN = "again after every `airflow db migrate`, and after Celery's first result"
RUN_GRANTS = {
    "postgresql": f"run `airflow-obs grants | psql …` as the owner of Airflow's tables ({_AGAIN})",
    "mysql": (
        "run `airflow-obs grants --for mysql | mysql -N DATABASE | mysql DATABASE` as an administrator, with the name of "
        f"Airflow's database ({_AGAIN})"
    ),
}
"""What to do where our role may not read, by the kind of server."""
_IN_A_CLONE = Path(__file__).parents[2] / "exporters"


def script(kind: str = "postgresql") -> bytes:
    """The SQL that gives the role airflow_obs its columns in Airflow's database: exporters/<kind>/grants.sql.

    psql runs what it is; what the one for MySQL and MariaDB answers is to be run.
    """
    # pyproject.toml puts it into a wheel; a clone, installed as editable or not at all, has it only where people look for it.
    in_a_wheel = Path(__file__).with_name(f"grants_{kind}.sql")
    return (in_a_wheel if in_a_wheel.exists() else _IN_A_CLONE / kind / "grants.sql").read_bytes()
