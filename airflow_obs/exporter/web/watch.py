"""Notices that files have changed, whichever way they were replaced."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

SETTLED_SECONDS = 2.0
"""A file that changed less than this ago may change again without any sign of it: clocks of file systems tick that slowly."""

_State = tuple[int, ...]


class Watch:
    """Tells whether files have changed since it was last asked, by what stat() says of them: where links lead counts, too."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._states: tuple[_State, ...] | None = None
        self._fresh = False

    def changed(self, paths: Iterable[Path]) -> bool:
        """Whether any has, or may have; a file that is not there is a state as well."""
        now = self._clock()
        states = tuple(_state(path) for path in paths)
        fresh = any(0 <= now - change / 1e9 < SETTLED_SECONDS for _, _, _, _, change in filter(None, states))
        changed = states != self._states or (self._fresh and not fresh)
        self._states, self._fresh = states, fresh
        return changed


def _state(path: Path) -> _State:
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return ()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
