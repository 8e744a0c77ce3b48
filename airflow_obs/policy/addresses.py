"""Where to listen and where to send, as people write it: HOST:PORT, :PORT or [IPV6]:PORT."""

from __future__ import annotations

import re

_HOST = r"(?:\[[0-9A-Fa-f:.]+(?:%[^\]\s]+)?\]|[^\s:\[\]/@]*)"
PATTERN = rf"{_HOST}:[0-9]{{1,5}}"


def parse(text: str) -> tuple[str, int]:
    """(host, port); the host is empty for every interface, and port 0 lets the kernel choose. ValueError for anything else."""
    host, _, port = text.rpartition(":")
    if not re.fullmatch(PATTERN, text) or int(port) > 65535:
        raise ValueError("not HOST:PORT")
    return host.strip("[]"), int(port)
