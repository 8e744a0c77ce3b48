"""Alerts of the metadata database's tables: dead rows and what holds vacuum or purge back, growth, and clean-up."""

from __future__ import annotations

from decimal import Decimal

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts.alert import Alert, Cases, Scope, Series
from airflow_obs.model import Knob, Metric, Severity
from airflow_obs.promql import Expr, Match, count_by, max_by, min_by, over_time

_RESULTS = "celery_task(set)?meta"
"""Celery's results have an alert of their own: Airflow's clean-up is not what everybody removes them with."""
_OF_CATALOGUES = "catalog_slot"
"""A logical reader, as of change data capture, keeps no row of Airflow's tables."""
_NEVER = Decimal(10) ** 18
"""More dead rows than any table has: the threshold of a table for which autovacuum is off is +Inf."""


def _of_table(at: Scope, family: Metric) -> Expr:
    return max_by(at(family), "airflow", "table")


def _dead_rows(at: Scope) -> Expr:
    dead = _of_table(at, metrics.TABLE_DEAD_ROWS)
    share = dead / (dead + _of_table(at, metrics.TABLE_ROWS))
    return (share > at.threshold).on("airflow", "table").and_(dead > at.knobs["rows"])


def _autovacuum_off(at: Scope) -> Expr:
    off = _of_table(at, metrics.TABLE_VACUUM_THRESHOLD) > _NEVER
    return _of_table(at, metrics.TABLE_DEAD_ROWS).on("airflow", "table").and_(off)


def _overdue(at: Scope) -> Expr:
    due = max_by(at.age(metrics.CLEAN_UP_DUE, table=Match("!~", _RESULTS)), "airflow", "table")
    return count_by(due > at.threshold, "airflow") > 0


def _left_over(at: Scope) -> Expr:
    """Not held for so long: the clock of that starts anew with each restart of the exporter."""
    least = min_by(over_time("min", at(metrics.ARCHIVE_TABLES), at.window), "airflow") > at.threshold
    return least.on("airflow").and_(max_by(at(metrics.ARCHIVE_TABLES).offset(at.window), "airflow"))


def _away(at: Scope, tables: Decimal) -> Series:
    """So many copies, of which the exporter says nothing for a moment."""
    return at.series(metrics.ARCHIVE_TABLES, tables).then(at.horizon - at.step, None).then(at.horizon, tables)


TABLES = (
    Alert(
        "AirflowTableDeadRows", "tables", ("D4",), Severity.WARNING, "1h",
        expr=_dead_rows,
        summary="{{ $value | humanizePercentage }} of {{ $labels.table }} is dead rows (threshold <threshold>, and <rows> of them)",
        impact="Queries over the table read dead rows, too: the scheduler's loop and the pages of the UI become slow.",
        knobs=(
            Knob("threshold", "ratio", "20%", "1%", "99%", "Share of the table's rows that may be dead."),
            Knob("rows", "count", 100_000, 0, 1_000_000_000, "Dead rows below which the share does not matter."),
        ),
        cases=lambda at: Cases(
            fires=(
                at.series(metrics.TABLE_DEAD_ROWS, at.knobs["rows"] + 1, table="task_instance"),
                at.series(metrics.TABLE_ROWS, 0, table="task_instance"),
            ),
            quiet=(
                at.series(metrics.TABLE_DEAD_ROWS, at.knobs["rows"], table="task_instance"),
                at.series(metrics.TABLE_ROWS, 0, table="task_instance"),
                at.series(metrics.TABLE_DEAD_ROWS, (at.knobs["rows"] + 1) * 100 * at.threshold, table="log"),
                at.series(metrics.TABLE_ROWS, (at.knobs["rows"] + 1) * 100 * (1 - at.threshold), table="log"),
            ),
            value=1,
            labels={"table": "task_instance"},
        ),
    ),
    Alert(
        "AirflowAutovacuumOff", "tables", ("D4",), Severity.WARNING, "15m",
        expr=_autovacuum_off,
        summary="Autovacuum is off for the table {{ $labels.table }}, which has {{ $value | humanize }} dead rows",
        impact="Nothing removes the table's dead rows: it grows without bound, and every query over it becomes slower.",
        cases=lambda at: Cases(
            fires=(
                at.series(metrics.TABLE_VACUUM_THRESHOLD, _NEVER * 10, table="log"),
                at.series(metrics.TABLE_DEAD_ROWS, 4000, table="log"),
            ),
            quiet=(
                at.series(metrics.TABLE_VACUUM_THRESHOLD, 2000, table="log"),
                at.series(metrics.TABLE_DEAD_ROWS, 4000, table="log"),
            ),
            value=4000,
            labels={"table": "log"},
        ),
    ),
    Alert(
        "AirflowVacuumHeldBack", "tables", ("D4", "D5"), Severity.WARNING, "30m",
        expr=lambda at: max_by(at(metrics.DB_XMIN_AGE, holder=Match("!=", _OF_CATALOGUES)), "airflow", "holder") > at.threshold,
        summary="Vacuum is held back for {{ $value | humanize }} transactions by a {{ $labels.holder }} (threshold <threshold>)",
        impact="No row that died since can be removed from any table, so busy tables grow and become slow.",
        knobs=(Knob("threshold", "count", 1_000_000, 1, 2_000_000_000, "Transactions; a busy Airflow makes 100 in a second."),),
        cases=lambda at: Cases(
            fires=(at.series(metrics.DB_XMIN_AGE, at.threshold + 1, holder="slot"),),
            quiet=(
                at.series(metrics.DB_XMIN_AGE, at.threshold, holder="slot"),
                at.series(metrics.DB_XMIN_AGE, at.threshold * 10, holder=_OF_CATALOGUES),
            ),
            value=at.threshold + 1,
            labels={"holder": "slot"},
        ),
    ),
    Alert(
        "AirflowPurgeHeldBack", "tables", ("D4",), Severity.WARNING, "30m",
        expr=lambda at: max_by(at(metrics.DB_HISTORY), "airflow") > at.threshold,
        summary="InnoDB keeps older versions of rows for {{ $value | humanize }} transactions (threshold <threshold>)",
        impact="Every query over a busy table reads through them, so the scheduler becomes slow; the server's undo space grows.",
        knobs=(Knob("threshold", "count", 1_000_000, 1, 1_000_000_000, "Transactions; some thousands are usual."),),
        cases=lambda at: Cases(
            fires=(at.series(metrics.DB_HISTORY, at.threshold + 1),),
            quiet=(at.series(metrics.DB_HISTORY, at.threshold),),
            value=at.threshold + 1,
        ),
    ),
    Alert(
        "AirflowPreparedTransactionLeft", "tables", ("D4",), Severity.WARNING, "1m",
        expr=lambda at: max_by(at.age(metrics.DB_PREPARED_OLDEST), "airflow") > at.threshold,
        summary="A transaction was prepared {{ $value | humanizeDuration }} ago and never ended (threshold <threshold>)",
        impact="It keeps its locks and holds vacuum back, outlives a restart of the server, and no session shows it.",
        knobs=(Knob("threshold", "duration", "10m", "1s", "7d", "How old a prepared transaction may become; Airflow makes none."),),
        cases=lambda at: Cases(
            fires=(at.aged(metrics.DB_PREPARED_OLDEST, at.threshold + at.horizon + 1),),
            quiet=(at.aged(metrics.DB_PREPARED_OLDEST, at.threshold),),
            value=at.threshold + at.horizon + 1,
        ),
    ),
    Alert(
        "AirflowTableLarge", "tables", ("D6",), Severity.WARNING, "1h",
        expr=lambda at: _of_table(at, metrics.TABLE_SIZE) > at.threshold,
        summary="The table {{ $labels.table }} takes {{ $value | humanize1024 }}B with its indexes (threshold <threshold>)",
        impact="Queries, backups, upgrades and clean-up of the metadata database take longer and longer.",
        knobs=(Knob("threshold", "bytes", "50GiB", "1B", "100TiB", "Size of one table with its indexes."),),
        cases=lambda at: Cases(
            fires=(at.series(metrics.TABLE_SIZE, at.threshold * 2, table="xcom"),),
            quiet=(at.series(metrics.TABLE_SIZE, at.threshold, table="xcom"),),
            value=at.threshold * 2,
            labels={"table": "xcom"},
        ),
    ),
    Alert(
        "AirflowCleanUpOverdue", "tables", ("D7",), Severity.WARNING, "1h",
        expr=_overdue,
        summary="{{ $value }} tables have rows that should have been cleaned up more than <threshold> ago",
        impact="They grow: `airflow db clean` does not run, or fails, which it does without saying so.",
        when=lambda at: at.retention,
        knobs=(Knob("threshold", "duration", "2d", "1s", "365d", "How long a row may outlive the policy's retention."),),
        cases=lambda at: Cases(
            fires=(
                at.aged(metrics.CLEAN_UP_DUE, at.threshold + at.horizon + 1, table="log"),
                at.aged(metrics.CLEAN_UP_DUE, at.threshold + at.horizon + 1, table="xcom"),
                at.aged(metrics.CLEAN_UP_DUE, at.threshold, table="job"),
            ),
            quiet=(
                at.aged(metrics.CLEAN_UP_DUE, at.threshold, table="log"),
                at.aged(metrics.CLEAN_UP_DUE, at.threshold + at.horizon + 1, table="celery_taskmeta"),
            ),
            value=2,
        ),
    ),
    Alert(
        "AirflowCleanUpLeftovers", "tables", ("D7",), Severity.WARNING, "1h",
        expr=_left_over,
        summary="{{ $value }} copies that `airflow db clean` made of tables are there since <window> (threshold <threshold>)",
        impact="The rows were copied, not removed, or the clean-up failed half way: the database keeps growing.",
        knobs=(
            Knob("threshold", "count", 0, 0, 10_000, "Tables _airflow_deleted__… that may stay."),
            Knob("window", "duration", "2d", "1s", "30d", "For how long others may."),
        ),
        cases=lambda at: Cases(
            # The exporter was away for a moment, just before.
            fires=(_away(at, at.threshold + 1),),
            quiet=(at.series(metrics.ARCHIVE_TABLES, at.threshold).then(at.news, at.threshold + 1),),
            value=at.threshold + 1,
        ),
    ),
    Alert(
        "AirflowCleanUpBlind", "tables", ("D8",), Severity.WARNING, "1h",
        expr=lambda at: max_by(at(metrics.CLEAN_UP_UNDATED), "airflow", "table") > at.threshold,
        summary="{{ $value }} of the 1,000 oldest rows of {{ $labels.table }} can never be cleaned up (threshold <threshold>)",
        impact="They have no start_date, by which `airflow db clean` judges: they stay for ever, and pile up.",
        knobs=(Knob("threshold", "count", 50, 0, 999, "Such rows among the oldest 1,000 that may stay."),),
        cases=lambda at: Cases(
            fires=(at.series(metrics.CLEAN_UP_UNDATED, at.threshold + 1, table="dag_run"),),
            quiet=(at.series(metrics.CLEAN_UP_UNDATED, at.threshold, table="dag_run"),),
            value=at.threshold + 1,
            labels={"table": "dag_run"},
        ),
    ),
)  # fmt: skip
