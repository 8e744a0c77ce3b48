"""Scrapes one page with many connections at once, as a process of its own, and prints how long each scrape took."""

from __future__ import annotations

import json
import random
import re
import selectors
import socket
import sys
import time
from dataclasses import asdict, dataclass, field

_LENGTH = re.compile(rb"\r\nContent-Length: ([0-9]+)\r\n", re.IGNORECASE)
_JITTER = 0.1
"""Part of the interval by which each scrape may come early or late, so that scrapers neither keep apart nor together."""


@dataclass(frozen=True)
class Load:
    """`clients` connections, kept alive, scrape `path` for `seconds`; each every `every` seconds, or 0: again at once."""

    port: int
    path: str
    clients: int
    seconds: float
    every: float
    encoding: str


@dataclass(frozen=True)
class Outcome:
    """Milliseconds of every scrape, ascending; the size of the last body on the wire, and scrapes per second."""

    milliseconds: list[float]
    body_bytes: int
    rate: float


@dataclass
class _Client:
    """One connection and the scrape on it: `began` when it was due, so that waiting for a slow one before it counts."""

    connection: socket.socket
    due: float
    began: float | None = None
    head: bytearray = field(default_factory=bytearray)
    left: int = -1


class Scrapers:
    """One thread for all: an answer is read as soon as it is there, into the same memory, and not looked at."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._request = (
            f"GET {load.path} HTTP/1.1\r\nHost: 127.0.0.1:{load.port}\r\nAccept: text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n"
            f"Accept-Encoding: {load.encoding}\r\nUser-Agent: airflow-obs-bench\r\n\r\n"
        ).encode()
        self._random = random.Random(1)  # noqa: S311 (moments, not secrets)
        self._memory = bytearray(1 << 20)
        self._milliseconds: list[float] = []
        self._body_bytes = 0

    def run(self) -> Outcome:
        """Scrape until the time is over; raises OSError or RuntimeError when the page does not come."""
        selector = selectors.DefaultSelector()
        started = time.perf_counter()
        clients = []
        for _ in range(self._load.clients):
            connection = socket.create_connection(("127.0.0.1", self._load.port), timeout=10)
            connection.settimeout(0)
            client = _Client(connection, started + self._random.random() * self._load.every)
            selector.register(connection, selectors.EVENT_READ, client)
            clients.append(client)
        while (now := time.perf_counter()) < started + self._load.seconds:
            for client in clients:
                if client.began is None and client.due <= now:
                    client.connection.send(self._request)
                    client.began = client.due if client.left == -2 else time.perf_counter()
                    client.head.clear()
                    client.left = -1
            nearest = min((client.due for client in clients if client.began is None), default=now + 1)
            for key, _ in selector.select(max(0.0, nearest - time.perf_counter())):
                self._read(key.data)
        for client in clients:
            client.connection.close()
        return Outcome(sorted(self._milliseconds), self._body_bytes, len(self._milliseconds) / self._load.seconds)

    def _read(self, client: _Client) -> None:
        count = client.connection.recv_into(self._memory)
        if count == 0:
            raise RuntimeError("bench: the exporter closed the connection: look at its log")
        if client.left < 0:
            client.head += self._memory[:count]
            end = client.head.find(b"\r\n\r\n")
            if end < 0:
                return
            length = _LENGTH.search(client.head, 0, end + 4)
            if not client.head.startswith(b"HTTP/1.1 200 ") or length is None:
                raise RuntimeError(f"bench: the exporter answered {bytes(client.head[:40])!r}: look at its log")
            self._body_bytes = int(length[1])
            client.left = self._body_bytes - (len(client.head) - end - 4)
        else:
            client.left -= count
        if client.left == 0:
            self._finished(client)

    def _finished(self, client: _Client) -> None:
        assert client.began is not None  # noqa: S101 (for the type checker)
        now = time.perf_counter()
        self._milliseconds.append((now - client.began) * 1000)
        client.began = None
        every = self._load.every
        client.due = (
            max(client.due, now - every) + every * self._random.uniform(1 - _JITTER, 1 + _JITTER) if every else now
        )
        client.left = -2 if client.due < now else -1


def main() -> None:
    """The load comes as JSON on stdin; the outcome goes as JSON to stdout."""
    json.dump(asdict(Scrapers(Load(**json.load(sys.stdin))).run()), sys.stdout)


if __name__ == "__main__":
    main()
