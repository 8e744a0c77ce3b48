"""Replication of the database: slots that keep write-ahead log, and how far behind replicas are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.model import Reading
from airflow_obs.sources.database import Session


@dataclass(frozen=True)
class Slot:
    """A replication slot; `retained` bytes of log are kept for it, None when it has not reserved any yet, or lost it."""

    name: str
    active: bool
    retained: float | None


@dataclass(frozen=True)
class Replica:
    """Who receives the log, by its application_name and address; None where it has not said."""

    name: str
    address: str
    lag_bytes: float | None
    lag_seconds: float | None


@dataclass(frozen=True)
class ReplicationState:
    """What one run of the collector saw; `replicas` is empty for a role that may not see them."""

    slots: list[Slot]
    replicas: list[Replica]


class Replication:
    """PostgreSQL shows slots to every role, and replicas to members of pg_read_all_stats."""

    name = "replication"
    source = "database"

    def read(self, db: Session) -> ReplicationState:
        if db.kind != "postgresql":
            return ReplicationState([], [])
        slots = [Slot(row.name, row.active, row.retained) for row in db.rows(_SLOTS)]
        return ReplicationState(
            slots, [Replica(row.name, row.address, row.lag_bytes, row.lag_seconds) for row in db.rows(_REPLICAS)]
        )

    def samples(self, seen: ReplicationState) -> Iterator[Reading]:
        for slot in sorted(seen.slots, key=lambda slot: slot.retained or 0, reverse=True):
            yield metrics.SLOT_ACTIVE.sample(slot.active, slot=slot.name)
            if slot.retained is not None:
                yield metrics.SLOT_RETAINED.sample(slot.retained, slot=slot.name)
        for (name, address), replica in _most_behind(seen.replicas).items():
            if replica.lag_bytes is not None:
                yield metrics.REPLICA_LAG_BYTES.sample(replica.lag_bytes, replica=name, address=address)
            if replica.lag_seconds is not None:
                yield metrics.REPLICA_LAG.sample(replica.lag_seconds, replica=name, address=address)


def _most_behind(replicas: list[Replica]) -> dict[tuple[str, str], Replica]:
    """One per name and address: two of one host may call themselves the same."""
    ordered = sorted(replicas, key=lambda replica: replica.lag_bytes or 0)
    worst = {(replica.name, replica.address): replica for replica in ordered}
    return dict(sorted(worst.items(), key=lambda item: item[1].lag_bytes or 0, reverse=True))


_HERE = """CASE WHEN pg_catalog.pg_is_in_recovery()
    THEN COALESCE(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())
    ELSE pg_catalog.pg_current_wal_lsn() END"""
# The position is asked for per row: a server without slots or replicas may be of a kind that refuses to say.
_SLOTS = sa.text(f"""
    SELECT slot_name AS name, active,
           CASE WHEN restart_lsn IS NOT NULL THEN GREATEST(pg_catalog.pg_wal_lsn_diff({_HERE}, restart_lsn), 0) END::float8
               AS retained
    FROM pg_catalog.pg_replication_slots
""")  # noqa: S608 (_HERE is a constant of this file; nothing from outside goes in)
_REPLICAS = sa.text(f"""
    SELECT COALESCE(application_name, '') AS name,
           COALESCE(pg_catalog.host(client_addr), 'local') AS address,
           GREATEST(lag, 0)::float8 AS lag_bytes,
           CASE WHEN lag <= 0 THEN 0 ELSE EXTRACT(EPOCH FROM COALESCE(replay_lag, flush_lag, write_lag)) END::float8
               AS lag_seconds
    FROM (
        SELECT *, pg_catalog.pg_wal_lsn_diff({_HERE}, COALESCE(replay_lsn, flush_lsn, write_lsn, sent_lsn)) AS lag
        FROM pg_catalog.pg_stat_replication WHERE state IN ('streaming', 'catchup')
    ) AS r
""")  # noqa: S608 (_HERE is a constant of this file; nothing from outside goes in)
