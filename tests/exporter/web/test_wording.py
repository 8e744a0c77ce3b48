"""Quantities as people say them, and names that cannot turn, hide or flood the page."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_obs.exporter.web.page.wording import ago, count, duration, legible, listed, share, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"), (0.0404, "40 ms"), (1, "1 s"), (59.4, "59 s"), (59.9, "1 min"), (61, "1 min"), (3600, "1 h"),
        (7500, "2 h 5 min"), (86_400, "1 d"), (90_000, "1 d 1 h"), (-5, "0 ms"), (math.inf, "for ever"),
    ],
)  # fmt: skip
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "just now"), (-0.5, "just now"), (1.2, "1 s ago"), (-90, "1 min in the future")]
)
def test_ago(seconds: float, text: str) -> None:
    assert ago(seconds) == text


@pytest.mark.parametrize(
    ("bytes_", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1023.99, "1.0 KiB"),
        (1024, "1.0 KiB"),
        (1024 * 1023.99, "1.0 MiB"),
        (15 << 20, "15 MiB"),
        (3 << 50, "3,072.0 TiB"),
        (math.inf, "unlimited"),
    ],
)
def test_size(bytes_: float, text: str) -> None:
    assert size(bytes_) == text


def test_count_and_share() -> None:
    assert (count(1_234_567), count(math.inf), share(0.856)) == ("1,234,567", "unlimited", "86%")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0%"),
        (0.002, "< 1%"),
        (0.01, "1%"),
        (0.99, "99%"),
        (0.995, "> 99%"),
        (0.99999, "> 99%"),
        (1, "100%"),
        (1.2, "120%"),
    ],
)
def test_share_is_all_or_nothing_only_if_it_is(value: float, text: str) -> None:
    assert share(value) == text


def test_what_would_turn_or_hide_text_is_written_out() -> None:
    assert legible("a\u202eb\u2066c\x00d\x1b[31m") == r"a\u202eb\u2066c\x00d\x1b[31m"
    assert legible("two\nlines") == "two\nlines"
    assert legible("\ud800") == r"\ud800"
    assert legible("läuft: 失败 ✓") == "läuft: 失败 ✓"


def test_long_text_is_cut_where_it_is_said() -> None:
    assert legible("x" * 300) == "x" * 100 + "…"
    assert legible("x" * 100) == "x" * 100
    assert listed(["a", "b", "c", "d" * 500, "e"], 2) == "a, b and 3 more"


@given(st.text())
def test_shown_text_can_always_be_sent_and_is_bounded(text: str) -> None:
    shown = legible(text, 20)
    assert len(shown.encode()) <= 20 * 10 + 3
    assert not {"\u202e", "\u2067", "\u200f", "\r", "\x00"} & set(shown)
