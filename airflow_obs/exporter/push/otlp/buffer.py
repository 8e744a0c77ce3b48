"""What a receiver has not taken yet: requests, packed, oldest first, in bounded room."""

from __future__ import annotations

import gzip
from collections import deque
from collections.abc import Iterable, Iterator

LEVEL = 5
"""Of gzip: what more would save is little, and takes long."""


class Packed:
    """One snapshot: its requests, gzipped, of which `requests` are those that nobody has taken or refused."""

    def __init__(self, requests: Iterable[bytes]) -> None:
        self.requests = deque(gzip.compress(request, LEVEL, mtime=0) for request in requests)
        self.refused = False
        """Whether one of them was, for good: then it is lost, and was counted."""
        self.doubts = 0
        """Pushes in a row at which the first of them was not taken, though the receiver took something else."""

    def done(self) -> None:
        """The first of them was taken, or refused."""
        self.requests.popleft()
        self.doubts = 0

    @property
    def bytes(self) -> int:
        """What it takes up."""
        return sum(map(len, self.requests))


class Buffer:
    """Snapshots that wait, in so many bytes of `room`."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._waiting: deque[Packed] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def bytes(self) -> int:
        """What all of them take up."""
        return sum(packed.bytes for packed in self._waiting)

    def oldest_first(self) -> Iterator[Packed]:
        """Those of them that wait now, to be sent in this order."""
        return iter(tuple(self._waiting))

    def remove_sent(self) -> None:
        """Those of which nothing is left go."""
        self._waiting = deque(packed for packed in self._waiting if packed.requests)

    def add(self, newest: Packed) -> int:
        """Keep it, too; the oldest make way, and where even that is no room it goes itself. Gives how many are lost by that."""
        self._waiting.append(newest)
        lost, taken = 0, self.bytes
        while taken > self._room:
            oldest = self._waiting.popleft()
            taken -= oldest.bytes
            lost += not oldest.refused
        return lost
