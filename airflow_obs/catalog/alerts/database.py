"""Alerts of the metadata database's server: reachable, connections, locks, transactions, clocks."""

from __future__ import annotations

from decimal import Decimal

from airflow_obs import promql
from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts.alert import Alert, Cases, Scope, Series
from airflow_obs.catalog.alerts.causes import (
    EXHAUSTED,
    LOCK_WAIT,
    down,
    few_left,
    unless_no_connection_is_left,
    unless_sessions_wait,
    waits_for_a_lock,
)
from airflow_obs.model import Knob, Severity
from airflow_obs.promql import Expr, Match, Number, max_by, min_by

_RUNNING_OUT = "AirflowTransactionIdsRunningOut"
_THE_DATABASE = "the database server"

_IDLE = "idle in transaction.*"
"""The states of a session whose client has gone quiet within a transaction, an aborted one too."""


def _connections_used(at: Scope) -> Expr:
    most = max_by(at(metrics.DB_CONNECTIONS_MAX), "airflow", "limit")
    used = (most - min_by(at(metrics.DB_CONNECTIONS_FREE), "airflow", "limit")) / most
    return unless_no_connection_is_left(at, used > at.threshold)


def _connections(at: Scope, most: Number, free: Number, limit: str) -> tuple[Series, Series]:
    return (
        at.series(metrics.DB_CONNECTIONS_MAX, most, limit=limit),
        at.series(metrics.DB_CONNECTIONS_FREE, free, limit=limit),
    )


def _high_cases(at: Scope) -> Cases:
    """As many are used of the database's limit as may be before too few are left, and of the server's fewer."""
    enough = max(at.thresholds.get(EXHAUSTED, Decimal(0)), Decimal(1))
    most = 2 * enough / (1 - at.threshold)
    well = _connections(at, 1000 * enough, 1000 * enough * (1 - at.threshold), "server")
    too_late = _connections(at, most, enough - 1, "database") if EXHAUSTED in at.thresholds else ()
    return Cases(
        fires=(*well, *_connections(at, most, enough, "database")),
        quiet=(*well, *too_late),
        value=(1 + at.threshold) / 2,
        labels={"limit": "database"},
    )


def _idle(at: Scope) -> Expr:
    return max_by(at.age(metrics.DB_OLDEST_TRANSACTION, state=Match("=~", _IDLE)), "airflow", "state") > at.threshold


def _busy(at: Scope) -> Expr:
    return max_by(at.age(metrics.DB_OLDEST_TRANSACTION, state=Match("!~", _IDLE)), "airflow", "state") > at.threshold


def _table_locked(at: Scope) -> Expr:
    return max_by(at(metrics.DB_LOCKS, mode="AccessExclusiveLock"), "airflow", "state") > 0


def _deadlocks(at: Scope) -> Expr:
    return max_by(promql.increase(at(metrics.DB_DEADLOCKS), at.window), "airflow") > at.threshold


def _aging(at: Scope) -> Expr:
    worse = at.worse(_RUNNING_OUT)
    return _running_out(at) if worse is None else _running_out(at) <= worse


def _running_out(at: Scope) -> Expr:
    return max_by(at(metrics.DB_XID_AGE), "airflow") > at.threshold


def _aging_cases(at: Scope) -> Cases:
    worst = at.worse(_RUNNING_OUT) or at.threshold + 1
    return Cases(
        fires=(at.series(metrics.DB_XID_AGE, worst),),
        quiet=(at.series(metrics.DB_XID_AGE, at.threshold),),
        value=worst,
    )


def _running_out_cases(at: Scope) -> Cases:
    return Cases(
        fires=(at.series(metrics.DB_XID_AGE, at.threshold + 1),),
        quiet=(at.series(metrics.DB_XID_AGE, at.threshold),),
        value=at.threshold + 1,
    )


def _clock_off(at: Scope) -> Expr:
    """Hosts ahead of the database (one that is behind looks like a slow one), and the database from the exporter's host."""
    offset = at(metrics.DB_CLOCK_OFFSET)
    apart = (max_by(offset, "airflow") > at.threshold).or_(min_by(offset, "airflow") * -1 > at.threshold)
    hosts = max_by(at(metrics.JOB_CLOCK_AHEAD), "airflow", "hostname") > at.threshold
    return hosts.or_(promql.labelled(apart, "hostname", _THE_DATABASE))


DATABASE = (
    Alert(
        "AirflowDatabaseDown", "database", ("D1",), Severity.CRITICAL, "1m",
        expr=down,
        summary="The exporter cannot reach the metadata database, or was not told where it is (source_up is {{ $value }})",
        impact="Without its database Airflow schedules nothing, records nothing and shows nothing; running tasks may fail.",
        cases=lambda at: Cases(
            fires=(at.series(metrics.SOURCE_UP, 0, source="database"),),
            quiet=(
                at.series(metrics.SOURCE_UP, 1, source="database", instance="a"),
                at.series(metrics.SOURCE_UP, 0, source="database", instance="b"),
                at.series(metrics.SOURCE_UP, 0, source="broker", instance="a"),
            ),
            value=0,
        ),
        when=lambda at: not at.replica,
        sources=("database",),
    ),
    Alert(
        EXHAUSTED, "database", ("D2",), Severity.CRITICAL, "3m",
        expr=lambda at: unless_sessions_wait(at, few_left(at, at.threshold)),
        summary="{{ $value }} more connections until the limit of the {{ $labels.limit }} (threshold <threshold>)",
        impact="Schedulers, API servers and tasks that need a new connection fail.",
        knobs=(Knob("threshold", "count", 5, 1, 100_000, "Connections that must be free; one process may want 15."),),
        cases=lambda at: Cases(
            fires=(
                at.series(metrics.DB_CONNECTIONS_FREE, at.threshold - 1, limit="role"),
                at.series(metrics.DB_CONNECTIONS_FREE, at.threshold, limit="server"),
            ),
            quiet=(at.series(metrics.DB_CONNECTIONS_FREE, at.threshold, limit="server"),),
            value=at.threshold - 1,
            labels={"limit": "role"},
        ),
    ),
    Alert(
        "AirflowDatabaseConnectionsHigh", "database", ("D2",), Severity.WARNING, "5m",
        expr=_connections_used,
        summary="{{ $value | humanizePercentage }} of the {{ $labels.limit }}'s connections are in use (threshold <threshold>)",
        impact="A few more processes, and Airflow can open no connection.",
        knobs=(Knob("threshold", "ratio", "80%", "1%", "99%", "Share of the connections in use."),),
        cases=_high_cases,
    ),
    Alert(
        LOCK_WAIT, "database", ("D3", "D9"), Severity.CRITICAL, "1m",
        expr=lambda at: waits_for_a_lock(at, at.threshold),
        summary="A database session has waited {{ $value | humanizeDuration }} for a lock (threshold <threshold>)",
        impact="What waits stands still, and so does what queues up behind it: schedulers, the API, tasks that report.",
        knobs=(Knob("threshold", "duration", "2m", "1s", "1d", "How long a session may wait for a lock."),),
        cases=lambda at: Cases(
            fires=(at.aged(metrics.DB_LOCK_WAIT_OLDEST, at.threshold + at.horizon + 1),),
            quiet=(at.aged(metrics.DB_LOCK_WAIT_OLDEST, at.threshold),),
            value=at.threshold + at.horizon + 1,
        ),
    ),
    Alert(
        "AirflowDatabaseTransactionIdle", "database", ("D3", "D4"), Severity.WARNING, "1m",
        expr=_idle,
        summary="A session has sat in a transaction for {{ $value | humanizeDuration }} without working (threshold <threshold>)",
        impact="Whoever needs a row that it has changed waits, and vacuum may remove no dead row.",
        knobs=(Knob("threshold", "duration", "5m", "1s", "7d", "How old the transaction of an idle session may become."),),
        cases=lambda at: Cases(
            fires=(at.aged(metrics.DB_OLDEST_TRANSACTION, at.threshold + at.horizon + 1, state="idle in transaction"),),
            quiet=(
                at.aged(metrics.DB_OLDEST_TRANSACTION, at.threshold, state="idle in transaction"),
                at.aged(metrics.DB_OLDEST_TRANSACTION, at.threshold + at.horizon + 1, state="active"),
            ),
            value=at.threshold + at.horizon + 1,
            labels={"state": "idle in transaction"},
        ),
    ),
    Alert(
        "AirflowDatabaseTransactionLong", "database", ("D4",), Severity.WARNING, "5m",
        expr=_busy,
        summary="A database transaction has been at work for {{ $value | humanizeDuration }} (threshold <threshold>)",
        impact="Vacuum may remove no row that died since it began, so busy tables grow and become slow.",
        knobs=(Knob("threshold", "duration", "1h", "1s", "30d", "How old the transaction of a working session may become."),),
        cases=lambda at: Cases(
            fires=(at.aged(metrics.DB_OLDEST_TRANSACTION, at.threshold + at.horizon + 1, state="active"),),
            quiet=(at.aged(metrics.DB_OLDEST_TRANSACTION, at.threshold, state="active"),),
            value=at.threshold + at.horizon + 1,
            labels={"state": "active"},
        ),
    ),
    Alert(
        "AirflowDatabaseTableLocked", "database", ("D9",), Severity.WARNING, "15m",
        expr=_table_locked,
        summary="{{ $value }} locks that shut everybody out of a table of Airflow are {{ $labels.state }} all the time",
        impact="While such a lock is held nobody can even read the table; while one is awaited all who come later wait behind it.",
        cases=lambda at: Cases(
            fires=(at.series(metrics.DB_LOCKS, 1, mode="AccessExclusiveLock", state="awaited"),),
            quiet=(
                at.series(metrics.DB_LOCKS, 0, mode="AccessExclusiveLock", state="awaited"),
                at.series(metrics.DB_LOCKS, 9, mode="RowExclusiveLock", state="held"),
            ),
            value=1,
            labels={"state": "awaited"},
        ),
    ),
    Alert(
        "AirflowDatabaseDeadlocks", "database", ("S6",), Severity.WARNING, "0s",
        expr=_deadlocks,
        summary="{{ $value | humanize }} deadlocks in the metadata database of late (threshold <threshold> in <window>)",
        impact="Each ends a transaction: of a scheduler, an API server or a task, which may fail by it.",
        knobs=(
            Knob("threshold", "count", 5, 0, 1_000_000, "Deadlocks within the window that are no more than noise."),
            Knob("window", "duration", "1h", "1s", "7d", "Over which time they are counted."),
        ),
        cases=lambda at: Cases(
            fires=(at.series(metrics.DB_DEADLOCKS, 0, 2 * (at.threshold + 1) / at.window),),
            quiet=(at.series(metrics.DB_DEADLOCKS, 0, at.threshold * Decimal("0.9") / at.window),),
            value=2 * (at.threshold + 1),
        ),
    ),
    Alert(
        "AirflowTransactionIdsAging", "database", ("D5",), Severity.WARNING, "30m",
        expr=_aging,
        summary="The oldest unfrozen transaction is {{ $value | humanize }} transactions old (threshold <threshold>)",
        impact="None yet: autovacuum freezes rows more slowly than they age, and PostgreSQL takes no writes near 2.1 billion.",
        knobs=(Knob("threshold", "count", 500_000_000, 1, 2_100_000_000, "Transactions; autovacuum comes at 200 million."),),
        cases=_aging_cases,
    ),
    Alert(
        _RUNNING_OUT, "database", ("D5",), Severity.CRITICAL, "5m",
        expr=_running_out,
        summary="The oldest unfrozen transaction is {{ $value | humanize }} transactions old (threshold <threshold>)",
        impact="Near 2.1 billion PostgreSQL takes no more writes, and Airflow stands still until a long vacuum has ended.",
        knobs=(Knob("threshold", "count", 1_200_000_000, 1, 2_100_000_000, "Transactions; writes end near 2.1 billion."),),
        cases=_running_out_cases,
    ),
    Alert(
        "AirflowClockOff", "database", ("X2",), Severity.WARNING, "5m",
        expr=_clock_off,
        summary="The clock of {{ $labels.hostname }} is {{ $value | humanizeDuration }} off (threshold <threshold>)",
        impact="Tasks start, time out and are given up at wrong moments; with 10 s the tokens of Airflow 3 are refused.",
        knobs=(Knob("threshold", "duration", "2s", "100ms", "1h", "How far apart clocks may be."),),
        cases=lambda at: Cases(
            fires=(
                at.series(metrics.JOB_CLOCK_AHEAD, at.threshold, job_type="SchedulerJob", hostname="scheduler-0"),
                at.series(metrics.DB_CLOCK_OFFSET, -at.threshold - 1),
            ),
            quiet=(
                at.series(metrics.JOB_CLOCK_AHEAD, at.threshold, job_type="SchedulerJob", hostname="scheduler-0"),
                at.series(metrics.DB_CLOCK_OFFSET, -at.threshold),
            ),
            value=at.threshold + 1,
            labels={"hostname": _THE_DATABASE},
        ),
    ),
)  # fmt: skip
