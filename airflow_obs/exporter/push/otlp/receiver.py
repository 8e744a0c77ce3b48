"""A receiver of OTLP, whichever way it is reached: what it is sent, and what becomes of that.

The SDK's encoder makes the requests, but its exporters do not send them: they say in a log line alone why something was not taken,
so that what is refused for good could not be told from what is to be sent again; they cannot be interrupted, nor held to one
deadline by a receiver that answers by the byte; and OTEL_… variables meant for Airflow would overrule the policy.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from enum import Enum
from typing import Protocol

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from airflow_obs import __version__

USER_AGENT = f"airflow-obs/{__version__}"
LATE = "no answer in time; is it overloaded, or cut off? else raise the `timeout`"
MAX_WHY = 200
"""Characters of what a receiver says."""

Post = Callable[[bytes], ExportMetricsServiceResponse]
"""Sends a gzipped request; gives the answer, raises NotTaken."""


class Fault(Enum):
    """Whose fault it is that a request was not taken."""

    RECEIVER = "the receiver's, or of the way there: the same may be taken later"
    REQUEST = "the request's: it never will be taken"
    UNKNOWN = "of one of them"


class NotTaken(Exception):
    """A request was not taken. The text is fit to be shown."""

    def __init__(self, text: str, fault: Fault = Fault.RECEIVER) -> None:
        self.fault = fault
        super().__init__(text)


class Call:
    """One push: it has so many seconds, and may be hung up on from another thread."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._end: Callable[[], object] | None = None
        self._hung_up = False

    @property
    def left(self) -> float:
        """Seconds, more than none; raises NotTaken if it is over."""
        self.check()
        return max(self._until - time.monotonic(), 0.001)

    def check(self) -> None:
        """Raises NotTaken if it is over."""
        if self._hung_up:
            raise NotTaken("given up")
        if time.monotonic() >= self._until:
            raise NotTaken(LATE)

    def ends_by(self, end: Callable[[], object]) -> None:
        """From now on, this interrupts whoever waits for the receiver; which it does at once if it was hung up on."""
        with self._lock:
            self._end = end
            if self._hung_up:
                end()

    def interrupt(self) -> None:
        """Its time is up: whoever waits is to look at the clock."""
        with self._lock:
            if self._end:
                self._end()

    def hang_up(self) -> None:
        """Give it up."""
        self._hung_up = True
        self.interrupt()


class Receiver(Protocol):
    """Takes requests, over connections that are made anew for every push: what they are made of may have been replaced."""

    def connected(self, call: Call, headers: Mapping[str, str]) -> AbstractContextManager[Post]:
        """A connection for one push. Raises UsageError for a file that cannot be used."""


def answer_of(body: bytes) -> ExportMetricsServiceResponse:
    """The answer; of what is none, one that says nothing."""
    try:
        return ExportMetricsServiceResponse.FromString(body)
    except DecodeError:
        return ExportMetricsServiceResponse()


def shown(text: str) -> str:
    """What somebody else says: on one line, cut short."""
    text = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return text if len(text) <= MAX_WHY else f"{text[:MAX_WHY]}..."
