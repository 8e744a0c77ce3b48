"""Locks on Airflow's tables, and the chains of sessions that wait for each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.model import Reading
from airflow_obs.sources.database import Session
from airflow_obs.sources.schema import Moment

MODES = (
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)
"""PostgreSQL's table locks, weakest first."""

PREPARED = 0
"""What pg_blocking_pids() says for a prepared transaction, which has no session."""


@dataclass(frozen=True)
class Waiting:
    """A session that waits for a lock: since when (None where the server does not say), and the processes it waits for."""

    since: datetime | None
    blockers: tuple[int, ...]


@dataclass(frozen=True)
class Head:
    """Who is waited for and waits for nobody; `began` is its transaction's, None when it is hidden."""

    state: str
    began: datetime | None


@dataclass(frozen=True)
class LockState:
    """What one run of the collector saw: locks by (mode, granted), sessions that wait by process, heads of their queues."""

    locks: dict[tuple[str, bool], int]
    waiting: dict[int, Waiting]
    heads: list[Head]


class Locks:
    """Only PostgreSQL shows its locks; who blocks whom is asked only for those that wait, since asking stops the lock manager."""

    name = "locks"
    source = "database"

    def read(self, db: Session) -> LockState | None:
        """None on SQLite, which has one lock for everything."""
        if db.kind != "postgresql":
            return None
        locks = {(row.mode, row.granted): row.locks for row in db.rows(_LOCKS)}
        waiting = {row.pid: Waiting(row.since, tuple(row.blockers)) for row in db.rows(_WAITING)}
        heads = {pid for one in waiting.values() for pid in one.blockers} - set(waiting)
        return LockState(locks, waiting, _heads(db, sorted(heads)))

    def samples(self, seen: LockState | None) -> Iterator[Reading]:
        if seen is None:
            return
        for mode in reversed(MODES):
            for state, granted in (("held", True), ("awaited", False)):
                yield metrics.DB_LOCKS.sample(seen.locks.get((mode, granted), 0), mode=mode, state=state)
        if moments := [one.since for one in seen.waiting.values() if one.since is not None]:
            yield metrics.DB_LOCK_WAIT_OLDEST.sample(min(moments).timestamp())
        states = Counter(head.state for head in seen.heads)
        for state in sorted({"active", "idle in transaction", "prepared", *states}):
            yield metrics.DB_BLOCKING.sample(states[state], state=state)
        if moments := [head.began for head in seen.heads if head.began is not None]:
            yield metrics.DB_BLOCKING_OLDEST.sample(min(moments).timestamp())
        yield metrics.DB_LOCK_CHAIN.sample(longest_chain(seen.waiting))


def longest_chain(waiting: Mapping[int, Waiting]) -> int:
    """Sessions in the longest chain, its head included; a deadlock is a circle, each of whose sessions counts once."""
    lengths: dict[int, int] = {}

    def length(pid: int, path: frozenset[int]) -> int:
        if pid not in waiting:
            return 1
        if pid not in lengths:
            behind = [length(blocker, path | {pid}) for blocker in waiting[pid].blockers if blocker not in path | {pid}]
            lengths[pid] = 1 + max(behind, default=0)
        return lengths[pid]

    return max((length(pid, frozenset()) for pid in waiting), default=0)


def _heads(db: Session, pids: list[int]) -> list[Head]:
    if not pids:
        return []
    found = {row.pid: Head(row.state or "hidden", row.began) for row in db.rows(_SESSIONS.bindparams(pids=pids))}
    if PREPARED in pids:
        found[PREPARED] = Head("prepared", db.one(_PREPARED).began)
    return [found[pid] for pid in pids if pid in found]


# A session's locks on its own catalogue queries are none of Airflow's; a prepared transaction has no pid.
_LOCKS = sa.text("""
    SELECT l.mode, l.granted, count(*) AS locks
    FROM pg_catalog.pg_locks l
         JOIN pg_catalog.pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p')
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE l.locktype IN ('relation', 'tuple') AND n.nspname = pg_catalog.current_schema()
          AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
          AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
    GROUP BY 1, 2
""")
# Advisory locks are what somebody made of them: who waits for one, as a second migration does, waits on purpose.
# PostgreSQL 14 brought waitstart; as JSON it is NULL before. Then the beginning of the statement is nearest, if we may see it.
_WAITING = sa.text("""
    WITH waiting AS (
        SELECT l.pid, min((pg_catalog.to_jsonb(l) ->> 'waitstart')::timestamptz) AS since
        FROM pg_catalog.pg_locks l
        WHERE NOT l.granted AND l.locktype IN ('relation', 'tuple', 'transactionid') GROUP BY 1
    ), longest AS (
        SELECT w.pid, COALESCE(w.since, a.query_start) AS since
        FROM waiting w JOIN pg_catalog.pg_stat_activity a ON a.pid = w.pid
        WHERE a.datname = pg_catalog.current_database()
        ORDER BY since LIMIT 100
    )
    SELECT pid, since, pg_catalog.pg_blocking_pids(pid) AS blockers FROM longest
""").columns(since=Moment())
_SESSIONS = sa.text("""
    SELECT pid, state, xact_start AS began FROM pg_catalog.pg_stat_activity WHERE pid = ANY (:pids)
""").columns(began=Moment())
_PREPARED = sa.text("""
    SELECT min(prepared) AS began FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()
""").columns(began=Moment())
