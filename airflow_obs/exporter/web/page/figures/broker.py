"""Figures of Celery's broker and workers."""

from __future__ import annotations

import math
from collections.abc import Iterator

from airflow_obs.catalog import metrics
from airflow_obs.exporter.web.page.figures.figure import Figure, Seen
from airflow_obs.exporter.web.page.wording import count, duration, legible, listed, share, size

_QUEUES = 4
"""Queues that are shown, those with most messages."""


def broker(seen: Seen) -> Iterator[Figure]:
    """What waits in it, for whom, and how much room it has."""
    messages = seen.by(metrics.BROKER_MESSAGES, "queue")
    if messages:
        most = sorted(messages, key=lambda queue: (-messages[queue], queue))
        text = ", ".join(f"{legible(queue)} {count(messages[queue])}" for queue in most[:_QUEUES])
        yield seen.figure(
            "messages that wait", text + (f", {len(most) - _QUEUES} more queues" if len(most) > _QUEUES else ""),
            metrics.BROKER_MESSAGES,
        )  # fmt: skip
        if unserved := _unserved(seen, most, messages):
            yield seen.figure(
                "queues with tasks but no worker", listed(unserved), metrics.BROKER_MESSAGES,
                "AirflowQueueWithoutWorker",
            )  # fmt: skip
    timeouts = seen.values(metrics.BROKER_VISIBILITY_TIMEOUT)
    if (held := seen.oldest(metrics.BROKER_UNACKED_OLDEST)) and timeouts:
        timeout = min(timeouts)
        yield seen.figure(
            "unacknowledged longest", f"{duration(held[0])} of the {duration(timeout)} after which it is delivered again",
            metrics.BROKER_UNACKED_OLDEST, "AirflowVisibilityTimeoutNear",
        )  # fmt: skip
    yield from _room(seen)


def _unserved(seen: Seen, queues: list[str], messages: dict[str, float]) -> list[str]:
    """Those in which tasks of Airflow's wait, and from which nobody takes any."""
    tasks = seen.by(metrics.CELERY_TASK_INSTANCES, "queue", state="queued")
    workers, consumers = seen.by(metrics.QUEUE_WORKERS, "queue"), seen.by(metrics.BROKER_CONSUMERS, "queue")
    return [
        queue
        for queue in queues
        if messages[queue] and tasks.get(queue) and consumers.get(queue, workers.get(queue)) == 0
    ]


def _room(seen: Seen) -> Iterator[Figure]:
    limits = {of.get("node", ""): most for of, most in seen.series(metrics.BROKER_MEMORY_MAX) if most > 0}
    info = [labels for labels, _ in seen.series(metrics.BROKER_INFO)]
    evicts = any(labels.get("eviction_policy", "").startswith(("volatile-", "allkeys-")) for labels in info)
    alarms = sorted({labels["alarm"] for labels, value in seen.series(metrics.BROKER_ALARM) if value})
    if alarms:
        yield seen.figure(
            "publishers are stopped for want of", ", ".join(alarms), metrics.BROKER_ALARM,
            "AirflowBrokerFull",
        )  # fmt: skip
    parts = [
        (used / limits.get(of.get("node", ""), math.inf), used, of.get("node"))
        for of, used in seen.series(metrics.BROKER_MEMORY)
    ]
    if parts:
        part, used, node = max(parts, key=lambda one: one[:2])
        text = f"{size(used)}, {share(part)} of what it may" if part else f"{size(used)}, without limit"
        yield seen.figure(
            "memory", text + (f", on {legible(node)}" if node else ""), metrics.BROKER_MEMORY,
            *(() if alarms else ("AirflowBrokerFull",)),
            AirflowBrokerMemoryHigh=lambda at: not evicts and part > float(at.threshold),
        )  # fmt: skip
    clients, most = seen.value(metrics.BROKER_CLIENTS), seen.value(metrics.BROKER_CLIENTS_MAX)
    if clients is not None and most is not None:
        yield seen.figure(
            "connections", f"{count(clients)} of {count(most)}", metrics.BROKER_CLIENTS, "AirflowBrokerConnectionsHigh"
        )
    if evicted := seen.value(metrics.BROKER_EVICTED):
        yield seen.figure("keys thrown away since Redis started", count(evicted), metrics.BROKER_EVICTED)
    if 0 in seen.values(metrics.BROKER_SAVE_OK):
        yield seen.figure(
            "newest snapshot or append-only file", "could not be written", metrics.BROKER_SAVE_OK,
            "AirflowBrokerNotSaving",
        )  # fmt: skip
    if down := sorted(node for node, up in seen.by(metrics.BROKER_NODE_UP, "node").items() if not up):
        yield seen.figure("nodes that do not run", listed(down), metrics.BROKER_NODE_UP, "AirflowBrokerNodeDown")


def workers(seen: Seen) -> Iterator[Figure]:
    """How many there are, what they have to do, and which take nothing."""
    up = seen.by(metrics.WORKER_UP, "worker")
    if up:
        down = sorted(worker for worker, value in up.items() if not value)
        text = f"{count(len(up) - len(down))} of {count(len(up))}" + (f"; not: {listed(down)}" if down else "")
        yield seen.figure("up", text, metrics.WORKER_UP)
    if sizes := seen.total(metrics.WORKER_POOL_SIZE):
        text = f"{count(seen.total(metrics.WORKER_ACTIVE))} of {count(sizes)}"
        yield seen.figure("tasks that they run, of those that they can", text, metrics.WORKER_ACTIVE)
    idle = sorted(worker for worker, queues in seen.by(metrics.WORKER_QUEUES, "worker").items() if not queues)
    if idle:
        yield seen.figure(
            "up, and take from no queue", listed(idle), metrics.WORKER_QUEUES, "AirflowWorkerWithoutQueues"
        )
