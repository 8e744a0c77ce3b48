"""Alerts on Celery's broker."""

from __future__ import annotations

from decimal import Decimal

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts.alert import Alert, Cases, Scope
from airflow_obs.model import Knob, Severity
from airflow_obs.promql import Expr, Match, increase, labelled, max_by, over_time, sum_by

EXECUTOR = ("Celery",)
QUEUE = ("airflow", "queue")
NODE = ("airflow", "node")
FULL = "AirflowBrokerFull"
_LIMIT = Decimal("0.98")
"""From this share of its memory on a Redis that evicts has to, when something is written."""
_UNEVICTED = 600
"""Seconds in which nothing was evicted: perhaps there is nothing left that may be."""


def _down(at: Scope) -> Expr:
    return max_by(at(metrics.SOURCE_UP, source="broker"), "airflow").equals(0)


def _evicted(at: Scope) -> Expr:
    # Under a volatile policy only results have an expiry, and can be thrown away: never a queue.
    spared = max_by(at(metrics.BROKER_INFO, eviction_policy=Match("=~", "volatile-.*")), "airflow")
    return (
        (max_by(increase(at(metrics.BROKER_EVICTED), at.window), "airflow") > at.threshold).on("airflow").unless(spared)
    )


def _memory(at: Scope) -> Expr:
    return max_by(at(metrics.BROKER_MEMORY), *NODE) / max_by(at(metrics.BROKER_MEMORY_MAX), *NODE)


def _full(at: Scope) -> Expr:
    """RabbitMQ's alarms, and the memory of a Redis that refuses what does not fit: one that evicts is meant to be full."""
    alarm = max_by(at(metrics.BROKER_ALARM), *NODE, "alarm").equals(1)
    refuses = max_by(at(metrics.BROKER_INFO, kind="redis", eviction_policy="noeviction"), "airflow")
    full = (_memory(at) >= at.threshold).on("airflow").and_(refuses)
    return alarm.or_(labelled(full, "alarm", "memory"))


def _nearly_full(at: Scope) -> Expr:
    """Until the worse alert says that it is; of a Redis that evicts only what expires, if it is full and evicts nothing.

    Then either nothing is written, or all that is left are queues and it refuses: which of them, its figures do not tell.
    """
    evicts = max_by(at(metrics.BROKER_INFO, eviction_policy=Match("=~", "(volatile|allkeys)-.*")), "airflow")
    nearly = (_memory(at) > at.threshold).on("airflow").unless(evicts)
    full = at.worse(FULL)
    volatile = max_by(at(metrics.BROKER_INFO, eviction_policy=Match("=~", "volatile-.*")), "airflow")
    evicting = max_by(increase(at(metrics.BROKER_EVICTED), _UNEVICTED), "airflow") > 0
    stuck = (_memory(at) >= _LIMIT).on("airflow").and_(volatile).on("airflow").unless(evicting)
    return (nearly if full is None else nearly < full).or_(stuck)


def _clients(at: Scope) -> Expr:
    return (
        max_by(at(metrics.BROKER_CLIENTS), "airflow") / max_by(at(metrics.BROKER_CLIENTS_MAX), "airflow") > at.threshold
    )


def _may_evict(at: Scope) -> Expr:
    # Without a limit (+Inf) nothing is ever thrown away.
    limit = max_by(at(metrics.BROKER_MEMORY_MAX), "airflow") < Decimal(2) ** 60
    return limit.on("airflow").and_(
        max_by(at(metrics.BROKER_INFO, eviction_policy=Match("=~", "allkeys-.*")), "airflow")
    )


def _lost(at: Scope) -> Expr:
    """What the database expected half a window ago, less the most that the broker has had since about then.

    Neither is read in the same moment as the other, and both move all the time: without the two windows their difference would
    be above 0 every other time.
    """
    expected = max_by(at(metrics.CELERY_TASK_INSTANCES).offset(at.window / 2), *QUEUE, "state")
    waiting = max_by(over_time("max", at(metrics.BROKER_MESSAGES), at.window), *QUEUE).on(*QUEUE).and_(expected)
    held = max_by(over_time("max", at(metrics.BROKER_UNACKED), at.window), "airflow")
    return sum_by(expected, "airflow") - sum_by(waiting, "airflow") - held > at.threshold


BROKER = (
    Alert(
        "AirflowBrokerDown", "broker", ("C6",), Severity.CRITICAL, "2m",
        expr=_down,
        summary="Celery's broker does not answer (source_up is {{ $value }})",
        impact="No task is handed to a worker; tasks that run go on, and the workers may be restarted by their probes.",
        executors=EXECUTOR,
        sources=("broker",),
        cases=lambda at: Cases(
            fires=(at.series(metrics.SOURCE_UP, 0, source="broker"),),
            quiet=(at.series(metrics.SOURCE_UP, 1, source="broker"), at.series(metrics.SOURCE_UP, 0, source="workers")),
            value=0,
        ),
    ),
    Alert(
        "AirflowBrokerEvicting", "broker", ("C4",), Severity.CRITICAL, "0s",
        expr=_evicted,
        summary="Redis threw {{ $value | humanize }} keys of the broker away (threshold <threshold>)",
        impact="Each key may have been a queue with all its tasks, which Airflow misses only after task_queued_timeout.",
        executors=EXECUTOR,
        knobs=(
            Knob("threshold", "count", 0, 0, 1_000_000, "How many keys may be evicted within the window."),
            Knob("window", "duration", "10m", "1s", "1d", "Within which time."),
        ),
        cases=lambda at: Cases(
            fires=(at.series(metrics.BROKER_EVICTED, 0).then(at.horizon - at.step, at.threshold + 1),),
            quiet=(
                at.series(metrics.BROKER_EVICTED, 0).then(at.horizon - at.step, at.threshold + 1),
                at.series(metrics.BROKER_INFO, 1, kind="redis", version="7.2.4", eviction_policy="volatile-lru"),
            ),
            value=at.threshold + 1,
        ),
    ),
    Alert(
        FULL, "broker", ("C4",), Severity.CRITICAL, "2m",
        expr=_full,
        summary="Broker full: {{ $labels.alarm }} {{ $value | humanizePercentage }} (threshold <threshold>, or RabbitMQ's alarm)",
        impact="Tasks cannot be handed to workers, and workers cannot report or finish theirs.",
        executors=EXECUTOR,
        knobs=(Knob("threshold", "ratio", "98%", "1%", "100%", "Share of Redis' memory at which it is full; RabbitMQ says so."),),
        cases=lambda at: Cases(
            fires=(
                at.series(metrics.BROKER_INFO, 1, kind="redis", version="7.2.4", eviction_policy="noeviction"),
                at.series(metrics.BROKER_MEMORY, at.threshold * 1000),
                at.series(metrics.BROKER_MEMORY_MAX, 1000),
            ),
            quiet=(
                at.series(metrics.BROKER_INFO, 1, kind="redis", version="7.2.4", eviction_policy="noeviction"),
                at.series(metrics.BROKER_MEMORY, at.threshold * 1000 - 1),
                at.series(metrics.BROKER_MEMORY_MAX, 1000),
                at.series(metrics.BROKER_ALARM, 0, alarm="memory", node="rabbit@a"),
            ),
            value=at.threshold,
            labels={"alarm": "memory"},
        ),
    ),
    Alert(
        "AirflowBrokerMemoryHigh", "broker", ("C4",), Severity.WARNING, "10m",
        expr=_nearly_full,
        summary="The broker uses {{ $value | humanizePercentage }} of the memory that it may (threshold <threshold>)",
        impact="When it is full, Redis refuses or evicts messages and RabbitMQ stops whoever sends.",
        executors=EXECUTOR,
        knobs=(Knob("threshold", "ratio", "80%", "1%", "99%", "Share of its memory limit that the broker may use."),),
        cases=lambda at: Cases(
            fires=(
                at.series(metrics.BROKER_MEMORY, at.threshold * 1000 + 1),
                at.series(metrics.BROKER_MEMORY_MAX, 1000),
            ),
            quiet=(at.series(metrics.BROKER_MEMORY, at.threshold * 1000), at.series(metrics.BROKER_MEMORY_MAX, 1000)),
            value=at.threshold + Decimal("0.001"),
        ),
    ),
    Alert(
        "AirflowBrokerEvictionPolicy", "broker", ("C4",), Severity.INFO, "15m",
        expr=_may_evict,
        summary="Redis, the broker, evicts any key, queues too, once it holds {{ $value | humanize1024 }}B",
        impact="Nothing yet; when its memory is full, queued tasks are lost without an error.",
        executors=EXECUTOR,
        cases=lambda at: Cases(
            fires=(
                at.series(metrics.BROKER_INFO, 1, kind="redis", version="7.2.4", eviction_policy="allkeys-lru"),
                at.series(metrics.BROKER_MEMORY_MAX, 2**30),
            ),
            quiet=(
                at.series(metrics.BROKER_INFO, 1, kind="redis", version="7.2.4", eviction_policy="noeviction"),
                at.series(metrics.BROKER_MEMORY_MAX, 2**30),
            ),
            value=2**30,
        ),
    ),
    Alert(
        "AirflowBrokerConnectionsHigh", "broker", ("C4",), Severity.WARNING, "10m",
        expr=_clients,
        summary="{{ $value | humanizePercentage }} of the broker's connections are in use (threshold <threshold>)",
        impact="When none is left, workers and schedulers that reconnect are turned away.",
        executors=EXECUTOR,
        knobs=(Knob("threshold", "ratio", "80%", "1%", "99%", "Share of Redis' maxclients that may be connected."),),
        cases=lambda at: Cases(
            fires=(
                at.series(metrics.BROKER_CLIENTS, at.threshold * 1000 + 1),
                at.series(metrics.BROKER_CLIENTS_MAX, 1000),
            ),
            quiet=(at.series(metrics.BROKER_CLIENTS, at.threshold * 1000), at.series(metrics.BROKER_CLIENTS_MAX, 1000)),
            value=at.threshold + Decimal("0.001"),
        ),
    ),
    Alert(
        "AirflowBrokerNodeDown", "broker", ("C5",), Severity.WARNING, "5m",
        expr=lambda at: max_by(at(metrics.BROKER_NODE_UP), *NODE).equals(0),
        summary="{{ $labels.node }} of the RabbitMQ cluster does not run (broker_node_up is {{ $value }})",
        impact="Queues that live on it alone are not there, and one more failure may stop the rest.",
        executors=EXECUTOR,
        cases=lambda at: Cases(
            fires=(
                at.series(metrics.BROKER_NODE_UP, 0, node="rabbit@a"),
                at.series(metrics.BROKER_NODE_UP, 1, node="rabbit@b"),
            ),
            quiet=(at.series(metrics.BROKER_NODE_UP, 1, node="rabbit@a"),),
            value=0,
            labels={"node": "rabbit@a"},
        ),
    ),
    Alert(
        "AirflowBrokerNotSaving", "broker", ("C5",), Severity.WARNING, "15m",
        expr=lambda at: max_by(at(metrics.BROKER_SAVE_OK), "airflow").equals(0),
        summary="Redis cannot write its snapshot or append-only file (broker_last_save_ok is {{ $value }})",
        impact="It may refuse writes until it can, and a restart loses or replays what was queued since the last one.",
        executors=EXECUTOR,
        cases=lambda at: Cases(
            fires=(at.series(metrics.BROKER_SAVE_OK, 0),), quiet=(at.series(metrics.BROKER_SAVE_OK, 1),), value=0
        ),
    ),
    Alert(
        "AirflowBrokerMessagesLost", "broker", ("C5",), Severity.WARNING, "1m",
        expr=_lost,
        summary="The broker has no message for {{ $value }} queued or running tasks (threshold <threshold>)",
        impact="What is queued without a message waits until task_queued_timeout (10 minutes), and fails after two more tries.",
        executors=EXECUTOR,
        knobs=(
            Knob("threshold", "count", 0, 0, 1_000_000, "How many messages may be missing."),
            Knob("window", "duration", "5m", "2s", "1d", "Over which time the most messages are taken."),
        ),
        cases=lambda at: Cases(
            fires=(
                at.series(metrics.CELERY_TASK_INSTANCES, at.threshold + 4, state="queued", queue="default"),
                at.series(metrics.CELERY_TASK_INSTANCES, 2, state="running", queue="default"),
                at.series(metrics.BROKER_MESSAGES, 3, queue="default"),
                at.series(metrics.BROKER_MESSAGES, 50, queue="of-another-celery"),
                at.series(metrics.BROKER_UNACKED, 2),
            ),
            quiet=(
                at.series(metrics.CELERY_TASK_INSTANCES, at.threshold + 3, state="queued", queue="default"),
                at.series(metrics.CELERY_TASK_INSTANCES, 2, state="running", queue="default"),
                # They have just been taken and done: the database is read later.
                at.series(metrics.BROKER_MESSAGES, 3, queue="default").then(at.horizon - at.step, 0),
                at.series(metrics.BROKER_UNACKED, 2),
            ),
            value=at.threshold + 1,
        ),
    ),
    Alert(
        "AirflowBrokerPublishTimeouts", "broker", ("C6",), Severity.WARNING, "0s",
        expr=lambda at: sum_by(max_by(at.happened(metrics.CELERY_TIMEOUTS), "airflow", "team"), "airflow") > at.threshold,
        summary="Schedulers could not hand {{ $value | humanize }} messages to the broker in time (threshold <threshold>)",
        impact="These tasks are queued late, or fail after three tries.",
        executors=EXECUTOR,
        knobs=(
            Knob("threshold", "count", 0, 0, 1_000_000, "How many may be late within the window."),
            Knob("window", "duration", "10m", "1s", "1d", "Within which time."),
        ),
        cases=lambda at: Cases(
            fires=(at.series(metrics.CELERY_TIMEOUTS, at.threshold + 1).since(at.horizon - at.step),),
            quiet=(at.series(metrics.CELERY_TIMEOUTS, at.threshold).since(at.horizon - at.step),),
            value=at.threshold + 1,
        ),
    ),
)  # fmt: skip
