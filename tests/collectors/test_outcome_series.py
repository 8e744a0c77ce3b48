"""How many queues the outcomes have room for, and that what is beyond is counted."""

from __future__ import annotations

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import FINISHED_STATES
from airflow_obs.catalog.metrics.outcomes import TASK_DURATION_BUCKETS
from airflow_obs.collectors.outcome_state import Happened
from airflow_obs.collectors.outcome_totals import Totals
from airflow_obs.exporter.scrape import Run, run
from airflow_obs.policy import load
from tests.exporter.fakes import gives, job

ROOM = load(None).collectors.outcomes.max_series
OF_A_QUEUE = 2 * (len(TASK_DURATION_BUCKETS) + 3)
"""Series of one queue: success and failed, each with its buckets, +Inf, count and sum."""


def run_with(queues: int, max_series: int) -> Run:
    """A run of the collector at a site with so many queues."""
    totals = Totals()
    totals.add(Happened(queues={f"queue_{number}" for number in range(queues)}, run_types={"scheduled", "manual"}))
    return run(job("outcomes", gives(*totals.samples()), max_series=max_series))


def test_the_default_has_room_for_the_queues_that_it_says() -> None:
    assert (OF_A_QUEUE, ROOM // OF_A_QUEUE) == (32, 312)
    outcome = run_with(312, ROOM)
    assert outcome.succeeded
    assert not outcome.dropped


@pytest.mark.parametrize("queues", [313, 400])
def test_what_is_beyond_is_counted(queues: int) -> None:
    outcome = run_with(queues, ROOM)
    assert outcome.succeeded
    kept = [reading for reading in outcome.readings if reading.metric is metrics.TASK_DURATION]
    assert len(kept) == ROOM // (OF_A_QUEUE // 2)
    dropped = queues * OF_A_QUEUE - len(kept) * OF_A_QUEUE // 2
    assert outcome.dropped == {metrics.TASK_DURATION.name: dropped}
    # The counters have room for all of them still.
    finished = [reading for reading in outcome.readings if reading.metric is metrics.TASKS_FINISHED]
    assert len(finished) == queues * len(FINISHED_STATES)


def test_a_lower_cap_counts_the_same_way() -> None:
    outcome = run_with(70, 2_000)
    assert outcome.dropped == {metrics.TASK_DURATION.name: 70 * OF_A_QUEUE - 2_000 // 16 * 16}
