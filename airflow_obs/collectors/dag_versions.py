"""Versions of DAGs that were made of late; Airflow 3 only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from airflow_obs.collectors.time_ordered import first_id
from airflow_obs.sources.database import Session

DAY = timedelta(days=1)
SLACK = timedelta(minutes=10)
"""How far the clock that made an id may be behind the one that wrote the row's moment."""
LOOK_AT = 50_000
"""Versions at most, the newest: in a day 500 DAGs that differ at every parse may make thirty times as many."""


def made_last_day(db: Session) -> sa.Select[Any] | None:
    """The statement for (dag_id, versions made in the last 24 hours), of DAGs that have any; None in Airflow 2.

    Versions are found by their ids, which begin with the time: dag_version has no index on its moments.
    """
    if not db.schema.has("dag_version", "id", "dag_id", "created_at"):
        return None
    version = db.schema.table("dag_version")
    newest = (
        sa.select(version.c.dag_id, version.c.created_at)
        .where(version.c.id >= first_id(db, version.c.id, db.now - DAY - SLACK))
        .order_by(version.c.id.desc())
        .limit(LOOK_AT)
        .subquery()
    )
    made = newest.c.created_at >= db.now - DAY
    return sa.select(newest.c.dag_id, sa.func.count().label("versions")).where(made).group_by(newest.c.dag_id)
