"""Runs collectors: one guarded run, and one worker thread per source that runs its collectors in turn."""

from __future__ import annotations

import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from airflow_obs.collectors.collector import AnyCollector
from airflow_obs.errors import SourceConflict, SourceError, SourceNotConfigured, SourceUnreachable, redact
from airflow_obs.model import Reading
from airflow_obs.policy import CollectorPolicy

TIMES = 3
"""How often a collector is read before a standby's conflicts fail it: each has the time that the ones before have left."""


class Source(Protocol):
    """Where collectors read. `known` is false while nobody has told us where it is and guesses found nothing."""

    name: str
    known: bool

    def session(self, budget: float, /) -> AbstractContextManager[Any]: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Job:
    """A collector, its policy (interval and timeout in seconds) and the source it reads."""

    collector: AnyCollector
    policy: CollectorPolicy
    source: Source

    @property
    def name(self) -> str:
        return self.collector.name


@dataclass(frozen=True)
class Run:
    """How one run of a collector ended; `started` in Unix seconds. No readings were kept if there is an `error`."""

    collector: str
    source: str
    started: float
    duration: float
    readings: tuple[Reading, ...] = ()
    dropped: Counter[str] = field(default_factory=Counter)
    error: str | None = None
    source_up: bool | None = True
    """None: there is no such source, as far as anybody knows."""
    tried: bool = True
    bug: str | None = None
    """The traceback of what no collector should raise."""

    @property
    def succeeded(self) -> bool:
        return self.error is None

    @cached_property
    def families(self) -> frozenset[str]:
        """The names of the metrics that it read."""
        return frozenset(reading.metric.name for reading in self.readings)


def run(job: Job, because: str | None = None) -> Run:
    """Run a collector once; whatever goes wrong in it ends here. With `because` it fails untried, for that reason."""
    started, clock = time.time(), time.monotonic()
    readings: tuple[Reading, ...] = ()
    dropped: Counter[str] = Counter()
    error, source_up = because, because is None
    bug: str | None = None
    try:
        if because is None:
            readings, dropped = _kept(job, job.collector.samples(_read(job)))
    except SourceError as failure:
        error, source_up = str(failure), not isinstance(failure, SourceUnreachable | SourceNotConfigured)
    except Exception as failure:  # noqa: BLE001 (the boundary: a broken collector must not take the others with it)
        error, source_up = redact(f"{type(failure).__name__}: {failure}"), True
        bug = traceback.format_exc()
    return Run(
        job.name, job.source.name, started, time.monotonic() - clock, readings, dropped, error,
        source_up if job.source.known else None, because is None, bug,
    )  # fmt: skip


def _read(job: Job) -> Any:
    """What the collector reads, again when a standby ended it: no collector remembers anything of a read that fails half way."""
    budget, until = job.policy.timeout, time.monotonic() + job.policy.timeout
    for _ in range(TIMES - 1):
        try:
            return _read_once(job, budget)
        except SourceConflict:
            budget = until - time.monotonic()
            if budget <= 0:
                raise
    return _read_once(job, budget)


def _read_once(job: Job, budget: float) -> Any:
    with job.source.session(budget) as session:
        return job.collector.read(session)


def _kept(job: Job, readings: Iterable[Reading]) -> tuple[tuple[Reading, ...], Counter[str]]:
    """The first max_series readings of each family, and how many of each were dropped.

    A series given twice, or one of another collector's family, would spoil the whole page: ValueError.
    """
    kept: dict[tuple[str, tuple[tuple[str, str], ...]], Reading] = {}
    families: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    name = job.name
    for reading in readings:
        metric = reading.metric
        key = metric.name, reading.labels
        if name not in (metric.collector, metric.also):
            raise ValueError(f"collector {name} gave {metric.name}, which belongs to {metric.collector}")
        if key in kept:
            raise ValueError(f"collector {name} gave {metric.name}{dict(reading.labels)} twice")
        # A distribution is a series for each bucket, +Inf, count and sum.
        weight = len(metric.buckets) + 3 if metric.buckets else 1
        if families[metric.name] + weight <= job.policy.max_series:
            families[metric.name] += weight
            kept[key] = reading
        else:
            dropped[metric.name] += weight
    return tuple(kept.values()), dropped


class Worker(threading.Thread):
    """Runs the collectors of one source, one after the other, each at its interval, until `stop` is set.

    `report` is called with every run, from this thread. When the source cannot be reached the collectors due at the same
    time fail with it instead of each waiting for its own timeout.
    """

    def __init__(self, jobs: Sequence[Job], report: Callable[[Run], None], stop: threading.Event) -> None:
        super().__init__(name=f"source-{jobs[0].source.name}", daemon=True)
        self._jobs = jobs
        self._report = report
        self._stop_asked = stop

    def run(self) -> None:
        due = {job.name: time.monotonic() for job in self._jobs}
        waiting: set[str] = set()
        while not self._stop_asked.is_set():
            now = time.monotonic()
            batch = [job for job in self._jobs if due[job.name] <= now]
            due |= {job.name: now + job.policy.interval for job in batch}
            answered = False
            for outcome in self._run(batch):
                (waiting.discard if outcome.tried else waiting.add)(outcome.collector)
                answered = answered or outcome.source_up is True
            if answered:
                # The source is back: those that failed untried need not wait for their turn, which may be minutes away.
                due |= dict.fromkeys(waiting, now)
            self._stop_asked.wait(max(0.0, min(due.values()) - time.monotonic()))
        self._jobs[0].source.close()

    def _run(self, batch: Sequence[Job]) -> Iterator[Run]:
        unreachable: str | None = None
        for job in batch:
            if self._stop_asked.is_set():
                return
            outcome = run(job, unreachable)
            if outcome.error and self._stop_asked.is_set():
                return  # given up because we stop, which is nobody's failure
            if outcome.source_up is False:
                unreachable = outcome.error
            self._report(outcome)
            yield outcome


def run_all(jobs: Sequence[Job]) -> list[Run]:
    """Run every collector once, in this thread."""
    runs: list[Run] = []
    for job in jobs:
        down = next((run.error for run in runs if run.source == job.source.name and run.source_up is False), None)
        runs.append(run(job, down))
    for source in {id(job.source): job.source for job in jobs}.values():
        source.close()
    return runs
