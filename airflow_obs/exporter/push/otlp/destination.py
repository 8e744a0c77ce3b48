"""Sends snapshots as OTLP, and those that were not taken again before the next one."""

from __future__ import annotations

import logging
import os
from collections import Counter

from airflow_obs.errors import PushFailed, UsageError, redact
from airflow_obs.exporter.board import Snapshot
from airflow_obs.exporter.push.otlp import settings, tls
from airflow_obs.exporter.push.otlp.buffer import Buffer, Packed
from airflow_obs.exporter.push.otlp.data import Requests
from airflow_obs.exporter.push.otlp.grpc import GrpcReceiver
from airflow_obs.exporter.push.otlp.http import HttpReceiver
from airflow_obs.exporter.push.otlp.receiver import Call, Fault, NotTaken, Post, Receiver, shown
from airflow_obs.policy.push import OtlpPush
from airflow_obs.sources.airflow_settings import Environment

log = logging.getLogger(__name__)

FULL, REFUSED = "buffer full", "refused"
"""Why a snapshot is lost."""
DOUBTS = 3
"""Pushes after which a request is dropped that was not taken, though others were, and nobody says that it is its fault."""


class Otlp:
    """An OpenTelemetry Collector, or whoever else takes OTLP."""

    name = "otlp"

    def __init__(self, policy: OtlpPush, deployment: str, environment: Environment = os.environ) -> None:
        self.of = (policy, deployment)
        self.interval = policy.interval
        self.lost = Counter({FULL: 0, REFUSED: 0})
        self._policy = policy
        self._environment = environment
        self._place = settings.place(policy, environment)
        settings.headers(environment)
        if self._place.encrypted:
            tls.context(policy)
        self._receiver: Receiver = (HttpReceiver if policy.protocol == "http" else GrpcReceiver)(policy, self._place)
        self._requests = Requests(settings.resource(policy, deployment))
        self._buffer = Buffer(int(policy.buffer))
        self._call = Call(0)
        self._closed = False
        self._headers: dict[str, str] = {}
        self._refused = ""
        """What was dropped in this push, and why."""
        self._said = ""
        self._warned = False

    @property
    def where(self) -> str:
        return f"{self._place} ({self._policy.protocol})"

    @property
    def waiting(self) -> int:
        return len(self._buffer)

    def send(self, snapshot: Snapshot, /) -> None:
        newest = Packed(self._requests.of(snapshot))
        self._call = call = Call(self._policy.timeout)
        if self._closed:
            call.hang_up()
        failed, self._refused, waited = "", "", self.waiting
        try:
            self._headers = settings.headers(self._environment)
            self._warn_of_headers()
            with self._receiver.connected(call, self._headers) as post:
                self._deliver_all(newest, post)
        except (NotTaken, UsageError) as error:
            failed = self._shown(error)
        finally:
            self._buffer.remove_sent()
        left = self.waiting
        if newest.requests:
            left += 1
            self.lost[FULL] += self._buffer.add(newest)
        # While it takes more than is added nothing is wrong, though some still wait.
        if self._refused or (failed and left >= waited):
            raise PushFailed(self._refused or failed)

    def close(self) -> None:
        self._closed = True
        self._call.hang_up()

    def _deliver_all(self, newest: Packed, post: Post) -> None:
        """Send what waits, the oldest first, and then the newest; raises NotTaken if something is left.

        Where one is not taken, and nobody knows whose fault that is, the newest is tried. If that is taken the receiver is
        well, and gets the rest, too; else it is ill, and all of them wait. One that is known from an earlier push to be doubtful
        waits for what is taken after it: so many such ones are found out together.
        """
        doubtful: list[tuple[Packed, NotTaken]] = []
        failed: NotTaken | None = None
        for packed in self._buffer.oldest_first():
            try:
                self._deliver(packed, post)
            except NotTaken as error:
                if error.fault is not Fault.UNKNOWN:
                    raise
                failed = error
                doubtful.append((packed, error))
                if not packed.doubts and newest.requests:
                    self._try(newest, doubtful, post)
            else:
                self._doubt(doubtful)
        if newest.requests:
            self._try(newest, doubtful, post)
        for packed, _ in doubtful:  # nothing was taken after it, which may have been the receiver's fault
            packed.doubts = packed.doubts or 1
        if failed:
            raise failed

    def _try(self, newest: Packed, doubtful: list[tuple[Packed, NotTaken]], post: Post) -> None:
        """Whether it is taken tells whose fault it was that the doubtful ones were not; raises NotTaken if it is not."""
        try:
            self._deliver(newest, post)
        except NotTaken:
            for packed, _ in doubtful:
                packed.doubts = 0
            raise
        self._doubt(doubtful)

    def _doubt(self, doubtful: list[tuple[Packed, NotTaken]]) -> None:
        """They were not taken, though something was after them; no more is to be said of them in this push."""
        for packed, error in doubtful:
            packed.doubts += 1
            if packed.doubts >= DOUBTS:
                self._drop(packed, error)
        doubtful.clear()

    def _deliver(self, packed: Packed, post: Post) -> None:
        """Send what is left of a snapshot. What is refused for good is dropped; raises NotTaken for the rest."""
        while packed.requests:
            try:
                partial = post(packed.requests[0]).partial_success
            except NotTaken as error:
                if error.fault is not Fault.REQUEST:
                    raise
                self._drop(packed, error)
            else:
                self._say_what_is_left_out(partial.rejected_data_points, partial.error_message)
                packed.done()

    def _drop(self, packed: Packed, why: NotTaken) -> None:
        self._refused = self._shown(f"refuses what it is sent, which is dropped: {why}")
        self.lost[REFUSED] += not packed.refused
        packed.refused = True
        packed.done()

    def _warn_of_headers(self) -> None:
        if self._headers and not (self._place.encrypted or self._place.is_loopback or self._warned):
            self._warned = True
            log.warning(
                "push: otlp: %s: the headers go there unencrypted, for everybody on the way to read; let it take https://",
                self.where,
            )

    def _say_what_is_left_out(self, points: int, why: str) -> None:
        """Once for every reason: it has taken the rest, and says that this is not to be sent again."""
        if points and (why := shown(why)) != self._said:
            self._said = why
            log.warning("push: otlp: %s", self._shown(f"left out {points} data points of a request: {why}"))

    def _shown(self, what: str | NotTaken | UsageError) -> str:
        """Fit for the log: what a receiver says might quote what it was told, or a token of it without its scheme."""
        if isinstance(what, UsageError):
            return str(what)
        told = self._headers.values()
        return redact(f"{self.where}: {what}", *told, *(word for value in told for word in value.split()))
