"""The simulated Airflow as a whole: every component takes a step at each tick of a clock that is given from outside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from airflow_obs.demo import history
from airflow_obs.demo.broker import Broker
from airflow_obs.demo.company import DAG_PROCESSOR, SCHEDULERS, TRIGGERER
from airflow_obs.demo.jobs import Job
from airflow_obs.demo.processor import DagProcessor
from airflow_obs.demo.records import update
from airflow_obs.demo.redis import Redis
from airflow_obs.demo.roster import Roster
from airflow_obs.demo.runs import create_run, start_run
from airflow_obs.demo.scheduling import Scheduling
from airflow_obs.demo.state import LiveRun, LiveTask, State
from airflow_obs.demo.triggerer import Triggerer
from airflow_obs.demo.workers import Workers

if TYPE_CHECKING:
    from psycopg2.extensions import connection, cursor

Connect = Callable[[str], "connection"]
"""Opens a session under an application name."""

TICK = 0.5
"""Seconds between steps of the live simulation."""

PATIENCE = 0.3
"""Seconds that a step waits for Redis; what comes later is heard in a later step."""

WARM_UP = 150
"""Seconds that are simulated before the start, in steps of one, so that the work is in full swing at once."""


class Part(Protocol):
    """A component of Airflow."""

    def step(self, cur: cursor, now: datetime) -> None:
        """Do what is due at `now`."""


class World:
    """A busy Airflow in a database and a broker; with the same seed and the same ticks it writes the same rows.

    The parts are open for a fault to break: `scheduling`, `workers`, `triggerer`, `processor`, `broker`, `redis`. A step
    waits for the broker's answers up to `patience` seconds.
    """

    def __init__(
        self, connect: Connect, redis: Redis, now: datetime, seed: int = 1, *, patience: float = PATIENCE
    ) -> None:
        self.connect = connect
        self.redis = redis
        self.now = now
        """The moment of the newest step."""
        self._session = connect("airflow scheduler")
        start = now - timedelta(seconds=WARM_UP)
        with self._session, self._session.cursor() as cur:
            self.state: State = history.fill(cur, start, seed)
            jobs = [self._job(cur, kind, host, start) for kind, host in _components()]
            *schedulers, triggerer, processor = jobs
            self._rng = self.state.rng("world")
            self.broker = Broker(redis.connect(patience))
            self.scheduling = Scheduling(self.state, tuple(schedulers), self.broker)
            self.triggerer = Triggerer(self.state, triggerer)
            self.processor = DagProcessor(self.state, processor, start)
            self.workers = Workers(self.state, triggerer, self.broker, start)
            roster = Roster(redis.folder, self.workers)
            self._parts: tuple[Part, ...] = (
                self.processor, self.triggerer, self.workers, self.scheduling, self.broker, roster, *jobs
            )  # fmt: skip
            # In the transaction of the history: nobody shall see an Airflow whose clock is minutes behind.
            for second in range(WARM_UP):
                self._step(cur, start + timedelta(seconds=second))
        history.analyze(self._session)

    def step(self, now: datetime) -> None:
        """Let every component do what is due at `now`, in one transaction."""
        with self._session, self._session.cursor() as cur:
            self._step(cur, now)

    def trigger(self, dag_id: str) -> LiveRun:
        """Somebody triggers a DAG by hand."""
        with self._session, self._session.cursor() as cur:
            return create_run(cur, self.state, self.state.dags[dag_id], self.now, self.now, self._rng, job=None)

    def resume(self, dag_id: str, since: datetime, worker: str) -> LiveTask:
        """Somebody had triggered a DAG then, whose first task instance this worker has run ever since."""
        with self._session, self._session.cursor() as cur:
            run = create_run(cur, self.state, self.state.dags[dag_id], since, since, self._rng, job=None)
            start_run(cur, run, since, job=None)
            task = run.tasks[0]
            task.try_number, task.worker = 1, worker
            self.broker.hold(task, since)
            update(cur, "task_instance", "id", task.id, try_number=1, scheduled_dttm=since, queued_dttm=since)
            self.workers.begin(cur, task, since)
            task.due = max(task.due, self.now + timedelta(hours=1))  # it still runs, however its luck would have it
        return task

    def close(self) -> None:
        """End the simulation's sessions."""
        self.broker.close()
        self._session.close()

    def _step(self, cur: cursor, now: datetime) -> None:
        self.now = now
        for part in self._parts:
            part.step(cur, now)

    def _job(self, cur: cursor, kind: str, host: str, start: datetime) -> Job:
        phase = self.state.rng(f"beat of {host}").uniform(0, 5)
        return Job(cur, kind, host, start - history.DEPLOYED, start + timedelta(seconds=phase))


def utc_now() -> datetime:
    """The time, aware of its zone as Airflow's columns are."""
    return datetime.now(UTC)


def _components() -> list[tuple[str, str]]:
    schedulers = [("SchedulerJob", host) for host in SCHEDULERS]
    return [*schedulers, ("TriggererJob", TRIGGERER), ("DagProcessorJob", DAG_PROCESSOR)]
