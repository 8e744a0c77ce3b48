"""The simulated Airflow as a whole: every component takes a step at each tick of a clock that is given from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from airflow_obs.demo import history
from airflow_obs.demo.astray import requeue
from airflow_obs.demo.broker import Broker
from airflow_obs.demo.company import DAG_PROCESSOR, SCHEDULERS, TRIGGERER
from airflow_obs.demo.jobs import Job
from airflow_obs.demo.processor import DagProcessor
from airflow_obs.demo.records import update
from airflow_obs.demo.redis import Redis
from airflow_obs.demo.roster import Roster
from airflow_obs.demo.runs import create_run, move, start_run
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
            self.workers = Workers(self.state, self.broker, start)
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

    def trigger(self, dag_id: str, at: datetime | None = None) -> LiveRun:
        """Somebody triggers a DAG by hand; runs that are triggered at once say different moments."""
        with self._session, self._session.cursor() as cur:
            return create_run(cur, self.state, self.state.dags[dag_id], at or self.now, self.now, self._rng, job=None)

    def resume(self, dag_id: str, since: datetime, worker: str) -> LiveTask:
        """Somebody had triggered a DAG then, whose first task instance this worker has run ever since."""
        with self._session, self._session.cursor() as cur:
            run = create_run(cur, self.state, self.state.dags[dag_id], since, since, self._rng, job=None)
            start_run(cur, run, since, job=None)
            task = run.tasks[0]
            task.try_number, task.worker = 1, worker
            task.scheduler = self.scheduling.jobs[0].number
            update(
                cur, "task_instance", "id", task.id, try_number=1, scheduled_dttm=since, queued_dttm=since,
                queued_by_job_id=task.scheduler, external_executor_id=self.broker.hold(task, since),
            )  # fmt: skip
            self.workers.begin(cur, task, since)
            task.due = max(task.due, self.now + timedelta(hours=1))  # it still runs, however its luck would have it
        return task

    def defer(self, task: LiveTask, at: datetime) -> None:
        """A task instance that runs had handed itself to the triggerer then."""
        with self._session, self._session.cursor() as cur:
            self.workers.defer(cur, task, at)

    def wait_for_long(self, dag_id: str, queued: datetime, requeued: Sequence[datetime]) -> None:
        """Somebody had triggered a DAG whose first task instances are queued since then, after having been requeued at times."""
        begun = min((*requeued, queued))
        with self._session, self._session.cursor() as cur:
            run = create_run(cur, self.state, self.state.dags[dag_id], begun, begun, self._rng, job=None)
            start_run(cur, run, begun, job=None)
            for task in run.tasks:
                if task.spec.stage > 0:
                    continue
                task.try_number, task.scheduler = 1, self.scheduling.jobs[0].number
                number = self.broker.send(task)
                for moment in requeued:
                    requeue(cur, task, moment)
                    number = self.broker.send(task)
                move(cur, task, "queued", queued, try_number=1, scheduled_dttm=queued, queued_dttm=queued,
                     queued_by_job_id=task.scheduler, external_executor_id=number)  # fmt: skip

    def end_in_sql(self, runs: Iterable[LiveRun]) -> None:
        """Somebody sets runs to failed in the database, and leaves their task instances as they are."""
        with self._session, self._session.cursor() as cur:
            for run in runs:
                run.state = "failed"
                update(cur, "dag_run", "id", run.number, state="failed", end_date=self.now)

    def count_deferred(self, pool: str) -> None:
        """Somebody sets a pool to count deferred task instances."""
        with self._session, self._session.cursor() as cur:
            update(cur, "slot_pool", "pool", pool, include_deferred=True)
        self.scheduling.deferred_count.add(pool)

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
