"""The schedulers' work: create the runs that are due, and bring task instances from none to scheduled to queued."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_obs.demo.astray import Astray
from airflow_obs.demo.broker import Broker
from airflow_obs.demo.company import POOLS
from airflow_obs.demo.jobs import Job
from airflow_obs.demo.records import update
from airflow_obs.demo.runs import create_run, end_run, move, start_run
from airflow_obs.demo.state import LiveRun, LiveTask, State, next_due

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

PARALLELISM = 64
MAX_ACTIVE_RUNS = 4
MAX_ACTIVE_TASKS = 16
FINISHED = ("success", "failed", "upstream_failed")


class Scheduling:
    """What the schedulers that are alive do between them; with none alive nothing is created, scheduled or ended.

    `creating = False`: they create no run for any DAG. In the pools of `deferred_count` a deferred task instance holds its slot.
    """

    def __init__(self, state: State, jobs: tuple[Job, ...], broker: Broker) -> None:
        self.jobs = jobs
        self.creating = True
        self.deferred_count: set[str] = set()
        self._broker = broker
        self._state = state
        self._astray = Astray(state)
        self._rng = state.rng("scheduling")

    def step(self, cur: cursor, now: datetime) -> None:
        """One loop of one of the living schedulers."""
        living = [job for job in self.jobs if job.alive]
        if not living:
            return
        job = self._rng.choice(living)
        self._astray.step(cur, now)
        if self.creating:
            self._create(cur, job, now)
        self._start(cur, job, now)
        for run in [run for run in self._state.runs if run.state == "running"]:
            self._advance(cur, run, now)
        self._queue(cur, job, now)

    def _create(self, cur: cursor, job: Job, now: datetime) -> None:
        unfinished = Counter(run.dag.spec.dag_id for run in self._state.runs if run.state != "failed")
        for dag in self._state.dags.values():
            if dag.full is not (full := unfinished[dag.spec.dag_id] >= MAX_ACTIVE_RUNS):
                dag.full = full
                update(cur, "dag", "dag_id", dag.spec.dag_id, exceeds_max_non_backfill=full)
            if full or dag.next_due is None or dag.next_due > now or dag.spec.paused or dag.spec.stale:
                continue
            create_run(cur, self._state, dag, dag.next_due, now, self._rng, job=job.number)
            due = next_due(dag.spec, now)
            interval = timedelta(seconds=dag.spec.every or 0)
            dag.next_due = due
            update(
                cur, "dag", "dag_id", dag.spec.dag_id, next_dagrun=due and due - interval, next_dagrun_create_after=due,
                next_dagrun_data_interval_start=due and due - interval, next_dagrun_data_interval_end=due,
            )  # fmt: skip

    def _start(self, cur: cursor, job: Job, now: datetime) -> None:
        active = Counter(run.dag.spec.dag_id for run in self._state.runs if run.state == "running")
        for run in self._state.runs:
            if run.state == "queued" and active[run.dag.spec.dag_id] < MAX_ACTIVE_RUNS:
                active[run.dag.spec.dag_id] += 1
                start_run(cur, run, now, job=job.number)

    def _advance(self, cur: cursor, run: LiveRun, now: datetime) -> None:
        waiting = [task for task in run.tasks if task.state not in FINISHED]
        if not waiting:
            outcome = "success" if all(task.state == "success" for task in run.tasks) else "failed"
            end_run(cur, self._state, run, outcome, now)
            return
        stage = min(task.spec.stage for task in waiting)
        lost = any(task.state in {"failed", "upstream_failed"} for task in run.tasks if task.spec.stage < stage)
        moved = False
        for task in waiting:
            if task.state is None and task.spec.stage == stage:
                moved = True
                if lost:
                    move(cur, task, "upstream_failed", now, start_date=now, end_date=now, duration=0.0)
                else:
                    self._schedule(cur, task, now)
            elif task.state == "up_for_retry" and now >= task.due:
                moved = True
                self._schedule(cur, task, now)
        if moved:
            update(cur, "dag_run", "id", run.number, last_scheduling_decision=now)

    def _schedule(self, cur: cursor, task: LiveTask, now: datetime) -> None:
        task.try_number += 1
        move(cur, task, "scheduled", now, scheduled_dttm=now, try_number=task.try_number)

    def _queue(self, cur: cursor, job: Job, now: datetime) -> None:
        occupying = [*self._state.tasks("queued"), *self._state.tasks("running")]
        deferred = [task for task in self._state.tasks("deferred") if task.spec.pool in self.deferred_count]
        used = Counter(task.spec.pool for task in (*occupying, *deferred))
        active = Counter(task.run.number for task in occupying)
        slots = {pool: size for pool, size, _ in POOLS}
        free = PARALLELISM - len(occupying)
        for task in self._state.tasks("scheduled"):
            full = used[task.spec.pool] >= slots[task.spec.pool] or active[task.run.number] >= MAX_ACTIVE_TASKS
            # A task moves one state a loop, so that each state can be seen.
            if free <= 0 or full or task.since == now or task.run.state != "running":
                continue
            free -= 1
            used[task.spec.pool] += 1
            active[task.run.number] += 1
            number = self._broker.send(task)
            task.scheduler = job.number
            move(cur, task, "queued", now, queued_dttm=now, queued_by_job_id=job.number, external_executor_id=number)
            task.due = now + timedelta(seconds=self._rng.uniform(0.8, 3.0))
