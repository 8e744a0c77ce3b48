"""Counters as increments: what is news when, and what becomes of it while the agent is away."""

from __future__ import annotations

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.exporter.board import Snapshot
from airflow_obs.exporter.push.statsd_figures import Increments
from airflow_obs.model import Reading
from tests.exporter.push.sending import Scene

DEADLOCKS = metrics.DB_DEADLOCKS
DURATION = metrics.TASK_DURATION


def finished(value: float, queue: str = "default") -> Reading:
    return metrics.TASKS_FINISHED.sample(value, state="success", queue=queue)


def observed(count: float, total: float) -> Reading:
    return DURATION.distribution([count, *[0] * len(DURATION.buckets)], total, state="failed", queue="default")


def taken(increments: Increments, snapshot: Snapshot) -> dict[str, float]:
    """What is due, all of it taken; without this process and the exporter itself."""
    found: dict[str, float] = {}
    for increment in increments.due(snapshot):
        increments.sent(increment)
        found |= {
            " ".join([name.removeprefix("airflow_obs_"), *(value for _, value in labels)]): value
            for (name, labels), value in increment.parts
            if value and "collector_failures" not in name and not name.startswith("process_")
        }
    return found


def test_what_was_counted_before_the_first_snapshot_is_not_sent() -> None:
    scene, increments = Scene("outcomes"), Increments()
    assert taken(increments, scene.says(finished(100), observed(5, 10))) == {}
    assert taken(increments, scene.says(finished(103), observed(6, 12.5))) == {
        "task_instances_finished_total success default": 3,
        "task_duration_seconds_count failed default": 1,
        "task_duration_seconds_sum failed default": 2.5,
    }
    assert taken(increments, scene.says(finished(103), observed(6, 12.5))) == {}


def test_series_that_appears_in_what_is_known_began_at_0() -> None:
    scene, increments = Scene("outcomes"), Increments()
    assert taken(increments, scene.says()) == {}
    assert taken(increments, scene.says(finished(4))) == {"task_instances_finished_total success default": 4}
    assert taken(increments, scene.says(finished(4), finished(2, "late"))) == {
        "task_instances_finished_total success late": 2
    }


def test_collector_that_answers_for_the_first_time_brings_what_is_old() -> None:
    scene, increments = Scene("database"), Increments()
    assert taken(increments, scene.fails("database")) == {}
    assert taken(increments, scene.says(DEADLOCKS.sample(5_000))) == {}
    assert taken(increments, scene.fails("database")) == {}, "what it counts stays on the page"
    assert taken(increments, scene.says(DEADLOCKS.sample(5_002))) == {"db_deadlocks_total": 2}


def test_counter_that_falls_began_anew() -> None:
    scene, increments = Scene("outcomes", "database"), Increments()
    taken(increments, scene.says(DEADLOCKS.sample(5_000), observed(10, 100)))
    assert taken(increments, scene.says(DEADLOCKS.sample(3), observed(2, 150))) == {
        "db_deadlocks_total": 3,
        "task_duration_seconds_count failed default": 2,
        "task_duration_seconds_sum failed default": 150,
    }


def test_fall_is_remembered_while_nobody_takes_it() -> None:
    scene, increments = Scene("database"), Increments()
    taken(increments, scene.says(DEADLOCKS.sample(5)))
    increments.due(scene.says(DEADLOCKS.sample(2)))
    assert taken(increments, scene.says(DEADLOCKS.sample(9))) == {"db_deadlocks_total": 9}


def test_what_nobody_takes_adds_up() -> None:
    scene, increments = Scene("outcomes"), Increments()
    increments.due(scene.says(finished(100)))
    for value in range(101, 110):
        increments.due(scene.says(finished(value)))
    assert taken(increments, scene.says(finished(110))) == {"task_instances_finished_total success default": 10}


def test_only_what_exists_is_remembered() -> None:
    scene, increments = Scene("outcomes"), Increments()
    for number in range(50):
        increments.due(scene.says(*(finished(1, f"queue-{number}-{other}") for other in range(20))))
    assert len(increments._sent) < 40


def test_collector_that_was_switched_off_and_on_again_brings_what_is_old() -> None:
    both, one = Scene("outcomes", "database"), Scene("outcomes")
    increments = Increments()
    taken(increments, both.says(DEADLOCKS.sample(5)))
    taken(increments, one.says())
    assert taken(increments, both.says(DEADLOCKS.sample(5_000))) == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_sent(value: float) -> None:
    scene, increments = Scene("outcomes"), Increments()
    taken(increments, scene.says(finished(1)))
    assert taken(increments, scene.says(finished(value))) == {}
