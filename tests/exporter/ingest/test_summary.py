"""Quantiles of lately: exact while there is little, near enough when there is much, and forgotten in time."""

from __future__ import annotations

import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_obs.exporter.ingest.foreign.summary import EXACT, Objectives, Window
from tests.exporter.ingest.clock import Clock

TARGETS = ((0.5, 0.05), (0.9, 0.01), (0.99, 0.001))
WANTED = [quantile for quantile, _ in TARGETS]
MUCH = 30_000
RANDOM = random.Random(5)  # noqa: S311 (nothing is secret here)
SHAPES: dict[str, Callable[[int], float]] = {
    "even": lambda _: RANDOM.random(),
    "long tail": lambda _: RANDOM.lognormvariate(0, 3),
    "rising": float,
    "falling": lambda index: float(-index),
    "both ways": lambda index: float(index if index % 2 else -index),
    "few values": lambda index: float(index * 7_919 % 12),
}


def _error(values: list[float], quantile: float, told: float) -> float:
    """By how much the rank of `told` misses the quantile."""
    ordered = sorted(values)
    low, high = bisect_left(ordered, told) / len(values), bisect_right(ordered, told) / len(values)
    return max(low - quantile, quantile - high, 0.0)


@pytest.mark.parametrize("age_buckets", [1, 5])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_much_is_told_within_the_error_asked_for(shape: Callable[[int], float], age_buckets: int) -> None:
    clock = Clock()
    window = Window(Objectives(TARGETS, max_age=100, age_buckets=age_buckets), clock)
    values = [shape(index) for index in range(MUCH)]
    for value in values:
        clock.now += 99 / MUCH
        window.observe(value)
    for (quantile, told), (_, error) in zip(window.quantiles(WANTED), TARGETS, strict=True):
        assert _error(values, quantile, told) <= error


def test_what_must_be_exact_is_nearly_so_and_needs_no_more_room_for_it() -> None:
    window = Window(Objectives(((0.0, 0.0), (0.5, 0.0), (1.0, 0.0))), Clock())
    values = [RANDOM.random() for _ in range(MUCH)]
    for value in values:
        window.observe(value)
    assert all(_error(values, quantile, told) <= 0.002 for quantile, told in window.quantiles([0.0, 0.5, 1.0]))
    assert len(list(window._steps[-1].points())) < MUCH / 5


@pytest.mark.parametrize("objectives", [Objectives(), Objectives(((0.5, 0.05),), age_buckets=2)])
def test_room_is_bounded_however_much_comes(objectives: Objectives) -> None:
    clock = Clock()
    window = Window(objectives, clock)
    sizes = []
    for index in range(MUCH):
        clock.now += 1
        window.observe(RANDOM.expovariate(1))
        if index % 1_000 == 0:
            sizes.append(sum(len(list(step.points())) for step in window._steps))
    assert max(sizes) <= objectives.age_buckets * 2 * EXACT
    assert len(window._steps) <= objectives.age_buckets


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=EXACT), st.floats(0, 1))
def test_little_is_told_exactly(values: list[float], quantile: float) -> None:
    window = Window(Objectives(), Clock())
    for value in values:
        window.observe(value)
    assert window.quantiles([quantile]) == [(quantile, sorted(values)[max(math.ceil(quantile * len(values)) - 1, 0)])]


def test_sampled_observation_stands_for_several() -> None:
    window = Window(Objectives(), Clock())
    window.observe(1.0)
    window.observe(2.0, 10)
    assert window.quantiles([0.05, 0.5]) == [(0.05, 1.0), (0.5, 2.0)]


def test_what_is_frozen_stays_so() -> None:
    window = Window(Objectives(), Clock())
    window.observe(1.0)
    told = window.frozen()
    window.observe(2.0)
    assert told([1.0]) == [(1.0, 1.0)]
    assert window.quantiles([1.0]) == [(1.0, 2.0)]


def test_nothing_observed_is_not_a_number() -> None:
    ((quantile, told),) = Window(Objectives(), Clock()).quantiles([0.5])
    assert quantile == 0.5
    assert math.isnan(told)


def test_observations_are_forgotten_step_by_step() -> None:
    clock = Clock()
    window = Window(Objectives(max_age=100, age_buckets=5), clock)
    window.observe(1.0)
    clock.now += 30
    window.observe(9.0)
    clock.now += 69
    assert window.quantiles([0.0, 1.0]) == [(0.0, 1.0), (1.0, 9.0)]
    clock.now += 2  # the step of the first is 101 s old
    assert window.quantiles([0.0, 1.0]) == [(0.0, 9.0), (1.0, 9.0)]
    clock.now += 20
    assert math.isnan(window.quantiles([0.5])[0][1])


def test_window_that_nobody_used_for_long_begins_anew() -> None:
    clock = Clock()
    window = Window(Objectives(max_age=100, age_buckets=5), clock)
    window.observe(1.0)
    clock.now += 1e9
    window.observe(2.0)
    assert window.quantiles([0.0]) == [(0.0, 2.0)]
    clock.now += 79
    assert window.quantiles([0.0]) == [(0.0, 2.0)]
