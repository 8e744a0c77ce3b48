"""Durations: what Prometheus files write is read, what nobody can be sure of is refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_obs.policy import durations

READ = [
    ("30s", 30.0),
    ("5m", 300.0),
    ("1h30m", 5400.0),
    ("500ms", 0.5),
    ("1m500ms", 60.5),
    ("7d", 604_800.0),
    ("0s", 0.0),
]
REFUSED = [
    "",
    "30",
    "s",
    "30 s",
    "30sec",
    "1.5h",
    "-5s",
    "+5s",
    "5M",
    "30s1h",
    "5s5s",
    "1w",
    "1y",
    "٣s",
    "30s\n",
    "1e3s",
    "9" * 99 + "s",
]


@pytest.mark.parametrize(("text", "seconds"), READ)
def test_reads(text: str, seconds: float) -> None:
    assert durations.parse(text) == seconds
    assert durations.text_of(seconds) == text


@pytest.mark.parametrize("text", REFUSED)
def test_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="such as 30s, 5m or 1h30m"):
        durations.parse(text)
    assert not re.search(f"^{durations.PATTERN}$(?!\n)", text)


@given(st.integers(0, 10**12))
def test_what_is_written_is_read_as_the_same(milliseconds: int) -> None:
    assert durations.parse(durations.text_of(milliseconds / 1000)) == milliseconds / 1000


def test_never_negative() -> None:
    with pytest.raises(ValueError, match="never negative"):
        durations.text_of(-1.0)
