"""Thousands of task instances end within seconds while the exporter polls: what it counts, beside a count by SQL afterwards."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass

from airflow_obs.exporter.scrape import Run, Worker
from airflow_obs.policy.loader import load
from airflow_obs.sources.backends.backend import APPLICATION_NAME
from bench.cost import Once, database_jobs, source_of
from bench.figures import Figure, Note, Result
from bench.history import Filled
from bench.postgres import ServerLog
from bench.work import Outcomes, Work, counted, dag

TICK = 0.2
"""Seconds from one lot of task instances to the next; two connections take turns."""
RUNS = 10
UNSEEN = 0.1
"""Of the task instances, the part whose runs are created, run and end within a tick, mostly unseen by any poll."""
WITHIN = 120.0


@dataclass(frozen=True)
class Burst:
    """So many task instances end in so many seconds; `interval` of the polls in seconds, None for the policy's."""

    task_instances: int
    seconds: float
    interval: float | None = None

    @property
    def ticks(self) -> int:
        return max(2, round(self.seconds / TICK))

    @property
    def unseen(self) -> int:
        """Task instances of runs that come and go, per tick."""
        return max(1, round(self.task_instances * UNSEEN / self.ticks))

    @property
    def tasks(self) -> int:
        """Task instances of each of the RUNS runs that are there before."""
        return max(2, (self.task_instances - self.unseen * self.ticks) // RUNS)


@dataclass(frozen=True)
class Poll:
    """One run of the collector and its statements."""

    run: Run
    once: Once


class Polls:
    """The exporter's own worker with every database collector; remembers those of outcomes."""

    def __init__(self, filled: Filled, log: ServerLog, interval: float | None) -> None:
        self.all: list[Poll] = []
        self.failed: list[str] = []
        self._log = log
        self._from = log.end()
        self._stop = threading.Event()
        self._news = threading.Condition()
        policy = load()
        if interval is not None:
            outcomes = policy.collectors.outcomes.model_copy(update={"interval": interval, "timeout": interval})
            policy = policy.model_copy(
                update={"collectors": policy.collectors.model_copy(update={"outcomes": outcomes})}
            )
        self.interval = policy.collectors.outcomes.interval
        self._worker = Worker(database_jobs(policy, source_of(filled)), self._report, self._stop)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """They go on until the end of the block."""
        self._worker.start()
        try:
            yield
        finally:
            self._stop.set()
            self._worker.join(WITHIN)

    def wait(self, after: float = 0.0) -> Poll:
        """The next poll that begins after this moment; RuntimeError when none comes."""
        with self._news:
            seen = len(self.all)
            come = self._news.wait_for(lambda: any(poll.run.started > after for poll in self.all[seen:]), WITHIN)
        if not come:
            raise RuntimeError(
                f"bench: no poll within {WITHIN:.0f} s; {'; '.join(self.failed) or 'no collector failed'}"
            )
        return self.all[-1]

    def _report(self, run: Run) -> None:
        """Called between two runs, so that what the log holds since the last call belongs to this one."""
        start, self._from = self._from, self._log.end()
        if run.error is not None:
            self.failed.append(f"{run.collector}: {run.error}")
        if run.collector == "outcomes":
            statements = self._log.since(start, APPLICATION_NAME)
            with self._news:
                self.all.append(Poll(run, Once(statements, run.duration * 1000, len(run.readings))))
                self._news.notify_all()


def measure(log: ServerLog, filled: Filled, burst: Burst) -> Iterator[Result]:
    """Two bursts: one that a poll follows, and one that a poll falls into."""
    polls = Polls(filled, log, burst.interval)
    table = f"outcomes of {burst.task_instances:,} task instances that end in {burst.seconds:g} s, {filled}"
    with closing(Work(filled)) as work, polls.going_on():
        learned = polls.wait()
        yield from _costs(table, "first poll", [learned])
        for number, (phase, wait) in enumerate(
            {
                "between two polls": 0.05 * polls.interval,
                "across a poll": max(0.0, polls.interval - burst.seconds / 2),
            }.items()
        ):
            before = work.ended()
            _prepare(work, burst, number)
            said = counted(polls.wait(time.time()).run.readings)
            seen = len(polls.all)
            time.sleep(wait)
            took = _happen(filled, burst, number)
            polls.wait(time.time())
            newest = polls.wait()
            ended = work.ended().since(before)
            yield from _compared(table, phase, ended, counted(newest.run.readings).since(said))
            yield Figure(table, phase, "took", took, "s")
            yield from _costs(table, phase, polls.all[seen:])
        quiet = [polls.wait() for _ in range(2)]
        yield from _costs(table, "quiet", quiet)
    for failure in polls.failed:
        yield Note(table, f"failed: {failure}", loud=True)


def _prepare(work: Work, burst: Burst, number: int) -> None:
    """The runs that are there before, with six tasks in ten of each at work."""
    for lot in range(RUNS):
        work.create(*_runs(number, lot), _tasks(burst))
        work.begin(*_runs(number, lot), [task for n, task in enumerate(_tasks(burst)) if n % 10 < 6])


def _happen(filled: Filled, burst: Burst, number: int) -> float:
    """All of it, tick by tick; returns the seconds it took."""
    started = time.monotonic()

    def ticks(first: int) -> None:
        with closing(Work(filled)) as work:
            for tick in range(first, burst.ticks, 2):
                time.sleep(max(0.0, started + tick * burst.seconds / burst.ticks - time.monotonic()))
                _tick(work, burst, number, tick)

    with ThreadPoolExecutor(2) as writers:
        for done in [writers.submit(ticks, first) for first in range(2)]:
            done.result()
    with closing(Work(filled)) as work:
        for lot in range(RUNS):
            # Those whose try failed late have their next one now.
            tried = [task for n, task in enumerate(_tasks(burst)) if n % 10 == 5]
            work.begin(*_runs(number, lot), tried)
            work.end(*_runs(number, lot), tried)
            work.end_runs(*_runs(number, lot), "failed" if lot % 10 == 0 else "success")
    return time.monotonic() - started


def _tick(work: Work, burst: Burst, number: int, tick: int) -> None:
    """Of its tasks one in ten fails, one is skipped without having run, and of one a try fails that was running."""
    now = [(n, task) for n, task in enumerate(_tasks(burst)) if n * burst.ticks // burst.tasks == tick]
    ends = {"failed": [3], "skipped": [9], "success": [0, 1, 2, 4, 6, 7, 8]}
    for lot in range(RUNS):
        runs = _runs(number, lot)
        for state, kinds in ends.items():
            if these := [task for n, task in now if n % 10 in kinds]:
                work.end(*runs, these, state)
        if these := [task for n, task in now if n % 10 == 5]:
            work.fail_a_try(*runs, these)
    unseen = dag(RUNS + tick), [f"unseen_{number}_{tick}"]
    tasks = [f"task_{n}" for n in range(burst.unseen)]
    work.create(*unseen, tasks)
    work.begin(*unseen, tasks)
    work.end(*unseen, tasks)
    work.end_runs(*unseen)


def _runs(number: int, lot: int) -> tuple[str, list[str]]:
    return dag(lot), [f"burst_{number}"]


def _tasks(burst: Burst) -> list[str]:
    return [f"task_{n}" for n in range(burst.tasks)]


def _compared(table: str, row: str, truth: Outcomes, said: Outcomes) -> Iterator[Result]:
    """Per kind what SQL counts; what the collector missed and what it counted too often, of all kinds, label by label."""
    for kind, by_sql in truth.kinds().items():
        yield Figure(table, row, f"{kind} by SQL", by_sql.total())
    missed, extra = differences(truth, said)
    yield Figure(table, row, "missed", missed)
    yield Figure(table, row, "too many", extra)


def differences(truth: Outcomes, said: Outcomes) -> tuple[int, int]:
    """(missed, counted too often), label by label."""
    pairs = [(by_sql, said.kinds()[kind]) for kind, by_sql in truth.kinds().items()]
    return sum((one - other).total() for one, other in pairs), sum((other - one).total() for one, other in pairs)


def _costs(table: str, row: str, polls: Sequence[Poll]) -> Iterator[Figure]:
    yield Figure(table, row, "polls", len(polls))
    yield Figure(table, row, "statements, most", max(len(poll.once.statements) for poll in polls))
    yield Figure(table, row, "database p50", statistics.median(poll.once.database_ms for poll in polls), "ms")
    yield Figure(table, row, "database max", max(poll.once.database_ms for poll in polls), "ms")
    yield Figure(table, row, "wall max", max(poll.once.wall_ms for poll in polls), "ms")
