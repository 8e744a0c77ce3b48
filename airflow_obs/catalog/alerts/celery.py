"""Alerts on Celery's queues and workers."""

from __future__ import annotations

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts.alert import Alert, Cases, Scope, Series
from airflow_obs.model import Knob, Severity
from airflow_obs.promql import Expr, Number, increase, max_by, min_by, over_time

EXECUTOR = ("Celery",)
QUEUE = ("airflow", "queue")
WORKER = ("airflow", "worker")
NAME = "celery@airflow-worker-0"
UNSERVED, STALLED = "AirflowQueueWithoutWorker", "AirflowQueueStalled"


def unserved(at: Scope) -> Expr:
    """Messages in a queue that nobody reads, where tasks of Airflow wait in it: other programs have queues, too."""
    waiting = max_by(at(metrics.BROKER_MESSAGES), *QUEUE) > 0
    if "task_instances" in at.collectors:
        tasks = max_by(at(metrics.CELERY_TASK_INSTANCES, state="queued"), *QUEUE)
        waiting = waiting.on(*QUEUE).and_(tasks > 0)
    consumers = max_by(at(metrics.BROKER_CONSUMERS), *QUEUE)
    if "workers" in at.collectors:
        workers = max_by(at(metrics.QUEUE_WORKERS), *QUEUE).equals(0).on(*QUEUE).unless(consumers > 0)
        return waiting.on(*QUEUE).and_(workers.or_(consumers.equals(0)))
    # Nobody may ask the workers. On Redis none of them waits for a message, and none holds one.
    redis = max_by(at(metrics.BROKER_INFO, kind="redis"), "airflow")
    waits = max_by(at(metrics.BROKER_BLOCKED_CLIENTS), "airflow").equals(0)
    holds = max_by(at(metrics.BROKER_UNACKED), "airflow").equals(0)
    idle = waiting.on("airflow").and_(redis).on("airflow").and_(waits).on("airflow").and_(holds)
    return waiting.on(*QUEUE).and_(consumers.equals(0)).or_(idle)


def stalled(at: Scope, within: Number) -> Expr:
    """Queues in which messages waited for so many seconds, and whose workers, with room for more, took none."""
    subscribed = max_by(at(metrics.WORKER_SUBSCRIBED), *WORKER, "queue")
    taken = max_by(increase(at(metrics.WORKER_PROCESSED), within), *WORKER)
    active = max_by(over_time("max", at(metrics.WORKER_ACTIVE), within), *WORKER)
    free = max_by(at(metrics.WORKER_POOL_SIZE), *WORKER) - active
    nothing = max_by(subscribed.on(*WORKER).group_left().times(taken), *QUEUE).equals(0)
    room = max_by(subscribed.on(*WORKER).group_left().times(free), *QUEUE) > 0
    waiting = min_by(over_time("min", at(metrics.BROKER_MESSAGES), within), *QUEUE) > 0
    return waiting.on(*QUEUE).and_(nothing).on(*QUEUE).and_(room)


def _killed(at: Scope) -> Expr:
    ran = max_by(over_time("last", at(metrics.WORKER_ACTIVE), at.window), *WORKER) > 0
    overdue = max_by(over_time("max", at(metrics.HEARTBEATS_OVERDUE), at.window), "airflow") > 0
    return ran.on(*WORKER).and_(max_by(at(metrics.WORKER_UP), *WORKER).equals(0)).on("airflow").and_(overdue)


def _worker(at: Scope, *, took: int) -> tuple[Series, ...]:
    """A subscribed worker with room for one task more, beside a queue of two messages."""
    return (
        at.series(metrics.BROKER_MESSAGES, 2, queue="default"),
        at.series(metrics.WORKER_SUBSCRIBED, 1, worker=NAME, queue="default"),
        at.series(metrics.WORKER_POOL_SIZE, 16, worker=NAME),
        at.series(metrics.WORKER_ACTIVE, 15, worker=NAME),
        at.series(metrics.WORKER_PROCESSED, 100, worker=NAME).then(at.horizon - at.step, 100 + took),
    )


def _silent(at: Scope, *, overdue: int) -> tuple[Series, ...]:
    """A worker that falls silent while it runs three tasks."""
    since = at.horizon - 3 * at.step
    return (
        at.series(metrics.WORKER_UP, 1, worker=NAME).then(since, 0),
        at.series(metrics.WORKER_ACTIVE, 3, worker=NAME).then(since, None),
        at.series(metrics.HEARTBEATS_OVERDUE, overdue),
    )


def _subscribers(at: Scope, number: int) -> tuple[Series, ...]:
    """A queue with two tasks, and so many workers or consumers, by whoever tells it."""
    told = metrics.QUEUE_WORKERS if "workers" in at.collectors else metrics.BROKER_CONSUMERS
    return (
        at.series(metrics.BROKER_MESSAGES, 2, queue="gpu"),
        at.series(metrics.CELERY_TASK_INSTANCES, 2, state="queued", queue="gpu"),
        at.series(told, number, queue="gpu"),
    )


CELERY = (
    Alert(
        "AirflowCeleryResultsLarge", "celery", ("C7",), Severity.INFO, "15m",
        expr=lambda at: max_by(at(metrics.TABLE_SIZE, table="celery_taskmeta"), "airflow") > at.threshold,
        summary="Celery's results take {{ $value | humanize1024 }}B in the database (threshold <threshold>)",
        impact="None for tasks; backups and clean-up take longer.",
        executors=EXECUTOR,
        knobs=(Knob("threshold", "bytes", "1GiB", "1B", "1024TiB", "Size of the table celery_taskmeta."),),
        cases=lambda at: Cases(
            fires=(at.series(metrics.TABLE_SIZE, at.threshold + 1, table="celery_taskmeta"),),
            quiet=(
                at.series(metrics.TABLE_SIZE, at.threshold, table="celery_taskmeta"),
                at.series(metrics.TABLE_SIZE, at.threshold + 1, table="log"),
            ),
            value=at.threshold + 1,
        ),
    ),
    Alert(
        UNSERVED, "celery", ("C2", "C1"), Severity.CRITICAL, "5m",
        expr=unserved,
        summary="{{ $value }} messages wait in the queue {{ $labels.queue }}, and no worker consumes from it",
        impact="Tasks of this queue wait for ever, or until Airflow gives them up.",
        executors=EXECUTOR,
        cases=lambda at: Cases(
            fires=_subscribers(at, 0), quiet=_subscribers(at, 1), value=2, labels={"queue": "gpu"}
        ),
    ),
    Alert(
        STALLED, "celery", ("C1", "T1"), Severity.CRITICAL, "5m",
        expr=lambda at: stalled(at, at.window),
        summary="{{ $value }} messages wait in {{ $labels.queue }}, and its workers, with room for more, took none in <window>",
        impact="Tasks of this queue do not start, though its workers look well.",
        executors=EXECUTOR,
        knobs=(Knob("window", "duration", "5m", "1s", "1d", "For how long no task was taken."),),
        cases=lambda at: Cases(
            fires=_worker(at, took=0), quiet=_worker(at, took=1), value=2, labels={"queue": "default"}
        ),
    ),
    Alert(
        "AirflowWorkerWithoutQueues", "celery", ("C1",), Severity.WARNING, "5m",
        expr=lambda at: max_by(at(metrics.WORKER_QUEUES), *WORKER).equals(0),
        summary="{{ $labels.worker }} answers, but consumes from {{ $value }} queues",
        impact="It takes no task; the other workers of its queues have to do its work.",
        executors=EXECUTOR,
        cases=lambda at: Cases(
            fires=(at.series(metrics.WORKER_QUEUES, 0, worker=NAME),),
            quiet=(at.series(metrics.WORKER_QUEUES, 1, worker=NAME),),
            value=0,
            labels={"worker": NAME},
        ),
    ),
    Alert(
        "AirflowWorkerKilled", "celery", ("C3", "T4"), Severity.WARNING, "1m",
        expr=_killed,
        summary="{{ $labels.worker }} fell silent while it ran {{ $value }} tasks, and heartbeats of tasks are missing",
        impact="What it ran is failed after 5 minutes without a heartbeat, and runs again only if it has retries left.",
        executors=EXECUTOR,
        knobs=(Knob("window", "duration", "15m", "1s", "1d", "How long it is told."),),
        cases=lambda at: Cases(
            fires=_silent(at, overdue=1),
            quiet=_silent(at, overdue=0),
            value=3,
            labels={"worker": NAME},
        ),
    ),
)  # fmt: skip
