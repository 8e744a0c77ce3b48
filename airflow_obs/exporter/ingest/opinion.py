"""What the stream is believed to be like, until it shows otherwise; and Airflow's release, as far as anybody knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from airflow_obs.exporter.ingest.units import Release
from airflow_obs.model import Signal

PATIENCE = 10.0
"""Seconds to wait for what would decide, and between two changes of mind: senders that disagree must not keep us busy."""

T = TypeVar("T")


class Opinion(Generic[T]):
    """One thing believed, and since when; None while undecided."""

    def __init__(self) -> None:
        self.value: T | None = None
        self.overruled = False
        """Whether a word was not believed since it came too soon: who remembers what followed should ask again."""
        self._since = 0.0

    def hear(self, word: T, now: float, *, at_once: bool = False) -> bool:
        """Believe `word`, unless one changed one's mind a moment ago (and not `at_once`); True if that is news."""
        if word == self.value:
            return False
        if self.value is not None and not at_once and now - self._since < PATIENCE:
            self.overruled = True
            return False
        self.value, self._since = word, now
        return True

    def reconsider(self, now: float) -> bool:
        """Whether a word came too soon that would be believed by now; true once."""
        due = self.overruled and now - self._since >= PATIENCE
        self.overruled &= not due
        return due


class KnownRelease:
    """What `told` says (the policy, the database), else the major version that the signals show."""

    def __init__(self, told: Callable[[], tuple[int, int] | None]) -> None:
        self._ask = told
        self._told = told()
        self._major: Opinion[int] = Opinion()

    @property
    def release(self) -> Release | None:
        return self._told or (None if self._major.value is None else (self._major.value, None))

    def ask(self) -> bool:
        """Ask again; True if the answer is news."""
        before, self._told = self._told, self._ask()
        return self._told != before

    def learn(self, signal: Signal, now: float) -> bool:
        """Learn from what only one major version emits; True if that is news."""
        first = int(signal.since.partition(".")[0]) if signal.since else 0
        last = int(signal.until.partition(".")[0]) if signal.until else 99
        if first < 3 and last > 2:
            return False
        return self._major.hear(max(first, 3) if first >= 3 else 2, now) and self._told is None
