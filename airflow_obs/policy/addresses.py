"""Where to listen, to send and to connect, as people write it: HOST:PORT, :PORT or [IPV6]:PORT."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

_HOST = r"(?:\[[0-9A-Fa-f:.]+(?:%[^\]\s]+)?\]|[^\s:\[\]/@]*)"
PATTERN = rf"{_HOST}:[0-9]{{1,5}}"

_LONGEST = 253
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_NAME = rf"{_LABEL}(?:\.{_LABEL})*\.?"
_PORT = "6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}"
# What is everywhere else the word for finding it out is here no host.
SERVER = rf"(?!auto(?::|$))(?:\[[0-9A-Fa-f:.]{{2,45}}\]|{_NAME})(?::(?:{_PORT}))?"


def parse(text: str) -> tuple[str, int]:
    """(host, port); the host is empty for every interface, and port 0 lets the kernel choose. ValueError for anything else."""
    host, _, port = text.rpartition(":")
    if not re.fullmatch(PATTERN, text) or int(port) > 65535:
        raise ValueError("not HOST:PORT")
    return host.strip("[]"), int(port)


def server(text: str) -> tuple[str, int | None]:
    """(host, port) of HOST, HOST:PORT, [IPV6] or [IPV6]:PORT; the port is None where none is said. ValueError for anything else."""
    if not re.fullmatch(SERVER, text):
        raise ValueError("not HOST or HOST:PORT")
    end = len(text) if text.endswith("]") or ":" not in text else text.rindex(":")
    host, port = text[:end], text[end + 1 :]
    if len(host) > _LONGEST:
        raise ValueError("longer than any host's name")
    if host.startswith("["):
        host = str(IPv6Address(host[1:-1]))
    elif host.rstrip(".").rpartition(".")[2].isdecimal():
        IPv4Address(host)  # as whoever connects would take it
    return host, int(port) if port else None
