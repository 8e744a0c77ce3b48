"""Which triggers ended between two reads: the only trace that a triggerer leaves when it works."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from airflow_obs.catalog.airflow import NO_STATE
from airflow_obs.collectors.live import current_tries, owners
from airflow_obs.sources.database import Session

_MOST = 10_000
"""Triggers followed at a time, those of the lowest ids: one of them that is not there any more has ended, whatever came after."""
_FORGET = timedelta(days=1)
"""After this long without a trigger a host is forgotten: pods of a Deployment have a new name each time."""


@dataclass(frozen=True)
class Awaited:
    """A trigger that a deferred instance waits for: on which host, and until when."""

    hostname: str
    timeout: datetime | None


class TriggerEnds:
    """Counts by host, from 0 at the first sight of a host on.

    What ends after its timeout does not count: the scheduler ends it, whether the triggerer works or hangs.
    """

    def __init__(self) -> None:
        self._awaited: Mapping[int, Awaited] = {}
        self._counts: Counter[str] = Counter()
        self._seen: dict[str, datetime] = {}

    def after(self, awaited: Mapping[int, Awaited], now: datetime) -> dict[str, int]:
        """How many have ended on each host, when these (by id) are there now."""
        ended = [one for number, one in self._awaited.items() if number not in awaited]
        self._counts.update(one.hostname for one in ended if one.timeout is None or one.timeout > now)
        self._seen |= {one.hostname: now for one in (*ended, *awaited.values())}
        self._seen = {host: then for host, then in self._seen.items() if then > now - _FORGET and host != NO_STATE}
        self._counts = Counter({host: self._counts[host] for host in self._seen})
        self._awaited = awaited
        return dict(self._counts)


def awaited(db: Session, alive_within: timedelta) -> dict[int, Awaited]:
    """The triggers that deferred instances wait for, by id."""
    trigger, ti = db.schema.table("trigger"), db.schema.table("task_instance")
    deferred = (
        sa.select(ti.c.trigger_id, ti.c.trigger_timeout)
        .where(ti.c.state == "deferred", current_tries(db.schema, ti))
        .offset(0)  # else PostgreSQL may go through the index of triggers, where all are that have none
        .subquery()
    )
    statement = (
        sa.select(trigger.c.id, trigger.c.triggerer_id, deferred.c.trigger_timeout)
        .where(deferred.c.trigger_id == trigger.c.id)
        .order_by(trigger.c.id)
        .limit(_MOST)
    )
    rows = db.rows(statement)
    found = owners(db, {row.triggerer_id for row in rows}, alive_within)
    return {
        row.id: Awaited(
            found[row.triggerer_id].hostname if row.triggerer_id in found else NO_STATE, row.trigger_timeout
        )
        for row in rows
    }
