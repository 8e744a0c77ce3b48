"""How long each step took, for the end of the report: nothing is asserted about it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Steps:
    """Named durations in seconds, in the order in which the steps ended."""

    taken: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure what is done inside."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.taken.append((name, time.monotonic() - started))
