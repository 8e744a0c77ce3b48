"""Figures of what is copied from the metadata database, and of the standby that is read where one is."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_obs.catalog import metrics
from airflow_obs.exporter.web.page.figures.figure import Figure, Seen
from airflow_obs.exporter.web.page.wording import ago, duration, legible, listed, size


def replication(seen: Seen) -> Iterator[Figure]:
    """How far behind who is, and what of that is kept on the server."""
    if replayed := seen.oldest(metrics.DB_REPLAYED):
        yield seen.figure(
            "newest that the standby which is read has", ago(replayed[0]), metrics.DB_REPLAYED, "AirflowDatabaseStale"
        )
    elif (behind := seen.value(metrics.DB_REPLAY_LAG)) is not None:
        yield seen.figure(
            "the standby that is read is behind", duration(behind), metrics.DB_REPLAY_LAG, "AirflowDatabaseStale"
        )
    if idle := sorted(one for one, works in seen.by(metrics.DB_REPLICATION_RUNNING, "process").items() if not works):
        yield seen.figure(
            "of that standby does not work", listed(idle), metrics.DB_REPLICATION_RUNNING,
            "AirflowDatabaseReplicationStopped",
        )  # fmt: skip
    if lags := seen.by(metrics.REPLICA_LAG, "replica"):
        replica = max(lags, key=lags.__getitem__)
        yield seen.figure(
            "replica most behind", f"{legible(replica)}, {duration(lags[replica])}", metrics.REPLICA_LAG,
            "AirflowReplicaLagging",
        )  # fmt: skip
    if kept := seen.by(metrics.SLOT_RETAINED, "slot"):
        slot = max(kept, key=kept.__getitem__)
        yield seen.figure(
            "most log that is kept for a slot", f"{size(kept[slot])}, for {legible(slot)}", metrics.SLOT_RETAINED,
            "AirflowReplicationSlotRetaining",
        )  # fmt: skip
