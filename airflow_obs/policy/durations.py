"""Durations as people write them in Prometheus files (`30s`, `1h30m`), read into seconds and written back."""

from __future__ import annotations

import functools
import re

_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
"""Milliseconds per unit, largest first; `y` and `w` are left out because nobody agrees on a year."""

PATTERN = "(?=.)" + "".join(rf"(?:[0-9]{{1,9}}{unit})?" for unit in _UNITS)
"""A regular expression (Python and ECMA 262) for the whole text: each unit at most once, largest first."""

_WHOLE = re.compile("(?=.)" + "".join(rf"(?:([0-9]{{1,9}}){unit})?" for unit in _UNITS))


@functools.lru_cache(1024)
def parse(text: str) -> float:
    """Seconds that `text` says; raises ValueError when it is not a duration."""
    if not (match := _WHOLE.fullmatch(text)):
        raise ValueError("not a duration: write a number and a unit (ms, s, m, h, d), such as 30s, 5m or 1h30m")
    pairs = zip(match.groups(), _UNITS.values(), strict=True)
    return sum(int(count or 0) * scale for count, scale in pairs) / 1_000


def text_of(seconds: float) -> str:
    """The shortest text that `parse` reads as `seconds`, to the millisecond; raises ValueError below zero."""
    if (left := round(seconds * 1_000)) < 0:
        raise ValueError(f"a duration is never negative: {seconds}")
    parts = []
    for unit, scale in _UNITS.items():
        count, left = divmod(left, scale)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
