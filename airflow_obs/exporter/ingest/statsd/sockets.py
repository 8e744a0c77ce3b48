"""The sockets that StatsD listens on, and what the kernel says of them."""

from __future__ import annotations

import errno
import logging
import socket
import struct

from airflow_obs.errors import UsageError

log = logging.getLogger(__name__)

BUFFER_BYTES = 8 * 1024 * 1024
"""Asked for, for what arrives while we are busy; the kernel gives at most net.core.rmem_max."""
BACKLOG = 64

_SO_MEMINFO = 55
"""Linux' socket option; Python has no name for it (linux/sock_diag.h: its ninth number counts what was dropped)."""
_MEMINFO = struct.Struct("9I")


def datagram_sockets(host: str, port: int) -> list[socket.socket]:
    """Sockets that take datagrams there; an empty host is every interface. UsageError if that cannot be had."""
    return _bound("statsd.listen-udp", host, port, socket.SOCK_DGRAM)


def stream_sockets(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen there, as above."""
    return _bound("statsd.listen-tcp", host, port, socket.SOCK_STREAM)


def dropped(one: socket.socket) -> int | None:
    """Datagrams that the kernel threw away since this socket exists, modulo 2**32; None where it does not say."""
    try:
        return int(_MEMINFO.unpack(one.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))[-1])
    except (OSError, struct.error):
        return None


def _bound(setting: str, host: str, port: int, kind: socket.SocketKind) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        found = list(dict.fromkeys(socket.getaddrinfo(host or None, port, type=kind, flags=socket.AI_PASSIVE)))
        for family, _, protocol, _, address in found:
            try:
                one = socket.socket(family, kind, protocol)
            except OSError:
                continue  # a kernel without this family
            sockets.append(one)
            one.settimeout(0)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # A port that the kernel chose for one family serves for all.
            chosen = sockets[0].getsockname()[1] if port == 0 and len(sockets) > 1 else port
            if kind is socket.SOCK_STREAM:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind((address[0], chosen, *address[2:]))
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL and family == socket.AF_INET6 and len(found) > 1:
                    sockets.remove(one)
                    one.close()
                    continue  # localhost is ::1 too, even where IPv6 is switched off
                raise
            if kind is socket.SOCK_STREAM:
                one.listen(BACKLOG)
            else:
                _ask_for_room(one)
    except (OSError, UnicodeError, OverflowError) as error:  # UnicodeError: no host can be called that
        for one in sockets:
            one.close()
        why = getattr(error, "strerror", None) or error
        raise UsageError(
            f"{setting} {host or '*'}:{port}: cannot listen there: {why}; is another StatsD running? "
            "choose another address or port"
        ) from None
    return sockets


def _ask_for_room(one: socket.socket) -> None:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    given = one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    if given < BUFFER_BYTES:
        log.info("statsd: the kernel buffers %d bytes of datagrams; for bursts, raise net.core.rmem_max", given // 2)
