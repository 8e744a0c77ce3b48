"""What the scheduler wrote to the audit log about tasks that went astray, counted from the log's newest rows only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import REQUEUED_EVENT, SCHEDULER_EVENTS
from airflow_obs.collectors.live import current_tries, known
from airflow_obs.collectors.log_tail import LogTail
from airflow_obs.collectors.run_outcomes import batched
from airflow_obs.model import Reading
from airflow_obs.sources.database import Session

_LOOK_BACK = 20_000
"""Rows of the log read once, at the first run, for requeues of instances that are waiting still."""
_MOST = 200
"""Requeued instances watched: those with the most requeues. Where more wait the count says 200: what ails them is not one task."""
_AT_ONCE = 1_000
"""Requeued instances, waiting or not, that one statement names."""
_WAITING = ("scheduled", "queued")
_NEEDED = ("id", "event", "dag_id", "task_id", "run_id", "try_number")


class Try(NamedTuple):
    """One try of a task instance, as the log names it."""

    dag_id: str
    task_id: str
    run_id: str
    map_index: int
    try_number: int


@dataclass(frozen=True)
class Event:
    """A row of the log with one of SCHEDULER_EVENTS."""

    id: int
    event: str
    key: Try


@dataclass(frozen=True)
class Events:
    """Events counted since the first run, and how often each waiting try was requeued (None: this database cannot tell)."""

    counts: dict[str, int]
    requeues: dict[Try, int] | None


class TaskEvents:
    """True counters: 0 for each event at the first run, which reads no history; kept in memory until the process ends.

    Before 2.10 the scheduler writes no such rows (the log has no try_number), and there is nothing to report.
    """

    name = "task_events"
    source = "database"

    def __init__(self) -> None:
        self._tail = LogTail()
        self._counts: Counter[str] = Counter(dict.fromkeys(SCHEDULER_EVENTS, 0))
        self._requeues: Counter[Try] = Counter()

    def read(self, db: Session) -> Events | None:
        """Nothing is remembered of a run that fails: the next one reads the same rows."""
        if not all(db.schema.has("log", column) for column in _NEEDED):
            return None
        span = self._tail.span(db)
        events = _events(db, span.above, span.upto)
        fresh = [event for event in events if event.id not in self._tail.counted] if not span.first else []
        requeued = self._requeues + _requeues(fresh)
        if span.first:
            requeued = _requeues(_events(db, span.upto - _LOOK_BACK, span.upto, only=REQUEUED_EVENT))
        waiting = known(db, partial(_waiting, requeued=requeued))
        self._tail.advance(span, (event.id for event in fresh))
        self._counts.update(event.event for event in fresh)
        self._requeues = Counter(waiting)
        return Events(dict(self._counts), None if waiting is None else dict(waiting))

    def samples(self, events: Events | None) -> Iterator[Reading]:
        if events is None:
            return
        for event, count in events.counts.items():
            yield metrics.TASK_EVENTS.sample(count, event=event)
        if events.requeues is not None:
            yield metrics.TASKS_REQUEUED.sample(len(events.requeues))
            yield metrics.TASK_REQUEUES_MAX.sample(max(events.requeues.values(), default=0))


def _waiting(db: Session, requeued: Counter[Try]) -> Counter[Try]:
    """Those that still wait in the same try; the others have run, failed or been cleared, and their budget is a new one."""
    waiting: Counter[Try] = Counter()
    for most in batched((each for each, _ in requeued.most_common()), _AT_ONCE):
        still = still_waiting(db, most)
        waiting.update({each: requeued[each] for each in most if each in still})
        if len(waiting) >= _MOST:
            break
    return Counter(dict(waiting.most_common(_MOST)))


def still_waiting(db: Session, tries: Sequence[Try]) -> set[Try]:
    """Those of these that wait, and others of the same runs that do."""
    ti = db.schema.table("task_instance")
    index = ti.c.map_index if db.schema.has(ti.name, "map_index") else ti.c.region_index
    waiting = (
        sa.select(ti.c.dag_id, ti.c.task_id, ti.c.run_id, index, ti.c.try_number)
        .where(ti.c.state.in_(_WAITING), current_tries(db.schema, ti))
        .offset(0)  # what waits is little, and else MariaDB may read all that these DAGs ever did
        .subquery()
    )
    dag_ids, run_ids = {each.dag_id for each in tries}, {each.run_id for each in tries}
    statement = sa.select(*waiting.c).where(waiting.c.dag_id.in_(dag_ids), waiting.c.run_id.in_(run_ids))
    return {Try(*row) for row in db.rows(statement)}


def _requeues(events: Sequence[Event]) -> Counter[Try]:
    return Counter(event.key for event in events if event.event == REQUEUED_EVENT)


def _events(db: Session, above: int, upto: int, only: str | None = None) -> list[Event]:
    """Those among the rows with above < id <= upto, in the order of their ids."""
    if above >= upto:
        return []
    log = db.schema.table("log")
    index = sa.func.coalesce(log.optional("map_index"), -1).label("map_index")
    rows = (
        sa.select(log.c.id, log.c.event, log.c.dag_id, log.c.task_id, log.c.run_id, index, log.c.try_number)
        .where(log.c.id > above, log.c.id <= upto)
        .offset(0)  # else PostgreSQL may go through the index of events, which holds those of all time
        .subquery()
    )
    wanted = [only] if only else SCHEDULER_EVENTS
    statement = sa.select(*rows.c).where(rows.c.event.in_(wanted)).order_by(rows.c.id)
    return [_event(row) for row in db.rows(statement)]


def _event(row: Any) -> Event:
    number, event, *key = row
    return Event(number, event, Try(*key))
