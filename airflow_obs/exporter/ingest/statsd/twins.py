"""Which of a signal's two spellings counts, and the samples that wait until that is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from airflow_obs.catalog.emitted.match import Match
from airflow_obs.exporter.ingest.accounts import Reason
from airflow_obs.exporter.ingest.labels import Form
from airflow_obs.exporter.ingest.opinion import PATIENCE, Opinion
from airflow_obs.exporter.ingest.statsd.lines import Value

MOST_HELD = 5_000
"""Samples that wait, of all signals; one more is dropped."""


class Counts(Enum):
    """Which spelling of a signal counts."""

    TAGGED = "the one with tags"
    LEGACY = "the one with ids in the name"
    WHOLE = "the one without tags, since it needs none and no other came"


@dataclass(frozen=True, slots=True)
class Held:
    """A sample that waits; `counted` if it has been, for what else became of it."""

    sample: Value
    match: Match
    form: Form
    counted: bool


@dataclass
class _Signal:
    counts: Opinion[Counts] = field(default_factory=Opinion)
    held: list[Held] = field(default_factory=list)
    since: float = 0.0


class Twins:
    """Airflow since 2.7 sends most of what it counts twice, as pool.open_slots and as pool.open_slots.some_pool.

    The one with tags counts where tags arrive, the other where they are lost. Until a signal's first twin came, or none did in
    time, its samples wait: `decide` answers with a reason to drop a sample, or None if it counts, or that it must wait.
    """

    def __init__(self) -> None:
        self._signals: dict[str, _Signal] = {}
        self.waiting = 0
        self.revision = 0
        """Rises with every change of mind."""
        self._overruled: list[Opinion[Counts]] = []

    def decide(self, name: str, form: Form, *, plain: bool, now: float) -> tuple[bool, Reason | None]:
        """(whether it must wait, why it is dropped) for a sample of the signal `name`; `plain`: this client sends no tags."""
        signal = self._signals.setdefault(name, _Signal())
        opinion = signal.counts
        before = opinion.value
        waiting = {held.form for held in signal.held}
        match form:
            case Form.TOLD:
                opinion.hear(Counts.TAGGED, now, at_once=before is Counts.WHOLE)
            case Form.BARE:
                opinion.hear(Counts.LEGACY, now)
            case Form.WHOLE if before is None and Form.LEGACY in waiting:
                opinion.hear(Counts.LEGACY, now)
            case Form.LEGACY if before is Counts.WHOLE or (before is None and (plain or Form.WHOLE in waiting)):
                opinion.hear(Counts.LEGACY, now, at_once=True)
            case _:
                pass
        self.revision += opinion.value is not before
        if opinion.overruled and opinion not in self._overruled:
            self._overruled.append(opinion)
        if opinion.value is None:
            return True, None
        if before is Counts.LEGACY and form is Form.TOLD:
            return False, Reason.LEGACY_SAYS_IT  # its twin came first, and has been counted
        return False, verdict(opinion.value, form)

    def hold(self, name: str, held: Held, now: float) -> bool:
        """Let a sample wait; False if too many do."""
        if self.waiting >= MOST_HELD:
            return False
        signal = self._signals[name]
        signal.since = signal.since if signal.held else now
        signal.held.append(held)
        self.waiting += 1
        return True

    def decided(self, name: str) -> tuple[Counts, list[Held]] | None:
        """The samples that waited for a decision that is made now; None if there are none."""
        signal = self._signals[name]
        if not signal.held or signal.counts.value is None:
            return None
        held, signal.held = signal.held, []
        self.waiting -= len(held)
        return signal.counts.value, held

    def reconsider(self, now: float) -> None:
        """What was heard too soon may be heard again, once it would be believed."""
        due = [opinion for opinion in self._overruled if opinion.reconsider(now)]
        self._overruled = [opinion for opinion in self._overruled if opinion.overruled]
        self.revision += bool(due)

    def overdue(self, now: float, patience: float = PATIENCE) -> Iterator[str]:
        """Decide for the signals whose twin did not come in time, and name them."""
        for name, signal in self._signals.items():
            if signal.held and now - signal.since >= patience:
                legacy = any(held.form is Form.LEGACY for held in signal.held)
                signal.counts.hear(Counts.LEGACY if legacy else Counts.WHOLE, now)
                self.revision += 1
                yield name


def verdict(counts: Counts, form: Form) -> Reason | None:
    """Why a sample of this form is dropped, None if it counts."""
    match counts, form:
        case _, Form.BARE:
            return Reason.LOST_TAGS
        case Counts.LEGACY, Form.LEGACY:
            return None
        case Counts.LEGACY, Form.TOLD:
            return Reason.LEGACY_SAYS_IT
        case Counts.LEGACY, _:
            return Reason.LOST_TAGS
        case _, Form.LEGACY:
            return Reason.TWIN_SAYS_IT
        case _:
            return None
