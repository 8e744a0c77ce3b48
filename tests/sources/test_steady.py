"""Moments computed from an uptime stand still until there was a restart."""

from __future__ import annotations

from airflow_obs.sources.steady import SteadyMoments


def test_a_moment_stays_until_it_is_another() -> None:
    moments = SteadyMoments(2.0)
    assert moments.of("one", 1000.4) == 1000
    assert moments.of("one", 1001.9) == 1000
    assert moments.of("one", 998.1) == 1000
    assert moments.of("other", 1001.9) == 1002
    assert moments.of("one", 1002.6) == 1003
    moments.forget("one")
    assert moments.of("one", 1002.4) == 1002
    moments.forget("never seen")
