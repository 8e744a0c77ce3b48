"""Alerts on what Kubernetes says of Airflow's replicas, jobs, volumes and autoscalers."""

from __future__ import annotations

from decimal import Decimal

from airflow_obs.catalog import foreign
from airflow_obs.catalog.alerts.alert import Alert, Cases, Scope, Series
from airflow_obs.catalog.alerts.kubernetes_pods import (
    named,
    of,
    series,
)
from airflow_obs.model import Knob, Severity
from airflow_obs.promql import (
    Expr,
    Match,
    Number,
    labelled,
    max_by,
    now,
    over_time,
    predict_linear,
)

_VOLUME = "persistentvolumeclaim"
_FULL = "AirflowVolumeFull"
_RESTART = 900
"""Seconds for which what kube-state-metrics said holds while it says nothing."""
MIGRATION = Match("=~", ".*migrat.*")
"""Both charts' jobs, <release>-run-airflow-migrations and <release>-db-migrations-…, and most that are made by hand."""


def _free(at: Scope) -> Expr:
    return max_by(of(at, foreign.VOLUME_FREE), _VOLUME) / max_by(of(at, foreign.VOLUME_SIZE), _VOLUME)


def _filling(at: Scope) -> Expr:
    soon = max_by(predict_linear(of(at, foreign.VOLUME_FREE), at.knobs["trend"], at.knobs["ahead"]), _VOLUME) < 0
    little = _free(at) < at.threshold
    full = min(at.threshold, at.thresholds.get(_FULL, Decimal(0)))
    return (little >= full).on(_VOLUME).and_(soon)


def _at_most(at: Scope) -> Expr:
    scaler = "horizontalpodautoscaler"
    matchers = named(at, scaler, "(keda-hpa-)?", "(-.*)?")
    replicas, most, least = (
        max_by(of(at, family, **matchers), scaler)
        for family in (foreign.AUTOSCALER_REPLICAS, foreign.AUTOSCALER_MAX, foreign.AUTOSCALER_MIN)
    )
    return (replicas >= most).on(scaler).and_(most > least)


def _unsuccessful(at: Scope) -> Expr:
    # What is held for hours must outlast a restart of kube-state-metrics.
    scheduled, succeeded = (
        max_by(over_time("last", of(at, family), _RESTART), "cronjob")
        for family in (foreign.CRON_JOB_SCHEDULED, foreign.CRON_JOB_SUCCEEDED)
    )
    return (now() - scheduled).on("cronjob").unless(succeeded >= scheduled)


def _migrating(at: Scope) -> Expr:
    started = max_by(of(at, foreign.JOB_STARTED, job_name=MIGRATION), "job_name")
    succeeded = max_by(of(at, foreign.JOB_SUCCEEDED, job_name=MIGRATION), "job_name") > 0
    return (now() - started > at.threshold).on("job_name").unless(succeeded)


def _missing(at: Scope) -> Expr:
    kinds = (
        ("deployment", foreign.DEPLOYMENT_REPLICAS, foreign.DEPLOYMENT_READY),
        ("statefulset", foreign.STATEFULSET_REPLICAS, foreign.STATEFULSET_READY),
    )
    made = []
    for kind, wanted, ready in kinds:
        matchers = named(at, kind, after="(-.*)?")
        short = max_by(of(at, wanted, **matchers), kind) - max_by(of(at, ready, **matchers), kind) > 0
        made.append(max_by(labelled(short, "workload", "$1", kind, "(.+)"), "workload"))
    return made[0].or_(made[1])


def _between(at: Scope) -> Decimal:
    """Bytes free of a volume that is fuller than it should be, and not yet full."""
    return (9 * at.threshold + min(at.threshold, at.thresholds.get(_FULL, Decimal(0)))) * 100_000


def _volume(at: Scope, free: Number, slope: Number) -> tuple[Series, ...]:
    """A volume of 1,000,000 bytes that ends with so many free, which grow by `slope` a second."""
    where = {_VOLUME: "logs-airflow-worker-0"}
    return (
        series(at, foreign.VOLUME_SIZE, 1_000_000, **where),
        series(at, foreign.VOLUME_FREE, free - slope * at.horizon, slope, **where),
    )


def _scaler(at: Scope, replicas: int) -> tuple[Series, ...]:
    """An autoscaler from 1 to 10."""
    where = {"horizontalpodautoscaler": f"keda-hpa-{at.release or 'airflow'}-worker"}
    return (
        series(at, foreign.AUTOSCALER_REPLICAS, replicas, **where),
        series(at, foreign.AUTOSCALER_MAX, 10, **where),
        series(at, foreign.AUTOSCALER_MIN, 1, **where),
    )


def _cron_job(at: Scope, succeeded: int) -> tuple[Series, ...]:
    """One whose newest run began at the start, and whose newest success was so much later; for a while nothing is said of it."""
    # Longer than the five minutes for which Prometheus itself looks back.
    gone = at.horizon // 2 // at.step * at.step
    back = gone + _RESTART // 2 // at.step * at.step + at.step
    return tuple(
        series(at, family, moment, cronjob="db-clean").then(gone, None).then(back, moment)
        for family, moment in ((foreign.CRON_JOB_SCHEDULED, 0), (foreign.CRON_JOB_SUCCEEDED, succeeded))
    )


def _migration(at: Scope, age: Number, succeeded: int, name: str = "") -> tuple[Series, ...]:
    where = {"job_name": f"airflow-run-airflow-migrations{name}"}
    return (
        series(at, foreign.JOB_STARTED, at.horizon - Decimal(age), **where),
        series(at, foreign.JOB_SUCCEEDED, succeeded, **where),
    )


def _workers(at: Scope, ready: int) -> tuple[Series, ...]:
    where = {"statefulset": f"{at.release or 'airflow'}-worker"}
    return (
        series(at, foreign.STATEFULSET_REPLICAS, 2, **where),
        series(at, foreign.STATEFULSET_READY, ready, **where),
    )


WORKLOADS = (
    Alert(
        _FULL, "workloads", ("L2",), Severity.CRITICAL, "10m",
        expr=lambda at: _free(at) < at.threshold,
        summary="{{ $labels.persistentvolumeclaim }} has {{ $value | humanizePercentage }} left (threshold <threshold>)",
        impact="Tasks fail as they write their logs, and a database or Redis on it stops.",
        knobs=(Knob("threshold", "ratio", "3%", "0%", "100%", "Share left below which a volume is as good as full."),),
        cases=lambda at: Cases(
            fires=_volume(at, at.threshold * 1_000_000 - 1, 0),
            quiet=_volume(at, at.threshold * 1_000_000, 0),
            value=at.threshold - Decimal("0.000001"),
            labels={_VOLUME: "logs-airflow-worker-0"},
        ),
    ),
    Alert(
        "AirflowVolumeFilling", "workloads", ("L2",), Severity.WARNING, "10m",
        expr=_filling,
        summary="{{ $labels.persistentvolumeclaim }} has {{ $value | humanizePercentage }} left (threshold <threshold>), and fills",
        impact="When it is full, tasks fail as they write their logs, and a database or Redis on it stops.",
        knobs=(
            Knob("threshold", "ratio", "15%", "0%", "100%", "Share left below which it matters whether it will be full soon."),
            Knob("trend", "duration", "6h", "1m", "7d", "By which time it is judged how it fills."),
            Knob("ahead", "duration", "4d", "1d", "60d", "What is soon."),
        ),
        cases=lambda at: Cases(
            fires=_volume(at, _between(at), -2 * _between(at) / at.knobs["ahead"]),
            quiet=_volume(at, at.threshold * 1_000_000 - 1, 0),
            value=_between(at) / 1_000_000,
            labels={_VOLUME: "logs-airflow-worker-0"},
        ),
    ),
    Alert(
        "AirflowAutoscalerAtMax", "workloads", ("T1",), Severity.INFO, "30m",
        expr=_at_most,
        summary="{{ $labels.horizontalpodautoscaler }} is at its maximum of {{ $value | humanize }} replicas",
        impact="More tasks than these can run wait in their queue.",
        cases=lambda at: Cases(
            fires=_scaler(at, 10),
            quiet=_scaler(at, 9),
            value=10,
            labels={"horizontalpodautoscaler": f"keda-hpa-{at.release or 'airflow'}-worker"},
        ),
    ),
    Alert(
        "AirflowCronJobFailing", "workloads", ("D7", "D8", "K5"), Severity.WARNING, "2h",
        expr=_unsuccessful,
        summary="{{ $labels.cronjob }} has not succeeded since its newest run began {{ $value | humanizeDuration }} ago",
        impact="What it cleans up or backs up is left as it is.",
        cases=lambda at: Cases(
            fires=_cron_job(at, succeeded=-1), quiet=_cron_job(at, succeeded=0), value=at.horizon, labels={"cronjob": "db-clean"}
        ),
    ),
    Alert(
        "AirflowMigrationStuck", "workloads", ("D9",), Severity.WARNING, "1m",
        expr=_migrating,
        summary="{{ $labels.job_name }} has not succeeded in {{ $value | humanizeDuration }} (threshold <threshold>)",
        impact="The new pods wait for it and do not start; the old ones may not fit the database any more.",
        knobs=(Knob("threshold", "duration", "15m", "1s", "7d", "How long a migration may take."),),
        cases=lambda at: Cases(
            fires=_migration(at, at.threshold + at.horizon + 1, 0),
            quiet=(*_migration(at, at.threshold + at.horizon + 1, 1), *_migration(at, at.threshold, 0, "2")),
            value=at.threshold + at.horizon + 1,
            labels={"job_name": "airflow-run-airflow-migrations"},
        ),
    ),
    Alert(
        "AirflowReplicasNotReady", "workloads", ("C3", "S1", "R1", "A2"), Severity.WARNING, "15m",
        expr=_missing,
        summary="{{ $labels.workload }} lacks {{ $value }} replicas",
        impact="Less of the component runs than was asked for, or none of it.",
        cases=lambda at: Cases(
            fires=_workers(at, ready=1), quiet=_workers(at, ready=2), value=1,
            labels={"workload": f"{at.release or 'airflow'}-worker"},
        ),
    ),
)  # fmt: skip
