"""Figures of the metadata database and its server."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_obs.catalog import metrics
from airflow_obs.exporter.web.page.figures.figure import Figure, Seen
from airflow_obs.exporter.web.page.wording import count, duration, legible, listed, size

_IDLE = "idle in transaction"
"""What the states of sessions begin with whose client has gone quiet within a transaction."""


def database(seen: Seen) -> Iterator[Figure]:
    """Its size, who holds what in it, and what will stop it."""
    if 1 in seen.values(metrics.DB_READ_ONLY):
        yield seen.figure(
            "takes no writes", "it is a standby, or read-only", metrics.DB_READ_ONLY,
            "AirflowDatabaseReadOnly",
        )  # fmt: skip
    yield from _connections(seen)
    yield from _sessions(seen)
    if (whole := seen.value(metrics.DB_SIZE)) is not None:
        yield seen.figure("size", size(whole), metrics.DB_SIZE)
    if sizes := seen.by(metrics.TABLE_SIZE, "table"):
        table = max(sizes, key=sizes.__getitem__)
        yield seen.figure(
            "biggest table", f"{legible(table)}, {size(sizes[table])}", metrics.TABLE_SIZE,
            "AirflowTableLarge",
        )  # fmt: skip
    if (age := seen.value(metrics.DB_XID_AGE)) is not None:
        yield seen.figure(
            "oldest unfrozen transaction", f"{count(age)} transactions ago", metrics.DB_XID_AGE,
            "AirflowTransactionIdsRunningOut",
            "AirflowTransactionIdsAging",
        )  # fmt: skip
    yield from _kept(seen)
    if unreadable := sorted(table for table, may in seen.by(metrics.TABLE_READABLE, "table").items() if not may):
        yield seen.figure(
            "tables that the exporter may not read", f"{count(len(unreadable))}: {listed(unreadable)}",
            metrics.TABLE_READABLE, "AirflowTablesUnreadable",
        )  # fmt: skip
    if (offset := seen.value(metrics.DB_CLOCK_OFFSET)) is not None:
        yield seen.figure(
            "its clock and that of this host", f"{duration(abs(offset))} apart", metrics.DB_CLOCK_OFFSET,
            "AirflowClockOff",
        )  # fmt: skip
    ahead = seen.by(metrics.JOB_CLOCK_AHEAD, "hostname")
    host = max(ahead, key=ahead.__getitem__, default="")
    if ahead and ahead[host]:
        yield seen.figure(
            "clock most ahead of the database's", f"{duration(ahead[host])}, of {legible(host)}", metrics.JOB_CLOCK_AHEAD,
            "AirflowClockOff",
        )  # fmt: skip


def _kept(seen: Seen) -> Iterator[Figure]:
    """Old versions of rows that may not be thrown away yet."""
    ages = {holder: age for holder, age in seen.by(metrics.DB_XMIN_AGE, "holder").items() if holder != "catalog_slot"}
    holder = max(ages, key=ages.__getitem__, default="")
    if ages and ages[holder]:
        yield seen.figure(
            "vacuum is held back", f"for {count(ages[holder])} transactions, by a {legible(holder)}", metrics.DB_XMIN_AGE,
            "AirflowVacuumHeldBack",
        )  # fmt: skip
    if (history := seen.value(metrics.DB_HISTORY)) is not None:
        yield seen.figure(
            "InnoDB has yet to purge", f"{count(history)} transactions", metrics.DB_HISTORY, "AirflowPurgeHeldBack"
        )


def _connections(seen: Seen) -> Iterator[Figure]:
    free = seen.by(metrics.DB_CONNECTIONS_FREE, "limit")
    most = seen.by(metrics.DB_CONNECTIONS_MAX, "limit")
    if free:
        limit = min(free, key=free.__getitem__)
        left, of = free[limit], most.get(limit, 0)
        text = f"{count(of - left)} of {count(of)}, the limit of the {legible(limit)}" if of else f"{count(left)} left"
        yield seen.figure(
            "connections", text, metrics.DB_CONNECTIONS_FREE,
            "AirflowDatabaseConnectionsExhausted",
            "AirflowDatabaseConnectionsHigh",
        )  # fmt: skip


def _sessions(seen: Seen) -> Iterator[Figure]:
    if waits := seen.oldest(metrics.DB_LOCK_WAIT_OLDEST):
        yield seen.figure(
            "longest wait for a lock", duration(waits[0]), metrics.DB_LOCK_WAIT_OLDEST,
            "AirflowDatabaseLockWait",
        )  # fmt: skip
    if locks := seen.total(metrics.DB_LOCKS, mode="AccessExclusiveLock"):
        yield seen.figure(
            "locks that shut everybody out of a table", f"{count(locks)} held or awaited", metrics.DB_LOCKS,
            "AirflowDatabaseTableLocked",
        )  # fmt: skip
    ages = seen.ages(metrics.DB_OLDEST_TRANSACTION)
    idle = [age for age, labels in ages if labels["state"].startswith(_IDLE)]
    busy = [age for age, labels in ages if not labels["state"].startswith(_IDLE)]
    if idle:
        yield seen.figure(
            "oldest transaction in which nothing happens", duration(idle[0]), metrics.DB_OLDEST_TRANSACTION,
            "AirflowDatabaseTransactionIdle",
        )  # fmt: skip
    if busy:
        yield seen.figure(
            "oldest transaction at work", duration(busy[0]), metrics.DB_OLDEST_TRANSACTION,
            "AirflowDatabaseTransactionLong",
        )  # fmt: skip
    if prepared := seen.oldest(metrics.DB_PREPARED_OLDEST):
        yield seen.figure(
            "oldest prepared transaction", duration(prepared[0]), metrics.DB_PREPARED_OLDEST,
            "AirflowPreparedTransactionLeft",
        )  # fmt: skip
