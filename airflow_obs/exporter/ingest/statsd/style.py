"""How Airflow's StatsD client sends tags, as far as its lines show it: which client it is, and so in which units it times."""

from __future__ import annotations

from airflow_obs.exporter.ingest.opinion import PATIENCE
from airflow_obs.exporter.ingest.units import Style

DOUBT_SECONDS = 30.0
"""How long a style must stay unconfirmed after a line of another one, until that one is believed. Each doubt costs looking at all
lines anew, and Datadog's client, where it sends no tags, says who it is only every ten seconds."""


class StyleOpinion:
    """The style that is believed, None while undecided; `fixed` by the policy, it never changes.

    A line that contradicts it may be an exception, so it opens a question; one that confirms it before the question is due settles
    it. As long as nothing is known the question is open from the first line on, and without tags in time the style is plain.
    """

    def __init__(self, fixed: Style | None) -> None:
        self.value = fixed
        self.revision = 0
        """Rises whenever lines that came before should be heard again."""
        self._fixed = fixed is not None
        self._rival = Style.PLAIN
        self._asked: float | None = None
        """Since when it is open whether it is the rival."""
        self._confirmed = False

    def hear(self, word: Style | None, now: float) -> bool:
        """What a line shows, None if nothing; True if the style is another one from now on."""
        if self._fixed:
            return False
        if self.value is None and self._asked is None:
            self._asked = now
        if word is None:
            return False
        # That no tags came yet is a weak reason to believe that none will.
        if self.value is None or (self.value is Style.PLAIN and word is not Style.PLAIN):
            return self._believe(word)
        if word is self.value:
            self._confirmed = True
        elif self._asked is None:
            self._rival, self._asked, self._confirmed = word, now, False
            self.revision += 1
        return False

    def tick(self, now: float, patience: float = PATIENCE) -> bool:
        """Settle the question if it is due, of an undecided style after `patience` seconds; True as for `hear`."""
        if self._asked is None or now - self._asked < (patience if self.value is None else DOUBT_SECONDS):
            return False
        if not self._confirmed:
            return self._believe(self._rival)
        self._asked = None
        self.revision += 1
        return False

    def _believe(self, style: Style) -> bool:
        self.value, self._asked = style, None
        self._rival, self._confirmed = Style.PLAIN, False
        self.revision += 1
        return True
