"""An end to waiting for libraries that set no limit of their own: the call goes on in a thread that nobody waits for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_LOOK_UP_EVERY = 0.2
"""Seconds between looks at whether the process wants to stop."""


class GaveUp(Exception):
    """The call took too long, or the process wants to stop; its thread ends when its sockets do."""


class _Call(threading.Thread, Generic[T]):
    def __init__(self, name: str, function: Callable[[], T]) -> None:
        super().__init__(name=name, daemon=True)
        self._function = function
        self.answer: T
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            self.answer = self._function()
        except Exception as failure:  # noqa: BLE001 (raised again where it is waited for)
            self.failure = failure


class Lane:
    """Calls, one at a time, each with an end. Not thread-safe.

    Once `stop` is set the call has `grace` seconds left. While a call that was given up still hangs (in name resolution, say) no
    other is begun, so that there is never more than one such thread.
    """

    def __init__(self, name: str, stop: threading.Event | None = None, grace: float = 0.0) -> None:
        self._name = name
        self._stop = stop
        self._grace = grace
        self._hanging: threading.Thread | None = None

    def call(self, function: Callable[[], T], seconds: float) -> T:
        """What `function` returns or raises; GaveUp after so many seconds, or `grace` seconds after `stop` is set."""
        until = time.monotonic() + seconds
        if self._hanging is not None:
            self._wait(self._hanging, until)
        call = _Call(self._name, function)
        call.start()
        self._wait(call, until)
        if call.failure is not None:
            raise call.failure
        return call.answer

    def _wait(self, thread: threading.Thread, until: float) -> None:
        stopping = False
        while thread.is_alive():
            if not stopping and self._stop is not None and self._stop.is_set():
                stopping, until = True, min(until, time.monotonic() + self._grace)
            left = until - time.monotonic()
            if left <= 0:
                self._hanging = thread
                raise GaveUp("the exporter is stopping" if stopping else "no answer in time")
            thread.join(min(left, _LOOK_UP_EVERY))
        self._hanging = None
