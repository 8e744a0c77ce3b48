"""Where to listen, to send and to connect, as people write it: HOST:PORT, :PORT or [IPV6]:PORT."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import gethostname

_HOST = r"(?:\[[0-9A-Fa-f:.]+(?:%[^\]\s]+)?\]|[^\s:\[\]/@]*)"
PATTERN = rf"{_HOST}:[0-9]{{1,5}}"

_LONGEST = 253
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_NAME = rf"{_LABEL}(?:\.{_LABEL})*\.?"
_PORT = "6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}"
# What is everywhere else the word for finding it out is here no host.
SERVER = rf"(?!auto(?::|$))(?:\[[0-9A-Fa-f:.]{{2,45}}\]|{_NAME})(?::(?:{_PORT}))?"


UNIX = "unix:"
"""What the address of a Unix socket begins with, where one may be given; its path follows."""


def parse(text: str) -> tuple[str, int]:
    """(host, port); the host is empty for every interface, and port 0 lets the kernel choose. ValueError for anything else."""
    host, _, port = text.rpartition(":")
    if not re.fullmatch(PATTERN, text) or int(port) > 65535:
        raise ValueError("not HOST:PORT")
    return host.strip("[]"), int(port)


def is_itself(address: str, listen: str) -> bool:
    """Whether who sends to one address is heard at the other, as far as the texts tell; a name may hide what it leads to."""
    (host, port), (here, own_port) = parse(address), parse(listen)
    return port == own_port and (host.lower() == here.lower() or (_on_this_host(host) and _on_this_host(here)))


def _on_this_host(host: str) -> bool:
    """Whether it is this machine's, by its name, by the loopback interface or by any."""
    if host.lower() in {"", "localhost", gethostname().lower()}:
        return True
    try:
        ip = ip_address(host)
    except ValueError:
        return False
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ip.is_loopback or ip.is_unspecified


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
