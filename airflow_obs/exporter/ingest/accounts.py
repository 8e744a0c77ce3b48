"""Accounts for everything that arrives: what became of each sample, packet and request, by reason."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Literal

from airflow_obs.catalog import metrics
from airflow_obs.model import Reading

Protocol = Literal["statsd", "otlp"]
Transport = Literal["udp", "tcp", "http", "grpc"]


class Outcome(StrEnum):
    """What became of a sample."""

    MAPPED = "mapped"
    """It is in a series that somebody defined: ours, a mapping file's, or what statsd_exporter made of Airflow's own name."""
    UNMAPPED = "unmapped"
    """Nobody defined what it is; it may have a series under its own name."""
    INVALID = "invalid"
    """It cannot be read."""
    DROPPED = "dropped"
    """It is known and left out on purpose, or there is no room for it."""


class Reason(StrEnum):
    """Why a sample is not mapped; the value is the label. All that can happen, so that labels are bounded."""

    # unmapped
    UNKNOWN_NAME = "unknown name"
    OTHER_TYPE = "another type than the catalogue's"
    # invalid
    MALFORMED = "malformed"
    UNKNOWN_TYPE = "unknown type"
    NO_NUMBER = "not a finite number"
    NOT_UTF8 = "not UTF-8"
    TOO_LONG = "too long"
    EMPTY_NAME = "empty name"
    BAD_RATE = "bad sample rate"
    NEGATIVE_COUNT = "negative count"
    SETS = "sets are not kept"
    EVENTS = "events are not kept"
    SERVICE_CHECKS = "service checks are not kept"
    BAD_TEMPORALITY = "unknown temporality"
    BAD_BUCKETS = "buckets do not fit their bounds"
    NO_TIME = "without a time"
    # dropped
    REFUSED = "refused by the catalogue"
    CLIENT = "the client's own telemetry"
    LOST_TAGS = "lost its tags"
    TWIN_SAYS_IT = "tagged name says it"
    LEGACY_SAYS_IT = "legacy name says it"
    NO_LABELS = "a label is missing"
    UNIT_UNKNOWN = "unit unknown"
    EXCLUDED = "excluded by dags"
    NO_TASKS = "policy wants no series of tasks"
    MAPPING_DROPS = "mapping says drop"
    NAME_TAKEN = "name of another family"
    SERIES_LIMIT = "series limit"
    HOLD_LIMIT = "too many samples wait for a decision"
    STREAM_LIMIT = "stream limit"
    OUT_OF_ORDER = "out of order"
    SILENT = "silent for too long before it"
    SUMMARY = "quantiles cannot be added up"


class Refusal(StrEnum):
    """Why an OTLP request is refused whole; the value is the label."""

    TOO_LARGE = "too large"
    MALFORMED = "malformed"
    UNSUPPORTED = "unsupported content"
    OVERLOADED = "overloaded"
    TIMEOUT = "too slow"
    HUNG_UP = "its sender hung up"


_BY_TRANSPORT: dict[Transport, tuple[Refusal, ...]] = {
    "http": tuple(Refusal),
    "grpc": (Refusal.TOO_LARGE, Refusal.MALFORMED),
}
"""What can happen here; of what gRPC refuses by itself nobody hears."""


class Relayed(StrEnum):
    """What became of a line that was to be relayed."""

    SENT = "sent"
    DROPPED = "dropped"


class Accounts:
    """Counts since the exporter started. Safe to use from any thread; `clock` gives Unix seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._samples: Counter[tuple[Protocol, Outcome]] = Counter()
        self._refused: Counter[tuple[Protocol, Outcome, Reason]] = Counter()
        self._last: dict[Protocol, float] = {}
        self._packets: Counter[tuple[Protocol, Transport]] = Counter()
        self._lost: Counter[Transport] = Counter()
        self._requests_refused: Counter[tuple[Transport, Refusal]] = Counter()
        self._relayed: Counter[Relayed] = Counter()

    def expect(self, protocol: Protocol, *transports: Transport) -> None:
        """Show zeros for what may come: a counter that begins with its first event hides that event from rate()."""
        with self._lock:
            for outcome in Outcome:
                self._samples[protocol, outcome] += 0
            for transport in transports:
                self._packets[protocol, transport] += 0
                if transport == "udp":
                    self._lost[transport] += 0
                if protocol == "otlp":
                    for refusal in _BY_TRANSPORT[transport]:
                        self._requests_refused[transport, refusal] += 0

    def expect_relay(self) -> None:
        """As `expect`, for the relay."""
        with self._lock:
            for outcome in Relayed:
                self._relayed[outcome] += 0

    def count(self, protocol: Protocol, outcome: Outcome, n: int = 1, reason: Reason | None = None) -> None:
        """`n` samples ended as `outcome`; whatever is not mapped has a reason."""
        if n == 0:
            return
        with self._lock:
            self._samples[protocol, outcome] += n
            if reason is not None:
                self._refused[protocol, outcome, reason] += n
            self._last[protocol] = self._clock()

    def packets(self, protocol: Protocol, transport: Transport, n: int = 1) -> None:
        """`n` packets (UDP), chunks of lines (TCP) or requests arrived."""
        with self._lock:
            self._packets[protocol, transport] += n

    def lost(self, transport: Transport, n: int) -> None:
        """`n` packets more were dropped by the kernel before they were read."""
        with self._lock:
            self._lost[transport] += n

    def request_refused(self, transport: Transport, refusal: Refusal) -> None:
        """A request was refused whole."""
        with self._lock:
            self._requests_refused[transport, refusal] += 1

    def relayed(self, outcome: Relayed, n: int = 1) -> None:
        """`n` lines were sent on, or dropped on the way."""
        with self._lock:
            self._relayed[outcome] += n

    def readings(self) -> list[Reading]:
        """The families of the ingest itself that count what arrived."""
        with self._lock:
            return list(self._readings())

    def _readings(self) -> Iterator[Reading]:
        for (protocol, outcome), n in self._samples.items():
            yield metrics.INGEST_SAMPLES.sample(n, protocol=protocol, outcome=outcome)
        for (protocol, outcome, reason), n in self._refused.items():
            yield metrics.INGEST_REFUSED.sample(n, protocol=protocol, outcome=outcome, reason=reason)
        for protocol, moment in self._last.items():
            yield metrics.INGEST_LAST.sample(moment, protocol=protocol)
        for (protocol, transport), n in self._packets.items():
            yield metrics.INGEST_PACKETS.sample(n, protocol=protocol, transport=transport)
        for transport, n in self._lost.items():
            yield metrics.INGEST_LOST.sample(n, transport=transport)
        for (transport, refusal), n in self._requests_refused.items():
            yield metrics.INGEST_REQUESTS_REFUSED.sample(n, transport=transport, reason=refusal)
        for relayed, n in self._relayed.items():
            yield metrics.INGEST_RELAYED.sample(n, outcome=relayed)
