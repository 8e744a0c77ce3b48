"""Listens for StatsD over UDP and TCP, in one thread, with a limit on all that a sender may take up."""

from __future__ import annotations

import errno
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from airflow_obs.catalog import metrics
from airflow_obs.exporter.ingest.accounts import Accounts
from airflow_obs.exporter.ingest.statsd.mapper import Mapper
from airflow_obs.exporter.ingest.statsd.relay import Relay
from airflow_obs.exporter.ingest.statsd.sockets import datagram_sockets, dropped, stream_sockets
from airflow_obs.exporter.ingest.statsd.tcp import Clients
from airflow_obs.model import Reading

log = logging.getLogger(__name__)

BATCH = 512
"""Datagrams that are read before the store is locked for them; while it is, the page cannot be made."""
BATCH_BYTES = 1_048_576
"""As above, for large ones."""
LAST_BATCHES = 100
"""Read of each socket when we are stopped: what has come, but senders may never end."""
DATAGRAM_BYTES = 65_535
FEW = 64
LINGER_SECONDS = 0.002
"""How long to wait for more after a few datagrams: to wake up costs as much as several of them (bench/)."""
TICK_SECONDS = 1.0

_USED_UP = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""Why no connection can be taken for now, whoever asks for it."""


class Statsd:
    """Gives the lines that come to `udp` and `tcp` (host, port) to the mapper and to the relay.

    Listens from its making on (UsageError if an address cannot be had), and reads from `start` to `stop`.
    """

    def __init__(
        self,
        udp: tuple[str, int] | None,
        tcp: tuple[str, int] | None,
        mapper: Mapper,
        accounts: Accounts,
        relay: Relay | None = None,
    ) -> None:
        self._mapper, self._accounts, self._relay = mapper, accounts, relay
        self._datagrams = datagram_sockets(*udp) if udp else []
        try:
            self._streams = stream_sockets(*tcp) if tcp else []
        except BaseException:
            _close(self._datagrams)
            raise
        self._lost = dict.fromkeys(self._datagrams, 0)
        self._clients = Clients()
        self._wake, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._paused: list[socket.socket] = []
        """Listening, but not read until the next tick."""
        self._broken = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="statsd", daemon=True)
        if self._datagrams:
            accounts.expect("statsd", "udp")
        if self._streams:
            accounts.expect("statsd", "tcp")

    @property
    def udp_port(self) -> int | None:
        """Where datagrams are taken, for who let the kernel choose."""
        return int(self._datagrams[0].getsockname()[1]) if self._datagrams else None

    @property
    def tcp_port(self) -> int | None:
        """As above, for connections."""
        return int(self._streams[0].getsockname()[1]) if self._streams else None

    @property
    def where(self) -> str:
        """What it takes where, for the log."""
        ports = {"udp": self.udp_port, "tcp": self.tcp_port}
        return "StatsD on " + ", ".join(f"{transport} port {port}" for transport, port in ports.items() if port)

    def start(self) -> None:
        """Begin to read."""
        if self._relay:
            self._relay.start()
        self._thread.start()

    def stop(self) -> None:
        """Read what has come, decide what waits, and close everything."""
        self._stopping.set()
        with suppress(OSError):
            self._wake.send(b"\0")
        if self._thread.is_alive():
            self._thread.join()
        _close([*self._datagrams, *self._streams, *self._clients.all(), self._wake, self._woken])
        self._selector.close()
        if self._relay:
            self._relay.stop()

    def readings(self) -> Iterator[Reading]:
        """What is known of the sender."""
        yield metrics.STATSD_STYLE.sample(1, style=self._mapper.style)

    def _run(self) -> None:
        for one in self._datagrams:
            self._selector.register(one, selectors.EVENT_READ, self._read_datagrams)
        for one in self._streams:
            self._selector.register(one, selectors.EVENT_READ, self._accept)
        self._selector.register(self._woken, selectors.EVENT_READ, lambda _: None)
        ticked = time.monotonic()
        while not self._stopping.is_set():
            self._serve(TICK_SECONDS)
            if time.monotonic() - ticked >= TICK_SECONDS:
                ticked = time.monotonic()
                self._guarded(partial(self._tick, ticked))
        self._selector.unregister(self._woken)
        for _ in range(LAST_BATCHES):
            if not self._serve(0):
                break
        for client in self._clients.all():
            self._hang_up(client)
        self._count_lost()
        self._guarded(self._mapper.finish)

    def _serve(self, seconds: float) -> bool:
        """Read from all that has something to say, or will within `seconds`; whether any has."""
        ready = self._selector.select(seconds)
        for key, _ in ready:
            read: Callable[[socket.socket], None] = key.data
            self._guarded(partial(read, key.fileobj))  # type: ignore[arg-type]  # nothing else is registered
        return bool(ready)

    def _tick(self, now: float) -> None:
        while self._paused:
            self._selector.register(self._paused.pop(), selectors.EVENT_READ, self._accept)
        for client in self._clients.silent(now):
            self._hang_up(client)
        self._count_lost()
        self._mapper.tick()

    def _take(self, packets: list[bytes]) -> None:
        if self._relay:
            self._relay.pass_on(packets)
        self._guarded(partial(self._mapper.take, packets))

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception:
            # The boundary: lines that break something must not keep out all that follow.
            if not self._broken:
                log.exception("statsd: lines were lost; this is a bug of the exporter, please report it")
            self._broken = True

    def _read_datagrams(self, one: socket.socket) -> None:
        packets: list[bytes] = []
        receive, keep, room = one.recv, packets.append, BATCH_BYTES
        try:
            for _ in range(BATCH):
                keep(packet := receive(DATAGRAM_BYTES))
                room -= len(packet)
                if room < 0:
                    break
        except BlockingIOError:
            pass
        except OSError as error:
            log.debug("statsd: a datagram could not be read: %s", error)
        if packets:
            self._accounts.packets("statsd", "udp", len(packets))
            self._take(packets)
            if len(packets) < FEW:
                time.sleep(LINGER_SECONDS)

    def _accept(self, listening: socket.socket) -> None:
        try:
            client, _ = listening.accept()
        except OSError as error:
            log.debug("statsd: a connection could not be taken: %s", error)
            if error.errno in _USED_UP:
                # It stays in the backlog, so that the selector would wake us for it all the time.
                self._selector.unregister(listening)
                self._paused.append(listening)
            return
        for silent in self._clients.add(client, time.monotonic()):
            self._hang_up(silent)
        self._selector.register(client, selectors.EVENT_READ, self._read_stream)

    def _read_stream(self, client: socket.socket) -> None:
        lines, is_open = self._clients.read(client, time.monotonic())
        if lines:
            self._accounts.packets("statsd", "tcp")
            self._take([lines])
        if not is_open:
            self._hang_up(client)

    def _hang_up(self, client: socket.socket) -> None:
        if left := self._clients.drop(client):
            self._take([left])
        with suppress(KeyError):
            self._selector.unregister(client)
        client.close()

    def _count_lost(self) -> None:
        for one, before in self._lost.items():
            if (now := dropped(one)) is None:
                continue
            self._accounts.lost("udp", (now - before) % 2**32)
            self._lost[one] = now


def _close(sockets: list[socket.socket]) -> None:
    for one in sockets:
        one.close()
