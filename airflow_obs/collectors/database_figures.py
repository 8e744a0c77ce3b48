"""What every kind of database server says of itself, in the words of none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Limit:
    """How many connections there may be, and are, of those that count towards the limit of `of`: server, database or role."""

    of: str
    most: int
    used: int


@dataclass(frozen=True)
class Activity:
    """What the server says of its sessions; `connections` by state, `oldest_transactions` by state.

    `blocked` is None where our role may not see, `transaction_id_age` where transactions have no numbers that run out.
    """

    connections: Mapping[str, int]
    limits: tuple[Limit, ...]
    oldest_transactions: Mapping[str, datetime]
    blocked: int | None
    connections_reserved: int
    transaction_id_age: int | None = None


@dataclass(frozen=True)
class Counters:
    """What the server has counted since `since` (None: since the database was made); None where it does not, or not for us.

    `temp_files` are those of queries, `row_lock_waits` took `row_lock_wait_seconds` together.
    """

    since: datetime | None
    deadlocks: int | None = None
    temp_files: int | None = None
    temp_bytes: int | None = None
    row_lock_waits: int | None = None
    row_lock_wait_seconds: float | None = None


@dataclass(frozen=True)
class Figures:
    """One server: the size of the database in bytes, the server's version, and the rest, None where there is no server."""

    size: int
    version: str
    activity: Activity | None = None
    counters: Counters | None = None
