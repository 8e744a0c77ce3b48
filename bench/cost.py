"""What one cycle of the database collectors costs, beside the query that counts every task instance."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg2

from airflow_obs.collectors.registry import collectors
from airflow_obs.exporter.scrape import Job, run
from airflow_obs.policy.loader import load
from airflow_obs.sources.database import APPLICATION_NAME, Database
from airflow_obs.sources.discovery import database_url
from bench.figures import Figure
from bench.history import Filled
from bench.postgres import ServerLog, Statement
from tests.embedded_postgres import EmbeddedPostgres

WARM_UP = 3
COUNT_EVERYTHING = "SELECT dag_id, task_id, state, count(*) FROM task_instance GROUP BY 1, 2, 3"
"""What exporters without a state filter run at every scrape."""
_BENCH = "bench"


@dataclass(frozen=True)
class Once:
    """One run of one collector: its statements as the server saw them, the whole milliseconds, and the series it gave."""

    statements: Sequence[Statement]
    wall_ms: float
    series: int

    @property
    def database_ms(self) -> float:
        return sum(statement.ms for statement in self.statements)


@dataclass(frozen=True)
class Cost:
    """Every run of every database collector, warm, by collector; `first` is the one that connects and reads the schema."""

    first: Once
    warm: dict[str, list[Once]]
    intervals: dict[str, float]
    count_everything_ms: float

    @property
    def cycles(self) -> list[tuple[Once, ...]]:
        """The warm runs of all collectors, by cycle."""
        return list(zip(*self.warm.values(), strict=True))

    @property
    def cycle_ms(self) -> float:
        """Database time of a whole cycle: the median, in milliseconds."""
        return statistics.median(sum(one.database_ms for one in cycle) for cycle in self.cycles)


def measure(server: EmbeddedPostgres, log: ServerLog, filled: Filled, runs: int) -> Cost:
    """Run the collectors' own code, in the exporter's role, this many times after warming up.

    Raises RuntimeError when a collector fails: what it costs to fail is not the question.
    """
    environment = {"AIRFLOW_OBS_DB_URL": filled.exporter_url}
    source = Database(lambda: database_url(environment))
    policy = load().collectors
    jobs = [
        Job(collector, policy.by_name()[collector.name], source)
        for collector in collectors(policy)
        if collector.source == source.name
    ]
    first = _once(jobs[0], log)
    cycles = [[_once(job, log) for job in jobs] for _ in range(WARM_UP + runs)][WARM_UP:]
    source.close()
    return Cost(
        first,
        {job.name: list(ones) for job, ones in zip(jobs, zip(*cycles, strict=True), strict=True)},
        {job.name: job.policy.interval for job in jobs},
        _count_everything(server, log, filled),
    )


def _once(job: Job, log: ServerLog) -> Once:
    start = log.end()
    outcome = run(job)
    if outcome.error is not None:
        raise RuntimeError(f"bench: collector {job.name} failed: {outcome.error}")
    return Once(log.since(start, APPLICATION_NAME), outcome.duration * 1000, len(outcome.readings))


def _count_everything(server: EmbeddedPostgres, log: ServerLog, filled: Filled) -> float:
    """Milliseconds, with the server's default settings (parallel workers and JIT allowed): the median of three, warm."""
    connection = psycopg2.connect(
        host=str(server.socket_folder), user="postgres", dbname=filled.name, application_name=_BENCH
    )
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SET log_min_duration_statement = 0")
            cursor.execute(COUNT_EVERYTHING)
            start = log.end()
            for _ in range(3):
                cursor.execute(COUNT_EVERYTHING)
    finally:
        connection.close()
    return statistics.median(found.ms for found in log.since(start, _BENCH) if found.sql == COUNT_EVERYTHING)


def figures(filled: Filled, cost: Cost) -> Iterator[Figure]:
    """The table of one size."""
    size = f"{filled.size.task_instances:,} task instances"
    table = f"one cycle, {size} ({filled.megabytes:,.0f} MB, filled in {filled.seconds:.0f} s)"
    for name, ones in {"(first: connect, read schema)": [cost.first], **cost.warm}.items():
        yield Figure(table, name, "statements", statistics.median(len(one.statements) for one in ones))
        yield Figure(table, name, "database p50", statistics.median(one.database_ms for one in ones), "ms")
        yield Figure(table, name, "database max", max(one.database_ms for one in ones), "ms")
        yield Figure(table, name, "wall p50", statistics.median(one.wall_ms for one in ones), "ms")
        yield Figure(table, name, "series", statistics.median(one.series for one in ones))
    cycles = cost.cycles
    whole = "whole cycle"
    yield Figure(
        table, whole, "statements", statistics.median(sum(len(one.statements) for one in all_) for all_ in cycles)
    )
    yield Figure(table, whole, "database p50", cost.cycle_ms, "ms")
    yield Figure(table, whole, "database max", max(sum(one.database_ms for one in all_) for all_ in cycles), "ms")
    yield Figure(table, whole, "wall p50", statistics.median(sum(one.wall_ms for one in all_) for all_ in cycles), "ms")
    yield Figure(table, whole, "series", sum(ones[0].series for ones in cost.warm.values()))
    minute = sum(
        statistics.median(one.database_ms for one in ones) * 60 / cost.intervals[name]
        for name, ones in cost.warm.items()
    )
    yield Figure(table, "a minute at default intervals", "database p50", minute, "ms")
    yield Figure(table, "unfiltered GROUP BY dag_id, task_id, state", "statements", 1)
    yield Figure(table, "unfiltered GROUP BY dag_id, task_id, state", "database p50", cost.count_everything_ms, "ms")


def ratios(costs: Sequence[tuple[Filled, Cost]]) -> Iterator[Figure]:
    """How the cycle compares with the unfiltered query, and between the largest database and each smaller one."""
    table = "ratios of database time"
    for filled, cost in costs:
        row = f"unfiltered GROUP BY / whole cycle, {filled.size.task_instances:,} task instances"
        aim = ">= 100" if filled.size.task_instances >= 10_000_000 else ""
        yield Figure(table, row, "ratio", cost.count_everything_ms / cost.cycle_ms, aim=aim)
    largest, most = costs[-1]
    for filled, cost in costs[:-1]:
        row = f"whole cycle, {largest.size.task_instances:,} / {filled.size.task_instances:,} task instances"
        yield Figure(table, row, "ratio", most.cycle_ms / cost.cycle_ms, aim="<= 1.3")
