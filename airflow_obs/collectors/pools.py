"""Pools: how many slots there are, who holds them and who waits for them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.collectors.live import current_tries, exact
from airflow_obs.model import Reading
from airflow_obs.sources.database import Session

_STATES = ("running", "queued", "deferred", "scheduled")


@dataclass(frozen=True)
class Pool:
    """A pool and the slots (not instances) that task instances in each state ask of it. `slots` is inf when unlimited."""

    name: str
    slots: float
    include_deferred: bool
    running: int
    queued: int
    deferred: int
    scheduled: int

    @property
    def used(self) -> int:
        """Slots that count against the size, as airflow.models.pool.Pool.occupied_slots does."""
        return self.running + self.queued + self.deferred * self.include_deferred


class Pools:
    """Every pool has all its series, 0 when nothing is in it."""

    name = "pools"
    source = "database"

    def read(self, db: Session) -> list[Pool]:
        pool = db.schema.table("slot_pool")
        # Before 2.7 a deferred task never counts.
        has_choice = db.schema.has("slot_pool", "include_deferred")
        deferred = pool.c.include_deferred if has_choice else sa.false().label("include_deferred")
        asked = _asked_slots(db)
        return [
            Pool(row.pool, math.inf if (row.slots or 0) < 0 else row.slots or 0, bool(row.include_deferred),
                 *(asked.get((row.pool, state), 0) for state in _STATES))
            for row in db.rows(sa.select(pool.c.pool, pool.c.slots, deferred).where(pool.c.pool.is_not(None)))
        ]  # fmt: skip

    def samples(self, pools: list[Pool]) -> Iterator[Reading]:
        for pool in sorted(pools, key=lambda pool: pool.slots - pool.used):
            yield metrics.POOL_SLOTS.sample(pool.slots, pool=pool.name)
            yield metrics.POOL_OPEN.sample(pool.slots - pool.used, pool=pool.name)
            yield metrics.POOL_USED.sample(pool.used, pool=pool.name)
            yield metrics.POOL_RUNNING.sample(pool.running, pool=pool.name)
            yield metrics.POOL_QUEUED.sample(pool.queued, pool=pool.name)
            yield metrics.POOL_DEFERRED.sample(pool.deferred, pool=pool.name)
            yield metrics.POOL_SCHEDULED.sample(pool.scheduled, pool=pool.name)


def _asked_slots(db: Session) -> dict[tuple[str, str], int]:
    ti = db.schema.table("task_instance")
    statement = (
        sa.select(exact(db, ti.c.pool).label("pool"), ti.c.state, sa.func.sum(ti.c.pool_slots).label("slots"))
        .where(ti.c.state.in_(_STATES), current_tries(db.schema, ti))
        .group_by(sa.text("1"), ti.c.state)
    )
    return {(row.pool, row.state): int(row.slots) for row in db.rows(statement)}
