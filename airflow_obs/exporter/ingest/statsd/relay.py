"""Passes every line on to another StatsD over UDP, without ever making the lines wait."""

from __future__ import annotations

import logging
import queue
import socket
import threading
import time
from collections.abc import Sequence

from airflow_obs.exporter.ingest.accounts import Accounts, Relayed

log = logging.getLogger(__name__)

LARGEST = 1_400
"""Bytes of a datagram: fits an Ethernet frame, whatever tunnels it goes through."""
MOST_WAITING = 1_000
"""Datagrams that wait to be sent; one more is dropped."""
PAUSE = 1.0
"""Seconds that lines wait for others to fill their datagram."""
RESOLVED_FOR = 60.0
"""Seconds after which a name is looked up again."""
QUIET = 10.0
"""Seconds without a failure after which it is believed to arrive: that nobody takes a datagram is only known at one of the next."""


class Relay:
    """Sends lines to `address` (host, port) in a thread of its own, from `start` to `stop`; drops, and counts, what it cannot."""

    def __init__(self, address: tuple[str, int], accounts: Accounts) -> None:
        self._address, self._accounts = address, accounts
        self._waiting: queue.Queue[bytes] = queue.Queue(MOST_WAITING)
        self._lock = threading.Lock()
        self._lines: list[bytes] = []
        self._size = 0
        self._stopping = threading.Event()
        self._socket: socket.socket | None = None
        self._resolved = 0.0
        self._said: str | None = None
        self._failed = 0.0
        self._thread = threading.Thread(target=self._run, name="statsd-relay", daemon=True)
        accounts.expect_relay()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Send what waits, as far as that takes no time, and end."""
        self._flush()
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(PAUSE * 5)

    def pass_on(self, packets: Sequence[bytes]) -> None:
        """Take packets of whole lines. Never blocks."""
        with self._lock:
            for packet in packets:
                lines = packet.strip(b"\r\n")
                # Datagrams as they came are kept together where they fit.
                for part in [lines] if len(lines) < LARGEST else lines.split(b"\n"):
                    if part:
                        self._add(part)

    def _add(self, part: bytes) -> None:
        if self._size + len(part) >= LARGEST:
            self._queue()
        self._lines.append(part)
        self._size += len(part) + 1

    def _flush(self) -> None:
        with self._lock:
            self._queue()

    def _queue(self) -> None:
        if not self._lines:
            return
        datagram = b"\n".join(self._lines)
        self._lines, self._size = [], 0
        try:
            self._waiting.put_nowait(datagram)
        except queue.Full:
            self._count(Relayed.DROPPED, datagram)

    def _count(self, outcome: Relayed, datagram: bytes) -> None:
        self._accounts.relayed(outcome, sum(map(bool, datagram.split(b"\n"))))

    def _run(self) -> None:
        while not (self._stopping.is_set() and self._waiting.empty()):
            try:
                datagram = self._waiting.get(timeout=PAUSE)
            except queue.Empty:
                self._flush()
                continue
            self._count(Relayed.SENT if self._sent(datagram) else Relayed.DROPPED, datagram)
        # Not by who stops us: a look-up may outlast that one's patience.
        if self._socket:
            self._socket.close()

    def _sent(self, datagram: bytes) -> bool:
        try:
            self._connected().send(datagram)
        except OSError as failure:
            self._say(str(failure))
            return False
        self._say(None)
        return True

    def _connected(self) -> socket.socket:
        if self._socket and time.monotonic() - self._resolved < RESOLVED_FOR:
            return self._socket
        host, port = self._address
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            fresh = socket.socket(family, kind, protocol)
            try:
                fresh.settimeout(0)
                fresh.connect(address)
            except OSError:
                fresh.close()
                raise
        except OSError:
            if self._socket is None:
                raise
        else:
            if self._socket:
                self._socket.close()
            self._socket = fresh
        self._resolved = time.monotonic()
        return self._socket

    def _say(self, failure: str | None) -> None:
        """Once for each thing that changes."""
        now = time.monotonic()
        if failure:
            self._failed = now
        if failure == self._said or (failure is None and now - self._failed < QUIET):
            return
        host, port = self._address
        if failure:
            log.warning("statsd relay to %s:%d: %s: lines are dropped", host, port, failure)
        else:
            log.info("statsd relay to %s:%d: sends again", host, port)
        self._said = failure
