"""Follows dag runs to their ends, each of which it tells once: what is open and what is new is read, history never."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airflow_obs.collectors import run_outcomes
from airflow_obs.collectors.landmarks import Landmarks, look
from airflow_obs.collectors.outcome_poll import CREATED, LATE, RUNS_FOLLOWED
from airflow_obs.collectors.outcome_state import Counted, Outcome
from airflow_obs.collectors.run_outcomes import Run, RunKey
from airflow_obs.sources.database import Session


@dataclass(frozen=True)
class _Known:
    """What was there at a look: the greatest id, those just below it and whose they were, and the ids of unfinished runs."""

    newest: int
    seen: Mapping[int, RunKey]
    unfinished: frozenset[int]


class RunEnds:
    """The ends of dag runs from the first look on, as the outcomes count them; one that is cleared and ends again ends twice.

    A look that fails changes nothing, and what it missed is found by the next. When another database answers, its past is no news.
    """

    def __init__(self) -> None:
        self._known: _Known | None = None
        self._landmarks: Landmarks | None = None
        self._told = Counted[int](RUNS_FOLLOWED)

    def follow(self, db: Session) -> tuple[list[Run], bool]:
        """The runs that have ended since the last look, and whether nothing was known before it, or of another database."""
        landmarks = look(db, self._landmarks)
        before = None if landmarks.anew else self._known
        known, ended = (_learn(db), []) if before is None else _look_again(db, before)
        news = {run.id: run for run in ended if self._told.get(run.id) != Outcome(run.end)}
        # From here on nothing can fail half way.
        self._known, self._landmarks = known, landmarks
        self._told.keep({number: Outcome(run.end) for number, run in news.items()}, db.now)
        return list(news.values()), before is None


def _learn(db: Session) -> _Known:
    newest = run_outcomes.newest_id(db)
    seen = {run.id: run.key for run in run_outcomes.created(db, newest - LATE, 2 * LATE)}
    unfinished = frozenset(run.id for run in run_outcomes.unfinished(db, RUNS_FOLLOWED))
    return _Known(max([newest, *seen]), seen, unfinished)


def _look_again(db: Session, before: _Known) -> tuple[_Known, list[Run]]:
    """New ones first: one that ends between the two statements is still among the unfinished, and found to be gone."""
    created = run_outcomes.created(db, before.newest - LATE, LATE + CREATED)
    new = {run.id: run for run in created if before.seen.get(run.id) != run.key}
    unfinished = {run.id for run in run_outcomes.unfinished(db, RUNS_FOLLOWED + 1)}
    # Where there are more than we read, those not read are not gone.
    gone = {*before.unfinished, *(number for number, run in new.items() if run.unfinished)} - unfinished
    found = new | run_outcomes.by_id(db, sorted(gone))
    still = sorted(number for number in gone if number in found and found[number].unfinished)
    unfinished.update(still[: max(RUNS_FOLLOWED - len(unfinished), 0)])
    newest = max([before.newest, *new])
    seen = {**before.seen, **{number: run.key for number, run in new.items()}}
    late = {number: key for number, key in seen.items() if number > newest - LATE}
    return _Known(newest, late, frozenset(unfinished)), [run for run in found.values() if not run.unfinished]
