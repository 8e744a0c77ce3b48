"""Alerts on the life of a task: it waits in queue, is given up, is owned by nobody, runs twice, or fails with many others."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import REQUEUED_EVENT
from airflow_obs.catalog.alerts.alert import Alert, Cases, Scope, Series
from airflow_obs.catalog.alerts.causes import unless_sessions_wait
from airflow_obs.catalog.alerts.celery import QUEUE, STALLED, UNSERVED, WORKER, stalled, unserved
from airflow_obs.catalog.alerts.scheduler import NOTHING, SCHEDULER_JOB, while_scheduling
from airflow_obs.model import Knob, Metric, Severity
from airflow_obs.promql import Expr, Match, Number, happened, increase, max_by, min_by, over_time, sum_by

_DAY = 86_400
_QUEUE = "default"
_GIVEN_UP, _NO_HEARTBEAT, _MISMATCH = "stuck in queued tries exceeded", "heartbeat timeout", "state mismatch"


def _waiting(at: Scope) -> Expr:
    return _unless_broker_down(at, while_scheduling(at, _long_in_queue(at), at.threshold / 2))


def _long_in_queue(at: Scope) -> Expr:
    """Queues whose oldest task waits longer than the threshold, but for ghosts, and but where another alert misses a worker."""
    wait = max_by(at.age(metrics.TASK_INSTANCES_OLDEST, state="queued"), *QUEUE) > at.threshold
    if "stuck_tasks" in at.collectors:
        ghosts = max_by(at(metrics.GHOSTS, state="queued"), "airflow")
        wait = wait.on("airflow").unless((ghosts > 0) >= _waiting_long(at))
    if "broker" not in at.collectors or not at.tells(UNSERVED):
        return wait
    return wait.on(*QUEUE).unless(unserved(at))


def _busy(at: Scope) -> Expr:
    """Queues whose workers are all busy, but for those in which tasks wait, and none has moved, for longer than tasks take."""
    size, active = (max_by(at(one), *WORKER) for one in (metrics.WORKER_POOL_SIZE, metrics.WORKER_ACTIVE))
    consumes = max_by(at(metrics.WORKER_SUBSCRIBED), *WORKER, "queue")
    free = sum_by(consumes.on(*WORKER).group_left().times(size - active), *QUEUE)
    before = max_by(at(metrics.TASK_INSTANCES, state="queued").offset(at.knobs["busy"]), *QUEUE) > 0
    return (free <= 0).on(*QUEUE).unless(before.on("airflow").unless(_moved(at, at.knobs["busy"])))


def _moved(at: Scope, within: Number) -> Expr:
    """Whether a task that runs has started within so many seconds, or one has succeeded, which may be too short to be seen."""
    started = min_by(at.age(metrics.TASK_INSTANCES_STARTED), "airflow") <= within
    if "outcomes" not in at.collectors:
        return started
    succeeded = happened(at(metrics.TASKS_FINISHED, state="success"), within, at(metrics.BUILD_INFO))
    return started.or_(max_by(succeeded, "airflow") > 0)


def _unless_broker_down(at: Scope, of: Expr) -> Expr:
    if "broker" not in at.sources or not at.tells("AirflowBrokerDown"):
        return of
    return of.on("airflow").unless(max_by(at(metrics.SOURCE_UP, source="broker"), "airflow").equals(0))


def _waiting_long(at: Scope) -> Expr:
    """How many tasks of all queues wait longer than the greatest bound of the distribution within the threshold."""
    every, soon = (max_by(at(metrics.TASK_QUEUE_WAIT, "_bucket", le=le), *QUEUE) for le in ("+Inf", _bound(at)))
    return sum_by(every - soon, "airflow")


def _bound(at: Scope) -> str:
    """As the exporter spells it: 1200.0."""
    return str(max(bound for bound in metrics.TASK_QUEUE_WAIT.buckets if bound <= at.threshold))


def _nothing_starts(at: Scope) -> Expr:
    """How many tasks wait, where one of them for too long, while none started and none succeeded.

    Beside those in a queue these are scheduled ones that nothing holds. Where workers are all busy, or tasks run of which the
    executor may be full, that is no fault before it has lasted for the knob `busy`.
    """
    every = at(metrics.TASK_INSTANCES, state=Match("=~", "queued|scheduled"))
    tasks = sum_by(max_by(every, "airflow", "state", "queue", "pool", "executor"), "airflow")
    queued = _long_in_queue(at)
    if "workers" in at.collectors:
        queued = queued.on(*QUEUE).unless(_busy(at))
    if "workers" in at.collectors and "broker" in at.collectors and at.tells(STALLED):
        queued = queued.on(*QUEUE).unless(stalled(at, at.threshold))
    long = max_by(queued, "airflow")
    if "starvation" in at.collectors:
        long = long.or_(_held_by_nothing(at))
    wait = tasks.on("airflow").and_(long).on("airflow").unless(_moved(at, at.threshold))
    wait = unless_sessions_wait(at, _unless_broker_down(at, wait))
    if "jobs" not in at.collectors:
        return wait
    # A scheduler that is back looks after what it left, which takes some minutes.
    alive = over_time("min", at(metrics.JOBS_ALIVE, job_type=SCHEDULER_JOB), at.threshold)
    return wait.on("airflow").unless(max_by(alive, "airflow").equals(0))


def _held_by_nothing(at: Scope) -> Expr:
    """Whether scheduled tasks wait that nothing holds, while nothing runs, or none has moved for longer than tasks take."""
    nothing, busy = at(metrics.SCHEDULED, held_by=NOTHING), at.knobs["busy"]
    free, for_long = (min_by(over_time("min", nothing, within), "airflow") > 0 for within in (at.threshold, busy))
    # The least of an hour is that of a minute where the exporter has just come.
    for_long = for_long.on("airflow").and_(max_by(nothing.offset(busy), "airflow"))
    running = max_by(at(metrics.TASK_INSTANCES, state="running"), "airflow") > 0
    return free.on("airflow").unless(running.on("airflow").unless(for_long.on("airflow").unless(_moved(at, busy))))


def _nothing_starts_cases(at: Scope) -> Cases:
    def series(since: Number) -> tuple[Series, ...]:
        return (
            at.series(metrics.JOBS_ALIVE, 1, job_type=SCHEDULER_JOB),
            at.series(metrics.TASK_INSTANCES, 3, state="queued", queue=_QUEUE, pool="default_pool"),
            at.aged(metrics.TASK_INSTANCES_OLDEST, since, state="queued", queue=_QUEUE),
            at.series(metrics.TASK_INSTANCES, 1, state="running", queue=_QUEUE, pool="default_pool"),
            at.aged(metrics.TASK_INSTANCES_STARTED, _DAY + at.horizon),
        )

    return Cases(fires=series(at.threshold + at.horizon + 1), quiet=series(at.threshold), value=3)


def _wait_cases(at: Scope) -> Cases:
    alive = at.series(metrics.JOBS_ALIVE, 1, job_type=SCHEDULER_JOB)
    long = at.threshold + at.horizon + 1
    return Cases(
        fires=(alive, at.aged(metrics.TASK_INSTANCES_OLDEST, long, state="queued", queue=_QUEUE)),
        quiet=(
            alive,
            at.aged(metrics.TASK_INSTANCES_OLDEST, at.threshold, state="queued", queue=_QUEUE),
            at.aged(metrics.TASK_INSTANCES_OLDEST, long, state="running", queue=_QUEUE),
        ),
        value=long,
        labels={"queue": _QUEUE},
    )


def _running_out(at: Scope) -> Expr:
    tasks = max_by(at(metrics.TASKS_REQUEUED), "airflow") >= at.threshold
    last = max_by(at(metrics.TASK_REQUEUES_MAX), "airflow") >= at.knobs["requeues"]
    return _unless_broker_down(at, while_scheduling(at, tasks.on("airflow").and_(last)))


def _running_out_cases(at: Scope) -> Cases:
    many, most = at.series(metrics.TASKS_REQUEUED, at.threshold), at.knobs["requeues"]
    return Cases(
        fires=(many, at.series(metrics.TASK_REQUEUES_MAX, most)),
        quiet=(many, at.series(metrics.TASK_REQUEUES_MAX, most - 1)),
        value=at.threshold,
    )


def _events(event: str) -> Callable[[Scope], Expr]:
    """Events of the audit log within the window; each counter begins at 0, so that its rise is all that happened."""

    def expr(at: Scope) -> Expr:
        return max_by(increase(at(metrics.TASK_EVENTS, event=event), at.window), "airflow") >= at.threshold

    return expr


def _events_cases(event: str) -> Callable[[Scope], Cases]:
    def cases(at: Scope) -> Cases:
        return Cases(
            fires=(at.series(metrics.TASK_EVENTS, 0, (at.threshold + 1) / at.window, event=event),),
            quiet=(
                at.series(metrics.TASK_EVENTS, 0, (at.threshold - 1) / at.window, event=event),
                at.series(metrics.TASK_EVENTS, 0, (at.threshold + 1) / at.window, event=REQUEUED_EVENT),
            ),
            value=at.threshold + 1,
        )

    return cases


def _event_knobs(threshold: int, window: str, what: str) -> tuple[Knob, ...]:
    return (
        Knob("threshold", "count", threshold, 1, 100000, f"How many {what} are too many."),
        Knob("window", "duration", window, "1s", "1d", "Within which time they are counted."),
    )


def _left_behind(count: Metric) -> Callable[[Scope], Expr]:
    def expr(at: Scope) -> Expr:
        return while_scheduling(at, sum_by(max_by(at(count), "airflow", "state"), "airflow") > at.threshold)

    return expr


def _left_behind_cases(count: Metric) -> Callable[[Scope], Cases]:
    def cases(at: Scope) -> Cases:
        queued = at.series(count, at.threshold, state="queued")
        return Cases(
            fires=(queued, at.series(count, 2, state="running")),
            quiet=(queued, at.series(count, 0, state="running")),
            value=at.threshold + 2,
        )

    return cases


def _failed_share(at: Scope) -> Expr:
    failed, ended = (
        sum_by(max_by(increase(at(metrics.TASKS_FINISHED, state=states), at.window), "airflow", "state", "queue"), "airflow")
        for states in ("failed", Match("=~", "failed|success"))
    )  # fmt: skip
    return ((failed / ended) > at.threshold).on("airflow").and_(failed >= at.knobs["minimum"])


def _failed_share_cases(at: Scope) -> Cases:
    def series(share: Decimal, failed: Number) -> tuple[Series, ...]:
        rises = (("failed", failed / at.window), ("success", failed / share * (1 - share) / at.window))
        return tuple(at.series(metrics.TASKS_FINISHED, 0, rise, state=state, queue=_QUEUE) for state, rise in rises)

    above = (1 + at.threshold) / 2
    enough = at.knobs["minimum"] * 2
    return Cases(fires=series(above, enough), quiet=series(at.threshold * Decimal("0.99"), enough), value=above)


def _redelivery(at: Scope) -> Expr:
    held = max_by(at.age(metrics.BROKER_UNACKED_OLDEST), "airflow")
    return (held / min_by(at(metrics.BROKER_VISIBILITY_TIMEOUT), "airflow")) > at.threshold


def _redelivery_cases(at: Scope) -> Cases:
    timeout = at.series(metrics.BROKER_VISIBILITY_TIMEOUT, _DAY + at.horizon * 1000)
    day = _DAY + at.horizon * 1000
    near = (1 + at.threshold) / 2
    return Cases(
        fires=(timeout, at.aged(metrics.BROKER_UNACKED_OLDEST, near * day)),
        quiet=(timeout, at.aged(metrics.BROKER_UNACKED_OLDEST, at.threshold * day)),
        value=near,
    )


TASKS = (
    Alert(
        "AirflowTasksQueuedLong", "tasks", ("T1",), Severity.WARNING, "1m",
        expr=_waiting,
        summary="A task has waited {{ $value | humanizeDuration }} in queue {{ $labels.queue }} (threshold <threshold>)",
        impact="Tasks start late; after 10 minutes Airflow takes them for stuck, and fails them (2.10+: queues them again, twice).",
        # Below Airflow's task_queued_timeout of 10 minutes, after which the wait begins anew and never gets much longer.
        knobs=(Knob("threshold", "duration", "8m", "1s", "7d", "How long a task may be queued."),),
        cases=_wait_cases,
    ),
    Alert(
        "AirflowNoTaskStarts", "tasks", ("T1",), Severity.CRITICAL, "4m",
        expr=_nothing_starts,
        summary="{{ $value }} tasks wait, and for <threshold> none has started, though a scheduler is alive",
        impact="Nothing runs that should; Airflow fails tasks that were queued for 10 minutes (2.10+: three times that).",
        # With the time that it must hold for below Airflow's task_queued_timeout of 10 minutes, after which nothing waits any more.
        knobs=(
            Knob("threshold", "duration", "5m", "1s", "1d", "How long nothing starts while tasks wait."),
            Knob("busy", "duration", "1h", "1s", "7d", "The same where all workers are busy, or other tasks run."),
        ),
        cases=_nothing_starts_cases,
    ),
    Alert(
        "AirflowTaskRequeuesRunningOut", "tasks", ("T2", "T1"), Severity.WARNING, "2m",
        expr=_running_out,
        summary="{{ $value }} stuck tasks were queued anew (threshold <threshold>); those queued anew <requeues> times fail next",
        impact="In about 10 minutes Airflow fails tasks that never ran, and their runs with them.",
        knobs=(
            Knob("threshold", "count", 10, 1, 200, "How many requeued tasks are too many (200 are counted at most)."),
            Knob("requeues", "count", 2, 1, 100, "Requeues that Airflow allows: [scheduler] num_stuck_in_queued_retries."),
        ),
        cases=_running_out_cases,
    ),
    Alert(
        "AirflowTaskRequeuesExhausted", "tasks", ("T2",), Severity.WARNING, "0s",
        expr=_events(_GIVEN_UP),
        summary="{{ $value | humanize }} tasks that nobody took were given up within <window> (threshold <threshold>)",
        impact="These tasks failed without having run, and nobody tries them again.",
        knobs=_event_knobs(1, "15m", "tasks that were given up"),
        cases=_events_cases(_GIVEN_UP),
    ),
    Alert(
        "AirflowGhostTasks", "tasks", ("T3",), Severity.WARNING, "15m",
        expr=_left_behind(metrics.GHOSTS),
        summary="{{ $value }} unfinished tasks belong to runs that are finished (threshold <threshold>)",
        impact="Nobody will move these tasks; they hold slots of pools and make figures of waiting tasks useless.",
        knobs=(Knob("threshold", "count", 0, 0, 100000, "How many ghosts are put up with."),),
        cases=_left_behind_cases(metrics.GHOSTS),
    ),
    Alert(
        "AirflowOrphanedTasks", "tasks", ("T3",), Severity.WARNING, "15m",
        expr=_left_behind(metrics.ORPHANS),
        summary="{{ $value }} queued or running tasks belong to a scheduler that is gone (threshold <threshold>)",
        impact="No scheduler watches these tasks: if they are lost, nobody notices and nobody tries again.",
        knobs=(Knob("threshold", "count", 0, 0, 100000, "How many orphans are put up with."),),
        cases=_left_behind_cases(metrics.ORPHANS),
    ),
    Alert(
        "AirflowTaskHeartbeatsOverdue", "tasks", ("T4",), Severity.WARNING, "2m",
        expr=lambda at: max_by(at(metrics.HEARTBEATS_OVERDUE), "airflow") >= at.threshold,
        summary="{{ $value }} running tasks send no heartbeats (threshold <threshold>)",
        impact="Within minutes Airflow fails these tasks, whether they still run or not.",
        knobs=(Knob("threshold", "count", 5, 1, 100000, "How many running tasks without a fresh heartbeat are too many."),),
        cases=lambda at: Cases(
            fires=(at.series(metrics.HEARTBEATS_OVERDUE, at.threshold),),
            quiet=(at.series(metrics.HEARTBEATS_OVERDUE, at.threshold - 1),),
            value=at.threshold,
        ),
    ),
    Alert(
        "AirflowTaskHeartbeatsLost", "tasks", ("T4",), Severity.WARNING, "0s",
        expr=_events(_NO_HEARTBEAT),
        summary="{{ $value | humanize }} tasks were failed within <window> for want of heartbeats (threshold <threshold>)",
        impact="Their tries are lost; what they began outside of Airflow may still run when they are tried again.",
        knobs=_event_knobs(5, "10m", "tasks that lost their heartbeat"),
        cases=_events_cases(_NO_HEARTBEAT),
    ),
    Alert(
        "AirflowExecutorStateMismatch", "tasks", ("T5",), Severity.WARNING, "0s",
        expr=_events(_MISMATCH),
        summary="{{ $value | humanize }} tasks ended within <window> before Airflow knew of it (threshold <threshold>)",
        impact="Tasks die before they begin, mostly without a log of their own.",
        knobs=_event_knobs(3, "15m", "such ends"),
        cases=_events_cases(_MISMATCH),
    ),
    Alert(
        "AirflowVisibilityTimeoutNear", "tasks", ("T7",), Severity.WARNING, "5m",
        expr=_redelivery,
        summary="A task has run for {{ $value | humanizePercentage }} of the broker's visibility timeout (threshold <threshold>)",
        impact="At 100% Redis hands the task to a second worker while the first still runs it.",
        executors=("Celery",),
        knobs=(Knob("threshold", "ratio", "80%", "1%", "99%", "Share of the visibility timeout that a message may be held."),),
        cases=_redelivery_cases,
    ),
    Alert(
        "AirflowTaskFailureWave", "tasks", ("T8", "T9"), Severity.WARNING, "1m",
        expr=_failed_share,
        summary="{{ $value | humanizePercentage }} of the tasks that ended within <window> failed (threshold <threshold>)",
        impact="Many tasks fail together, which is rarely the fault of each: their runs are incomplete.",
        knobs=(
            Knob("threshold", "ratio", "20%", "0.1%", "99%", "Share of failed ones among those that succeeded or failed."),
            Knob("minimum", "count", 10, 1, 1000000, "How many failed ones it takes at least."),
            Knob("window", "duration", "15m", "1s", "1d", "Within which time they are counted."),
        ),
        cases=_failed_share_cases,
    ),
)  # fmt: skip
