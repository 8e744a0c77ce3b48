"""A relay in front of Redis that counts what one client asks: round trips, commands by name, and bytes."""

from __future__ import annotations

import selectors
import socket
import socketserver
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

_PIECE = 1 << 18
PAUSE = 0.02
"""Seconds of silence that end what a client asks at once: it sends a long pipeline in pieces, and the first replies would
come between them."""


@dataclass(frozen=True)
class Traffic:
    """A round trip begins when the client speaks first, or again after the server has spoken; `commands` by name."""

    trips: int = 0
    sent: int = 0
    received: int = 0
    commands: Counter[str] = field(default_factory=Counter)

    def since(self, before: Traffic) -> Traffic:
        """What came after that moment."""
        commands = Counter(self.commands)
        commands.subtract(before.commands)
        return Traffic(self.trips - before.trips, self.sent - before.sent, self.received - before.received, +commands)


class Relay:
    """Listens on `port` of this host. It makes each round trip longer by `pause` seconds: nothing is timed through it."""

    def __init__(self, upstream: int, pause: float = PAUSE) -> None:
        self._upstream = upstream
        self._pause = pause
        self._lock = threading.Lock()
        self._traffic = Traffic()
        relay = self

        class Handler(socketserver.BaseRequestHandler):
            """One connection of the client."""

            def handle(self) -> None:
                with suppress(OSError):
                    relay._pass_on(self.request)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = int(self._server.server_address[1])

    @property
    def until_now(self) -> Traffic:
        """All that a client has its answer to is in it."""
        with self._lock:
            return replace(self._traffic, commands=Counter(self._traffic.commands))

    @contextmanager
    def running(self) -> Iterator[Relay]:
        """Within, it relays."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    def _pass_on(self, client: socket.socket) -> None:
        """Until either side hangs up. Everything is counted before it is passed on."""
        commands, asking = _Commands(), False
        with socket.create_connection(("127.0.0.1", self._upstream)) as server, selectors.DefaultSelector() as ready:
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                ready.register(one, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    if key.fileobj is client:
                        asked = _all_of_it(client, self._pause)
                        self._count(Traffic(int(not asking), len(asked), 0, Counter(commands.take(asked))))
                        server.sendall(asked)
                        asking, over = True, not asked
                    else:
                        reply = server.recv(_PIECE)
                        self._count(Traffic(received=len(reply)))
                        client.sendall(reply)
                        asking, over = False, not reply
                    if over:
                        return

    def _count(self, more: Traffic) -> None:
        with self._lock:
            now = self._traffic
            self._traffic = Traffic(
                now.trips + (more.trips if more.sent else 0),
                now.sent + more.sent,
                now.received + more.received,
                now.commands + more.commands,
            )


def _all_of_it(client: socket.socket, pause: float) -> bytes:
    """What the client sends until it pauses; nothing when it has hung up."""
    pieces = [client.recv(_PIECE)]
    client.settimeout(pause)
    with suppress(TimeoutError):
        while pieces[-1]:
            pieces.append(client.recv(_PIECE))
    client.settimeout(None)
    return b"".join(pieces)


class _Commands:
    """Names of the commands in a stream of Redis' protocol; their arguments are passed over."""

    def __init__(self) -> None:
        self._unread = b""

    def take(self, data: bytes) -> Sequence[str]:
        """The names, in capitals, of the commands that end in this piece."""
        self._unread += data
        names, start = list[str](), 0
        while (found := self._command(start)) is not None:
            name, start = found
            names.append(name)
        self._unread = self._unread[start:]
        return names

    def _command(self, start: int) -> tuple[str, int] | None:
        """(name, where it ends) of the command that starts there; None while some of it is missing."""
        if (counted := self._number(start)) is None:
            return None
        count, at = counted
        name = ""
        for index in range(count):
            if (sized := self._number(at)) is None:
                return None
            size, at = sized
            if len(self._unread) < at + size + 2:
                return None
            if index == 0:
                name = self._unread[at : at + size].decode().upper()
            at += size + 2
        return name, at

    def _number(self, start: int) -> tuple[int, int] | None:
        """(the number in the line that starts there, where the next line does); None while it is not whole."""
        end = self._unread.find(b"\r\n", start)
        return None if end < 0 else (int(self._unread[start + 1 : end]), end + 2)
