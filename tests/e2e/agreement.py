"""Ask Airflow and Prometheus until they say the same: what changes in the one takes its time to reach the other."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e.processes import poll


def agree(airflow: Callable[[], object], prometheus: Callable[[], object]) -> None:
    """Ask both until their answers are equal; AssertionError with the last ones when they never are."""
    said: list[tuple[object, object]] = []

    def same() -> bool:
        said.append((airflow(), prometheus()))
        return said[-1][0] == said[-1][1]

    assert poll(same), f"airflow says {said[-1][0]}, prometheus holds {said[-1][1]}"


def becomes(expected: object, measured: Callable[[], object]) -> None:
    """Ask Prometheus until it holds what is expected."""
    agree(lambda: expected, measured)
