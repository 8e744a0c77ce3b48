"""Lines out of StatsD's TCP connections: bounded in number, in length and in patience."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from airflow_obs.exporter.ingest.statsd.lines import LONGEST

MOST_CLIENTS = 256
"""Connections; one more, and the one that has been silent for longest is closed."""
IDLE_SECONDS = 300.0
READ_BYTES = 65_536


@dataclass
class _Client:
    heard: float
    partial: bytes = b""


class Clients:
    """The connections that are open, and of each the line that has not ended yet."""

    def __init__(self) -> None:
        self._clients: dict[socket.socket, _Client] = {}
        """The one heard of last comes last."""

    def __len__(self) -> int:
        return len(self._clients)

    def add(self, client: socket.socket, now: float) -> list[socket.socket]:
        """A connection more; the ones to close for it."""
        client.settimeout(0)
        self._clients[client] = _Client(now)
        return list(self._clients)[: max(0, len(self._clients) - MOST_CLIENTS)]

    def read(self, client: socket.socket, now: float) -> tuple[bytes, bool]:
        """The lines that have ended, as one packet (empty if none has), and whether the connection is still open.

        Of one that was dropped since it was found to be readable, nothing.
        """
        if client not in self._clients:
            return b"", True
        try:
            chunk = client.recv(READ_BYTES)
        except BlockingIOError:
            return b"", True
        except OSError:
            chunk = b""
        state = self._clients.pop(client)
        if not chunk:
            return state.partial, False
        self._clients[client] = state
        state.heard = now
        lines, end, rest = chunk.rpartition(b"\n")
        if not end:
            lines, rest = b"", chunk
            state.partial += chunk
        else:
            lines, state.partial = state.partial + lines, rest
        # A line that is too long is told from others by its length alone, so no more than that is kept of it.
        state.partial = state.partial[: LONGEST + 1]
        return lines, True

    def silent(self, now: float) -> list[socket.socket]:
        """The ones that have said nothing for too long."""
        return [client for client, state in self._clients.items() if now - state.heard > IDLE_SECONDS]

    def drop(self, client: socket.socket) -> bytes:
        """What is left of a connection that is closed by us."""
        state = self._clients.pop(client, None)
        return state.partial if state else b""

    def all(self) -> list[socket.socket]:
        """Every connection."""
        return list(self._clients)
