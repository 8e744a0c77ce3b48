"""Figures of the pools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from airflow_obs.catalog import metrics
from airflow_obs.exporter.web.page.figures.figure import Figure, Seen
from airflow_obs.exporter.web.page.wording import count, legible, listed, share


def pools(seen: Seen) -> Iterator[Figure]:
    """Which are full, how many wait for them, and which of them deferred tasks hold."""
    waiting = seen.by(metrics.POOL_SCHEDULED, "pool")
    slots = seen.by(metrics.POOL_SLOTS, "pool")
    if room := seen.by(metrics.POOL_OPEN, "pool"):
        # A pool without slots is how people stop what uses it.
        full = [pool for pool, left in room.items() if left < 1 and slots.get(pool) != 0]
        yield from _full(seen, sorted(full, key=lambda pool: (-waiting.get(pool, 0), pool)), len(room), waiting)
    yield from _held(seen, slots, waiting)


def _full(seen: Seen, full: list[str], pools: int, waiting: Mapping[str, float]) -> Iterator[Figure]:
    """`full` begins with the pool for which most wait."""
    text = f"{count(len(full))} of {count(pools)}" + (f": {listed(full)}" if full else "")
    yield seen.figure("full", text, metrics.POOL_OPEN)
    if full and (most := waiting.get(full[0], 0)):
        yield seen.figure(
            "slots that are waited for", f"{count(most)}, of pool {legible(full[0])}", metrics.POOL_SCHEDULED,
            AirflowPoolExhausted=lambda at: most > at.threshold,
        )  # fmt: skip


def _held(seen: Seen, slots: Mapping[str, float], waiting: Mapping[str, float]) -> Iterator[Figure]:
    """Of the pools that are waited for, the one of which deferred tasks hold most."""
    used, running, queued = (
        seen.by(metric, "pool") for metric in (metrics.POOL_USED, metrics.POOL_RUNNING, metrics.POOL_QUEUED)
    )
    held = {
        pool: (used.get(pool, 0) - running.get(pool, 0) - queued.get(pool, 0)) / size
        for pool, size in slots.items()
        if size > 0 and waiting.get(pool, 0) > 0
    }
    pool = max(held, key=held.__getitem__, default="")
    if held and held[pool] > 0:
        yield seen.figure(
            "held by deferred tasks", f"{share(held[pool])} of pool {legible(pool)}", metrics.POOL_USED,
            "AirflowPoolHeldByDeferred",
        )  # fmt: skip
