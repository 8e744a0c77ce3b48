"""Remembers what each OTLP stream said last, and tells what is new: senders say again and again how much there is in all."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Hashable
from itertools import islice, takewhile
from weakref import WeakValueDictionary

from airflow_obs.exporter.ingest.accounts import Reason
from airflow_obs.exporter.ingest.otlp.distributions import Explicit, Exponential
from airflow_obs.exporter.ingest.otlp.points import Observations, Point, Sum

TTL = 3_600.0
"""Seconds for which a stream that is silent is remembered while there is room. Airflow sends once a minute, by default."""
LEAST_TTL = 600.0
"""Seconds for which it is remembered even if another could have its place."""
MOST = 100_000
"""Streams. Every try of a task may have 15 of its own, so these are 11 tries a second."""
SETTLE = 75.0
"""Seconds after our start in which a gauge that shows the newest of several durations may show one from before it."""
LAST = 8
"""Values, or moments, of a stream that are told from new ones."""

_NANO = 1e9
_OF_PROCESS = ("service.instance.id", "process.")
"""Attributes that a process which was forked has of its own."""
_Total = float | Explicit | Exponential


class Streams:
    """Streams by resource, scope, name, attributes and start time, forgotten `ttl` seconds after their last point.

    What a stream that is not known yet says in its first point is all new if it started after we did, and after the last word of
    all that are forgotten; else nobody knows how much of it is new, so that the first point is what the next is compared with.

    Who begins again says so by another start. A process that was forked goes on with what its parent had counted until then, since
    the same start. As it says that it is another process (newer SDKs of Python do), the first that it says is compared with what
    its parent said before; what the parent counted between that and the fork may count twice. Where it does not say so, there is
    less than before in the same stream: then the one that has the most counts.

    At most `most` are remembered. One more takes the place of who has been silent for longest, and for `least` seconds; if there is
    none it is refused. `clock` gives seconds that never go back. Not thread-safe.
    """

    def __init__(
        self, ttl: float = TTL, most: int = MOST, clock: Callable[[], float] = time.monotonic, settle: float = SETTLE,
        least: float = LEAST_TTL,
    ) -> None:  # fmt: skip
        self._ttl, self._most, self._clock, self._settle, self._least = ttl, most, clock, settle, least
        self._began = clock()
        self._forgot = -math.inf
        """When the last word came from any of those that are forgotten."""
        self._streams: dict[int, _Stream] = {}
        """By hash (64 bits, salted): whole attributes would take most of the memory. In the order of their last points."""
        self._kin: WeakValueDictionary[int, _Kin] = WeakValueDictionary()
        """By hash of all but the process; they go with the last of their streams."""

    def __len__(self) -> int:
        return len(self._streams)

    def counted(self, point: Point, value: Sum) -> float | Reason:
        """How much more it is than at the point before."""
        if value.delta:
            new = self._is_another(point)
            return new if isinstance(new, Reason) else value.value * new
        stream = self._cumulative(point)
        if isinstance(stream, Reason):
            return stream
        older, now = stream.said, value.value
        if not isinstance(older, float):
            kin = [one for one in stream.relatives if isinstance(one, float)]
            stream.say(now, point.time)
            if kin:
                return now - max((one for one in kin if one <= now), default=now) if value.monotonic else 0.0
            new = self._all_new(point)
            return new if isinstance(new, Reason) else now * new
        only_rises = value.monotonic and bool(point.start)
        if point.time < stream.newest and not (only_rises and now >= older):
            return Reason.OUT_OF_ORDER
        if only_rises and now < older:
            return 0.0
        stream.say(now, point.time)
        return now if value.monotonic and now < older else now - older

    def observed(self, point: Point, value: Observations) -> Explicit | Exponential | Reason | None:
        """What was observed after the point before; None if nothing can be said to be new."""
        if value.delta:
            new = self._is_another(point)
            return new if isinstance(new, Reason) else value.distribution if new else None
        stream = self._cumulative(point)
        if isinstance(stream, Reason):
            return stream
        older, now = stream.said, value.distribution
        if not isinstance(older, Explicit | Exponential):
            kin = [one for one in stream.relatives if not isinstance(one, float)]
            stream.say(now, point.time)
            if kin:
                return next((more for one in reversed(kin) if (more := now.since(one))), None)
            new = self._all_new(point)
            return new if isinstance(new, Reason) else now if new else None
        more = now.since(older)
        if point.time < stream.newest and not (point.start and more):
            return Reason.OUT_OF_ORDER
        if more is None and point.start and now.count <= older.count:
            return None
        stream.say(now, point.time)
        return more if more or point.start else now

    def changed(self, key: Hashable, value: float) -> bool | Reason:
        """Whether a gauge shows another duration than lately; several senders that cannot be told apart may take turns."""
        stream = self._stream(hash(key))
        if isinstance(stream, Reason):
            return stream
        if not isinstance(stream.said, deque):
            stream.said = deque((value,), LAST)
            return self._clock() - self._began >= self._settle
        new = value not in stream.said
        if new:
            stream.said.append(value)
        return new

    def moment(self, key: Hashable, value: float, moment: float) -> float | Reason:
        """The moment that an age points to: the one from before while the age stays the same.

        Airflow 2 sends an age again, as new, until it sets another: whoever hangs would seem to be fresh for ever.
        """
        stream = self._stream(hash(key))
        if isinstance(stream, Reason):
            return stream
        if not (isinstance(stream.said, tuple) and stream.said[0] == value):
            stream.said = value, moment
        return stream.said[1]

    def expire(self) -> None:
        """Forget the silent ones. Takes no longer than there are any."""
        before = self._clock() - self._ttl
        silent = [key for key, _ in takewhile(lambda one: one[1].touched < before, self._streams.items())]
        for key in silent:
            self._forget(key)

    def _stream(self, key: int) -> _Stream | Reason:
        """The stream, made if it is new, and the last in order then."""
        stream = self._streams.pop(key, None)
        if stream is None:
            if len(self._streams) >= self._most and not self._room_made():
                return Reason.STREAM_LIMIT
            stream = _Stream()
        self._streams[key] = stream
        stream.touched = self._clock()
        return stream

    def _room_made(self) -> bool:
        before = self._clock() - self._least
        # Several at once, since finding the first of a dict that has lost its first ones takes long.
        first = islice(self._streams.items(), max(1, self._most // 100))
        silent = [key for key, stream in first if stream.touched < before]
        for key in silent:
            self._forget(key)
        return bool(silent)

    def _forget(self, key: int) -> None:
        self._forgot = max(self._forgot, self._streams.pop(key).touched)

    def _cumulative(self, point: Point) -> _Stream | Reason:
        stream = self._stream(hash((point.origin, point.name, point.attributes, point.start)))
        if isinstance(stream, _Stream) and stream.said is None and point.start:
            resource = tuple(one for one in point.origin.resource if not one[0].startswith(_OF_PROCESS))
            if resource != point.origin.resource:
                kin = hash((resource, point.origin.scope, point.name, point.attributes, point.start))
                stream.kin = self._kin.setdefault(kin, _Kin())
        return stream

    def _is_another(self, point: Point) -> bool | Reason:
        """Whether a delta has not come before: who is not answered in time sends again."""
        stream = self._stream(hash((point.origin, point.name, point.attributes)))
        if isinstance(stream, Reason):
            return stream
        if not isinstance(stream.said, deque):
            stream.said = deque(maxlen=LAST)
        span = (point.start, point.time)
        if span in stream.said:
            return False
        stream.said.append(span)
        return True

    def _all_new(self, point: Point) -> bool | Reason:
        """Whether a stream that is not known started after we did; by its age as its sender's clock has it, which may be wrong."""
        if not point.start:
            return False
        now = self._clock()
        started = now - max(0, point.time - point.start) / _NANO
        if started >= self._began and started > self._forgot:
            return True
        # Whoever was there before us should have spoken by now.
        return Reason.SILENT if started >= self._began or now - self._began > self._ttl else False


class _Kin:
    """The last two values that a process, and those that were forked from it, said of one thing."""

    __slots__ = ("__weakref__", "said")

    def __init__(self) -> None:
        self.said: tuple[_Total, ...] = ()


class _Stream:
    __slots__ = ("kin", "newest", "said", "touched")

    def __init__(self) -> None:
        self.touched = 0.0
        self.newest = 0
        self.said: _Total | tuple[float, float] | deque[float | tuple[int, int]] | None = None
        self.kin: _Kin | None = None

    def say(self, total: _Total, moment: int) -> None:
        self.said, self.newest = total, moment
        if self.kin and total not in self.kin.said:
            self.kin.said = (*self.kin.said[-1:], total)

    @property
    def relatives(self) -> tuple[_Total, ...]:
        """What others said of whom this process may have been forked, or who of it."""
        return self.kin.said if self.kin else ()
