"""Faults of deadlines."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from airflow_obs.catalog import metrics
from airflow_obs.demo.faults.fault import Fault
from airflow_obs.demo.records import insert, insert_with_id, update, uuid7
from airflow_obs.demo.world import World


@dataclass(frozen=True)
class _Deadline:
    id: UUID
    callback: UUID
    moment: datetime


class DeadlinesMissed(Fault):
    """Whoever was to be told hears nothing: the miss is known, but what should tell of it is a trigger that does not come on."""

    name = "deadlines-missed"
    sick = "runs miss their deadlines, and the callbacks that should tell somebody are queued for a triggerer that never runs them"
    shows = (metrics.DEADLINES_MISSED, metrics.CALLBACKS_WAITING, metrics.CALLBACKS_OLDEST)

    _DAG = "payments_reconcile"
    """Its runs wait for a file first, and so are never done so soon."""
    _WITHIN = timedelta(seconds=2)
    _EVERY = timedelta(seconds=3)
    _RUNS = 4

    def __init__(self) -> None:
        self._runs = 0
        self._next: datetime | None = None
        self._open: list[_Deadline] = []

    def begin(self, world: World) -> None:
        """Trigger the first run."""
        self._next = world.now
        self.step(world)

    def step(self, world: World) -> None:
        """Trigger the next run, and let the scheduler find the deadlines that have passed."""
        if self._next is not None and world.now >= self._next and self._runs < self._RUNS:
            self._runs += 1
            self._next = world.now + self._EVERY
            self._promise(world)
        if passed := [one for one in self._open if one.moment < world.now]:
            self._open = [one for one in self._open if one not in passed]
            self._miss(world, passed)

    def _promise(self, world: World) -> None:
        run, now = world.trigger(self._DAG), world.now
        rng = world.state.rng(f"{self.name} {self._runs}")
        one = _Deadline(uuid7(now, rng), uuid7(now, rng), now + self._WITHIN)
        self._open.append(one)
        session = world.connect("airflow scheduler")
        try:
            with session, session.cursor() as cur:
                insert(cur, "callback", id=one.callback, type="triggerer", fetch_method="import_path", data="{}",
                       state="scheduled", priority_weight=1, created_at=now)  # fmt: skip
                insert(cur, "deadline", id=one.id, created_at=now, last_updated_at=now, dagrun_id=run.number,
                       deadline_time=one.moment, missed=False, callback_id=one.callback)  # fmt: skip
        finally:
            session.close()

    def _miss(self, world: World, passed: list[_Deadline]) -> None:
        session = world.connect("airflow scheduler")
        try:
            with session, session.cursor() as cur:
                for one in passed:
                    trigger = insert_with_id(
                        cur, "trigger", classpath="airflow.triggers.callback.CallbackTrigger", kwargs="{}",
                        created_date=world.now,
                    )  # fmt: skip
                    update(cur, "callback", "id", one.callback, state="queued", trigger_id=trigger)
                    update(cur, "deadline", "id", one.id, missed=True, last_updated_at=world.now)
        finally:
            session.close()
