"""Outcomes of task instances and dag runs as true counters, by the difference between what is unfinished now and was before."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_obs.catalog import metrics
from airflow_obs.collectors.landmarks import Landmarks, look
from airflow_obs.collectors.outcome_poll import RUNS_FOLLOWED, Poll, learn
from airflow_obs.collectors.outcome_state import Counted, Happened, Known
from airflow_obs.collectors.outcome_totals import Totals
from airflow_obs.collectors.task_outcomes import TaskKey
from airflow_obs.model import Reading
from airflow_obs.policy import OutcomesPolicy
from airflow_obs.sources.database import Session

MEMORY = 4
"""Outcomes of task instances remembered for each that may be followed."""


class Outcomes:
    """Counts from its first run on. A run that fails changes nothing here, and what it missed is counted by the next."""

    name = "outcomes"
    source = "database"

    def __init__(self, policy: OutcomesPolicy) -> None:
        self._limit = policy.max_followed
        self._known: Known | None = None
        self._landmarks: Landmarks | None = None
        self._tasks = Counted[TaskKey](MEMORY * self._limit)
        self._runs = Counted[int](RUNS_FOLLOWED)
        self._totals = Totals()

    @property
    def remembered(self) -> int:
        """How many things are kept in memory; it follows the work that is live and the last minutes, not the time."""
        if (known := self._known) is None:
            return 0
        followed = len(known.runs) + len(known.tasks) + len(known.aside) + len(known.pending)
        return followed + len(known.tries) + len(known.seen) + len(self._tasks) + len(self._runs)

    def read(self, db: Session) -> Happened:
        """What happened since the last time; nothing the first time, or with another database: then it learns what is there."""
        before, poll, landmarks = self._known, None, look(db, self._landmarks)
        if before is not None and not landmarks.anew:
            poll = Poll(db, before, self._tasks, self._runs, self._limit)
            known, happened, counted = poll.run(), poll.happened, poll.outcomes
        else:
            known, happened, counted = learn(db, self._limit)
            if before is not None:
                happened.lose(before, known)
        # From here on nothing can fail half way.
        self._known, self._landmarks = known, landmarks
        self._tasks.keep(counted, db.now)
        self._runs.keep(poll.run_outcomes if poll else {}, db.now)
        self._totals.add(happened)
        return happened

    def samples(self, _: Happened) -> Iterator[Reading]:
        yield from self._totals.samples()
        if self._known is not None:
            yield metrics.OUTCOMES_AWAITED.sample(len(self._known.tasks), kind="task_instance")
            yield metrics.OUTCOMES_AWAITED.sample(len(self._known.runs), kind="dag_run")
