"""Counts whom the endpoint refuses, and why, and logs it: a line a minute for each reason at most."""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Callable, Iterator

from airflow_obs.catalog import metrics
from airflow_obs.model import Reading

log = logging.getLogger(__name__)

REASONS = ("unauthenticated", "certificate", "handshake", "rate", "busy", "connections", "head", "body")
"""Why somebody was refused; each is counted, from 0."""
QUIET_SECONDS = 60.0
"""After a line, until there is another one about the same reason."""
NAMED = 5
"""Addresses in a line."""
OF_UNIX_SOCKETS = str(ipaddress.IPv4Address(0))
"""What Tornado says is the address of a client that comes by one."""


class Refusals:
    """What was refused since the start. `clock` gives seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times = dict.fromkeys(REASONS, 0)
        self._said = dict.fromkeys(REASONS, 0)
        self._quiet_until: dict[str, float] = {}
        self._from: dict[str, dict[str, None]] = {reason: {} for reason in REASONS}  # in the order in which they came

    def count(self, reason: str, address: str) -> None:
        """One more, from that address; it is in this line, or counts in the next one about this reason."""
        self._times[reason] += 1
        addresses = self._from[reason]
        if len(addresses) <= NAMED:  # one more than is named, to know of others
            addresses["a Unix socket" if address == OF_UNIX_SOCKETS else address] = None
        now = self._clock()
        if now < self._quiet_until.get(reason, now):
            return
        times = self._times[reason] - self._said[reason]
        named = [*addresses][:NAMED] + ["others"] * (len(addresses) > NAMED)
        log.warning("web: refused (%s), %d since this was last said: %s", reason, times, ", ".join(named))
        self._said[reason] = self._times[reason]
        self._quiet_until[reason] = now + QUIET_SECONDS
        addresses.clear()

    def readings(self) -> Iterator[Reading]:
        """How many, by reason."""
        for reason, times in self._times.items():
            yield metrics.WEB_REFUSED.sample(times, reason=reason)
