"""Keys that grow with time, so that the rows of a time are a range of the primary key."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from airflow_obs.sources.database import Session

_DASHED = 36
"""Characters of a UUID with dashes."""


def first_id(db: Session, key: sa.ColumnClause[Any], moment: datetime) -> sa.ColumnElement[Any]:
    """The least UUID of version 7 (RFC 9562) that anything made at `moment` or later can have, as `key` holds it.

    On SQLite and MySQL Airflow keeps them as text, with dashes or without, whose order is theirs. MariaDB from 10.7 on has a type
    for them, which takes text, and which is in the order of time from 10.10.6 and 10.11.5 on:
    https://mariadb.com/docs/server/reference/data-types/string-data-types/uuid-data-type
    """
    milliseconds = int(moment.timestamp() * 1000)
    number = uuid.UUID(int=(milliseconds << 80) | (0x7 << 76) | (0b10 << 62))
    if db.kind == "postgresql":
        return sa.cast(sa.literal(str(number)), sa.Uuid())
    return sa.literal(str(number) if getattr(key.type, "length", None) == _DASHED else number.hex)
