"""How the exporter itself is doing, for the status page: its sources, its collectors, what it sends and what it was told."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from airflow_obs.catalog import metrics
from airflow_obs.exporter.board import Status, patience
from airflow_obs.exporter.web.page.figures.figure import Seen
from airflow_obs.exporter.web.page.wording import ERROR, ago, count, duration, legible

_FAMILIES: dict[str, tuple[str, ...]] = {
    collector: tuple(one.name for one in metrics.ALL if collector in (one.collector, one.also))
    for collector in {name for one in metrics.ALL for name in (one.collector, one.also) if name}
}


@dataclass(frozen=True)
class State:
    """A word for how something is doing; `well` None where that is neither good nor bad."""

    word: str
    well: bool | None = None


@dataclass(frozen=True)
class Collector:
    """One row of the collectors; texts as they are shown."""

    name: str
    source: str
    state: State
    success: str
    stale: bool
    took: str
    every: str
    dropped: int
    dropping: bool
    error: str


@dataclass(frozen=True)
class Source:
    """One row of the sources, with its collectors; `error` is why it did not answer when it was last asked."""

    name: str
    state: State
    success: str
    error: str
    collectors: tuple[Collector, ...]

    @property
    def succeeding(self) -> tuple[str, ...]:
        """Its collectors that succeed. None does while it is down, though some were not due since and show what they last read."""
        return tuple(one.name for one in self.collectors if one.state in (OK, _NOTHING_TO_ASK))


@dataclass(frozen=True)
class Sent:
    """One row of what is sent out."""

    destination: str
    state: State
    success: str
    failures: str
    waiting: str
    lost: str


@dataclass(frozen=True)
class Config:
    """One row of the files that can be read again."""

    name: str
    state: State
    loaded: str


UP, DOWN = State("up", well=True), State("down", well=False)
OK, FAILING, LATE = State("ok", well=True), State("failing", well=False), State("late", well=False)
NOT_RUN = State("not run yet")
_WITH_SOURCE, _BEFORE = State("source down", well=False), State("ok before that")
_NOT_ASKED, _NO_SOURCE = State("not asked yet"), State("not found")
_NOTHING_TO_ASK = State("nothing to ask")
NEVER = "never"
LATE_WITHIN = 5.0
"""Seconds within which a collector is found to be late, and the page made that says so."""


def sources(statuses: Sequence[Status], seen: Seen, now: float) -> list[Source]:
    """The sources in the order in which they are collected."""
    up = seen.by(metrics.SOURCE_UP, "source")
    return [_source(name, list(of), up.get(name), seen, now) for name, of in groupby(statuses, _source_of)]


def _source_of(status: Status) -> str:
    return status.job.source.name


def _source(name: str, statuses: Sequence[Status], up: float | None, seen: Seen, now: float) -> Source:
    dropped = seen.by(metrics.SERIES_DROPPED, "family")
    runs = [one.newest for one in statuses if one.newest]
    if up is None:
        state = _NO_SOURCE if runs else LATE if any(one.late for one in statuses) else _NOT_ASKED
    else:
        state = UP if up else DOWN
    told = max((one for one in runs if one.source_up is False), key=lambda one: one.started, default=None)
    successes = [one.last_success for one in statuses if one.last_success is not None]
    return Source(
        name,
        state,
        _success(max(successes, default=None), now),
        legible(told.error or "", ERROR) if told and state == DOWN else "",
        tuple(_collector(one, dropped, now, down=state == DOWN) for one in statuses),
    )


def _collector(status: Status, dropped: dict[str, float], now: float, *, down: bool) -> Collector:
    newest, name = status.newest, status.job.name
    state = _state(status, down=down)
    if down and state == OK:
        state = _BEFORE
    return Collector(
        name,
        status.job.source.name,
        state,
        _success(status.last_success, now),
        status.last_success is not None and not status.succeeding,
        duration(newest.duration) if newest else "",
        duration(status.job.policy.interval),
        int(sum(dropped.get(family, 0) for family in _FAMILIES.get(name, ()))),
        bool(newest and newest.dropped),
        legible(newest.error, ERROR) if newest and newest.error and state == FAILING else "",
    )


def _state(status: Status, *, down: bool) -> State:
    """A collector fails with its source only while that is down: it may have answered another since."""
    newest = status.newest
    if status.late:
        return LATE
    if newest is None:
        return NOT_RUN
    if newest.error is not None:
        return _WITH_SOURCE if down and newest.source_up is False else FAILING
    return OK if newest.source_up else _NOTHING_TO_ASK


def overdue(statuses: Sequence[Status], made: float, now: float) -> str:
    """When a snapshot is expected at the latest, if the one made then is older: "every 45 s"; empty while it need not be newer.

    By the clock on the wall, which goes on while the machine sleeps. Within the least patience a collector ends, or is found to be
    late; from then on nobody waits for it.
    """
    each = patience([status.job for status in statuses])
    most = min((each[status.job.name] for status in statuses if not status.late), default=math.inf) + LATE_WITHIN
    return f"every {duration(most)}" if now - made > most else ""


def _success(moment: float | None, now: float) -> str:
    return NEVER if not moment else ago(now - moment)


def sent(seen: Seen) -> Iterator[Sent]:
    """What is sent, destination by destination."""
    succeeded = seen.by(metrics.PUSH_SUCCESS, "destination")
    last = seen.by(metrics.PUSH_LAST_SUCCESS, "destination")
    for destination in sorted({*succeeded, *last}):
        success, moment = succeeded.get(destination), last.get(destination)
        lost = [
            f"{count(number)} ({legible(labels['reason'])})"
            for labels, number in seen.series(metrics.PUSH_LOST, destination=destination)
            if number
        ]
        yield Sent(
            destination,
            State("not sent yet") if success is None else OK if success else FAILING,
            ago(seen.since(moment)) if moment else NEVER,
            count(seen.total(metrics.PUSH_FAILURES, destination=destination)),
            count(seen.total(metrics.PUSH_WAITING, destination=destination)),
            ", ".join(lost) or "none",
        )


def configs(seen: Seen) -> Iterator[Config]:
    """The policy and its like: whether the newest was taken, and since when the one that holds does."""
    loaded = seen.by(metrics.CONFIG_LOADED, "config")
    for name, successful in sorted(seen.by(metrics.CONFIG_RELOADED, "config").items()):
        state = State("taken", well=True) if successful else State("newest not taken", well=False)
        yield Config(name, state, ago(seen.since(loaded[name])) if name in loaded else "")


def refused(seen: Seen) -> str:
    """What this endpoint refused, by reason; empty for nothing."""
    counts = sorted(seen.by(metrics.WEB_REFUSED, "reason").items())
    return ", ".join(f"{count(number)} {legible(reason)}" for reason, number in counts if number)
