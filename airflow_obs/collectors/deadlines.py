"""Deadlines that pass, SLAs that are missed, and the callbacks that wait to be run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import DEADLINE_CALLBACK_STATES, WAITING_CALLBACK_STATES
from airflow_obs.collectors.landmarks import Landmarks, Odometer, look
from airflow_obs.model import Reading
from airflow_obs.sources.database import Session
from airflow_obs.sources.schema import Moment, Table

DAG_PROCESSOR, TRIGGERER, NO_STATE = "dag_processor", "triggerer", "none"
LOOK_AT = 10_000
"""Missed deadlines at most, the newest first, and callbacks: up to 3.1 the first in the queue, from 3.2 on, where those that are
done stay, the newest."""
LAG = timedelta(minutes=5)
"""A deadline that passed longer ago than this and is not missed by then is known to be overdue."""


@dataclass(frozen=True)
class Overdue:
    """Deadlines that have passed and that nobody has handled, and when the first of them passed."""

    count: int
    oldest: datetime | None


@dataclass(frozen=True)
class Waiting:
    """Callbacks that are not done, alike in who runs them and in state."""

    runner: str
    state: str
    count: int
    oldest: datetime | None


@dataclass(frozen=True)
class DeadlineState:
    """What one run of the collector saw; None is: this release has no such thing."""

    sla_misses: int | None
    overdue: Overdue | None
    missed: int | None
    callbacks: list[Waiting]


class Deadlines:
    """Counts missed deadlines from the moment it starts: it remembers which it has seen since the earliest one still open.

    One that is made with a moment long past and missed before the next run is not counted. When another database answers,
    what was missed there before is not counted either. SLA misses, too, are counted from that moment.
    """

    name = "deadlines"
    source = "database"

    def __init__(self) -> None:
        self._missed = 0
        self._sla_misses = Odometer()
        self._landmarks: Landmarks | None = None
        self._since: datetime | None = None
        self._seen: frozenset[Any] = frozenset()

    def read(self, db: Session) -> DeadlineState:
        landmarks = look(db, self._landmarks)
        callbacks = [*_requests(db), *_callbacks(db), *_deadline_callbacks(db)]
        sla_misses, overdue = _sla_misses(db), _overdue(db)
        since = None if landmarks.anew else self._since
        missed = self._count(db, overdue, since) if overdue and db.schema.has("deadline", "id") else None
        # From here on nothing fails, so that what is remembered is of one moment.
        self._landmarks = landmarks
        if sla_misses is not None:
            sla_misses = self._sla_misses.reads(sla_misses, anew=landmarks.anew)
        return DeadlineState(sla_misses, overdue, missed, callbacks)

    def samples(self, seen: DeadlineState) -> Iterator[Reading]:
        if seen.sla_misses is not None:
            yield metrics.SLA_MISSES.sample(seen.sla_misses)
        if seen.overdue is not None:
            yield metrics.DEADLINES_OVERDUE.sample(seen.overdue.count)
            if seen.overdue.oldest is not None:
                yield metrics.DEADLINES_OVERDUE_OLDEST.sample(seen.overdue.oldest.timestamp())
        if seen.missed is not None:
            yield metrics.DEADLINES_MISSED.sample(seen.missed)
        for waiting in seen.callbacks:
            yield metrics.CALLBACKS_WAITING.sample(waiting.count, runner=waiting.runner, state=waiting.state)
            if waiting.oldest is not None:
                yield metrics.CALLBACKS_OLDEST.sample(
                    waiting.oldest.timestamp(), runner=waiting.runner, state=waiting.state
                )

    def _count(self, db: Session, overdue: Overdue, known_since: datetime | None) -> int:
        """What is missed by the next run is overdue now or passes after now, so only that much is remembered."""
        since = min(db.now - LAG, overdue.oldest or db.now)
        deadline = db.schema.table("deadline")
        statement = (
            sa.select(deadline.c.id, deadline.c.deadline_time)
            .where(_missed(db, deadline), deadline.c.deadline_time >= min(since, known_since or since))
            .order_by(deadline.c.deadline_time.desc())
            .limit(LOOK_AT)
        )
        moments = dict(map(tuple, db.rows(statement)))
        if known_since is not None:
            self._missed += sum(moment >= known_since for key, moment in moments.items() if key not in self._seen)
        if len(moments) == LOOK_AT:
            # What was not read is not remembered, and must not be news when others are deleted.
            since = max(since, min(moments.values()))
        self._seen = frozenset(key for key, moment in moments.items() if moment >= since)
        self._since = since
        return self._missed


def _missed(db: Session, deadline: Table) -> sa.ColumnElement[bool]:
    if db.schema.has("deadline", "missed"):
        return deadline.c.missed == sa.true()
    return deadline.c.callback_state.in_(DEADLINE_CALLBACK_STATES)


def _overdue(db: Session) -> Overdue | None:
    """3.0 has the table, and does nothing with it."""
    if not db.schema.has("deadline", "deadline_time"):
        return None
    deadline = db.schema.table("deadline")
    if db.schema.has("deadline", "missed"):
        still_open = deadline.c.missed == sa.false()
    elif db.schema.has("deadline", "callback_state"):
        still_open = deadline.c.callback_state.is_(None)
    else:
        return None
    moment = deadline.c.deadline_time
    statement = sa.select(sa.func.count(), sa.func.min(moment, type_=Moment())).where(still_open, moment < db.now)
    return Overdue(*db.one(statement))


def _sla_misses(db: Session) -> int | None:
    """How many rows the server counts as ever inserted: the table has neither a number nor an index on its moments.

    MySQL counts them in its performance schema, which MariaDB does without unless it is switched on, and our role must be let see.
    """
    if not db.schema.has("sla_miss"):
        return None
    counted = db.attempt(_SLA_MISSES[db.kind])
    return int(counted[0][0]) if counted else None


def _requests(db: Session) -> Iterator[Waiting]:
    """Up to 3.1: the dag processor deletes each as it takes it."""
    if not db.schema.has("callback_request", "id"):
        return
    request = db.schema.table("callback_request")
    rows = (
        sa.select(request.c.id, request.optional("created_at").label("since"))
        .order_by(request.c.id)
        .limit(LOOK_AT)
        .subquery()
    )
    count, oldest = db.one(sa.select(sa.func.count(), sa.func.min(rows.c.since, type_=Moment())))
    yield Waiting(DAG_PROCESSOR, NO_STATE, count, oldest)


def _callbacks(db: Session) -> Iterator[Waiting]:
    """From 3.2 on: those of deadlines stay when they are done, and are `scheduled` until their deadline passes."""
    if not db.schema.has("callback", "id", "type", "state"):
        return
    callback = db.schema.table("callback")
    columns = (callback.c.type.label("runner"), callback.c.state, callback.optional("created_at").label("since"))
    newest = sa.select(*columns).order_by(callback.c.id.desc()).limit(LOOK_AT).subquery()
    state = sa.func.coalesce(newest.c.state, NO_STATE)
    statement = (
        sa.select(newest.c.runner, state, sa.func.count(), sa.func.min(newest.c.since, type_=Moment()))
        .where(state.in_((*WAITING_CALLBACK_STATES, NO_STATE)))
        .group_by(newest.c.runner, sa.text("2"))
    )
    found = {(row[0], row[1]): Waiting(*row) for row in db.rows(statement)}
    yield found.pop((DAG_PROCESSOR, NO_STATE), Waiting(DAG_PROCESSOR, NO_STATE, 0, None))
    yield from found.values()


def _deadline_callbacks(db: Session) -> Iterator[Waiting]:
    """3.1 keeps the state of a deadline's callback with the deadline, under an index."""
    if not db.schema.has("deadline", "callback_state", "deadline_time"):
        return
    deadline = db.schema.table("deadline")
    statement = (
        sa.select(deadline.c.callback_state, sa.func.count(), sa.func.min(deadline.c.deadline_time, type_=Moment()))
        .where(deadline.c.callback_state.in_(WAITING_CALLBACK_STATES))
        .group_by(deadline.c.callback_state)
    )
    for row in db.rows(statement):
        yield Waiting(TRIGGERER, *row)


_SLA_MISSES = {
    "postgresql": sa.text("""
        SELECT n_tup_ins FROM pg_catalog.pg_stat_user_tables
        WHERE schemaname = pg_catalog.current_schema() AND relname = 'sla_miss'
    """),
    "mysql": sa.text("""
        SELECT count_insert FROM performance_schema.table_io_waits_summary_by_table
        WHERE object_schema = DATABASE() AND object_name = 'sla_miss'
    """),
    "sqlite": sa.text("SELECT COALESCE(max(rowid), 0) FROM sla_miss"),
}
