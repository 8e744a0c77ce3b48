"""What the collector of outcomes costs with as many unfinished task instances as it follows one by one, and with more."""

from __future__ import annotations

import statistics
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import closing

from airflow_obs.collectors.outcome_state import Happened
from airflow_obs.collectors.outcomes import Outcomes
from airflow_obs.exporter.scrape import Job
from airflow_obs.policy import OutcomesPolicy
from airflow_obs.policy.loader import load
from airflow_obs.sources.database import Database
from bench.burst import differences
from bench.cost import PATIENCE, Once, once, source_of
from bench.figures import Figure
from bench.history import DAGS, TASKS_PER_RUN, Filled
from bench.postgres import ServerLog
from bench.work import Work, counted, dag

ENDING = 50
"""Runs that end, with all their task instances, before each of the busy polls; as many begin."""


def measure(log: ServerLog, filled: Filled, followed: int, polls: int) -> Iterator[Figure]:
    """Polls at the bound while nothing happens, then with ENDING runs each, and beyond it; the wall time has Python's part."""
    table = f"outcomes, at most {followed:,} task instances followed, {filled}"
    policy = load().collectors.outcomes.model_copy(update={"max_followed": followed, "timeout": PATIENCE})
    collector = Outcomes(policy)
    with closing(source_of(filled)) as source, closing(Work(filled)) as work:
        job = Job(collector, policy, source)
        # The live work of the history is there already, with four or five unfinished instances a run.
        runs = max(2 * ENDING, (followed - 5 * filled.size.live_runs) // TASKS_PER_RUN)
        _create(work, "bound", range(runs))
        yield from _row(table, "first poll", [once(job, log)])
        ended = work.ended()
        yield from _row(table, "at the bound, quiet", [once(job, log) for _ in range(polls)])
        yield Figure(table, "at the bound, quiet", "remembered", collector.remembered)
        yield Figure(table, "at the bound, quiet", "keeps", _kept(policy, source, log) / 1e6, "MB")
        busy = []
        for poll in range(polls):
            _end(work, "bound", range(poll * ENDING, (poll + 1) * ENDING))
            _create(work, "new", range(poll * ENDING, (poll + 1) * ENDING))
            busy.append(once(job, log))
        row = f"at the bound, {ENDING * TASKS_PER_RUN:,} end"
        yield from _row(table, row, busy)
        missed, extra = differences(work.ended().since(ended), counted(tuple(collector.samples(Happened()))))
        yield Figure(table, row, "missed", missed)
        yield Figure(table, row, "too many", extra)
        _create(work, "beyond", range(runs // 2))
        yield from _row(table, "half as many more, first", [once(job, log)])
        yield from _row(table, "half as many more, quiet", [once(job, log) for _ in range(polls)])


def _kept(policy: OutcomesPolicy, source: Database, log: ServerLog) -> int:
    """Bytes that another collector keeps of what is there now."""
    another = Job(Outcomes(policy), policy, source)
    tracemalloc.start()
    try:
        once(another, log)
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def _create(work: Work, kind: str, numbers: Sequence[int]) -> None:
    for number in numbers:
        work.create(dag(number), [_run_id(kind, number)], _TASKS)
    for number in numbers:
        work.begin(dag(number), [_run_id(kind, number)], _TASKS[::2])


def _end(work: Work, kind: str, numbers: Sequence[int]) -> None:
    for number in numbers:
        work.end(dag(number), [_run_id(kind, number)], _TASKS)
        work.end_runs(dag(number), [_run_id(kind, number)])


_TASKS = [f"task_{n}" for n in range(TASKS_PER_RUN)]


def _run_id(kind: str, number: int) -> str:
    return f"{kind}_{number // DAGS}_{number % DAGS}"


def _row(table: str, row: str, ones: Sequence[Once]) -> Iterator[Figure]:
    yield Figure(table, row, "polls", len(ones))
    yield Figure(table, row, "statements, most", max(len(one.statements) for one in ones))
    yield Figure(table, row, "database p50", statistics.median(one.database_ms for one in ones), "ms")
    yield Figure(table, row, "database max", max(one.database_ms for one in ones), "ms")
    yield Figure(table, row, "wall p50", statistics.median(one.wall_ms for one in ones), "ms")
