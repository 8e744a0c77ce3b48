"""What a service level objective is to the rules that judge it: numbers in base units, whatever the policy calls them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

COUNTED = frozenset({"schedule_delay", "queue_time", "dag_success"})
"""Kinds that count events, good ones and bad ones; of the others each minute is good, bad or in part bad."""
DAILY = "dag_deadline"
"""The kind that is judged once a day, too seldom for a burn rate."""
QUEUED = "queued_minutes"
"""No kind of the policy's: what becomes of queue_time where nothing counts the tasks that wait, and minutes are judged."""
_DAY = 86400
_WEEK = 7


@dataclass(frozen=True)
class Objective:
    """One objective of one deployment.

    `window` in seconds, `target` is the part of 1 that must be good, `threshold` in seconds where the kind has one. `team` is who
    is told, "" where nobody is named. `named`: its policy names DAGs. `days` of a week have its deadline, if it has one.
    """

    name: str
    kind: str
    window: Decimal
    target: Decimal
    threshold: Decimal | None = None
    min_events: int = 0
    team: str = ""
    named: bool = False
    days: int = _WEEK

    @property
    def counted(self) -> bool:
        """Whether it counts events."""
        return self.kind in COUNTED

    @property
    def burns(self) -> bool:
        """Whether it is judged often enough for alerts on how fast its budget is spent."""
        return self.kind != DAILY

    @property
    def budget(self) -> Decimal:
        """The error budget as time: seconds of the window in which all may be bad."""
        return self.window * (1 - self.target)

    @property
    def enough(self) -> int:
        """Events, or judged minutes, below which a figure proves nothing: of deadlines those of a week, or of half the window."""
        if self.kind == DAILY:
            return int(min(Decimal(_WEEK * _DAY), self.window * self.days / _WEEK / 2) // 60)
        return self.min_events if self.counted else 1
