"""What one cycle of the database collectors costs, beside the query that counts every task instance."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

from airflow_obs.collectors.registry import collectors
from airflow_obs.exporter.scrape import Job, run
from airflow_obs.policy import Policy
from airflow_obs.policy.loader import load
from airflow_obs.sources.backends.backend import APPLICATION_NAME
from airflow_obs.sources.database import Database
from airflow_obs.sources.discovery import database_url
from bench.figures import Figure
from bench.history import Filled
from bench.mariadb import SlowLog
from bench.postgres import ServerLog, Statement
from bench.work import Work
from tests.airflow_database import engine_for
from tests.airflow_schemas import Kind

WARM_UP = 3
PATIENCE = 60.0
COUNT_EVERYTHING = "SELECT dag_id, task_id, state, count(*) FROM task_instance GROUP BY 1, 2, 3"
"""What exporters without a state filter run at every scrape."""
_BENCH = "bench"
_WARNED = {
    Kind.POSTGRESQL: (f"SET application_name = '{_BENCH}'", "SET log_min_duration_statement = 0"),
    Kind.MARIADB: ("SET SESSION innodb_lock_wait_timeout = 1000000",),
}
"""What a session of ours says first: who it is, and that it may take its time."""
Log = ServerLog | SlowLog


@dataclass(frozen=True)
class Once:
    """One run of one collector: its statements as the server saw them, the whole milliseconds, and the series it gave."""

    statements: Sequence[Statement]
    wall_ms: float
    series: int

    @property
    def database_ms(self) -> float:
        return sum(statement.ms for statement in self.statements)

    @property
    def rows(self) -> int | None:
        """Rows read, None where the server does not tell."""
        told = [statement.rows for statement in self.statements if statement.rows is not None]
        return sum(told) if told else None


@dataclass(frozen=True)
class Cost:
    """Runs of the database collectors by collector: the one that connects, the first of each, and the warm ones.

    `beside` are warm runs of collectors with another policy than the default, which are no part of the cycle.
    """

    connects: Once
    first: Mapping[str, Once]
    warm: Mapping[str, Sequence[Once]]
    beside: Mapping[str, Sequence[Once]]
    intervals: Mapping[str, float]
    count_everything_ms: float

    @property
    def cycles(self) -> list[tuple[Once, ...]]:
        """The warm runs of all collectors, by cycle."""
        return list(zip(*self.warm.values(), strict=True))

    @property
    def cycle_ms(self) -> float:
        """Database time of a whole cycle: the median, in milliseconds."""
        return statistics.median(sum(one.database_ms for one in cycle) for cycle in self.cycles)


def database_jobs(policy: Policy, source: Database) -> list[Job]:
    """The enabled collectors that read the database, as the exporter makes them."""
    every = collectors(policy.collectors, dags=policy.dags, retention=policy.retention)
    by_name = policy.collectors.by_name()
    return [Job(each, by_name[each.name], source) for each in every if each.source == source.name]


def source_of(filled: Filled) -> Database:
    """The filled database as the exporter reaches it, in its own role."""
    environment = {"AIRFLOW_OBS_DB_URL": filled.exporter_url}
    return Database(lambda: database_url(environment))


@dataclass(frozen=True)
class _Begun:
    """A database whose collectors have connected: its jobs, the work that goes on in it, and its cycles."""

    filled: Filled
    jobs: Mapping[str, Job]
    beside: Mapping[str, Job]
    work: Work
    connects: Once
    cycles: list[dict[str, Once]]

    def cycle(self, log: Log) -> None:
        """One more, and what happens after it."""
        self.cycles.append({name: once(job, log) for name, job in {**self.jobs, **self.beside}.items()})
        self.work.step(len(self.cycles))

    def cost(self, count_everything_ms: float) -> Cost:
        """What they came to."""
        first, warm = self.cycles[0], self.cycles[1 + WARM_UP :]
        return Cost(
            self.connects,
            first,
            {name: [cycle[name] for cycle in warm] for name in self.jobs},
            {name: [cycle[name] for cycle in warm] for name in self.beside},
            {name: job.policy.interval for name, job in self.jobs.items()},
            count_everything_ms,
        )


def measure(log: Log, filled: Sequence[Filled], runs: int) -> list[Cost]:
    """Run the collectors' own code, in the exporter's role, this many times after warming up; work goes on in between.

    The databases take turns, so that what else the machine does falls on all of them. Raises RuntimeError when a collector
    fails: what it costs to fail is not the question.
    """
    with ExitStack() as open_ones:
        all_begun = [open_ones.enter_context(_begun(each, log)) for each in filled]
        for _ in range(1 + WARM_UP + runs):
            for begun in all_begun:
                begun.cycle(log)
    return [begun.cost(_count_everything(log, begun.filled)) for begun in all_begun]


@contextmanager
def _begun(filled: Filled, log: Log) -> Iterator[_Begun]:
    policy = patient(load())
    by_task = policy.model_copy(update={"dags": policy.dags.model_copy(update={"task_level": True})})
    with closing(source_of(filled)) as source, closing(Work(filled)) as work, _a_queue_for_a_lock(filled):
        jobs = {job.name: job for job in database_jobs(policy, source)}
        beside = {"dags, task_level: true": next(job for job in database_jobs(by_task, source) if job.name == "dags")}
        work.step(0)
        yield _Begun(filled, jobs, beside, work, once(jobs["jobs"], log), [])


def patient(policy: Policy) -> Policy:
    """With time enough for every collector: how long it took is told, and a busy machine shall not end the bench."""
    each = {
        name: own.model_copy(update={"timeout": max(own.timeout, PATIENCE)})
        for name, own in policy.collectors.by_name().items()
    }
    return policy.model_copy(update={"collectors": policy.collectors.model_copy(update=each)})


def once(job: Job, log: Log) -> Once:
    """Run it and see what it cost; RuntimeError when it fails."""
    start = log.end()
    outcome = run(job)
    if outcome.error is not None:
        raise RuntimeError(f"bench: collector {job.name} failed: {outcome.error}\n{outcome.bug or ''}")
    return Once(log.since(start, APPLICATION_NAME), outcome.duration * 1000, len(outcome.readings))


@contextmanager
def _a_queue_for_a_lock(filled: Filled) -> Iterator[None]:
    """One session holds the lock on a row and does nothing, another waits for it."""
    update = "UPDATE slot_pool SET description = 'held' WHERE pool = 'pool_1'"

    def wait() -> None:
        with _session(filled) as cursor:
            cursor.execute(update)

    waiter = threading.Thread(target=wait)
    with _session(filled) as holder:
        holder.execute(update)
        waiter.start()
        yield
        holder.connection.rollback()
    waiter.join()


def _count_everything(log: Log, filled: Filled) -> float:
    """Milliseconds, with the server's default settings (parallel workers and JIT allowed): the median of three, warm."""
    with _session(filled) as cursor:
        cursor.execute(COUNT_EVERYTHING)
        cursor.fetchall()
        start = log.end()
        for _ in range(3):
            cursor.execute(COUNT_EVERYTHING)
            cursor.fetchall()
        return statistics.median(found.ms for found in log.since(start, _BENCH) if found.sql == COUNT_EVERYTHING)


@contextmanager
def _session(filled: Filled) -> Iterator[Any]:
    """The cursor of a session of the owner's, which is rolled back."""
    engine = engine_for(filled.owner_url)
    with closing(engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
        for statement in _WARNED[filled.kind]:
            cursor.execute(statement)
        yield cursor
    engine.dispose()


def figures(filled: Filled, cost: Cost) -> Iterator[Figure]:
    """The table of one size."""
    table = f"one cycle, {filled} ({filled.megabytes:,.0f} MB, filled in {filled.seconds:.0f} s)"
    yield from _row(table, "(connect, read schema, jobs)", [cost.connects])
    for name, ones in cost.warm.items():
        yield from _row(table, name, ones)
        yield Figure(table, name, "first run", cost.first[name].database_ms, "ms")
    cycles = cost.cycles
    whole = "whole cycle"
    yield Figure(
        table, whole, "statements", statistics.median(sum(len(one.statements) for one in all_) for all_ in cycles)
    )
    yield Figure(table, whole, "database p50", cost.cycle_ms, "ms")
    yield Figure(table, whole, "database max", max(sum(one.database_ms for one in all_) for all_ in cycles), "ms")
    if any(one.rows is not None for one in cycles[0]):
        yield Figure(
            table, whole, "rows read", statistics.median(sum(one.rows or 0 for one in all_) for all_ in cycles)
        )
    yield Figure(table, whole, "wall p50", statistics.median(sum(one.wall_ms for one in all_) for all_ in cycles), "ms")
    yield Figure(table, whole, "series", sum(ones[0].series for ones in cost.warm.values()))
    yield Figure(table, whole, "first run", sum(cost.first[name].database_ms for name in cost.warm), "ms")
    for name, ones in cost.beside.items():
        yield from _row(table, f"beside: {name}", ones)
    minute = sum(
        statistics.median(one.database_ms for one in ones) * 60 / cost.intervals[name]
        for name, ones in cost.warm.items()
    )
    yield Figure(table, "a minute at default intervals", "database p50", minute, "ms")
    yield Figure(table, "unfiltered GROUP BY dag_id, task_id, state", "statements", 1)
    yield Figure(table, "unfiltered GROUP BY dag_id, task_id, state", "database p50", cost.count_everything_ms, "ms")


def _row(table: str, row: str, ones: Sequence[Once]) -> Iterator[Figure]:
    yield Figure(table, row, "statements", statistics.median(len(one.statements) for one in ones))
    yield Figure(table, row, "database p50", statistics.median(one.database_ms for one in ones), "ms")
    yield Figure(table, row, "database max", max(one.database_ms for one in ones), "ms")
    if read := [one.rows for one in ones if one.rows is not None]:
        yield Figure(table, row, "rows read", statistics.median(read))
    yield Figure(table, row, "wall p50", statistics.median(one.wall_ms for one in ones), "ms")
    yield Figure(table, row, "series", statistics.median(one.series for one in ones))


def ratios(costs: Sequence[tuple[Filled, Cost]]) -> Iterator[Figure]:
    """How the cycle compares with the unfiltered query, and between the largest database and each smaller one."""
    table = f"ratios of database time, Airflow {costs[0][0].release} on {costs[0][0].kind}"
    for filled, cost in costs:
        row = f"unfiltered GROUP BY / whole cycle, {filled.size.task_instances:,} task instances"
        aim = ">= 100" if filled.size.task_instances >= 10_000_000 else ""
        yield Figure(table, row, "ratio", cost.count_everything_ms / cost.cycle_ms, aim=aim)
    largest, most = costs[-1]
    for filled, cost in costs[:-1]:
        row = f"whole cycle, {largest.size.task_instances:,} / {filled.size.task_instances:,} task instances"
        yield Figure(table, row, "ratio", most.cycle_ms / cost.cycle_ms, aim="<= 1.3")
