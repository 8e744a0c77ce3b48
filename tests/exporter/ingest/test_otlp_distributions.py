"""Distributions: what came on top since the point before, and into which of our buckets it falls."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_obs.exporter.ingest.otlp.decode import decode
from airflow_obs.exporter.ingest.otlp.distributions import Explicit, Exponential, exponential, spread
from airflow_obs.exporter.ingest.otlp.points import Observations
from tests.exporter.ingest.otlp_requests import sender

BOUNDS = (0.01, 0.1, 1.0, 10.0, 60.0)
DURATIONS = st.floats(0, 1e7, allow_nan=False)
"""Milliseconds."""


def explicit(bounds: Sequence[float], counts: Sequence[float], total: float | None) -> Explicit:
    return Explicit(tuple(bounds), array("d", counts), total)


@settings(max_examples=60)
@given(st.lists(st.lists(DURATIONS, min_size=1, max_size=40), min_size=1, max_size=4))
def test_what_the_sdk_records_falls_where_it_belongs(intervals: list[list[float]]) -> None:
    """The SDK goes to coarser scales between points as its values spread; at its coarsest here a bucket is 10 % wide or less."""
    found, total = [0.0] * (len(BOUNDS) + 1), 0.0
    widest = 1.0
    with sender() as airflow:
        histogram = airflow.meter.create_histogram("airflow.x", unit="ms")
        before: Explicit | Exponential | None = None
        for interval in intervals:
            for value in interval:
                histogram.record(value)
            (point,) = decode(airflow.collected().SerializeToString()).points
            assert isinstance(point.value, Observations)
            now = point.value.distribution
            assert isinstance(now, Exponential)
            widest = max(widest, 2.0**2.0**-now.scale)
            more = now if before is None else now.since(before)
            assert more is not None
            assert more.count == len(interval)
            counts, seconds = spread(more, BOUNDS, 0.001)
            found, total, before = [a + b for a, b in zip(found, counts, strict=True)], total + seconds, now
    recorded = [value for interval in intervals for value in interval]
    assert sum(found) == len(recorded)
    assert total == pytest.approx(sum(recorded) / 1000)
    for index, bound in enumerate(BOUNDS):
        below = sum(found[: index + 1])
        assert sum(v / 1000 * widest < bound for v in recorded) <= below
        assert below <= sum(v / 1000 <= bound * widest for v in recorded)


def test_single_observation_is_known_exactly() -> None:
    """One bucket of scale 0 reaches from 4,096 to 8,192: its middle would be in the wrong one of ours."""
    one = exponential(0, 0, [(12, 1)], 8_000.0)
    assert spread(one, (6.0, 7.0), 0.001) == ([0, 0, 1], 8.0)


def test_coarser_scale_is_no_reset() -> None:
    before = exponential(1, 0, [(0, 2), (1, 3)], 7.0)
    more = exponential(0, 0, [(0, 6), (4, 1)], 30.0).since(before)
    assert more == exponential(0, 0, [(0, 1), (4, 1)], 23.0)


def test_negative_indexes_go_down_when_scaled() -> None:
    more = exponential(0, 0, [(-1, 2)], 1.4).since(exponential(2, 0, [(-3, 1)], 0.6))
    assert more == exponential(0, 0, [(-1, 1)], 1.4 - 0.6)


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (exponential(0, 0, [(3, 1)], 9.0), exponential(0, 0, [(3, 2)], 18.0)),
        (exponential(0, 0, [(3, 1)], 9.0), exponential(0, 1, [(3, 1)], 9.0)),
        (exponential(0, 0, [(3, 1)], 9.0), explicit((1.0,), (0, 1), 9.0)),
        (explicit((1.0,), (0, 1), 9.0), explicit((1.0,), (1, 1), 9.5)),
        (explicit((1.0,), (0, 1), 9.0), explicit((2.0,), (0, 1), 9.0)),
        (explicit((1.0,), (0, 1), 9.0), exponential(0, 0, [(3, 1)], 9.0)),
    ],
)
def test_fewer_than_before_is_a_new_beginning(now: Explicit | Exponential, before: Explicit | Exponential) -> None:
    assert now.since(before) is None


def test_bounds_that_are_the_same_are_kept() -> None:
    same = explicit((10.0, 100.0, 1_000.0), (1, 2, 3, 4), 50_000.0)
    assert spread(same, (0.01, 0.1, 1.0), 0.001) == ([1, 2, 3, 4], 50.0)


def test_above_the_last_bound_the_sum_tells_where() -> None:
    assert spread(explicit((10.0,), (0, 2), 120.0), (20.0, 100.0), 1) == ([0, 2, 0], 120.0)
    assert spread(explicit((10.0,), (0, 2), None), (20.0, 100.0), 1)[0] == [2, 0, 0]


def test_without_buckets_all_are_at_the_mean() -> None:
    assert spread(explicit((), (4,), 20.0), (1.0, 6.0), 1) == ([0, 4, 0], 20.0)


def test_without_a_sum_it_is_estimated() -> None:
    counts, total = spread(exponential(20, 1, [(0, 3)], None), (0.5, 2.0), 2.0)
    assert counts == [1, 0, 3]
    assert total == pytest.approx(6.0, rel=1e-5)


@pytest.mark.parametrize("index", [-(2**31), 2**31 + 100])
def test_logarithms_beyond_all_floats_are_taken(index: int) -> None:
    counts, total = spread(exponential(0, 0, [(index, 2)], None), (1.0,), 1)
    assert sum(counts) == 2
    assert math.isfinite(total)
