"""Basic authentication (RFC 7617) by bcrypt hashes, each comparison made once and off the event loop."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import re
import secrets
import threading
from collections.abc import Mapping
from contextlib import suppress

import bcrypt

from airflow_obs.exporter.web.turns import Turns

LONGEST = 72
"""Bytes of a password that bcrypt looks at, in Go as everywhere; the rest of a longer one counts for nothing."""
WAITING = 64
"""Comparisons that may wait for others; at a cost of 10 the last one waits for less than 5 s, which a scrape may last."""
REMEMBERED = 100
"""Passwords that were wrong, each of which costs nothing when it comes again."""

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


class Passwords:
    """The users, by name, and the hashes of their passwords.

    What was compared is remembered under a keyed digest of user, hash and password, so that a scraper costs one comparison, and a
    new hash another one; at most one right password for each user (bcrypt has no two), and a bounded number of wrong ones. Of the
    passwords `before`, those that are right stay known, but for users who have left or have another hash.
    """

    def __init__(self, hashes: Mapping[str, str], before: Passwords | None = None) -> None:
        self._hashes = {name.encode(): hashed.encode() for name, hashed in hashes.items()}
        self._decoys = list(self._hashes.values())
        self._key: bytes = before._key if before else secrets.token_bytes(32)
        self._turns: Turns = before._turns if before else Turns(WAITING)
        self._right: dict[bytes, bytes] = {}  # by user
        if before:
            stay = before._hashes.items() & self._hashes.items()
            self._right = {user: before._right[user] for user, _ in stay if user in before._right}
        self._wrong: dict[bytes, None] = {}  # in the order in which they came

    async def admit(self, authorization: str, address: str) -> bool:
        """Whether this value of the header Authorization, from that address, is that of a user; raises Busy."""
        if (credentials := _credentials(authorization)) is None:
            return False
        user, password = credentials
        # Who is unknown is compared as well, always with the same user's hash, lest the time tell which users there are.
        decoy = self._decoys[int.from_bytes(self._digest(user)[:8]) % len(self._decoys)]
        hashed = self._hashes.get(user, decoy)
        digest = self._digest(user, hashed, password)
        if (known := self._known(user, digest)) is not None:
            return known
        async with self._turns.turn(address):
            if (known := self._known(user, digest)) is not None:  # while this one waited
                return known
            fits = await _compared(password, hashed) and user in self._hashes
        if fits:
            self._right[user] = digest
        else:
            self._wrong[digest] = None
            if len(self._wrong) > REMEMBERED:
                del self._wrong[next(iter(self._wrong))]
        return fits

    def _known(self, user: bytes, digest: bytes) -> bool | None:
        return True if self._right.get(user) == digest else False if digest in self._wrong else None

    def _digest(self, *parts: bytes) -> bytes:
        return hmac.digest(self._key, b"\0".join(parts), "sha256")  # no part holds a NUL


def _credentials(authorization: str) -> tuple[bytes, bytes] | None:
    """User and password, as much of it as counts; None if there are none to speak of."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):  # ValueError: it is not ASCII
        return None
    user, colon, password = decoded.partition(b":")
    if not colon or _CONTROL.search(decoded):
        return None
    return user, password[:LONGEST]


async def _compared(password: bytes, hashed: bytes) -> bool:
    """Whether the password has this hash.

    The thread that finds out ends with the process: at a high cost it takes minutes, and an executor's would be waited for.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[bool] = loop.create_future()

    def tell(fits: bool) -> None:
        if not found.done():
            found.set_result(fits)

    def compare() -> None:
        fits = False
        try:
            fits = bcrypt.checkpw(password, hashed)
        finally:  # whatever happens, others wait for it
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(tell, fits)

    threading.Thread(target=compare, name="password", daemon=True).start()
    return await found
