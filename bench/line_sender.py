"""Sends StatsD lines at a rate, or as fast as it goes, as a process of its own, and prints how many went in how long."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from itertools import chain, islice, repeat
from typing import Literal

from bench.airflow_lines import crowd, flood, mix, packed

Transport = Literal["udp", "tcp"]
What = Literal["plain", "influxdb", "datadog", "crowd", "flood"]

_SLICE = 0.001
"""Seconds: what is due in such a slice goes at once."""
_CATCHES_UP = 0.02
"""Seconds of which the lines are sent later when the sender had to wait for a processor; more would be a burst of its own."""
_AT_ONCE = 64
"""Packets between two looks at the clock."""


@dataclass(frozen=True)
class Stream:
    """What to send, where: a mix of Airflow's lines in a style over and over for `seconds` at `rate` lines/s (0: no limit).

    "crowd" and "flood" send `amount` different lines, each once, in as many seconds as that takes.
    """

    transport: Transport
    port: int
    what: What
    amount: int
    """DAGs of a mix, or lines."""
    per_packet: int
    rate: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Sent:
    """Lines, packets and seconds."""

    lines: int
    packets: int
    seconds: float


def send(stream: Stream) -> Sent:
    """Raises OSError when nobody listens."""
    kind = socket.SOCK_DGRAM if stream.transport == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as connection:
        connection.connect(("127.0.0.1", stream.port))
        return _sent(stream, connection.send if stream.transport == "udp" else connection.sendall)


def _sent(stream: Stream, give: Callable[[bytes], object]) -> Sent:
    packets = iter(_packets(stream))
    lines = count = 0
    due, before = 0.0, time.perf_counter()
    started = now = before
    until = started + stream.seconds if stream.seconds else float("inf")
    while now < until:
        if stream.rate:
            due = min(due + (now - before) * stream.rate, max(_CATCHES_UP * stream.rate, stream.per_packet))
            before = now
            if due < stream.per_packet:
                time.sleep(_SLICE)
                now = time.perf_counter()
                continue
        batch = list(islice(packets, min(_AT_ONCE, int(due / stream.per_packet)) if stream.rate else _AT_ONCE))
        if not batch:
            break
        for packet, of_lines in batch:
            give(packet)
            lines += of_lines
            due -= of_lines
        count += len(batch)
        now = time.perf_counter()
    return Sent(lines, count, now - started)


def _packets(stream: Stream) -> Iterable[tuple[bytes, int]]:
    """Packets, and the lines in each; those of TCP end with a line end."""
    end = b"\n" if stream.transport == "tcp" else b""
    if stream.what in ("crowd", "flood"):
        lines = crowd(stream.amount) if stream.what == "crowd" else flood(stream.amount)
        parts = iter(lambda: list(islice(lines, stream.per_packet)), [])
        return ((b"\n".join(part) + end, len(part)) for part in parts)
    of_mix = packed(mix(stream.what, stream.amount), stream.per_packet)
    ready = [(packet + end, packet.count(b"\n") + 1) for packet in of_mix]
    return chain.from_iterable(repeat(ready) if stream.seconds else (ready,))


def main() -> None:
    """The stream comes as JSON on stdin; what was sent goes as JSON to stdout."""
    json.dump(asdict(send(Stream(**json.load(sys.stdin)))), sys.stdout)


if __name__ == "__main__":
    main()
