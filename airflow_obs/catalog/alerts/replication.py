"""Alerts on the replication of the metadata database, and on the standby that the exporter reads where it reads one."""

from __future__ import annotations

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts.alert import Alert, Cases, Scope
from airflow_obs.catalog.alerts.causes import down
from airflow_obs.model import Knob, Severity
from airflow_obs.promql import Expr, max_by, min_by


def _stale(at: Scope) -> Expr:
    """The age of what was applied last, where that is known: the lag is 0 while a primary that hangs sends nothing."""
    age = min_by(at.age(metrics.DB_REPLAYED), "airflow")
    return age.or_(min_by(at(metrics.DB_REPLAY_LAG), "airflow")) > at.threshold


REPLICATION = (
    Alert(
        "AirflowReplicationSlotRetaining", "database", ("D6", "D1"), Severity.WARNING, "15m",
        expr=lambda at: max_by(at(metrics.SLOT_RETAINED), "airflow", "slot") > at.threshold,
        summary="{{ $value | humanize1024 }}B of log is kept for the replication slot {{ $labels.slot }} (threshold <threshold>)",
        impact="None yet: the database server's disk fills, and with a full disk it stops.",
        knobs=(Knob("threshold", "bytes", "10GiB", "1B", "100TiB", "Write-ahead log that is kept for one slot."),),
        cases=lambda at: Cases(
            fires=(at.series(metrics.SLOT_RETAINED, at.threshold * 2, slot="standby"),),
            quiet=(at.series(metrics.SLOT_RETAINED, at.threshold, slot="standby"),),
            value=at.threshold * 2,
            labels={"slot": "standby"},
        ),
    ),
    Alert(
        "AirflowReplicaLagging", "database", ("D1",), Severity.WARNING, "10m",
        expr=lambda at: max_by(at(metrics.REPLICA_LAG), "airflow", "replica", "address") > at.threshold,
        summary="The replica {{ $labels.replica }} is {{ $value | humanizeDuration }} behind (threshold <threshold>)",
        impact="None yet: a fail-over to it would lose what it has not received, or take as long as it is behind.",
        knobs=(Knob("threshold", "duration", "5m", "1s", "7d", "How far behind a replica may be."),),
        cases=lambda at: Cases(
            fires=(at.series(metrics.REPLICA_LAG, at.threshold + 1, replica="standby", address="10.0.0.2"),),
            quiet=(at.series(metrics.REPLICA_LAG, at.threshold, replica="standby", address="10.0.0.2"),),
            value=at.threshold + 1,
            labels={"replica": "standby", "address": "10.0.0.2"},
        ),
    ),
    Alert(
        "AirflowDatabaseReplicaDown", "database", ("D1",), Severity.WARNING, "2m",
        expr=down,
        summary="The exporter cannot reach the replica of the database that the policy names (source_up is {{ $value }})",
        impact="Nothing is seen of what is read from the database, and alerts on it cannot fire; Airflow itself may be well.",
        cases=lambda at: Cases(
            fires=(at.series(metrics.SOURCE_UP, 0, source="database"),),
            quiet=(
                at.series(metrics.SOURCE_UP, 1, source="database", instance="a"),
                at.series(metrics.SOURCE_UP, 0, source="database", instance="b"),
            ),
            value=0,
        ),
        when=lambda at: at.replica,
        sources=("database",),
    ),
    # None of them wakes anybody: heartbeats that a standby does not show are missed by the alerts on who writes them, and these
    # must be heard, since a primary that is dead looks the same from there.
    Alert(
        "AirflowDatabaseStale", "database", ("D1",), Severity.WARNING, "2m",
        expr=_stale,
        summary="The standby that is read shows nothing of the last {{ $value | humanizeDuration }} (threshold <threshold>)",
        impact="What is said of this Airflow is as old: who works may look dead, late or stuck, and what fails is seen late.",
        knobs=(Knob("threshold", "duration", "1m", "1s", "7d", "How old may be what is read."),),
        cases=lambda at: Cases(
            fires=(
                at.series(metrics.DB_REPLAY_LAG, 0),
                at.aged(metrics.DB_REPLAYED, at.threshold + at.horizon + 1),
            ),
            quiet=(
                at.series(metrics.DB_REPLAY_LAG, at.threshold, instance="a"),
                at.series(metrics.DB_REPLAY_LAG, at.threshold + 1, instance="b"),
            ),
            value=at.threshold + at.horizon + 1,
        ),
    ),
    Alert(
        "AirflowDatabaseReplicationStopped", "database", ("D1",), Severity.WARNING, "5m",
        expr=lambda at: max_by(at(metrics.DB_REPLICATION_RUNNING), "airflow", "process").equals(0),
        summary="The {{ $labels.process }} of the standby that the exporter reads does not work (running is {{ $value }})",
        impact="The standby shows this Airflow as it was when that stopped, for as long as it does not work again.",
        cases=lambda at: Cases(
            fires=(
                at.series(metrics.DB_REPLICATION_RUNNING, 1, process="receiver"),
                at.series(metrics.DB_REPLICATION_RUNNING, 0, process="applier"),
            ),
            quiet=(
                at.series(metrics.DB_REPLICATION_RUNNING, 0, process="applier", instance="a"),
                at.series(metrics.DB_REPLICATION_RUNNING, 1, process="applier", instance="b"),
            ),
            value=0,
            labels={"process": "applier"},
        ),
    ),
    Alert(
        "AirflowDatabaseReadOnly", "database", ("D1",), Severity.WARNING, "2m",
        expr=lambda at: min_by(at(metrics.DB_READ_ONLY), "airflow").equals(1),
        summary="The database takes no writes, and the policy names no replica (read_only is {{ $value }})",
        impact="An Airflow that is led to the same server stands still; else what is seen of it may be old.",
        cases=lambda at: Cases(
            fires=(at.series(metrics.DB_READ_ONLY, 1),),
            quiet=(
                at.series(metrics.DB_READ_ONLY, 0, instance="a"),
                at.series(metrics.DB_READ_ONLY, 1, instance="b"),
            ),
            value=1,
        ),
        when=lambda at: not at.replica,
    ),
)  # fmt: skip
