"""Triggers: who runs them, which of them nobody runs, and deferred task instances that should have been woken."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import NO_STATE
from airflow_obs.collectors.live import Owner, current_tries, known, owners
from airflow_obs.collectors.trigger_ends import TriggerEnds, awaited
from airflow_obs.model import Reading
from airflow_obs.policy import TriggersPolicy
from airflow_obs.sources.database import Session
from airflow_obs.sources.schema import Moment

_NOBODY = Owner(NO_STATE, alive=False)


@dataclass(frozen=True)
class Assigned:
    """The triggers of one triggerer (None: of nobody): how many, and when the first that a task waits for was made."""

    triggerer_id: int | None
    triggerer: Owner
    count: int
    oldest: datetime | None

    @property
    def stranded(self) -> str | None:
        """Why nobody runs them, None if somebody does."""
        return "unassigned" if self.triggerer_id is None else None if self.triggerer.alive else "dead"


@dataclass(frozen=True)
class Deferred:
    """Of the deferred instances: how many are overdue, the earliest timeout (None: there is none), how many have no trigger."""

    overdue: int
    earliest: datetime | None
    lost: int


@dataclass(frozen=True)
class Triggers:
    """What one run of the collector saw; None is what this database cannot tell. `ended` is by host, since the first run."""

    assigned: list[Assigned] | None
    deferred: Deferred | None
    ended: dict[str, int] | None


class TriggersOfTasks:
    """The table of triggers is as small as what is deferred now: Airflow deletes a trigger that nobody waits for any more."""

    name = "triggers"
    source = "database"

    def __init__(self, policy: TriggersPolicy) -> None:
        self._policy = policy
        self._ends = TriggerEnds()

    def read(self, db: Session) -> Triggers:
        """Nothing is remembered of a run that fails."""
        alive_within = timedelta(seconds=self._policy.alive_within)
        overdue_after = timedelta(seconds=self._policy.overdue_after)
        assigned = known(db, partial(_assigned, alive_within=alive_within))
        deferred = known(db, partial(_deferred, overdue_after=overdue_after))
        waiting = known(db, partial(awaited, alive_within=alive_within))
        return Triggers(assigned, deferred, None if waiting is None else self._ends.after(waiting, db.now))

    def samples(self, triggers: Triggers) -> Iterator[Reading]:
        if triggers.assigned is not None:
            yield from _by_host(triggers.assigned)
            yield from _stranded(triggers.assigned)
        for hostname, count in (triggers.ended or {}).items():
            yield metrics.TRIGGERS_ENDED.sample(count, hostname=hostname)
        if (deferred := triggers.deferred) is not None:
            yield metrics.DEFERRED_OVERDUE.sample(deferred.overdue)
            yield metrics.DEFERRED_LOST.sample(deferred.lost)
            if deferred.earliest is not None:
                yield metrics.DEFERRED_TIMEOUT.sample(deferred.earliest.timestamp())


def _by_host(assigned: Iterable[Assigned]) -> Iterator[Reading]:
    by_host: dict[str, list[Assigned]] = defaultdict(list)
    for one in assigned:
        by_host[one.triggerer.hostname].append(one)
    for hostname, ones in sorted(by_host.items(), key=lambda item: sum(one.count for one in item[1]), reverse=True):
        yield metrics.TRIGGERS.sample(sum(one.count for one in ones), hostname=hostname)
        if moments := [one.oldest for one in ones if one.oldest is not None]:
            yield metrics.TRIGGERS_OLDEST.sample(min(moments).timestamp(), hostname=hostname)


def _stranded(assigned: Iterable[Assigned]) -> Iterator[Reading]:
    for reason in ("unassigned", "dead"):
        ones = [one for one in assigned if one.stranded == reason]
        yield metrics.TRIGGERS_STRANDED.sample(sum(one.count for one in ones), reason=reason)
        if moments := [one.oldest for one in ones if one.oldest is not None]:
            yield metrics.TRIGGERS_STRANDED_OLDEST.sample(min(moments).timestamp(), reason=reason)


def _assigned(db: Session, alive_within: timedelta) -> list[Assigned]:
    trigger, ti = db.schema.table("trigger"), db.schema.table("task_instance")
    # An asset's watcher lives for ever; only what a task waits for grows old.
    awaited = sa.select(ti.c.trigger_id).where(
        ti.c.trigger_id.is_not(None), ti.c.state == "deferred", current_tries(db.schema, ti)
    )
    made = sa.case((trigger.c.id.in_(awaited), trigger.optional("created_date")))
    statement = sa.select(
        trigger.c.triggerer_id, sa.func.count().label("count_"), sa.func.min(made, type_=Moment()).label("oldest")
    ).group_by(trigger.c.triggerer_id)
    rows = db.rows(statement)
    found = owners(db, {row.triggerer_id for row in rows}, alive_within)
    return [Assigned(row.triggerer_id, found.get(row.triggerer_id, _NOBODY), row.count_, row.oldest) for row in rows]


def _deferred(db: Session, overdue_after: timedelta) -> Deferred:
    ti = db.schema.table("task_instance")
    statement = sa.select(
        sa.func.sum(sa.case((ti.c.trigger_timeout < db.now - overdue_after, 1), else_=0)),
        sa.func.min(ti.c.trigger_timeout, type_=Moment()),
        sa.func.sum(sa.case((ti.c.trigger_id.is_(None), 1), else_=0)),
    ).where(ti.c.state == "deferred", current_tries(db.schema, ti))
    overdue, earliest, lost = db.one(statement)
    return Deferred(int(overdue or 0), earliest, int(lost or 0))
