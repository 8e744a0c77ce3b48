"""What a fault is: one way of making the simulated Airflow sick, and the metrics that show it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from airflow_obs.demo.world import World
from airflow_obs.model import Metric


class Fault(ABC):
    """One way of being sick: `begin` breaks the world once, `step` keeps at it, `end` lets go of what it holds."""

    name: ClassVar[str]
    sick: ClassVar[str]
    """One line: what happens."""
    shows: ClassVar[tuple[Metric, ...]]
    """The metrics that leave their healthy range: the first within about 15 seconds, the others with it or soon after."""

    @abstractmethod
    def begin(self, world: World) -> None:
        """Break it."""

    def step(self, world: World) -> None:  # noqa: B027 (a hook: most faults leave it empty)
        """Called at every tick after `begin`, in between the world's own steps."""

    def end(self) -> None:  # noqa: B027 (a hook: most faults leave it empty)
        """Close what was opened; called once, whatever happened before."""
