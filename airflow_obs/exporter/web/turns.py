"""One at a time, in turns: who asks much has to wait, not the others."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Busy(Exception):
    """So many wait that this one has to come again."""


class Turns:
    """Gives turns to one address after the other, and to those of one address in the order in which they came.

    At most `most` wait. One more makes room for itself by sending away the last one of the longest line, if its own is shorter:
    so whatever the others do, who comes alone from an address waits for one turn of each of fewer than `most` others, and no more.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = False
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}  # the next one first; empty unless a turn is taken

    @asynccontextmanager
    async def turn(self, address: str) -> AsyncIterator[None]:
        """Wait for a turn, and have it until the end of the block; raises Busy."""
        if self._taken:
            await self._wait(line_of(address))
        self._taken = True
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, name: str) -> None:
        if sum(map(len, self._lines.values())) >= self._most:
            self._make_room(name)
        mine = asyncio.get_running_loop().create_future()
        self._lines.setdefault(name, deque()).append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled() and mine.exception() is None:  # it had been this one's turn already
                self._pass_on()
            raise

    def _make_room(self, name: str) -> None:
        longest = max(self._lines.values(), key=len, default=deque())
        if len(longest) <= len(self._lines.get(name, ())) + 1:
            raise Busy
        last = longest.pop()
        if not last.done():
            last.set_exception(Busy())

    def _pass_on(self) -> None:
        while self._lines:
            name = next(iter(self._lines))
            line = self._lines.pop(name)
            first = line.popleft()
            if line:
                self._lines[name] = line  # behind all the others
            if not first.done():
                first.set_result(None)
                return
        self._taken = False


def line_of(address: str) -> str:
    """In which line one stands who comes from there: an IPv6 network of 64 bits is one host's, all that is no address is one."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ip.ipv4_mapped or f"{int(ip) >> 64:x}")
    return str(ip)
