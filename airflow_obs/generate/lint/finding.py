"""What lint takes and what it gives: a rule at its place, and one thing that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

CHECKS: Mapping[str, str] = {
    "parse": "PromQL that does not parse",
    "regex": "a regular expression that RE2 does not take",
    "metric": "a metric that does not exist",
    "label": "a label that no series has",
    "label-lost": "a label that was aggregated away, and is used",
    "counter": "the value of a counter, without its rise",
    "rate": "the rise of what is no counter",
    "for": "held for less than two scrapes",
    "range": "a range of less than two scrapes",
    "always-fires": "no condition that could be false",
    "never-fires": "a condition that cannot become true",
    "airflow": "several Airflows in one",
    "double": "two exporters of one Airflow count twice",
    "first-event": "blind for the first event",
    "silence": "blind where the series are gone",
}
"""Every check by its id, which stays."""


@dataclass(frozen=True)
class Placed:
    """A rule and where it stands: `line` counts from 1.

    `wait` is its `for` as written, "" for none. Exactly one of `alert` and `record` is not empty.
    """

    file: str
    line: int
    expr: str
    alert: str = ""
    record: str = ""
    wait: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the rule is called."""
        return self.alert or self.record


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong with a rule: which check says so, what is wrong, and what to do."""

    file: str
    line: int
    rule: str
    check: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.what}: {self.remedy} [{self.check}]"
