"""The workers: they take queued task instances, run them, send their heartbeats and end them."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_obs.demo.broker import Broker
from airflow_obs.demo.company import WORKERS, WorkerSpec
from airflow_obs.demo.jobs import BEAT, Job
from airflow_obs.demo.records import insert, insert_with_id, log_extra, update, uuid7
from airflow_obs.demo.runs import move, task_columns
from airflow_obs.demo.state import LiveTask, State

if TYPE_CHECKING:
    from psycopg2.extensions import cursor


class Worker:
    """One of them: it takes from `queues`; `processed` counts the task instances begun since `started`."""

    def __init__(self, spec: WorkerSpec, started: datetime) -> None:
        self.spec = spec
        self.queues = spec.queues
        self.started = started
        self.processed = 0


class Workers:
    """All workers of all queues. `taking = False`: they hang, and queued stays queued."""

    def __init__(self, state: State, triggerer: Job, broker: Broker, started: datetime) -> None:
        self.taking = True
        self.fleet = tuple(Worker(spec, started) for spec in WORKERS)
        self._broker = broker
        self._state = state
        self._triggerer = triggerer
        self._rng = state.rng("workers")

    def step(self, cur: cursor, now: datetime) -> None:
        """End what is done, beat for what runs, take what waits."""
        for task in self._state.tasks("running"):
            if now >= task.due:
                self._end(cur, task, now)
            elif now >= task.next_heartbeat:
                task.next_heartbeat = now + BEAT
                update(cur, "task_instance", "id", task.id, last_heartbeat_at=now)
        for worker in self.fleet:
            self._broker.subscribe(worker.queues)
        self._take(cur, now)

    def active(self) -> Counter[str]:
        """How many task instances each worker runs, by its name."""
        return Counter(task.worker for task in self._state.tasks("running"))

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
        self._log(cur, task, "running", now)

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
        for task in self._broker.take(wanted, now):
            self.begin(cur, task, now)

    def _end(self, cur: cursor, task: LiveTask, now: datetime) -> None:
        if task.spec.defers and not task.resumed:
            self._defer(cur, task, now)
        elif self._rng.random() >= task.spec.fails:
            self._leave(cur, task, "success", now)
            self._return_value(cur, task, now)
        elif task.try_number > task.spec.retries:
            self._leave(cur, task, "failed", now)
        else:
            self._leave(cur, task, "up_for_retry", now)
            self._keep_try(cur, task, now)
            task.due = now + timedelta(seconds=self._rng.uniform(10, 20))

    def _leave(self, cur: cursor, task: LiveTask, to: str, now: datetime) -> None:
        self._broker.acknowledge(task)
        move(cur, task, to, now, end_date=now, duration=(now - task.since).total_seconds(), last_heartbeat_at=now)
        self._log(cur, task, to, now)

    def _defer(self, cur: cursor, task: LiveTask, now: datetime) -> None:
        self._broker.acknowledge(task)
        task.trigger = insert_with_id(
            cur, "trigger", classpath=f"company.triggers.{task.spec.operator}Trigger", kwargs="{}", created_date=now,
            triggerer_id=self._triggerer.number,
        )  # fmt: skip
        move(cur, task, "deferred", now, trigger_id=task.trigger, next_method="execute_complete", next_kwargs="{}")
        task.due = now + timedelta(seconds=task.spec.seconds * self._rng.lognormvariate(0, 0.35))
        self._log(cur, task, "deferred", now)

    def _return_value(self, cur: cursor, task: LiveTask, now: datetime) -> None:
        value = {"rows": self._rng.randrange(200, 90000), "bytes": self._rng.randrange(10**5, 10**8)}
        insert(cur, "xcom", dag_run_id=task.run.number, dag_id=task.run.dag.spec.dag_id, run_id=task.run.run_id,
               task_id=task.spec.task_id, map_index=task.map_index, key="return_value", value=json.dumps(value),
               timestamp=now)  # fmt: skip

    def _keep_try(self, cur: cursor, task: LiveTask, now: datetime) -> None:
        """Airflow 3 keeps a failed try in a table of its own and gives the next one a new id."""
        insert(cur, "task_instance_history", **task_columns(task.run.dag, task.spec), task_instance_id=task.id,
               run_id=task.run.run_id, map_index=task.map_index, try_number=task.try_number, state="failed",
               end_date=now, updated_at=now, hostname=_host(task))  # fmt: skip
        fresh = uuid7(now, self._rng)
        update(cur, "task_instance", "id", task.id, id=fresh)
        task.id = fresh

    def _log(self, cur: cursor, task: LiveTask, event: str, now: datetime) -> None:
        dag = task.run.dag.spec
        command = f"airflow tasks run {dag.dag_id} {task.spec.task_id} {task.run.run_id}"
        insert(cur, "log", dttm=now, dag_id=dag.dag_id, task_id=task.spec.task_id, map_index=task.map_index,
               event=event, run_id=task.run.run_id, owner=dag.owner, try_number=task.try_number,
               extra=log_extra(_host(task), command))  # fmt: skip


def _host(task: LiveTask) -> str:
    return task.worker.rpartition("@")[2]
