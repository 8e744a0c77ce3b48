"""Alerts on DAGs one by one, which go to the DAG's team, and on what starts them or is promised of them."""

from __future__ import annotations

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts.alert import Alert, Cases, Scope, Series
from airflow_obs.catalog.alerts.teams import DAG, DAG_ID, by_team, labels_of, one_dag
from airflow_obs.model import Knob, Metric, Severity
from airflow_obs.promql import Expr, Match, Number, increase, max_by, min_by, over_time, sum_by

WITHOUT_SUCCESS = "AirflowDagWithoutSuccess"
_FAR_LONGER = 3
"""How many times as long as the last one a run may take before it is in the way of others."""


def _paused(at: Scope) -> Expr:
    return max_by(at(metrics.DAG_PAUSED), *DAG).equals(1)


def _failed(at: Scope) -> Expr:
    """Where all exporters agree that the newest run failed."""
    return max_by(at(metrics.DAG_LAST_RUN_SUCCESS), *DAG).equals(0)


def _run_failed(at: Scope) -> Expr:
    """Until a worse alert says that the DAG has had no success for long."""
    ended = min_by(at.age(metrics.DAG_LAST_RUN_END), *DAG)
    failed = ended.on(*DAG).and_(_failed(at)).on(*DAG).unless(_paused(at))
    if (long := at.thresholds.get(WITHOUT_SUCCESS)) is not None:
        failed = failed.on(*DAG).unless(min_by(at.age(metrics.DAG_LAST_SUCCESS), *DAG) > long)
    return by_team(failed, at)


def _no_success(at: Scope) -> Expr:
    """With a success too far back to be found there is no moment; that it had failed that long ago is known still."""
    old = min_by(at.age(metrics.DAG_LAST_SUCCESS), *DAG) > at.threshold
    then = max_by(at(metrics.DAG_LAST_RUN_SUCCESS).offset(at.threshold), *DAG).equals(0)
    never = (then * 0 + at.threshold).on(*DAG).unless(max_by(at(metrics.DAG_LAST_SUCCESS), *DAG))
    return by_team(old.or_(never).on(*DAG).and_(_failed(at)).on(*DAG).unless(_paused(at)), at)


def _too_long(at: Scope) -> Expr:
    return by_team((_oldest_run(at) > at.threshold).on(*DAG).unless(_paused(at)), at)


def _wedged(at: Scope) -> Expr:
    """Where the oldest run takes longer than the threshold, and far longer than the last one that ended did."""
    queued = max_by(at(metrics.DAG_UNFINISHED_RUNS, state="queued"), *DAG) > 0
    usual = _oldest_run(at) <= max_by(at(metrics.DAG_LAST_RUN_DURATION), *DAG) * _FAR_LONGER
    long = (_oldest_run(at) > at.threshold).on(*DAG).unless(usual)
    return by_team(long.on(*DAG).and_(queued).on(*DAG).unless(_paused(at)), at)


def _oldest_run(at: Scope) -> Expr:
    return max_by(at.age(metrics.DAG_OLDEST_RUN), *DAG)


def _paused_after_failure(at: Scope) -> Expr:
    before = min_by(over_time("min", at(metrics.DAG_PAUSED), at.window), *DAG).equals(0)
    ended = min_by(at.age(metrics.DAG_LAST_RUN_END), *DAG)
    return by_team(ended.on(*DAG).and_(_failed(at)).on(*DAG).and_(_paused(at)).on(*DAG).and_(before), at)


def _assets(at: Scope) -> Expr:
    return max_by(at.age(metrics.ASSETS_QUEUED_OLDEST, dag_state="active"), "airflow") > at.threshold


def _rises(at: Scope, counter: Metric) -> Expr:
    """Of a counter that is there, at 0, before anything happens."""
    return max_by(increase(at(counter), at.window), "airflow") > at.threshold


def _callbacks(at: Scope) -> Expr:
    waiting = at(metrics.CALLBACKS_WAITING, state=Match("!=", "running"))
    return sum_by(max_by(waiting, "airflow", "runner", "state"), "airflow", "runner") > at.threshold


def _dag(at: Scope, *figures: Series, paused: int = 0) -> tuple[Series, ...]:
    """What there always is of a DAG, and these."""
    return (one_dag(at), at.series(metrics.DAG_PAUSED, paused, dag_id=DAG_ID), *figures)


def _ended(at: Scope, *, success: int) -> tuple[Series, ...]:
    """The DAG's newest run, which ended as long ago as the cases take."""
    return (
        at.series(metrics.DAG_LAST_RUN_SUCCESS, success, dag_id=DAG_ID),
        at.aged(metrics.DAG_LAST_RUN_END, at.horizon, dag_id=DAG_ID),
    )


def _running_for(at: Scope, seconds: Number) -> Series:
    return at.aged(metrics.DAG_OLDEST_RUN, seconds, dag_id=DAG_ID)


def _runs(at: Scope, count: Number, state: str) -> Series:
    return at.series(metrics.DAG_UNFINISHED_RUNS, count, dag_id=DAG_ID, state=state)


_COUNTED = (
    Knob("threshold", "count", 0, 0, 100000, "How many may be missed within the window."),
    Knob("window", "duration", "15m", "1s", "1d", "Over which time is counted."),
)


def _counted_cases(at: Scope, counter: Metric) -> Cases:
    return Cases(
        fires=(at.series(counter, 0, at.threshold + 1),),
        quiet=(at.series(counter, at.threshold + 1),),
        value=(at.threshold + 1) * at.window,
    )


DAGS = (
    Alert(
        "AirflowDagRunFailed", "dags", (), Severity.INFO, "1m",
        expr=_run_failed,
        summary="The newest run of {{ $labels.dag_id }}, which ended {{ $value | humanizeDuration }} ago, failed",
        impact="What this run should have made is missing.",
        per_dag=True,
        cases=lambda at: Cases(
            fires=_dag(at, *_ended(at, success=0)),
            quiet=_dag(at, *_ended(at, success=1)),
            value=at.horizon,
            labels=labels_of(at),
        ),
    ),
    Alert(
        WITHOUT_SUCCESS, "dags", (), Severity.WARNING, "5m",
        expr=_no_success,
        summary="{{ $labels.dag_id }} fails and had no success for {{ $value | humanizeDuration }} (threshold <threshold>)",
        impact="What the DAG makes is out of date.",
        knobs=(Knob("threshold", "duration", "1d", "1s", "90d", "How long a DAG that fails may be without success."),),
        per_dag=True,
        cases=lambda at: Cases(
            fires=_dag(
                at, *_ended(at, success=0),
                at.aged(metrics.DAG_LAST_SUCCESS, at.threshold + at.horizon + 1, dag_id=DAG_ID),
            ),
            quiet=_dag(at, *_ended(at, success=0), at.aged(metrics.DAG_LAST_SUCCESS, at.threshold, dag_id=DAG_ID)),
            value=at.threshold + at.horizon + 1,
            labels=labels_of(at),
        ),
    ),
    Alert(
        "AirflowDagRunTooLong", "dags", ("X4",), Severity.WARNING, "5m",
        expr=_too_long,
        summary="A run of {{ $labels.dag_id }} has been running for {{ $value | humanizeDuration }} (threshold <threshold>)",
        impact="What this run should make is late, and it may hold back the DAG's next runs.",
        knobs=(Knob("threshold", "duration", "12h", "1s", "90d", "How long a run may go on."),),
        per_dag=True,
        cases=lambda at: Cases(
            fires=_dag(at, _running_for(at, at.threshold + at.horizon + 1)),
            quiet=_dag(at, _running_for(at, at.threshold)),
            value=at.threshold + at.horizon + 1,
            labels=labels_of(at),
        ),
    ),
    Alert(
        "AirflowDagWedged", "dags", ("P3",), Severity.WARNING, "10m",
        expr=_wedged,
        summary="Runs of {{ $labels.dag_id }} wait behind one of {{ $value | humanizeDuration }} (threshold <threshold>)",
        impact="No new run of the DAG starts until one of those that run has ended.",
        knobs=(Knob("threshold", "duration", "1h", "1s", "90d", "How long a run may go on while others wait."),),
        per_dag=True,
        cases=lambda at: Cases(
            fires=_dag(at, _running_for(at, at.threshold + at.horizon + 1), _runs(at, 1, "queued")),
            quiet=_dag(at, _running_for(at, at.threshold + at.horizon + 1), _runs(at, 0, "queued")),
            value=at.threshold + at.horizon + 1,
            labels=labels_of(at),
        ),
    ),
    Alert(
        "AirflowDagPausedAfterFailure", "dags", (), Severity.WARNING, "1m",
        expr=_paused_after_failure,
        summary="{{ $labels.dag_id }} was paused within <window>, its newest run failed {{ $value | humanizeDuration }} ago",
        impact="No run of the DAG is created until somebody unpauses it.",
        knobs=(Knob("window", "duration", "1d", "1s", "30d", "How long ago a pause is still news."),),
        per_dag=True,
        cases=lambda at: Cases(
            fires=(
                *_ended(at, success=0), one_dag(at),
                at.series(metrics.DAG_PAUSED, 0, dag_id=DAG_ID).then(at.news, 1),
            ),
            quiet=_dag(at, *_ended(at, success=0), paused=1),
            value=at.horizon,
            labels=labels_of(at),
        ),
    ),
    Alert(
        "AirflowAssetUpdatesWaiting", "dags", ("X3",), Severity.WARNING, "10m",
        expr=_assets,
        summary="An asset's update has waited {{ $value | humanizeDuration }} to start a DAG (threshold <threshold>)",
        impact="The DAG that waits for it does not run, and nothing says that it is late.",
        knobs=(Knob("threshold", "duration", "8d", "1s", "90d", "How long an update may wait for others, such as a weekly one."),),
        cases=lambda at: Cases(
            fires=(at.aged(metrics.ASSETS_QUEUED_OLDEST, at.threshold + at.horizon + 1, dag_state="active"),),
            quiet=(
                at.aged(metrics.ASSETS_QUEUED_OLDEST, at.threshold, dag_state="active"),
                at.aged(metrics.ASSETS_QUEUED_OLDEST, at.threshold + at.horizon + 1, dag_state="paused"),
            ),
            value=at.threshold + at.horizon + 1,
        ),
    ),
    Alert(
        "AirflowSlaMissed", "dags", ("X4",), Severity.WARNING, "0s",
        expr=lambda at: _rises(at, metrics.SLA_MISSES),
        summary="{{ $value | humanize }} tasks missed their SLA (threshold <threshold> within <window>)",
        impact="What these tasks make is later than was promised.",
        knobs=_COUNTED,
        cases=lambda at: _counted_cases(at, metrics.SLA_MISSES),
    ),
    Alert(
        "AirflowDeadlinesMissed", "dags", ("X4",), Severity.WARNING, "0s",
        expr=lambda at: _rises(at, metrics.DEADLINES_MISSED),
        summary="{{ $value | humanize }} dag runs missed a deadline (threshold <threshold> within <window>)",
        impact="What these runs make is later than was promised.",
        knobs=_COUNTED,
        cases=lambda at: _counted_cases(at, metrics.DEADLINES_MISSED),
    ),
    Alert(
        "AirflowCallbacksWaiting", "dags", ("X4",), Severity.WARNING, "15m",
        expr=_callbacks,
        summary="{{ $value }} callbacks wait for the {{ $labels.runner }} (threshold <threshold>)",
        impact="Whoever these callbacks should tell of a failure or a missed deadline hears nothing.",
        knobs=(Knob("threshold", "count", 0, 0, 100000, "How many callbacks may wait all the time."),),
        cases=lambda at: Cases(
            fires=(
                at.series(metrics.CALLBACKS_WAITING, at.threshold, runner="triggerer", state="queued"),
                at.series(metrics.CALLBACKS_WAITING, 1, runner="triggerer", state="pending"),
            ),
            quiet=(
                at.series(metrics.CALLBACKS_WAITING, at.threshold, runner="triggerer", state="queued"),
                at.series(metrics.CALLBACKS_WAITING, 1, runner="triggerer", state="running"),
                at.series(metrics.CALLBACKS_WAITING, 0, runner="dag_processor", state="none"),
            ),
            value=at.threshold + 1,
            labels={"runner": "triggerer"},
        ),
    ),
)  # fmt: skip
