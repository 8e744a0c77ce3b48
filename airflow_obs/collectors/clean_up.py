"""What `airflow db clean` should have deleted by the policy's retention, and the rows that it cannot see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import CLEANED_TABLES, UNFINISHED_STATES
from airflow_obs.collectors.tables import LOOK_AT, oldest_rows, statistics
from airflow_obs.collectors.time_ordered import first_id
from airflow_obs.model import Reading
from airflow_obs.policy.retention import Retention
from airflow_obs.sources.database import Session


@dataclass(frozen=True)
class Oldest:
    """The oldest row of a table that has a moment; None when none has, or when no index and no statistics tell."""

    table: str
    moment: datetime | None


@dataclass(frozen=True)
class CleanUpState:
    """What one run of the collector saw: the oldest row of each table that is cleaned, and undated rows by table."""

    oldest: list[Oldest]
    undated: dict[str, int]


class CleanUp:
    """Never judges dag_run by its oldest row: `airflow db clean` keeps the last run of each DAG."""

    name = "clean_up"
    source = "database"

    def __init__(self, retention: Retention) -> None:
        self._retention = retention

    def read(self, db: Session) -> CleanUpState:
        locked = {row.name for row in db.rows(_LOCKED)} if db.kind == "postgresql" else set()
        names = {table for table in CLEANED_TABLES if db.schema.has(table)}
        known, exact = statistics(db), oldest_rows(db, names - locked)
        estimated = {name: known[name].oldest for name in names - exact.keys() if name in known}
        oldest = [Oldest(name, {**estimated, **exact}.get(name)) for name in sorted(names)]
        return CleanUpState(oldest, dict(self._undated(db, locked)))

    def samples(self, seen: CleanUpState) -> Iterator[Reading]:
        for oldest in seen.oldest:
            kept = self._kept(oldest.table)
            yield metrics.CLEAN_UP_RETENTION.sample(kept.total_seconds(), table=oldest.table)
            if oldest.moment is not None:
                due = oldest.moment.timestamp() + kept.total_seconds()  # a datetime ends with the year 9999
                yield metrics.CLEAN_UP_DUE.sample(due, table=oldest.table)
        for table, count in seen.undated.items():
            yield metrics.CLEAN_UP_UNDATED.sample(count, table=table)

    def _kept(self, table: str) -> timedelta:
        return timedelta(days=self._retention.days_of(table))

    def _undated(self, db: Session, locked: set[str]) -> Iterator[tuple[str, int]]:
        runs, tries = db.now - self._kept("dag_run"), db.now - self._kept("task_instance")
        statements = {
            "dag_run": _undated_runs(db, runs),
            "task_instance": _undated_tries(db, "task_instance", "id", tries),
            "task_instance_history": _undated_tries(db, "task_instance_history", "task_instance_id", tries),
        }
        for table, statement in statements.items():
            if statement is not None and table not in locked and (found := db.attempt(statement)):
                yield table, found[0][0]


def _undated_runs(db: Session, before: datetime) -> sa.Select[int] | None:
    """The statement that counts finished runs that never started; of those whose queueing is known, older than that."""
    queued = ["queued_at"] if db.schema.has("dag_run", "queued_at") else []
    if not _ordered(db, "dag_run", "id", "start_date", "state", *queued):
        return None
    run = db.schema.table("dag_run")
    oldest = (
        sa.select(run.c.start_date, run.c.state, run.optional("queued_at").label("queued_at"))
        .order_by(run.c.id)
        .limit(LOOK_AT)
        .subquery()
    )
    never_started = oldest.c.start_date.is_(None) & oldest.c.state.in_(("success", "failed"))
    statement = sa.select(sa.func.count()).where(never_started)
    if queued:
        statement = statement.where(oldest.c.queued_at.is_(None) | (oldest.c.queued_at < before))
    return statement


def _undated_tries(db: Session, table: str, key: str, before: datetime) -> sa.Select[int] | None:
    """The statement that counts task instances (`table` may hold their earlier tries) that ended without having started.

    None for 2.x, where they are in no order that an index has: the estimate of their share is in `tables`.
    """
    if not _ordered(db, table, key, "start_date", "state"):
        return None
    tried = db.schema.table(table)
    oldest = (
        sa.select(tried.c.start_date, tried.c.state)
        .where(tried.c[key] < first_id(db, tried.c[key], before))
        .order_by(tried.c[key])
        .limit(LOOK_AT)
        .subquery()
    )
    finished = oldest.c.state.is_not(None) & oldest.c.state.not_in(UNFINISHED_STATES)
    return sa.select(sa.func.count()).where(oldest.c.start_date.is_(None), finished)


def _ordered(db: Session, table: str, key: str, *columns: str) -> bool:
    """Whether the table has these columns for us, and an index in whose order the oldest rows come first."""
    there = (table, key) in db.schema.indexed and db.schema.has(table, *columns)
    return there and db.may_read(table, key, *columns)


# Reading a table under such a lock would wait for it.
_LOCKED = sa.text("""
    SELECT c.relname AS name FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation
    WHERE l.mode = 'AccessExclusiveLock'
          AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
""")
