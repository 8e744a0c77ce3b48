"""Sessions that wait for each other, whatever the server under them is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

PREPARED = 0
"""The process of a prepared transaction, which has no session: what pg_blocking_pids() and innodb_trx call it."""
UNSEEN = -1
"""The process of whoever is waited for where the server does not say who it is."""


@dataclass(frozen=True)
class Waiting:
    """A session that waits for a lock: since when (None where the server does not say), and the processes it waits for."""

    since: datetime | None
    blockers: tuple[int, ...]


@dataclass(frozen=True)
class Head:
    """Who is waited for and waits for nobody; `began` is its transaction's, None when it is hidden."""

    state: str
    began: datetime | None


@dataclass(frozen=True)
class LockState:
    """What one run of the collector saw: sessions that wait by process, heads of their queues, and locks by (mode, granted).

    `locks` is None where the server has no such modes.
    """

    waiting: dict[int, Waiting]
    heads: list[Head]
    locks: dict[tuple[str, bool], int] | None = None


def heads_of(waiting: Mapping[int, Waiting]) -> list[int]:
    """The processes that are waited for and wait for nobody."""
    return sorted({pid for one in waiting.values() for pid in one.blockers} - waiting.keys())


def longest_chain(waiting: Mapping[int, Waiting]) -> int:
    """Sessions in the longest chain, its head included; a deadlock is a circle, each of whose sessions counts once."""
    lengths: dict[int, int] = {}

    def length(pid: int, path: frozenset[int]) -> int:
        if pid not in waiting:
            return 1
        if pid not in lengths:
            behind = [length(blocker, path | {pid}) for blocker in waiting[pid].blockers if blocker not in path | {pid}]
            lengths[pid] = 1 + max(behind, default=0)
        return lengths[pid]

    return max((length(pid, frozenset()) for pid in waiting), default=0)
