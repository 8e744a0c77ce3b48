"""Alerts on triggerers, and on the deferred tasks that wait for them."""

from __future__ import annotations

from decimal import Decimal

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import NO_STATE
from airflow_obs.catalog.alerts.alert import Alert, Cases, Scope, Series
from airflow_obs.catalog.alerts.members import alive, missing, missing_cases
from airflow_obs.catalog.alerts.scheduler import while_scheduling
from airflow_obs.model import Knob, Severity
from airflow_obs.promql import TARGET, Expr, Match, Number, increase, lowest, max_by, quantile, sum_by

TRIGGERER_JOB = "TriggererJob"
_HOST = ("airflow", "hostname")
_POD = "triggerer-0"
_LOOKS = 48
"""How often the day before is looked at."""
_LASTS = 2
"""It ends half as long ago: so long may the alert last."""
_QUIET = Decimal("0.05")
"""The share of it that may have been quiet: an hour."""
_UNKNOWN = 4
"""Where nothing is known of the day before, silence must last so many times longer, and so many times more must wait."""


def _down(at: Scope) -> Expr:
    stranded = sum_by(max_by(at(metrics.TRIGGERS_STRANDED), "airflow", "reason"), "airflow")
    return (stranded > 0).on("airflow").and_(alive(at, TRIGGERER_JOB).equals(0))


def _missing(at: Scope) -> Expr:
    few = missing(at, TRIGGERER_JOB, "triggerer")
    return few.on("airflow").unless(_down(at)) if "triggers" in at.collectors else few


def _stranded(at: Scope) -> Expr:
    waiting = max_by(at.age(metrics.TRIGGERS_STRANDED_OLDEST), "airflow", "reason") > at.threshold
    return waiting.on("airflow").and_(alive(at, TRIGGERER_JOB) > 0)


def _ended(at: Scope, seconds: Decimal) -> Expr:
    return max_by(increase(at(metrics.TRIGGERS_ENDED), seconds), *_HOST)


def _silent(at: Scope, waiting: Number, seconds: Decimal) -> Expr:
    """So many triggers on a host where none ended in so many seconds, though tasks have waited all the time."""
    waited = max_by(at.age(metrics.TRIGGERS_OLDEST), *_HOST) > seconds
    silent = (_held(at) >= waiting).on(*_HOST).and_(waited).on(*_HOST).and_(_ended(at, seconds).equals(0))
    # A host, or an exporter, that is younger than that has not seen all of it.
    counts = at(metrics.TRIGGERS_ENDED)
    watched = counts.on("airflow", "hostname", *sorted(TARGET)).and_(counts.offset(seconds))
    return silent.on(*_HOST).and_(max_by(watched, *_HOST))


def _unusual(at: Scope) -> Expr:
    """The silent, where what usually ends on hosts where none does is missed; where nothing is known of a day before, the worst.

    That none ends is no failure where all wait for the same thing of the night: so it must not have been so at this time of the
    day before, nor for more than an hour of it. That day ends a while ago, so that the alert lasts until its own silence counts.
    """
    day, look = at.knobs["usual_window"], at.knobs["usual_window"] / _LOOKS
    ends, known = sum_by(_ended(at, at.window), "airflow"), at.window + day / _LASTS
    without = sum_by(_held(at).on(*_HOST).and_(_ended(at, at.window).equals(0)), "airflow")
    missed = quantile(_QUIET, ends, day, look, known) * (without / sum_by(_held(at), "airflow")) >= at.knobs["usual"]
    then = lowest(ends, 2 * look, look, day - look).equals(0)
    unusual = _silent(at, at.threshold, at.window).on("airflow").and_(missed).on("airflow").unless(then)
    before = max_by(at(metrics.TRIGGERS_ENDED).offset(known), "airflow")
    worst = _silent(at, at.threshold * _UNKNOWN, at.window * _UNKNOWN)
    return unusual.or_(worst.on("airflow").unless(before))


def _stalled(at: Scope) -> Expr:
    stalled = _unusual(at) if at.knobs["usual"] else _silent(at, at.threshold, at.window)
    return stalled.on("airflow").unless(max_by(at(metrics.TRIGGERS_STRANDED, reason="dead"), "airflow") > 0)


def _stalled_cases(at: Scope) -> Cases:
    """Twice as many end as usual, until they stop."""
    stops = int(at.knobs["usual_window"]) // at.step * at.step
    rate = 2 * max(at.knobs["usual"], Decimal(1)) / at.window
    silent = (
        at.series(metrics.TRIGGERS_ENDED, 0, rate, hostname=_POD).then(stops, rate * stops),
        at.aged(metrics.TRIGGERS_OLDEST, at.window + at.horizon, hostname=_POD),
    )
    return Cases(
        fires=(*silent, at.series(metrics.TRIGGERS, at.threshold, hostname=_POD)),
        quiet=(*silent, at.series(metrics.TRIGGERS, at.threshold - 1, hostname=_POD)),
        value=at.threshold,
        labels={"hostname": _POD},
    )


def _overdue(at: Scope) -> Expr:
    return while_scheduling(at, max_by(at(metrics.DEFERRED_OVERDUE), "airflow") > at.threshold)


def _too_long(at: Scope) -> Expr:
    return max_by(at.age(metrics.TRIGGERS_OLDEST), "airflow", "hostname") > at.threshold


def _lost(at: Scope) -> Expr:
    return max_by(at(metrics.DEFERRED_LOST), "airflow") > at.threshold


def _held(at: Scope) -> Expr:
    """How many triggers each triggerer has."""
    return max_by(at(metrics.TRIGGERS, hostname=Match("!=", NO_STATE)), *_HOST)


def _blocked(at: Scope) -> Expr:
    return max_by(at.happened(metrics.TRIGGERS_BLOCKED), "airflow") > at.threshold


def _job(at: Scope, alive: Number) -> Series:
    return at.series(metrics.JOBS_ALIVE, alive, job_type=TRIGGERER_JOB)


TRIGGERER = (
    Alert(
        "AirflowTriggererDown", "triggerer", ("R1",), Severity.CRITICAL, "5m",
        expr=_down,
        summary="No triggerer is alive, and {{ $value }} triggers wait for one",
        impact="Deferred tasks are not woken, deadlines tell nobody, and no event starts a DAG.",
        cases=lambda at: Cases(
            fires=(
                _job(at, 0),
                at.series(metrics.TRIGGERS_STRANDED, 3, reason="dead"),
                at.series(metrics.TRIGGERS_STRANDED, 2, reason="unassigned"),
            ),
            quiet=(
                _job(at, 0),
                at.series(metrics.TRIGGERS_STRANDED, 0, reason="dead"),
                at.series(metrics.TRIGGERS_STRANDED, 0, reason="unassigned"),
            ),
            value=5,
        ),
    ),
    Alert(
        "AirflowTriggererMissing", "triggerer", ("R1",), Severity.WARNING, "5m",
        expr=_missing,
        summary="{{ $value }} triggerers are alive, fewer than the policy expects (where it does not say: than there were)",
        impact="The others have to carry their triggers; with none, no deferred task is woken.",
        when=lambda at: at.replicas.get("triggerer") != 0,
        cases=lambda at: missing_cases(at, TRIGGERER_JOB, "triggerer"),
    ),
    Alert(
        "AirflowTriggersStranded", "triggerer", ("R3", "R1"), Severity.WARNING, "5m",
        expr=_stranded,
        summary="Nobody runs a trigger made {{ $value | humanizeDuration }} ago, though a triggerer lives (threshold <threshold>)",
        impact="The tasks that wait for it are woken late or never.",
        knobs=(Knob("threshold", "duration", "5m", "1s", "7d", "How long ago a trigger that nobody runs may have been made."),),
        cases=lambda at: Cases(
            fires=(
                at.aged(metrics.TRIGGERS_STRANDED_OLDEST, at.threshold + at.horizon + 1, reason="unassigned"), _job(at, 1),
            ),
            quiet=(
                at.aged(metrics.TRIGGERS_STRANDED_OLDEST, at.threshold, reason="unassigned"),
                at.aged(metrics.TRIGGERS_STRANDED_OLDEST, at.threshold, reason="dead"),
                _job(at, 1),
            ),
            value=at.threshold + at.horizon + 1,
            labels={"reason": "unassigned"},
        ),
    ),
    Alert(
        "AirflowTriggererStalled", "triggerer", ("R2", "R3"), Severity.CRITICAL, "5m",
        expr=_stalled,
        summary="{{ $value }} triggers wait on {{ $labels.hostname }} (threshold <threshold>), and none has ended for <window>",
        impact="The triggerer's heartbeat is fresh, but nothing fires: its deferred tasks hang, and their runs with them.",
        knobs=(
            Knob("threshold", "count", 20, 1, 100000, "How many triggers must wait on the host."),
            Knob("window", "duration", "30m", "1s", "1d", "For how long none of them has ended."),
            Knob("usual", "count", 3, 0, 100000, "How many usually end in that time, by the day before; 0: no matter."),
            Knob("usual_window", "duration", "1d", "1h", "7d", "That day; the longer, the surer is silence unusual."),
        ),
        cases=_stalled_cases,
    ),
    Alert(
        "AirflowDeferredTasksOverdue", "triggerer", ("R2",), Severity.WARNING, "5m",
        expr=_overdue,
        summary="No scheduler has failed {{ $value }} deferred tasks that are past their timeout (threshold <threshold>)",
        impact="These tasks hang, and with them their runs, until somebody ends them.",
        knobs=(Knob("threshold", "count", 0, 0, 100000, "How many deferred tasks may be overdue."),),
        cases=lambda at: Cases(
            fires=(at.series(metrics.DEFERRED_OVERDUE, at.threshold + 1),),
            quiet=(at.series(metrics.DEFERRED_OVERDUE, at.threshold),),
            value=at.threshold + 1,
        ),
    ),
    Alert(
        "AirflowDeferredTooLong", "triggerer", ("R2",), Severity.WARNING, "5m",
        expr=_too_long,
        summary="A task has been deferred for {{ $value | humanizeDuration }} on {{ $labels.hostname }} (threshold <threshold>)",
        impact="The task and its run wait for something that may never come, or for a trigger that hangs.",
        knobs=(Knob("threshold", "duration", "1d", "1s", "90d", "How long a task may be deferred."),),
        cases=lambda at: Cases(
            fires=(at.aged(metrics.TRIGGERS_OLDEST, at.threshold + at.horizon + 1, hostname="triggerer-0"),),
            quiet=(at.aged(metrics.TRIGGERS_OLDEST, at.threshold, hostname="triggerer-0"),),
            value=at.threshold + at.horizon + 1,
            labels={"hostname": "triggerer-0"},
        ),
    ),
    Alert(
        "AirflowDeferredTasksLost", "triggerer", ("R2",), Severity.WARNING, "10m",
        expr=_lost,
        summary="{{ $value }} deferred tasks have no trigger (threshold <threshold>)",
        impact="Nothing will ever wake these tasks: their runs do not end.",
        knobs=(Knob("threshold", "count", 0, 0, 100000, "How many deferred tasks may have no trigger."),),
        cases=lambda at: Cases(
            fires=(at.series(metrics.DEFERRED_LOST, at.threshold + 1),),
            quiet=(at.series(metrics.DEFERRED_LOST, at.threshold),),
            value=at.threshold + 1,
        ),
    ),
    Alert(
        "AirflowTriggererFull", "triggerer", ("R3",), Severity.WARNING, "5m",
        expr=lambda at: _held(at) >= at.threshold,
        summary="Triggerer {{ $labels.hostname }} has {{ $value }} triggers (threshold <threshold>), and takes no more",
        impact="New triggers wait until others have fired; deferred tasks are woken late.",
        knobs=(Knob("threshold", "count", 1000, 1, 100000, "How many it takes: [triggerer] capacity (2.x: default_capacity)."),),
        cases=lambda at: Cases(
            fires=(at.series(metrics.TRIGGERS, at.threshold, hostname="triggerer-0"),),
            quiet=(
                at.series(metrics.TRIGGERS, at.threshold - 1, hostname="triggerer-0"),
                at.series(metrics.TRIGGERS, at.threshold, hostname=NO_STATE),
            ),
            value=at.threshold,
            labels={"hostname": "triggerer-0"},
        ),
    ),
    Alert(
        "AirflowTriggererBlocked", "triggerer", ("R3", "R2"), Severity.WARNING, "0s",
        expr=_blocked,
        summary="A trigger held up all others {{ $value | humanize }} times (threshold <threshold> within <window>)",
        impact="Every trigger of that triggerer fires late.",
        knobs=(
            Knob("threshold", "count", 10, 0, 10000, "How often a trigger may hold up all others within the window."),
            Knob("window", "duration", "10m", "1s", "1d", "Over which time is counted."),
        ),
        cases=lambda at: Cases(
            fires=(at.series(metrics.TRIGGERS_BLOCKED, 0, (at.threshold + 1) / at.window),),
            quiet=(at.series(metrics.TRIGGERS_BLOCKED, at.threshold, max(at.threshold - 1, Decimal(0)) / at.window),),
            value=at.threshold + 1,
        ),
    ),
)  # fmt: skip
