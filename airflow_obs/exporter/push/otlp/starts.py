"""Since when each cumulative series counts, as far as the snapshots tell."""

from __future__ import annotations

import math

Series = tuple[str, tuple[tuple[str, str], ...]]
"""Name and labels."""


class Starts:
    """Asked for every cumulative series of every snapshot; remembers those of the newest only. Moments are Unix nanoseconds.

    A series that falls, or is new in a family that was there, began after the snapshot before. Of a family that was not there
    nobody knows: the database counts since long before us, and what it counted then is only what to count from. Such series begin
    at the snapshot's own moment, which is how OTLP says so
    (https://opentelemetry.io/docs/specs/otel/metrics/data-model/#cumulative-streams-handling-unknown-start-time).
    """

    def __init__(self) -> None:
        self._moment = self._before = 0
        self._now: dict[Series, tuple[int, float]] = {}
        self._known: dict[Series, tuple[int, float]] = {}
        self._families: frozenset[str] = frozenset()

    def next(self, moment: int) -> None:
        """Go on to the snapshot of that moment."""
        self._before, self._moment = self._moment, moment
        self._known, self._now = self._now, {}
        self._families = frozenset(name for name, _ in self._known)

    def of(self, name: str, labels: tuple[tuple[str, str], ...], count: float) -> int:
        """When the series began to count, of which this is the newest count; never after the snapshot's moment."""
        start, counted = self._known.get((name, labels), (self._moment, math.inf))
        if name in self._families and count < counted:
            start = self._before
        start = min(start, self._moment)  # whoever set the clock back
        self._now[name, labels] = start, count
        return start
