"""Adds up outcomes since the exporter started, and makes samples of the sums."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import FINISHED_RUN_STATES, FINISHED_STATES
from airflow_obs.collectors.outcome_state import Happened
from airflow_obs.model import Metric, Reading

QUEUES = 1_000
"""Queues whose series stay though no task is in them: those seen last. Names of queues may be made up for every run."""
_TIMED = ("success", "failed")
"""Final states of tasks that did run; in any other a duration says nothing."""


@dataclass
class Sums:
    """A histogram in the making: per label values how many fell into each bucket, and their sum."""

    metric: Metric
    of: dict[tuple[str, ...], tuple[list[int], float]] = field(default_factory=dict)

    def expect(self, *labels: str) -> None:
        """Show it from now on: a series that appears with its first observation hides that from rate()."""
        self.of.setdefault(labels, ([0] * (len(self.metric.buckets) + 1), 0.0))

    def observe(self, value: float, *labels: str) -> None:
        """Add one observation."""
        self.expect(*labels)
        counts, total = self.of[labels]
        counts[bisect_left(self.metric.buckets, value)] += 1
        self.of[labels] = counts, total + value

    def samples(self) -> Iterator[Reading]:
        for labels, (counts, total) in sorted(self.of.items(), key=lambda item: sum(item[1][0]), reverse=True):
            yield self.metric.distribution(counts, total, **dict(zip(self.metric.labels, labels, strict=True)))


class Totals:
    """Counters and histograms of outcomes. They only rise; a queue that was forgotten and comes back begins at 0 again."""

    def __init__(self) -> None:
        self._finished, self._retried = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
        self._runs, self._unknown = Counter[tuple[str, ...]](), Counter({("task_instance",): 0, ("dag_run",): 0})
        self._set_aside = 0
        self._queues: dict[str, None] = {}
        """Those that have series, the one seen last at the end."""
        self._task_durations = Sums(metrics.TASK_DURATION)
        self._run_durations = Sums(metrics.RUN_DURATION)
        self._delays = Sums(metrics.RUN_START_DELAY)

    def _expect(self, queues: Iterable[str], run_types: Iterable[str]) -> None:
        """Show at 0 what will be counted for these: a counter that is born with 1 never rose to it."""
        for queue in queues:
            self._retried[(queue,)] += 0
            for state in FINISHED_STATES:
                self._finished[state, queue] += 0
            for state in _TIMED:
                self._task_durations.expect(state, queue)
        for run_type in run_types:
            self._delays.expect(run_type)
            for state in FINISHED_RUN_STATES:
                self._runs[state, run_type] += 0
                self._run_durations.expect(state, run_type)

    def _see(self, queues: set[str]) -> None:
        """Remember that these are in use, and forget those that were longest not."""
        for queue in sorted(queues):
            self._queues.pop(queue, None)
            self._queues[queue] = None
        forgotten = set(islice(self._queues, max(len(self._queues) - max(QUEUES, len(queues)), 0)))
        if not forgotten:
            return
        for queue in forgotten:
            del self._queues[queue]
        of_queues: tuple[dict[tuple[str, ...], Any], ...] = (self._finished, self._retried, self._task_durations.of)
        for counted in of_queues:
            for labels in [labels for labels in counted if labels[-1] in forgotten]:
                del counted[labels]

    def add(self, happened: Happened) -> None:
        """Count what happened."""
        ended = {task.queue for task in happened.tasks} | {retry.queue for retry in happened.retries}
        self._see(happened.queues | ended)
        self._expect(happened.queues, happened.run_types)
        for task in happened.tasks:
            state = str(task.state)
            self._finished[state, task.queue] += 1
            if state in _TIMED and task.duration is not None:
                self._task_durations.observe(task.duration, state, task.queue)
        for retry in happened.retries:
            self._retried[(retry.queue,)] += 1
        for run in happened.runs:
            self._runs[run.state, run.run_type] += 1
            if run.duration is not None:
                self._run_durations.observe(run.duration, run.state, run.run_type)
        for run in happened.starts:
            if run.delay is not None:
                self._delays.observe(run.delay, run.run_type)
        self._unknown["task_instance",] += happened.deleted_tasks
        self._unknown["dag_run",] += happened.deleted_runs
        self._set_aside += happened.set_aside

    def samples(self) -> Iterator[Reading]:
        """Of each family the largest first."""
        for metric, counter in (
            (metrics.TASKS_FINISHED, self._finished),
            (metrics.TRIES_RETRIED, self._retried),
            (metrics.RUNS_FINISHED, self._runs),
            (metrics.OUTCOMES_UNKNOWN, self._unknown),
        ):
            for labels, count in counter.most_common():
                yield metric.sample(count, **dict(zip(metric.labels, labels, strict=True)))
        yield metrics.RUNS_SET_ASIDE.sample(self._set_aside)
        for sums in (self._task_durations, self._run_durations, self._delays):
            yield from sums.samples()
