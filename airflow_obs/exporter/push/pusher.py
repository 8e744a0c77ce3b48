"""Sends the newest snapshot to one destination, at its interval, and keeps the accounts of it."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Protocol

from airflow_obs.catalog import metrics
from airflow_obs.errors import PushFailed, redact
from airflow_obs.exporter.board import Snapshot
from airflow_obs.model import Reading

log = logging.getLogger(__name__)


class Destination(Protocol):
    """Takes snapshots. Its making opens nothing that could fail but raises UsageError for files that cannot be used.

    `name` is otlp, statsd or textfile, `interval` in seconds. Of two with equal `of`, one will do.
    """

    name: str
    interval: float

    @property
    def of(self) -> object:
        """What it was made of."""

    @property
    def where(self) -> str:
        """Where it sends, for the log: nothing secret in it."""

    @property
    def waiting(self) -> int:
        """Snapshots that were not taken, and will be sent again."""

    @property
    def lost(self) -> Counter[str]:
        """Snapshots that will never be sent, by reason; the counts only rise."""

    def send(self, snapshot: Snapshot, /) -> None:
        """Send it, after those that wait; raises PushFailed when that did not succeed."""

    def close(self) -> None:
        """The end: interrupt what is being sent, hang up, and take away what would go on to look as if it were of now.

        May be called from another thread, and more than once.
        """


class Pusher(threading.Thread):
    """Pushes from `start` to `stop`, first as soon as every collector was tried. `newest` gives the snapshot, and
    `pushed` is called when there is news in the accounts.
    """

    def __init__(
        self, destination: Destination, newest: Callable[[], Snapshot], pushed: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(name=f"push-{destination.name}", daemon=True)
        self.destination = destination
        self._newest = newest
        self._pushed = pushed
        self._stop_asked = threading.Event()
        self._failures = 0
        self._last_success = 0.0
        self._succeeded = False
        self._tried = False
        self._said = ""

    def run(self) -> None:
        log.info(
            "push: %s: every %.0fs to %s", self.destination.name, self.destination.interval, self.destination.where
        )
        while not self._newest().ready and not self._stop_asked.wait(0.1):
            pass
        due = time.monotonic()
        while not self._stop_asked.wait(max(0.0, due - time.monotonic())):
            self.push(self._newest())
            self._pushed()
            due = next_beat(due, self.destination.interval, time.monotonic())
        self.destination.close()

    def stop(self) -> None:
        """Push no more, and give up what is under way."""
        self._stop_asked.set()
        self.destination.close()

    def push(self, snapshot: Snapshot) -> bool:
        """Push once, in this thread; whether it succeeded. Why not is said in the log, once."""
        name = self.destination.name
        error = bug = ""
        try:
            self.destination.send(snapshot)
        except PushFailed as failure:
            error = str(failure)
        except Exception as failure:  # noqa: BLE001 (the boundary: a broken destination must not take the others with it)
            error = redact(f"{type(failure).__name__}: {failure}")
            bug = redact(traceback.format_exc())
        if self._stop_asked.is_set() and error:
            return False  # given up because we stop, which is nobody's failure
        self._tried, self._succeeded = True, not error
        self._failures += bool(error)
        if not error:
            self._last_success = time.time()
        if error != self._said:
            if error:
                log.warning("push: %s: failed: %s", name, error)
            else:
                waiting = self.destination.waiting
                log.info("push: %s: recovered%s", name, f"; {waiting} snapshots still wait" if waiting else "")
            if bug:
                log.error("push: %s: this is a bug of the exporter, please report it: %s", name, bug)
            self._said = error
        return not error

    def readings(self) -> Iterator[Reading]:
        """How it is doing."""
        name = self.destination.name
        if self._tried:
            yield metrics.PUSH_SUCCESS.sample(self._succeeded, destination=name)
        yield metrics.PUSH_LAST_SUCCESS.sample(self._last_success, destination=name)
        yield metrics.PUSH_FAILURES.sample(self._failures, destination=name)
        yield metrics.PUSH_WAITING.sample(self.destination.waiting, destination=name)
        for reason, count in sorted(self.destination.lost.items()):
            yield metrics.PUSH_LOST.sample(count, destination=name, reason=reason)


def next_beat(due: float, interval: float, now: float) -> float:
    """When to push after the push that was `due`: in the same rhythm, without the beats that it took (all in seconds)."""
    return due + ((now - due) // interval + 1) * interval
