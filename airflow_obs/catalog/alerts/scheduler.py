"""Alerts on the schedulers: whether they live, how fast they are, and what they leave undone."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from itertools import pairwise

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts.alert import Alert, Cases, Scope, Series
from airflow_obs.catalog.alerts.causes import unless_sessions_wait
from airflow_obs.model import Knob, Severity
from airflow_obs.promql import Expr, Number, histogram_quantile, max_by, over_time, rate

SCHEDULER_JOB = "SchedulerJob"
NOTHING = "nothing"
"""What neither a pause, a limit nor a pool holds back."""
_QUANTILE = Decimal("0.95")


def while_scheduling(at: Scope, of: Expr, within: Number = 0) -> Expr:
    """`of`, but nothing where no scheduler has been alive for `within` seconds: that is another alert's business.

    One that crashes again and again is alive now and then, so with `within` its consequences still show. Where nothing is known
    of schedulers, or nobody is told that they are gone, `of` holds as it is.
    """
    if "jobs" not in at.collectors or not at.tells("AirflowSchedulerDown"):
        return of
    alive = at(metrics.JOBS_ALIVE, job_type=SCHEDULER_JOB)
    return of.on("airflow").unless(max_by(over_time("max", alive, within) if within else alive, "airflow").equals(0))


def _none_alive(at: Scope) -> Expr:
    return max_by(at(metrics.JOBS_ALIVE, job_type=SCHEDULER_JOB), "airflow").equals(0)


def _missing(at: Scope) -> Expr:
    """Not where none is alive, which another alert says; one that crashes again and again is alive now and then."""
    alive = over_time("avg", at(metrics.JOBS_ALIVE, job_type=SCHEDULER_JOB), at.window)
    few = max_by(alive, "airflow") < _expected(at) - at.threshold
    return while_scheduling(at, few, at.window / 3)


def _overdue(at: Scope) -> Expr:
    left = max_by(at.age(metrics.NEXT_RUN_LEFT), "airflow") > at.threshold
    return unless_sessions_wait(at, while_scheduling(at, left, at.threshold / 2))


def _runs_wait(at: Scope) -> Expr:
    waiting = max_by(at.age(metrics.QUEUED_RUNS_OLDEST, held_by=NOTHING), "airflow") > at.threshold
    return while_scheduling(at, waiting, at.threshold / 2)


def _tasks_wait(at: Scope) -> Expr:
    waiting = max_by(at.age(metrics.SCHEDULED_OLDEST, held_by=NOTHING), "airflow") > at.threshold
    return while_scheduling(at, waiting, at.threshold / 2)


def _slow(at: Scope) -> Expr:
    buckets = max_by(rate(at(metrics.SCHEDULER_LOOP, "_bucket"), at.window), "airflow", "le")
    return histogram_quantile(_QUANTILE, buckets) > at.threshold


def _loops(at: Scope, lower: Number, upper: Number) -> Iterable[Series]:
    """One loop a second: a tenth of them take `lower` seconds at most, the others up to `upper`."""
    for bound in (*map(Decimal, map(str, metrics.SCHEDULER_LOOP.buckets)), None):
        share = Decimal(1) if bound is None or bound >= upper else Decimal("0.1") if bound >= lower else Decimal(0)
        le = "+Inf" if bound is None else str(float(bound))
        yield at.series(metrics.SCHEDULER_LOOP, 0, share, "_bucket", le=le)


def _slow_cases(at: Scope) -> Cases:
    """The first bucket in which the quantile is beyond the threshold, and the last one in which it is not."""
    bounds = [Decimal(0), *map(Decimal, map(str, metrics.SCHEDULER_LOOP.buckets))]
    share = (_QUANTILE - Decimal("0.1")) / Decimal("0.9")
    quantiles = [(lower, upper, lower + (upper - lower) * share) for lower, upper in pairwise(bounds)]
    beyond = next(one for one in quantiles if one[0] and one[2] > at.threshold)
    within = [one for one in quantiles if one[2] < at.threshold][-1]
    return Cases(tuple(_loops(at, *beyond[:2])), tuple(_loops(at, *within[:2])), value=beyond[2])


def _expected(at: Scope) -> int:
    return at.replicas.get("scheduler", 1)


SCHEDULER = (
    Alert(
        "AirflowSchedulerDown", "scheduler", ("S1",), Severity.CRITICAL, "3m",
        expr=_none_alive,
        summary="No scheduler is alive ({{ $value }} with a fresh heartbeat)",
        impact="No run is created and no task is queued; what runs goes on, unless it runs inside a scheduler (LocalExecutor).",
        when=lambda at: _expected(at) > 0,
        cases=lambda at: Cases(
            fires=(at.series(metrics.JOBS_ALIVE, 0, job_type=SCHEDULER_JOB),),
            quiet=(at.series(metrics.JOBS_ALIVE, 1, job_type=SCHEDULER_JOB),),
            value=0,
        ),
    ),
    Alert(
        "AirflowSchedulerMissing", "scheduler", ("S1", "S3"), Severity.WARNING, "1m",
        expr=_missing,
        summary="{{ $value | humanize }} schedulers were alive on average over <window> (threshold: <threshold> too few)",
        impact="The others carry the load, and the next failure stops scheduling; one that crashes all the time is missing, too.",
        when=lambda at: _expected(at) > 0,
        knobs=(
            Knob("threshold", "number", 0.5, 0.01, 0.99, "How many of the expected schedulers may be missing on average."),
            Knob("window", "duration", "15m", "1s", "1d", "Over which time that is averaged."),
        ),
        # A part of one that is alive stands for one that is alive now and then; where none is at all, another alert tells.
        cases=lambda at: Cases(
            fires=(at.series(metrics.JOBS_ALIVE, _expected(at) - (1 + at.threshold) / 2, job_type=SCHEDULER_JOB),),
            quiet=(at.series(metrics.JOBS_ALIVE, _expected(at) - at.threshold, job_type=SCHEDULER_JOB),),
            value=_expected(at) - (1 + at.threshold) / 2,
        ),
    ),
    Alert(
        "AirflowSchedulesOverdue", "scheduler", ("S2",), Severity.CRITICAL, "5m",
        expr=_overdue,
        summary="A DAG's run has been due for {{ $value | humanizeDuration }} (threshold <threshold>), though a scheduler is alive",
        impact="Scheduled runs come late or not at all.",
        knobs=(Knob("threshold", "duration", "10m", "1s", "7d", "For how long one and the same run may be due."),),
        cases=lambda at: Cases(
            fires=(
                at.aged(metrics.NEXT_RUN_LEFT, at.threshold + at.horizon + 1),
                at.series(metrics.JOBS_ALIVE, 1, job_type=SCHEDULER_JOB),
            ),
            quiet=(
                at.aged(metrics.NEXT_RUN_LEFT, at.threshold),
                at.series(metrics.JOBS_ALIVE, 1, job_type=SCHEDULER_JOB),
            ),
            value=at.threshold + at.horizon + 1,
        ),
    ),
    Alert(
        "AirflowDagRunsNotStarted", "scheduler", ("S2",), Severity.WARNING, "5m",
        expr=_runs_wait,
        summary="A dag run that nothing holds has been queued for {{ $value | humanizeDuration }} (threshold <threshold>)",
        impact="Runs exist but do not begin: their tasks wait for a scheduler that is behind.",
        knobs=(Knob("threshold", "duration", "10m", "1s", "7d", "How long a run that nothing holds may be queued."),),
        cases=lambda at: Cases(
            fires=(at.aged(metrics.QUEUED_RUNS_OLDEST, at.threshold + at.horizon + 1, held_by=NOTHING),),
            quiet=(
                at.aged(metrics.QUEUED_RUNS_OLDEST, at.threshold, held_by=NOTHING),
                at.aged(metrics.QUEUED_RUNS_OLDEST, at.threshold + at.horizon + 1, held_by="max_active_runs"),
            ),
            value=at.threshold + at.horizon + 1,
        ),
    ),
    Alert(
        "AirflowTasksStarving", "scheduler", ("S5",), Severity.WARNING, "5m",
        expr=_tasks_wait,
        summary="A task that nothing holds has been scheduled for {{ $value | humanizeDuration }} (threshold <threshold>)",
        impact="Tasks that could run wait: other work holds the executor's slots or the scheduler's attention.",
        knobs=(Knob("threshold", "duration", "15m", "1s", "7d", "How long a task that nothing holds may be scheduled."),),
        cases=lambda at: Cases(
            fires=(at.aged(metrics.SCHEDULED_OLDEST, at.threshold + at.horizon + 1, held_by=NOTHING),),
            quiet=(
                at.aged(metrics.SCHEDULED_OLDEST, at.threshold, held_by=NOTHING),
                at.aged(metrics.SCHEDULED_OLDEST, at.threshold + at.horizon + 1, held_by="pool"),
            ),
            value=at.threshold + at.horizon + 1,
        ),
    ),
    Alert(
        "AirflowSchedulerLoopSlow", "scheduler", ("S4",), Severity.WARNING, "5m",
        expr=_slow,
        summary="95% of the schedulers' loops take up to {{ $value | humanizeDuration }} (threshold <threshold>)",
        impact="Runs and tasks start late, and at 30 seconds Airflow takes the scheduler for dead.",
        knobs=(
            Knob("threshold", "duration", "10s", "10ms", "55s", "How long all but the slowest twentieth of the loops may take."),
            Knob("window", "duration", "15m", "1s", "1d", "Over which time loops are looked at."),
        ),
        cases=_slow_cases,
    ),
)  # fmt: skip
