"""Holds still the moments that are computed from an uptime, which wander with every reading."""

from __future__ import annotations


class SteadyMoments:
    """Moments by name, in Unix seconds: one stays as it first was until it is off by more than `slack` seconds.

    A server tells its uptime in whole seconds, and maybe late; a moment that moves is to mean a restart.
    """

    def __init__(self, slack: float) -> None:
        self._slack = slack
        self._moments: dict[str, float] = {}

    def of(self, name: str, moment: float) -> float:
        """The moment as it was first told, or this one, in whole seconds, if it is another."""
        before = self._moments.get(name)
        if before is None or abs(moment - before) > self._slack:
            before = self._moments[name] = float(round(moment))
        return before

    def forget(self, name: str) -> None:
        """Of this one nothing is known any more."""
        self._moments.pop(name, None)
