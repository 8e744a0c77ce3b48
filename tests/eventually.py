"""Wait for what happens in another process or thread, with an end to the patience."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE = 40.0
"""Seconds; far more than anything waited for takes, so that only a fault reaches it."""
PAUSE = 0.05


def eventually(ask: Callable[[], T], what: str, within: float = DEADLINE) -> T:
    """Ask until the answer is true, and return it; AssertionError says `what` did not come about."""
    until = time.monotonic() + within
    while not (answer := ask()):
        if time.monotonic() > until:
            raise AssertionError(f"not within {within:g}s: {what}")
        time.sleep(PAUSE)
    return answer
