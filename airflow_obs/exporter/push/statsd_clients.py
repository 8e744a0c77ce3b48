"""The clients of the package statsd, with DogStatsD's tags, and made to say what went wrong."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from statsd import StatsClient, TCPStatsClient
from statsd.client.stream import StreamPipeline
from statsd.client.udp import Pipeline

from airflow_obs.exporter.push.statsd_names import TAGS

LARGEST = 1_400
"""Bytes of a datagram: more lines in each than in the package's 512, and it fits an Ethernet frame, whatever tunnels it goes
through, which 1,432 does not."""
BURST = 32
"""Datagrams that are sent at once: a third of what Linux keeps by default for a receiver that is busy."""
PAUSE = 0.005
"""Seconds between two bursts."""
TIMEOUT = 10.0
"""Seconds that a connection may take, until the agent has hung up."""


class Unread(OSError):
    """The agent has not read what was sent, and what may be done about it."""


class UdpClient(StatsClient):  # type: ignore[misc]  # the package has no types
    """Sends to one address, so that the kernel reports whether anybody takes it; raises OSError where the package is silent."""

    def __init__(self, host: str, port: int, *, ipv6: bool) -> None:
        super().__init__(host, port, maxudpsize=LARGEST, ipv6=ipv6)
        self._datagrams = 0

    def connect(self) -> None:
        self._sock.settimeout(TIMEOUT)
        self._sock.connect(self._addr)

    def pipeline(self) -> Pipeline:
        """For some lines; OSError for what the network has said of those before."""
        self.confirm()
        return _Datagrams(self)

    def confirm(self) -> None:
        """Raise OSError for what the network has said of the datagrams before; of most that are lost it says nothing."""
        if failed := self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(failed, os.strerror(failed))

    def interrupt(self) -> None:
        """Let what is being sent fail; from another thread."""
        _hang_up(self._sock)

    def _send(self, data: str) -> None:
        self._sock.send(_bytes(data))
        self._datagrams += 1
        if self._datagrams % BURST == 0:
            time.sleep(PAUSE)


class TcpClient(TCPStatsClient):  # type: ignore[misc]  # as above
    """Connects when there is something to send. That the agent hangs up at the end is its word that it has read all."""

    def __init__(self, host: str, port: int, *, ipv6: bool) -> None:
        super().__init__(host, port, timeout=TIMEOUT, ipv6=ipv6)
        self._until = 0.0
        self._interrupted = False

    def connect(self) -> None:
        self._until = time.monotonic() + TIMEOUT
        super().connect()
        if self._interrupted:
            raise InterruptedError("the exporter stops")

    def pipeline(self) -> StreamPipeline:
        return _Stream(self)

    def confirm(self) -> None:
        """Wait until the agent has read what was sent; OSError if it broke off, or has not. What follows goes by a new connection.

        The kernel takes what fits its buffers for an agent that never reads, so that nothing less tells.
        """
        if self._sock is None:
            return
        self._sock.shutdown(socket.SHUT_WR)
        hung_up = False
        while not hung_up:
            with self._in_time() as sock:
                hung_up = not sock.recv(4_096)
        if self._interrupted:
            raise InterruptedError("the exporter stops")
        self.close()

    def interrupt(self) -> None:
        """As above."""
        self._interrupted = True
        _hang_up(self._sock)

    def _do_send(self, data: str) -> None:
        with self._in_time() as sock:
            sock.sendall(_bytes(data) + b"\n")

    @contextmanager
    def _in_time(self) -> Iterator[socket.socket]:
        """The connection, for as long as it may still take."""
        try:
            self._sock.settimeout(max(self._until - time.monotonic(), 1e-3))
            yield self._sock
        except TimeoutError:
            raise Unread(
                f"has not read all and hung up within {TIMEOUT:.0f}s; see why it does not read (an OpenTelemetry Collector "
                "reads, but never hangs up: send it OTLP, or StatsD over udp)"
            ) from None


class _Datagrams(Pipeline):  # type: ignore[misc]  # as above
    def _prepare(self, stat: str, value: str, rate: float) -> str:
        name, tags = _parts(stat)
        return f"{super()._prepare(name, value, rate)}{tags}"


class _Stream(StreamPipeline):  # type: ignore[misc]  # as above
    def _prepare(self, stat: str, value: str, rate: float) -> str:
        name, tags = _parts(stat)
        return f"{super()._prepare(name, value, rate)}{tags}"


def _parts(stat: str) -> tuple[str, str]:
    """The name, and the tags that stand behind the value. The package counts characters and means bytes, so each is one."""
    name, mark, tags = stat.encode("utf-8", "replace").decode("latin-1").partition(TAGS)
    return name, mark + tags


def _bytes(data: str) -> bytes:
    return data.encode("latin-1")


def _hang_up(one: socket.socket | None) -> None:
    if one is not None:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
