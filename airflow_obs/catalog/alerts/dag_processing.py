"""Alerts on the dag processor, and on the files and bundles that it reads."""

from __future__ import annotations

from decimal import Decimal

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts.alert import Alert, Cases, Scope
from airflow_obs.catalog.alerts.members import gone, missing, missing_cases
from airflow_obs.model import Knob, Metric, Severity
from airflow_obs.promql import Expr, Match, max_by, min_by, quantile, sum_by

DAG_PROCESSOR_JOB = "DagProcessorJob"
_THERE = Match("!=", "stale")
_BUNDLE = ("airflow", "bundle")
_DAY = Decimal(86_400)
_LOOKS = 288
"""How often a day of the past is looked at."""
_USUALLY, _MARGIN = Decimal("0.95"), Decimal("1.5")
"""The age that is seldom exceeded, and how much beyond it is no longer usual."""


def _slow(at: Scope) -> Expr:
    return max_by(at(metrics.PARSE_DURATION), "airflow", "dag_file") > at.threshold


def _overlong(at: Scope, age: Expr, *by: str) -> Expr:
    """Ages above the threshold, unless they usually grow as old: how often Airflow parses and refreshes is the site's choice.

    The day that is compared with ended half a day ago, so long before the alert would take what it tells for usual.
    """
    usual = quantile(_USUALLY, age, _DAY, _DAY / _LOOKS, _DAY / 2)
    return (age > at.threshold).on(*by).unless(age <= usual * _MARGIN)


def _parsed(at: Scope, moment: Metric) -> Expr:
    """Of two exporters, what the one that looked last says."""
    return _overlong(at, min_by(at.age(moment), "airflow"), "airflow")


def _stalled(at: Scope) -> Expr:
    stalled = _parsed(at, metrics.NEWEST_PARSE)
    if "jobs" not in at.collectors or at.replicas.get("dag_processor") == 0:
        return stalled
    return stalled.on("airflow").unless(gone(at, DAG_PROCESSOR_JOB, "dag_processor"))


def _behind(at: Scope) -> Expr:
    fresh = min_by(at.age(metrics.NEWEST_PARSE), "airflow") <= at.threshold
    return _parsed(at, metrics.OLDEST_PARSE).on("airflow").and_(fresh)


def _vanished(at: Scope) -> Expr:
    there = at(metrics.DAGS, state=_THERE)
    now = sum_by(max_by(there, "airflow", "state"), "airflow")
    before = sum_by(max_by(there.offset(at.window), "airflow", "state"), "airflow")
    gone = before - now
    return (gone / before > at.threshold).on("airflow").and_(gone >= at.knobs["fewest"])


def _not_refreshed(at: Scope) -> Expr:
    active = max_by(at(metrics.BUNDLE_ACTIVE), *_BUNDLE).equals(1)
    late = _overlong(at, min_by(at.age(metrics.BUNDLE_REFRESHED), *_BUNDLE), *_BUNDLE).on(*_BUNDLE).and_(active)
    # One that never was has no moment; all that is known is that it was there so long ago.
    then = max_by(at(metrics.BUNDLE_ACTIVE).offset(at.threshold), *_BUNDLE).equals(1)
    never = (then * at.threshold).on(*_BUNDLE).and_(active)
    stale = late.or_(never.on(*_BUNDLE).unless(max_by(at(metrics.BUNDLE_REFRESHED), *_BUNDLE)))
    if "dag_processing" not in at.collectors:
        return stale
    # Who parses nothing refreshes nothing.
    return stale.on("airflow").unless(_parsed(at, metrics.NEWEST_PARSE))


def _versions(at: Scope) -> Expr:
    return max_by(at(metrics.DAG_VERSIONS_MAX), "airflow") > at.threshold


def _vanished_cases(at: Scope) -> Cases:
    """A hundred times as many DAGs as must be gone at least, since a share of few cannot be near any threshold."""
    many = 100 * at.knobs["fewest"]
    paused = at.series(metrics.DAGS, 0, state="paused")
    return Cases(
        fires=(at.series(metrics.DAGS, many, state="active").then(at.news, 0), paused),
        quiet=(
            at.series(metrics.DAGS, many, state="active").then(at.news, 0),
            paused.then(at.news, many * (1 - at.threshold)),
        ),
        value=1,
    )


DAG_PROCESSING = (
    Alert(
        "AirflowDagImportErrors", "dag_processing", ("G1",), Severity.WARNING, "5m",
        expr=lambda at: max_by(at(metrics.IMPORT_ERRORS), "airflow") > at.threshold,
        summary="{{ $value }} DAG files fail to import (threshold <threshold>)",
        impact="DAGs of these files are not updated, go stale, and get no new runs.",
        knobs=(Knob("threshold", "count", 0, 0, 10000, "How many files may fail."),),
        cases=lambda at: Cases(
            fires=(at.series(metrics.IMPORT_ERRORS, at.threshold + 1),),
            quiet=(at.series(metrics.IMPORT_ERRORS, at.threshold),),
            value=at.threshold + 1,
        ),
    ),
    Alert(
        "AirflowDagFileSlow", "dag_processing", ("G2",), Severity.WARNING, "10m",
        expr=_slow,
        summary="{{ $labels.dag_file }} takes {{ $value | humanizeDuration }} to parse (threshold <threshold>)",
        impact="Changes to all DAGs arrive late; above dag_file_processor_timeout the file's own DAGs go stale.",
        knobs=(Knob("threshold", "duration", "40s", "10ms", "1h", "How long one file may take."),),
        cases=lambda at: Cases(
            fires=(at.series(metrics.PARSE_DURATION, at.threshold + 1, dag_file="sales/orders.py"),),
            quiet=(at.series(metrics.PARSE_DURATION, at.threshold, dag_file="sales/orders.py"),),
            value=at.threshold + 1,
            labels={"dag_file": "sales/orders.py"},
        ),
    ),
    Alert(
        "AirflowDagProcessorMissing", "dag_processing", ("G3",), Severity.WARNING, "5m",
        expr=lambda at: missing(at, DAG_PROCESSOR_JOB, "dag_processor"),
        summary="{{ $value }} dag processors are alive, fewer than the policy expects (where it does not say: than there were)",
        impact="With none, no change to a DAG arrives; with fewer, changes take longer.",
        when=lambda at: at.replicas.get("dag_processor") != 0,
        cases=lambda at: missing_cases(at, DAG_PROCESSOR_JOB, "dag_processor"),
    ),
    Alert(
        "AirflowDagProcessorStalled", "dag_processing", ("G3",), Severity.WARNING, "2m",
        expr=_stalled,
        summary="No DAG has been parsed for {{ $value | humanizeDuration }} (threshold <threshold>)",
        impact="No change to a DAG arrives; runs of the DAGs as they were go on.",
        knobs=(Knob("threshold", "duration", "10m", "1s", "7d", "How long ago the newest parse of any DAG may be."),),
        cases=lambda at: Cases(
            fires=(at.aged(metrics.NEWEST_PARSE, at.threshold + at.horizon + 1),),
            quiet=(at.aged(metrics.NEWEST_PARSE, at.threshold),),
            value=at.threshold + at.horizon + 1,
        ),
    ),
    Alert(
        "AirflowDagParsingBehind", "dag_processing", ("G3", "G2"), Severity.WARNING, "10m",
        expr=_behind,
        summary="A DAG was last parsed {{ $value | humanizeDuration }} ago, though others are parsed (threshold <threshold>)",
        impact="Changes to some DAGs arrive late.",
        knobs=(Knob("threshold", "duration", "30m", "1s", "7d", "How long ago the oldest parse of a DAG may be."),),
        cases=lambda at: Cases(
            fires=(
                at.aged(metrics.OLDEST_PARSE, at.threshold + at.horizon + 1),
                at.series(metrics.NEWEST_PARSE, 0, slope=1),
            ),
            quiet=(at.aged(metrics.OLDEST_PARSE, at.threshold), at.series(metrics.NEWEST_PARSE, 0, slope=1)),
            value=at.threshold + at.horizon + 1,
        ),
    ),
    Alert(
        "AirflowDagsVanished", "dag_processing", ("G4",), Severity.CRITICAL, "2m",
        expr=_vanished,
        summary="{{ $value | humanizePercentage }} of the DAGs are gone (threshold <threshold> within <window>)",
        impact="No runs of the DAGs that are gone are created.",
        knobs=(
            Knob("threshold", "ratio", "20%", "1%", "99%", "Which share of the DAGs may go."),
            Knob("fewest", "count", 5, 1, 10000, "How many must be gone at least, so that one of few alarms nobody."),
            Knob("window", "duration", "1d", "1s", "7d", "With what time ago it is compared; so long does the alert last."),
        ),
        cases=_vanished_cases,
    ),
    Alert(
        "AirflowDagBundleStale", "dag_processing", ("G5",), Severity.WARNING, "5m",
        expr=_not_refreshed,
        summary="Bundle {{ $labels.bundle }} was not refreshed for {{ $value | humanizeDuration }} (threshold <threshold>)",
        impact="Every DAG of the bundle runs as it was: changes do not arrive, and nothing fails.",
        knobs=(Knob("threshold", "duration", "15m", "1s", "7d", "How long ago the newest refresh may be."),),
        cases=lambda at: Cases(
            fires=(
                at.aged(metrics.BUNDLE_REFRESHED, at.threshold + at.horizon + 1, bundle="dags"),
                at.series(metrics.BUNDLE_ACTIVE, 1, bundle="dags"),
            ),
            quiet=(
                at.aged(metrics.BUNDLE_REFRESHED, at.threshold, bundle="dags"),
                at.series(metrics.BUNDLE_ACTIVE, 1, bundle="dags"),
                at.aged(metrics.BUNDLE_REFRESHED, at.threshold + at.horizon + 1, bundle="given-up"),
                at.series(metrics.BUNDLE_ACTIVE, 0, bundle="given-up"),
            ),
            value=at.threshold + at.horizon + 1,
            labels={"bundle": "dags"},
        ),
    ),
    Alert(
        "AirflowDagVersionsMultiply", "dag_processing", ("G6",), Severity.INFO, "10m",
        expr=_versions,
        summary="{{ $value }} versions of one DAG were made in a day (threshold <threshold>)",
        impact="The database grows with every parse, and clean-up cannot keep up.",
        knobs=(Knob("threshold", "count", 20, 1, 50000, "How many versions of one DAG a day may bring."),),
        cases=lambda at: Cases(
            fires=(at.series(metrics.DAG_VERSIONS_MAX, at.threshold + 1),),
            quiet=(at.series(metrics.DAG_VERSIONS_MAX, at.threshold),),
            value=at.threshold + 1,
        ),
    ),
)  # fmt: skip
