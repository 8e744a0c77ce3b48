"""What the counting of outcomes remembers from one poll to the next, and what one poll found."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from types import MappingProxyType
from typing import Generic, NamedTuple, TypeVar

from airflow_obs.collectors.run_outcomes import Run, RunKey
from airflow_obs.collectors.task_outcomes import Instance, TaskKey

Key = TypeVar("Key", bound=Hashable)

REMEMBERED = timedelta(minutes=15)
"""How long what was counted is remembered, so that it is not counted again when it is seen again, as on a replica that lags."""
AHEAD = timedelta(days=1)
"""How far a clock that writes moments may be ahead of ours: what it dates in the future looks new until then."""


class Outcome(NamedTuple):
    """What tells one outcome of a task instance, or of a dag run, from the next."""

    end: datetime | None
    try_number: int = 0

    def again(self, before: Outcome | None) -> bool:
        """Whether this is the outcome `before`, written once more.

        Airflow 2 writes a task that skips itself twice, first without its end, and one that was failed for its heartbeat may still
        succeed. So a try that began has one outcome; what ended without any try is told by its end.
        """
        return before is not None and (self == before or self.try_number == before.try_number > 0)


class OpenRun(NamedTuple):
    """A run that has not ended; `state` is None when it has only just been found.

    `fresh`: it was created under our eyes and has not started, so that whatever happens in it is news.
    """

    key: RunKey
    state: str | None
    fresh: bool


class Since(NamedTuple):
    """From when on the ends of a run's task instances are news (None: all are), but for those counted already."""

    moment: datetime | None = None
    counted: Mapping[TaskKey, Outcome] = MappingProxyType({})


class Counted(Generic[Key]):
    """What was counted lately: the newest outcome by key.

    It is forgotten REMEMBERED after it ended, or was counted if that is later, or when there are more than `limit`.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._outcomes: dict[Key, tuple[Outcome, datetime]] = {}
        """The outcome, and until when it is remembered; what was counted first comes first."""

    def __len__(self) -> int:
        return len(self._outcomes)

    def get(self, key: Key) -> Outcome | None:
        """The newest outcome that was counted."""
        return self._outcomes[key][0] if key in self._outcomes else None

    def items(self) -> Iterator[tuple[Key, Outcome]]:
        """Every (key, outcome)."""
        return ((key, outcome) for key, (outcome, _) in self._outcomes.items())

    def keep(self, outcomes: Mapping[Key, Outcome], now: datetime) -> None:
        """Remember these as well, and forget what is old."""
        for key, outcome in outcomes.items():
            self._outcomes.pop(key, None)
            self._outcomes[key] = outcome, min(max(now, outcome.end or now), now + AHEAD) + REMEMBERED
        old = [key for key, (_, until) in self._outcomes.items() if until < now]
        for key in old:
            del self._outcomes[key]
        for key in list(islice(self._outcomes, max(len(self._outcomes) - self._limit, 0))):
            del self._outcomes[key]


@dataclass(frozen=True)
class Known:
    """What is known after a poll. `began` is the moment of the first, and `moment` that of the newest one that succeeded.

    `newest` is the greatest id of a dag run, `seen` those just below it that were there, and whose they were; `tasks` the
    number of ended tries of each unfinished instance; `aside` the runs whose instances are not followed, `pending` those
    still to be read; `tries` the archived tries that were counted, and when they ended, where that was so lately that they would
    be news once more.
    """

    began: datetime
    moment: datetime
    newest: int
    seen: Mapping[int, RunKey]
    runs: Mapping[int, OpenRun]
    tasks: Mapping[TaskKey, int]
    aside: Mapping[RunKey, Since]
    pending: Mapping[RunKey, Since]
    tries: Mapping[tuple[TaskKey, int], datetime]


class Retried(NamedTuple):
    """A try that failed or was abandoned, and was, or will be, tried again."""

    key: TaskKey
    queue: str


@dataclass
class Happened:
    """What happened between two polls, and the queues and run types seen; nobody will know the outcome of the deleted."""

    tasks: list[Instance] = field(default_factory=list)
    retries: list[Retried] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    starts: list[Run] = field(default_factory=list)
    deleted_tasks: int = 0
    deleted_runs: int = 0
    set_aside: int = 0
    queues: set[str] = field(default_factory=set)
    run_types: set[str] = field(default_factory=set)

    def lose(self, before: Known, now: Known) -> None:
        """What was awaited `before` and is not any more was deleted with everything else."""
        runs = {run.key for run in now.runs.values()}
        self.deleted_runs += sum(run.key not in runs for run in before.runs.values())
        self.deleted_tasks += len(before.tasks.keys() - now.tasks.keys())
