"""Runs the collector of outcomes time and again, as the exporter does, and looks up what it has counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from airflow_obs.catalog import metrics
from airflow_obs.collectors.outcome_state import Happened
from airflow_obs.collectors.outcomes import Outcomes
from airflow_obs.model import Distribution, Metric
from tests.airflow_database import AirflowDatabase
from tests.collectors.collected import BUDGET, POLICY, Collected, source
from tests.states.lives import Truth


class OutcomeCounter:
    """One exporter's life. It is polled at `now` of the test, or the clock's."""

    def __init__(self, db: AirflowDatabase, max_followed: int = 50_000) -> None:
        self._policy = POLICY.collectors.outcomes.model_copy(update={"max_followed": max_followed})
        self.collector = Outcomes(self._policy)
        self.database = source(db.exporter_url)
        self.newest = Collected(())

    def learn_anew(self, now: datetime) -> None:
        """Forget everything, as a restart does, and learn what is there `now`."""
        self.collector = Outcomes(self._policy)
        self.poll(now)

    def poll(self, now: datetime | None = None) -> Happened:
        """Run it once."""
        with self.database.session(BUDGET) as session:
            happened = self.collector.read(replace(session, now=now) if now else session)
        self.newest = Collected(tuple(self.collector.samples(happened)))
        return happened

    def counted(self, metric: Metric) -> dict[tuple[str, ...], float]:
        """Labels → what was counted, where that is more than nothing."""
        return {labels: value for labels, value in self.newest.all(metric).items() if value}

    def sum(self, metric: Metric, *labels: str) -> float | None:
        """The sum of a distribution's observations."""
        for reading in self.newest.readings:
            if reading.metric is metric and tuple(value for _, value in reading.labels) == labels:
                return reading.total if isinstance(reading, Distribution) else None
        return None

    @property
    def all(self) -> Truth:
        """Everything counted."""
        truth = Truth()
        for (state, queue), value in self.counted(metrics.TASKS_FINISHED).items():
            truth.tasks[state, queue] = int(value)
        for (queue,), value in self.counted(metrics.TRIES_RETRIED).items():
            truth.retries[(queue,)] = int(value)
        for (state, run_type), value in self.counted(metrics.RUNS_FINISHED).items():
            truth.runs[state, run_type] = int(value)
        return truth


@contextmanager
def counting(db: AirflowDatabase, max_followed: int = 50_000) -> Iterator[OutcomeCounter]:
    """A counter that has learned what is there; its connection is closed at the end."""
    counter = OutcomeCounter(db, max_followed)
    try:
        counter.poll()
        yield counter
    finally:
        counter.database.close()
