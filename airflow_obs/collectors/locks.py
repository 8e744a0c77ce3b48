"""Locks on Airflow's tables, and the chains of sessions that wait for each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.collectors import locks_mysql
from airflow_obs.collectors.lock_queues import PREPARED, Head, LockState, Waiting, heads_of, longest_chain
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


class Locks:
    """Who blocks whom is asked only for those that wait: of PostgreSQL, asking stops the lock manager."""

    name = "locks"
    source = "database"

    def read(self, db: Session) -> LockState | None:
        """None on SQLite, which has one lock for everything, and where our role may not see."""
        if db.kind == "mysql":
            return locks_mysql.lock_queues(db)
        if db.kind != "postgresql":
            return None
        locks = {(row.mode, row.granted): row.locks for row in db.rows(_LOCKS)}
        waiting = {row.pid: Waiting(row.since, tuple(row.blockers)) for row in db.rows(_WAITING)}
        return LockState(waiting, _heads(db, heads_of(waiting)), locks)

    def samples(self, seen: LockState | None) -> Iterator[Reading]:
        if seen is None:
            return
        if seen.locks is not None:
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
