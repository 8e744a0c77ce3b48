"""Sources and collectors that do as they are told, and a clock that stands until it is moved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from airflow_obs.exporter.scrape import Job
from airflow_obs.model import Reading
from airflow_obs.policy import CollectorPolicy

Read = Callable[[], Sequence[Reading]]


def policy(max_series: int = 100, interval: str = "15s", timeout: str = "5s") -> CollectorPolicy:
    """How a fake collector runs."""
    given = {"enabled": True, "interval": interval, "timeout": timeout, "max_series": max_series}
    return CollectorPolicy.model_validate(given)


@dataclass
class FakeSource:
    """A source whose sessions are nothing at all; it keeps the budgets it was asked for."""

    name: str = "database"
    known: bool = True
    budgets: list[float] = field(default_factory=list)
    closed: int = 0

    @contextmanager
    def session(self, budget: float, /) -> Iterator[None]:
        self.budgets.append(budget)
        yield

    def close(self) -> None:
        self.closed += 1


@dataclass
class FakeCollector:
    """A collector that returns, or raises, what `answer` does; `answer` may be replaced between runs."""

    name: str
    answer: Read
    source: str = "database"
    reads: int = 0

    def read(self, _session: None, /) -> Sequence[Reading]:
        self.reads += 1
        return self.answer()

    def samples(self, rows: Sequence[Reading], /) -> Iterator[Reading]:
        yield from rows


def gives(*readings: Reading) -> Read:
    """An answer that is always the same."""
    return lambda: readings


def raises(error: Exception) -> Read:
    """An answer that is an error."""

    def fail() -> Sequence[Reading]:
        raise error

    return fail


def job(name: str, answer: Read, source: FakeSource | None = None, max_series: int = 100) -> Job:
    """A job of a fake collector, on a source of its own unless one is given."""
    return Job(FakeCollector(name, answer), policy(max_series), source or FakeSource())


@dataclass
class Clock:
    """Seconds that pass when they are told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now
