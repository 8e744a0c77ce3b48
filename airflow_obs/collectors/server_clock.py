"""What time it is by the database server."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from airflow_obs.sources.database import Session
from airflow_obs.sources.schema import Moment


def server_time(db: Session) -> datetime | None:
    """The server's clock when it got the question; None for SQLite, which has no server."""
    asked = _CLOCKS.get(db.kind)
    if asked is None:
        return None
    moment: datetime = db.one(asked)[0]
    return moment


_CLOCKS = {
    "postgresql": sa.text("SELECT pg_catalog.clock_timestamp() AS moment").columns(moment=Moment()),
    "mysql": sa.text("SELECT UTC_TIMESTAMP(6) AS moment").columns(moment=Moment()),
}
