"""What the simulated Airflow has in hand: its DAGs, and the runs and task instances that are not finished."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zlib import crc32

from airflow_obs.demo.company import DagSpec, TaskSpec

LONG_AGO = datetime.min.replace(tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass
class LiveDag:
    """A DAG that the database knows; `next_due` is when its next run shall be created (None: never by itself).

    `full`: it has so many unfinished runs that no other is created.
    """

    spec: DagSpec
    version: uuid.UUID
    next_due: datetime | None
    full: bool = False


@dataclass(eq=False)
class LiveTask:
    """An unfinished task instance: in `state` since `since`; something happens to it at `due`, if anything.

    `lost`: its process is gone and nobody knows. `reported`: its executor says that it failed. `scheduler`: the job that
    queued it. `requeues`: how often it was queued again because it had been queued for too long.
    """

    spec: TaskSpec
    run: LiveRun
    id: uuid.UUID
    map_index: int
    state: str | None = None
    since: datetime = LONG_AGO
    due: datetime = NEVER
    next_heartbeat: datetime = NEVER
    try_number: int = 0
    worker: str = ""
    trigger: int | None = None
    resumed: bool = False
    lost: bool = False
    reported: bool = False
    scheduler: int | None = None
    requeues: int = 0

    @property
    def host(self) -> str:
        """Where its worker runs; empty before it has one."""
        return self.worker.rpartition("@")[2]


@dataclass(eq=False)
class LiveRun:
    """An unfinished dag run, with all its task instances."""

    dag: LiveDag
    number: int
    run_id: str
    state: str
    tasks: list[LiveTask] = field(default_factory=list)


@dataclass
class State:
    """Everything unfinished; `seed` decides every random choice."""

    seed: int
    dags: dict[str, LiveDag]
    runs: list[LiveRun] = field(default_factory=list)

    def rng(self, purpose: str) -> random.Random:
        """A generator of its own for each part, so that one part's choices do not move another's."""
        return random.Random(f"{self.seed}:{purpose}")  # noqa: S311 (a simulation, no secret)

    def tasks(self, state: str) -> Iterator[LiveTask]:
        """The task instances in a state, the longest waiting first."""
        return iter(sorted((task for run in self.runs for task in run.tasks if task.state == state), key=_since))


def last_due(spec: DagSpec, now: datetime) -> datetime:
    """The newest moment, not after `now`, at which a DAG with a schedule was due; not all fire on the minute."""
    assert spec.every is not None  # noqa: S101 (only those with a schedule are asked for)
    offset = crc32(spec.dag_id.encode()) % spec.every
    passed = (now.timestamp() - offset) % spec.every
    return datetime.fromtimestamp(round(now.timestamp() - passed), UTC)


def next_due(spec: DagSpec, now: datetime) -> datetime | None:
    """The first moment after `now` at which it is due; None where it is run by hand only."""
    return None if spec.every is None else last_due(spec, now) + timedelta(seconds=spec.every)


def _since(task: LiveTask) -> datetime:
    return task.since
