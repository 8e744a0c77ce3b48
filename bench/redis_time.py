"""What a Redis says that it has worked: time by command, slow commands, and its processor time."""

from __future__ import annotations

from dataclasses import dataclass

from tests.redis_server import RedisServer

SLOW = 1_000
"""Microseconds from which on a command is slow."""
_OURS = {"cmdstat_config", "cmdstat_slowlog"}
"""The commands by which we reset."""


@dataclass(frozen=True)
class Worked:
    """Milliseconds in commands, from the first argument to the whole reply, and how many were slow."""

    ms: float
    slow: int


def reset(server: RedisServer) -> None:
    """Count from here on."""
    client = server.client()
    client.config_set("slowlog-log-slower-than", SLOW)
    client.slowlog_reset()
    client.config_resetstat()


def worked(server: RedisServer) -> Worked:
    """Since the reset. What INFO and SLOWLOG cost here is not in it: Redis books a command when it is done."""
    client = server.client()
    statistics = client.info("commandstats")
    booked = sum(one["usec"] for name, one in statistics.items() if name not in _OURS)
    return Worked(booked / 1000, int(client.slowlog_len()))
