"""The workers: they take queued task instances, run them, send their heartbeats and end them."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_obs.demo.broker import Broker
from airflow_obs.demo.company import WORKERS, WorkerSpec
from airflow_obs.demo.jobs import BEAT
from airflow_obs.demo.records import insert, insert_with_id, update
from airflow_obs.demo.runs import move
from airflow_obs.demo.state import LiveTask, State
from airflow_obs.demo.tries import fail, note

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

TRIGGER_TIMEOUT = timedelta(hours=6)
"""How long a deferred task instance waits at most: what it was told, for Airflow has no default."""


class Worker:
    """One of them: it takes from `queues`; `processed` counts the task instances begun since `started`.

    `broken = True`: Celery takes a task as ever, and its process dies before the task begins.
    """

    def __init__(self, spec: WorkerSpec, started: datetime) -> None:
        self.spec = spec
        self.queues = spec.queues
        self.started = started
        self.processed = 0
        self.broken = False


class Workers:
    """All workers of all queues. `taking = False`: they hang, and queued stays queued.

    Whatever runs in one of the pools `refused` is turned away by what it calls, and does not try again.
    """

    def __init__(self, state: State, broker: Broker, started: datetime) -> None:
        self.taking = True
        self.refused: set[str] = set()
        self.fleet = tuple(Worker(spec, started) for spec in WORKERS)
        self._broker = broker
        self._state = state
        self._rng = state.rng("workers")

    def step(self, cur: cursor, now: datetime) -> None:
        """End what is done, beat for what runs, take what waits."""
        for task in self._state.tasks("running"):
            if task.lost:
                continue
            if now >= task.due or (task.spec.pool in self.refused and now > task.since):
                self._end(cur, task, now)
            elif now >= task.next_heartbeat:
                task.next_heartbeat = now + BEAT
                update(cur, "task_instance", "id", task.id, last_heartbeat_at=now)
        for worker in self.fleet:
            self._broker.subscribe(worker.queues)
        self._take(cur, now)

    def active(self) -> Counter[str]:
        """How many task instances each worker runs, by its name."""
        return Counter(task.worker for task in self._state.tasks("running") if not task.lost)

    def kill(self, worker: Worker, now: datetime) -> None:
        """Its pod is killed and comes back: nobody runs what it ran, and nobody says so."""
        for task in self._state.tasks("running"):
            task.lost = task.lost or task.worker == worker.spec.name
        worker.started, worker.processed = now, 0

    def begin(self, cur: cursor, task: LiveTask, now: datetime) -> None:
        """Let its worker run a task instance."""
        [worker] = [worker for worker in self.fleet if worker.spec.name == task.worker]
        worker.processed += 1
        move(cur, task, "running", now, start_date=now, end_date=None, duration=None, last_heartbeat_at=now,
             hostname=worker.spec.host, pid=self._rng.randrange(100, 32000))  # fmt: skip
        # A task that defers only starts its trigger, and later only reads its result.
        seconds = 2.0 if task.spec.defers else task.spec.seconds * self._rng.lognormvariate(0, 0.35)
        task.due = now + timedelta(seconds=seconds)
        task.next_heartbeat = now + BEAT
        note(cur, task, "running", now)

    def defer(self, cur: cursor, task: LiveTask, now: datetime) -> None:
        """Let a task instance that runs hand itself to the triggerer."""
        self._broker.acknowledge(task)
        task.trigger = insert_with_id(
            cur, "trigger", classpath=f"company.triggers.{task.spec.operator}Trigger", kwargs="{}", created_date=now
        )  # fmt: skip
        move(cur, task, "deferred", now, trigger_id=task.trigger, trigger_timeout=now + TRIGGER_TIMEOUT,
             next_method="execute_complete", next_kwargs="{}")  # fmt: skip
        task.due = now + timedelta(seconds=task.spec.seconds * self._rng.lognormvariate(0, 0.35))
        note(cur, task, "deferred", now)

    def _take(self, cur: cursor, now: datetime) -> None:
        busy = self.active()
        wanted = []
        for task in sorted(self._state.tasks("queued"), key=lambda task: task.spec.priority) if self.taking else ():
            able = [
                worker for worker in self.fleet
                if task.spec.queue in worker.queues and busy[worker.spec.name] < worker.spec.slots
            ]  # fmt: skip
            if able and now >= task.due and self._broker.has(task):
                task.worker = self._rng.choice(able).spec.name
                busy[task.worker] += 1
                wanted.append(task)
        broken = {worker.spec.name: worker for worker in self.fleet if worker.broken}
        for task in self._broker.take(wanted, now):
            if task.worker in broken:
                broken[task.worker].processed += 1
                self._broker.acknowledge(task)
                task.reported = True
            else:
                self.begin(cur, task, now)

    def _end(self, cur: cursor, task: LiveTask, now: datetime) -> None:
        if task.spec.defers and not task.resumed:
            self.defer(cur, task, now)
        elif task.spec.pool not in self.refused and self._rng.random() >= task.spec.fails:
            self._broker.acknowledge(task)
            seconds = (now - task.since).total_seconds()
            move(cur, task, "success", now, end_date=now, duration=seconds, last_heartbeat_at=now)
            note(cur, task, "success", now)
            self._return_value(cur, task, now)
        else:
            self._broker.acknowledge(task)
            update(cur, "task_instance", "id", task.id, last_heartbeat_at=now)
            note(cur, task, fail(cur, task, now, self._rng, for_good=task.spec.pool in self.refused), now)

    def _return_value(self, cur: cursor, task: LiveTask, now: datetime) -> None:
        value = {"rows": self._rng.randrange(200, 90000), "bytes": self._rng.randrange(10**5, 10**8)}
        insert(cur, "xcom", dag_run_id=task.run.number, dag_id=task.run.dag.spec.dag_id, run_id=task.run.run_id,
               task_id=task.spec.task_id, map_index=task.map_index, key="return_value", value=json.dumps(value),
               timestamp=now)  # fmt: skip
