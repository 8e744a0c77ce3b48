"""Days of work pass by a faked clock, in a process of its own, and all collectors look on: how much memory that takes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta

import psutil

from airflow_obs.collectors.outcome_state import Happened
from airflow_obs.collectors.outcomes import Outcomes
from airflow_obs.exporter.scrape import Job, run
from airflow_obs.policy.loader import load
from airflow_obs.sources.database import Database, Session
from bench.burst import differences
from bench.cost import database_jobs, patient, source_of
from bench.figures import Figure
from bench.history import TASKS_PER_RUN, Filled, Size
from bench.work import Work, counted
from tests.airflow_schemas import Kind

STEP_TASKS = TASKS_PER_RUN + 1
"""Task instances of one step of the work: those of the run that others see, and the one that comes and goes."""


OTHERS = 10
"""Steps from one run of the other collectors to the next: an hour, where outcomes are polled after every step."""


@dataclass(frozen=True)
class Week:
    """So many days of so many task instances each."""

    days: int
    per_day: int

    @property
    def steps(self) -> int:
        """Steps of work in a day, a poll for outcomes after each."""
        return max(1, round(self.per_day / STEP_TASKS))

    @property
    def step(self) -> timedelta:
        return timedelta(days=1) / self.steps


@dataclass(frozen=True)
class Evening:
    """How it was at the end of a day: bytes of memory, things remembered for outcomes, counted since the first day."""

    day: int
    rss: int
    remembered: int
    ended: int
    missed: int
    extra: int
    seconds: float


class ClockedDatabase:
    """The database as the exporter reaches it, at a moment of our choice."""

    name = "database"
    known = True

    def __init__(self, database: Database, now: datetime) -> None:
        self._database = database
        self.now = now

    @contextmanager
    def session(self, budget: float) -> Iterator[Session]:
        with self._database.session(budget) as session:
            yield replace(session, now=self.now)

    def close(self) -> None:
        self._database.close()


def measure(filled: Filled, week: Week) -> Iterator[Figure]:
    """The process of `main`, day by day."""
    told = {"filled": asdict(filled), "week": asdict(week)}
    done = subprocess.run(
        [sys.executable, "-m", "bench.week"], input=json.dumps(told), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"bench: the week ended early:\n{done.stderr}")
    table = f"memory over {week.days} days of {week.per_day:,} task instances, {filled}"
    evenings = [Evening(**evening) for evening in json.loads(done.stdout)]
    for evening in evenings:
        row = f"day {evening.day}"
        yield Figure(table, row, "RSS", evening.rss / 1e6, "MB")
        yield Figure(table, row, "ratio to day 1", evening.rss / evenings[0].rss)
        yield Figure(table, row, "remembered", evening.remembered)
        yield Figure(table, row, "ended by SQL", evening.ended)
        yield Figure(table, row, "missed", evening.missed)
        yield Figure(table, row, "too many", evening.extra)
        yield Figure(table, row, "polls", week.steps)
        yield Figure(table, row, "took", evening.seconds, "s")


def main() -> None:
    """What to do comes as JSON on stdin; the evenings go as JSON to stdout."""
    told = json.load(sys.stdin)
    found = told["filled"]
    filled = Filled(**{**found, "kind": Kind(found["kind"]), "size": Size(**found["size"])})
    json.dump([asdict(evening) for evening in _evenings(filled, Week(**told["week"]))], sys.stdout)


def _evenings(filled: Filled, week: Week) -> Iterator[Evening]:
    source = ClockedDatabase(source_of(filled), datetime.now(UTC))
    jobs = [replace(job, source=source) for job in database_jobs(patient(load()), source_of(filled))]
    (outcomes,) = (job.collector for job in jobs if isinstance(job.collector, Outcomes))
    with closing(source), closing(Work(filled)) as work:
        before = work.ended()
        _cycle(jobs)
        for day in range(1, week.days + 1):
            started = time.monotonic()
            for number in range((day - 1) * week.steps, day * week.steps):
                source.now += week.step
                work.at = source.now - week.step / 2
                work.step(number)
                _cycle([job for job in jobs if number % OTHERS == 0 or job.collector is outcomes])
            ended = work.ended().since(before)
            missed, extra = differences(ended, counted(tuple(outcomes.samples(Happened()))))
            yield Evening(
                day,
                psutil.Process().memory_info().rss,
                outcomes.remembered,
                sum(each.total() for each in ended.kinds().values()),
                missed,
                extra,
                time.monotonic() - started,
            )


def _cycle(jobs: list[Job]) -> None:
    for job in jobs:
        outcome = run(job)
        if outcome.error is not None:
            raise RuntimeError(f"bench: collector {job.name} failed: {outcome.error}\n{outcome.bug or ''}")


if __name__ == "__main__":
    main()
