"""Where to read on in Airflow's audit log: by its primary key, without missing rows that commit late or counting one twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from airflow_obs.collectors.landmarks import Landmarks, look
from airflow_obs.sources.database import Session

LATE = timedelta(minutes=2)
"""A row may become visible this long after a later id did: ids are given out when a row is written, not when it is committed."""
BATCH = 100_000
"""Ids looked at in one run at most, and as many again of those seen before: after an outage several runs catch up.

A gap is passed over at once: the sequence goes on after all rows were deleted, and the first of the new ones may be far away.
"""


@dataclass(frozen=True)
class Span:
    """The rows with above < id <= upto are to be read, those in `LogTail.counted` left out; `first`: none, this is the start."""

    above: int
    upto: int
    at: datetime
    landmarks: Landmarks
    first: bool = False


class LogTail:
    """A place in the log. It moves when told that a span has been read, so that a failed run loses nothing.

    When another database answers, or the newest id falls back behind what was seen long ago (the sequence began anew), it
    starts from there, as at the first run.
    """

    def __init__(self) -> None:
        self.counted: set[int] = set()
        """Ids counted already among those that are read again."""
        self._seen: deque[tuple[datetime, int]] = deque()
        """(moment of a read, newest id then), oldest first; up to that of the first entry all has been read after LATE."""
        self._landmarks: Landmarks | None = None

    def span(self, db: Session) -> Span:
        """What to read now."""
        landmarks = look(db, self._landmarks)
        log = db.schema.table("log")
        newest = int(db.one(sa.select(sa.func.max(log.c.id)))[0] or 0)
        if landmarks.anew or newest < self._seen[0][1]:
            return Span(newest, newest, db.now, landmarks, first=True)
        settled, reached = self._seen[0][1], self._seen[-1][1]
        above = max(settled, reached - BATCH)
        if newest - reached > BATCH:
            following = db.one(sa.select(sa.func.min(log.c.id)).where(log.c.id > reached))[0]
            reached = max(reached, int(following or 0) - 1)
        return Span(above, min(newest, reached + BATCH), db.now, landmarks)

    def advance(self, span: Span, counted: Iterable[int]) -> None:
        """The rows of this span have been read, and of them these have been counted."""
        if span.first:
            self._seen.clear()
            self.counted.clear()
        self._landmarks = span.landmarks
        self._seen.append((span.at, max(span.upto, self._seen[-1][1] if self._seen else 0)))
        while len(self._seen) > 1 and self._seen[1][0] <= span.at - LATE:
            self._seen.popleft()
        settled = self._seen[0][1]
        self.counted = {each for each in {*self.counted, *counted} if each > settled}
