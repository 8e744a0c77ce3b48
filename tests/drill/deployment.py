"""The life of one deployment in the drill: a simulated Airflow and its exporter, healthy at first and then, perhaps, not."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from threading import BoundedSemaphore, Event

from airflow_obs.demo import exporter, figures, fleet, simulation
from airflow_obs.demo.exporter import Address
from airflow_obs.demo.faults.fault import Fault
from airflow_obs.demo.keeper import Keeper
from airflow_obs.demo.postgres import Original
from airflow_obs.demo.world import TICK, World, utc_now
from tests.drill.pager import Message, Pager
from tests.drill.policy import IN_MAINTENANCE, drill_policy
from tests.drill.prometheus import Firing, Prometheus
from tests.e2e.processes import free_port

HEALTHY_FOR = 20.0
"""Seconds that a deployment is judged before its fault begins."""

PATIENCE = 90.0
"""Seconds that the alerts of a fault are waited for, and whatever must come about before."""

AFTERMATH = 20.0
"""Seconds that it is judged after the alerts that are expected, for others that may come."""

LATE = 30.0
"""Seconds for which it goes on while nobody has been told of something: while Prometheus reads rules, it sends nothing, and others
come and go, each with a reload."""

ASKED_EVERY = 1.0
"""Seconds between questions to Prometheus about what fires."""


class Stopped(Exception):
    """The drill ends before this deployment has had its time."""


@dataclass
class Record:
    """What became of a deployment from when its fault began until `ended` (Unix seconds): what fired, and who was told."""

    deployment: str
    began: float = 0.0
    ended: float = 0.0
    fired: list[Firing] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)
    """Of the alerts that fired still, the summaries."""
    failures: list[str] = field(default_factory=list)
    """Groups of rules that could not always be evaluated."""
    messages: list[Message] = field(default_factory=list)
    known: dict[str, set[str]] = field(default_factory=dict)
    """The alerts that were with Alertmanager at any time, each with those that hushed it, by what it said itself."""


@dataclass(frozen=True)
class Stage:
    """What the deployments of a drill share: the original of their databases, Prometheus and Alertmanager, who may start, and
    when it is over."""

    original: Original
    prometheus: Prometheus
    pager: Pager
    starting: BoundedSemaphore
    """Starting takes many times what running does, and must not make the others' exporters late."""
    over: Event


class Deployment:
    """A running simulated Airflow and its exporter; its world takes steps only while `go_on` lets it."""

    def __init__(self, stage: Stage, keeper: Keeper, name: str, world: World) -> None:
        self.name = name
        self.world = world
        self.address = Address(exporter.DEFAULT_HOST, free_port())
        self.fired: set[str] = set()
        """The alerts that have been seen firing."""
        self.known: dict[str, set[str]] = {}
        """The alerts that Alertmanager has been seen to have, each with those that it was seen to be hushed by."""
        self._over = stage.over
        self._prometheus = stage.prometheus
        self._pager = stage.pager
        self._keeper = keeper
        self._tick = time.monotonic()

    def go_on(self, seconds: float, fault: Fault | None = None, enough: Callable[[], bool] = lambda: False) -> bool:
        """Let the world, and its fault, take steps for so many seconds, or until it is enough, which it then gives.

        Raises Stopped when the drill is over, AirflowObsError when a process has died.
        """
        asked = time.monotonic()
        until = asked + seconds
        while time.monotonic() < until:
            if self._over.is_set():
                raise Stopped(self.name)
            self.world.step(utc_now())
            if fault is not None:
                fault.step(self.world)
            if time.monotonic() >= asked:
                asked = time.monotonic() + ASKED_EVERY
                exporter.check(self._keeper)
                fleet.check(self._keeper)
                self.fired |= self._prometheus.firing(self.name)
                for alert, causes in self._pager.known(self.name).items():
                    self.known.setdefault(alert, set()).update(causes)
                if enough():
                    return True
            # A step that came late does not make the next ones hurry.
            self._tick = max(self._tick + TICK, time.monotonic())
            time.sleep(max(0.0, self._tick - time.monotonic()))
        return False

    def go_on_until(self, happened: Callable[[], bool], what: str) -> None:
        """Let the world take steps until that is so; raises AssertionError when it does not come about."""
        if not self.go_on(PATIENCE, enough=happened):
            raise AssertionError(
                f"{self.name}: not within {PATIENCE:g} s: {what}\n{self._keeper.last_lines(exporter.NAME)}"
            )

    def told(self) -> bool:
        """Whether somebody has been told of all that fires and that nothing hushes, or nobody shall be."""
        if self.name == IN_MAINTENANCE:
            return True
        heard = {one.name for message in self._pager.messages(self.name) for one in message.alerts}
        known = self._pager.known(self.name)
        return all(name in heard or known.get(name) for name in self._prometheus.firing(self.name))

    def record(self, began: float) -> Record:
        """What has fired so far, of a fault that began then, and who was told of it."""
        of, told = self._prometheus, self._pager
        return Record(
            self.name, began, time.time(), of.fired(self.name), of.said(self.name), of.failures(self.name),
            told.messages(self.name), self.known,
        )  # fmt: skip


@contextmanager
def deployed(stage: Stage, name: str) -> Iterator[Deployment]:
    """A deployment that Prometheus scrapes and judges; nothing of it is left behind."""
    prometheus = stage.prometheus
    with ExitStack() as stack:
        keeper = stack.enter_context(Keeper())
        with stage.starting:
            if stage.over.is_set():
                raise Stopped(name)
            simulated = simulation.start(keeper, original=stage.original)
            stack.callback(simulated.world.close)
            deployment = Deployment(stage, keeper, name, simulated.world)
            # Of its own deployment only: the others would take half a second of a core to read.
            exporter.start(keeper, simulated, deployment.address, drill_policy(name))
            ready = partial(figures.ready, deployment.address.url)
            deployment.go_on_until(ready, "every collector has run")
        stack.enter_context(prometheus.scraping(name, deployment.address))
        deployment.go_on_until(partial(prometheus.scrapes, deployment.address), "Prometheus scrapes the exporter")
        judged = stack.enter_context(prometheus.judging(name))
        deployment.go_on_until(judged.done, "Prometheus takes up the rules")
        judged.result()
        yield deployment


def live(stage: Stage, name: str) -> Record:
    """A healthy deployment, until the drill is over."""
    with deployed(stage, name) as deployment:
        began = time.time()
        with suppress(Stopped):
            deployment.go_on(math.inf)
        return deployment.record(began)


def fall_sick(stage: Stage, fault: Fault, expected: Collection[str]) -> Record:
    """A deployment that is healthy for a while; then comes its fault, and all expected alerts, or the end of the patience."""
    with deployed(stage, fault.name) as deployment:
        deployment.go_on(HEALTHY_FOR)
        began = time.time()
        try:
            fault.begin(deployment.world)
            deployment.go_on(PATIENCE, fault, lambda: deployment.fired >= set(expected))
            deployment.go_on(AFTERMATH, fault)
            deployment.go_on(LATE, fault, deployment.told)
            return deployment.record(began)
        finally:
            fault.end()
