"""Outcomes that nothing tells of: they come and go between two polls in a run that goes on (exporters/reading-metrics.md)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.airflow_database import AirflowDatabase
from tests.collectors.outcome_counter import counting
from tests.states.lives import Lives


def test_what_comes_and_goes_in_a_run_that_goes_on(airflow_db: AirflowDatabase) -> None:
    """From 3.0 on heartbeats tell of what began; of what ended without having begun nothing does."""
    lives, began = Lives(airflow_db), datetime.now(UTC)

    def at(seconds: int) -> datetime:
        return began + timedelta(seconds=seconds)

    run = lives.create(began, tasks=2)
    lives.start(run, began)
    with counting(airflow_db) as counter:
        cleared, last = run.tasks
        lives.through(cleared, at(5))
        counter.poll(at(15))
        assert counter.all == lives.truth
        lives.clear(run, cleared, at(16))
        lives.through(cleared, at(17))
        lives.through(lives.add(run, at(16)), at(17))
        lives.end(lives.add(run, at(16)), at(17), "upstream_failed")
        counter.poll(at(30))
        counter.poll(at(285))
        lives.through(last, at(300))
        lives.finish(run, at(300))
        counter.poll(at(315))
        counter.poll(at(330))
        assert lives.truth.tasks == {("success", "default"): 4, ("upstream_failed", "default"): 1}
        beats = "last_heartbeat_at" in airflow_db.tables["task_instance"].columns
        assert counter.all.tasks == {("success", "default"): 4 if beats else 2}
        assert counter.all.runs == lives.truth.runs
