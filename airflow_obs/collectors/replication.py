"""Replication of the database: slots that keep write-ahead log, how far behind replicas are, and the one that we read."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.model import Reading
from airflow_obs.sources.database import Session
from airflow_obs.sources.schema import Moment

log = logging.getLogger(__name__)


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
class Own:
    """How the server that we read is replicated itself.

    `lag` are the seconds that it shows the past by: 0 when it has applied all that it receives, None when nobody knows.
    `replayed` is the moment of the newest commit that it shows: it may be the newest there is, however long ago that was.
    `running` says of its processes, "receiver" and "applier", whether each works; those that it does not have are left out.
    `conflicts` counts, by type, the readers that replay has ended.
    """

    read_only: bool
    lag: float | None = None
    replayed: datetime | None = None
    running: Mapping[str, bool] = field(default_factory=dict)
    conflicts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ReplicationState:
    """What one run of the collector saw; `replicas` is empty for a role that may not see them."""

    slots: list[Slot]
    replicas: list[Replica]
    own: Own | None = None


class Replication:
    """PostgreSQL shows slots to every role, and replicas to members of pg_read_all_stats; MySQL only what it is itself."""

    name = "replication"
    source = "database"

    def __init__(self) -> None:
        self._said_blind = False

    def read(self, db: Session) -> ReplicationState:
        if db.kind == "mysql":
            return ReplicationState([], [], self._own_of_mysql(db))
        if db.kind != "postgresql":
            return ReplicationState([], [])
        slots = [Slot(row.name, row.active, row.retained) for row in db.rows(_SLOTS)]
        replicas = [Replica(row.name, row.address, row.lag_bytes, row.lag_seconds) for row in db.rows(_REPLICAS)]
        return ReplicationState(slots, replicas, _own_of_postgresql(db))

    def _own_of_mysql(self, db: Session) -> Own:
        read_only = refuses_writes(db.one(_MYSQL_READ_ONLY))
        channels = db.attempt(_status(db))
        if channels is None and read_only and not self._said_blind:
            log.warning(
                "database: it takes no writes, and how far behind a primary it is, our role may not see; "
                "`GRANT %s ON *.* TO` the exporter's role",
                "SLAVE MONITOR" if db.mariadb else "REPLICATION CLIENT",
            )
            self._said_blind = True
        return _own_of_channels([row._mapping for row in channels or ()], read_only=read_only)

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
        if seen.own is not None:
            yield from _own_samples(seen.own)


def _own_samples(own: Own) -> Iterator[Reading]:
    yield metrics.DB_READ_ONLY.sample(own.read_only)
    if own.lag is not None:
        yield metrics.DB_REPLAY_LAG.sample(own.lag)
    if own.replayed is not None:
        yield metrics.DB_REPLAYED.sample(own.replayed.timestamp())
    for process, running in own.running.items():
        yield metrics.DB_REPLICATION_RUNNING.sample(running, process=process)
    for kind, count in own.conflicts.items():
        yield metrics.DB_RECOVERY_CONFLICTS.sample(count, type=kind)


def in_recovery(db: Session) -> bool:
    """Whether this server of PostgreSQL is a standby."""
    return bool(db.one(_IN_RECOVERY)[0])


def _own_of_postgresql(db: Session) -> Own:
    standby = in_recovery(db)
    counted = db.one(_CONFLICTS)[0] or {}
    conflicts = {name.removeprefix("confl_"): count for name, count in counted.items() if name.startswith("confl_")}
    if not standby:
        # One that was promoted has counted.
        return Own(read_only=False, conflicts=conflicts if any(conflicts.values()) else {})
    rows = db.attempt(_STANDBY)
    if rows is None:
        return Own(read_only=True, conflicts=conflicts)
    [row] = rows
    running = {} if row.receives is None else {"receiver": row.receives}
    running = {**running, "applier": row.applies}
    return Own(read_only=True, lag=row.lag, replayed=row.replayed, running=running, conflicts=conflicts)


def _status(db: Session) -> sa.TextClause:
    """MySQL took the new word in 8.0.22, and gave up the old one in 8.4."""
    if db.mariadb:
        return sa.text("SHOW ALL SLAVES STATUS")
    new = (db.connection.dialect.server_version_info or ()) >= (8, 0, 22)
    return sa.text("SHOW REPLICA STATUS" if new else "SHOW SLAVE STATUS")


def refuses_writes(settings: Iterable[object]) -> bool:
    """Whether one of these is switched on: numbers, or since MariaDB 12 words (OFF, ON, NO_LOCK, …: MDEV-36425)."""
    return any(str(setting).upper() not in {"0", "OFF"} for setting in settings)


def _own_of_channels(channels: list[Mapping[str, Any]], *, read_only: bool) -> Own:
    """Of several sources that a replica has, the one that is most behind."""
    if not channels:
        return Own(read_only)

    def works(channel: Mapping[str, Any], part: str) -> bool:
        return "Yes" in {channel.get(f"Slave_{part}_Running"), channel.get(f"Replica_{part}_Running")}

    running = {
        name: all(works(channel, part) for channel in channels)
        for name, part in (("receiver", "IO"), ("applier", "SQL"))
    }
    lags = [channel.get("Seconds_Behind_Master", channel.get("Seconds_Behind_Source")) for channel in channels]
    known = [float(lag) for lag in lags if lag is not None]
    return Own(read_only, max(known) if len(known) == len(lags) else None, running=running)


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
_IN_RECOVERY = sa.text("SELECT pg_catalog.pg_is_in_recovery()")
_CONFLICTS = sa.text("""
    SELECT (SELECT to_jsonb(c) FROM pg_catalog.pg_stat_database_conflicts c WHERE c.datname = pg_catalog.current_database())
""")
# While it receives, what is replayed up to the last of it is all that there is, however long ago that was written, as far as it can
# know: of a primary that hangs it is told nothing. Without, nobody knows what the primary has written since: then the standby is as
# old as what it replayed last.
_STANDBY = sa.text("""
    SELECT CASE WHEN receives AND pg_catalog.pg_last_wal_receive_lsn() <= pg_catalog.pg_last_wal_replay_lsn() THEN 0
                ELSE GREATEST(EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp()), 0)
           END::float8 AS lag,
           pg_catalog.pg_last_xact_replay_timestamp() AS replayed,
           CASE WHEN receives OR pg_catalog.pg_last_wal_receive_lsn() IS NOT NULL THEN receives END AS receives,
           NOT pg_catalog.pg_is_wal_replay_paused() AS applies
    FROM (SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver) AS receives) AS r
""").columns(replayed=Moment())
_MYSQL_READ_ONLY = sa.text("SELECT @@GLOBAL.read_only AS server, @@GLOBAL.innodb_read_only AS innodb")
