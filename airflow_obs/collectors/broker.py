"""Celery's broker: how many messages wait in each queue, which are held unacknowledged, and how the server is doing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from airflow_obs.catalog import metrics
from airflow_obs.collectors import broker_redis
from airflow_obs.collectors.broker_redis import BindingSearch, Keys, RedisFigures
from airflow_obs.collectors.queues import QueueNames
from airflow_obs.model import Reading
from airflow_obs.policy import BrokerSource
from airflow_obs.sources.broker import BrokerSession, RabbitNode, RabbitQueue, RabbitSession, RedisSession
from airflow_obs.sources.broker_url import BrokerAddress
from airflow_obs.sources.steady import SteadyMoments

VISIBILITY_TIMEOUT = 86_400.0
"""Seconds that Airflow sets when nobody says otherwise (in a few releases of its Celery provider, 84600)."""
STARTED_WITHIN = 2.0
"""Seconds within which two moments of Redis' start are one: it tells its uptime in whole seconds."""


@dataclass(frozen=True)
class Queue:
    """A queue: messages that wait, consumers and unacked messages where the broker can tell."""

    name: str
    messages: int
    consumers: int | None = None
    unacked: int | None = None


@dataclass(frozen=True)
class Node:
    """A server of the broker; sizes in bytes, `started` in Unix seconds, None where it is not known.

    `name` is None for Redis, which is one server. `alarms` by what runs short (memory, disk).
    """

    name: str | None = None
    up: bool | None = None
    started: float | None = None
    memory: float | None = None
    memory_max: float | None = None
    disk_free: float | None = None
    disk_free_limit: float | None = None
    alarms: tuple[tuple[str, bool], ...] = ()


@dataclass(frozen=True)
class Redis:
    """What only Redis has; None where INFO does not say. Moments in Unix seconds."""

    eviction_policy: str | None
    role: str | None
    unacked_oldest: float | None
    visibility_timeout: float
    evicted: int | None
    max_clients: int | None
    saves_succeed: bool | None
    saved: float | None
    replicas: int | None
    replication_up: bool | None
    result_keys: int | None


@dataclass(frozen=True)
class BrokerState:
    """What one run of the collector saw."""

    kind: str
    version: str
    queues: list[Queue]
    nodes: list[Node]
    unacked: int | None
    clients: int | None
    blocked_clients: int | None
    redis: Redis | None = None
    management_up: bool | None = None


class Broker:
    """Counts the lists and the server's figures, and never reads a message: those of Airflow 3 hold a live token."""

    name = "broker"
    source = "broker"

    def __init__(self, site: BrokerSource, queues: QueueNames) -> None:
        self._site = site
        self._names = queues
        self._search = BindingSearch()
        self._started = SteadyMoments(STARTED_WITHIN)
        self._address: BrokerAddress | None = None

    def read(self, session: BrokerSession | None) -> BrokerState | None:
        """None when this Airflow has no broker."""
        if session is None:
            return None
        if session.address != self._address:
            self._search, self._address = BindingSearch(), session.address
        self._names.add(self._site.queues)
        known = sorted(self._names.all())
        state = _rabbitmq(session, known) if session.kind == "rabbitmq" else self._redis(session, known)
        self._names.add(queue.name for queue in state.queues if queue.messages or queue.name in self._search.queues)
        return state

    def samples(self, broker: BrokerState | None) -> Iterator[Reading]:
        if broker is None:
            return
        own = broker.redis
        yield metrics.BROKER_INFO.sample(
            1,
            kind=broker.kind,
            version=broker.version,
            eviction_policy=own.eviction_policy if own else None,
            role=own.role if own else None,
        )
        for queue in sorted(broker.queues, key=lambda queue: (-queue.messages, queue.name)):
            yield metrics.BROKER_MESSAGES.sample(queue.messages, queue=queue.name)
            if queue.consumers is not None:
                yield metrics.BROKER_CONSUMERS.sample(queue.consumers, queue=queue.name)
            if queue.unacked is not None:
                yield metrics.BROKER_QUEUE_UNACKED.sample(queue.unacked, queue=queue.name)
        for node in broker.nodes:
            yield from _of_node(node)
        for metric, value in (
            (metrics.BROKER_UNACKED, broker.unacked),
            (metrics.BROKER_CLIENTS, broker.clients),
            (metrics.BROKER_BLOCKED_CLIENTS, broker.blocked_clients),
            (metrics.BROKER_MANAGEMENT_UP, broker.management_up),
        ):
            if value is not None:
                yield metric.sample(value)
        if own:
            yield from _of_redis(own)

    def _redis(self, session: RedisSession, known: Iterable[str]) -> BrokerState:
        options = session.address.options
        figures = broker_redis.read(session, Keys.of(options), self._search, known)
        auto = options.get("visibility_timeout")
        timeout = float(auto) if isinstance(auto, int | float) and not isinstance(auto, bool) else VISIBILITY_TIMEOUT
        if self._site.visibility_timeout != "auto":
            timeout = float(self._site.visibility_timeout)
        uptime = broker_redis.whole(figures.info.get("uptime_in_seconds", ""))
        started = None if uptime is None else self._started.of("redis", session.now - uptime)
        return _redis_state(figures, timeout, started, session)


def _redis_state(
    figures: RedisFigures, visibility_timeout: float, started: float | None, session: RedisSession
) -> BrokerState:
    info = figures.info

    def number(name: str) -> int | None:
        return broker_redis.whole(info.get(name, ""))

    limit = number("maxmemory")
    saves = [
        info[name] == "ok"
        for name in ("rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status")
        if name in info
    ]
    link = info.get("master_link_status")
    return BrokerState(
        kind="redis",
        version=info.get("redis_version", ""),
        queues=[Queue(name, messages) for name, messages in figures.queues.items()],
        nodes=[
            Node(
                started=started,
                memory=number("used_memory"),
                memory_max=math.inf if limit == 0 else limit,
            )
        ],
        unacked=figures.unacked,
        clients=number("connected_clients"),
        blocked_clients=number("blocked_clients"),
        redis=Redis(
            eviction_policy=info.get("maxmemory_policy"),
            role={"slave": "replica"}.get(info.get("role", ""), info.get("role")),
            unacked_oldest=figures.unacked_oldest,
            visibility_timeout=visibility_timeout,
            evicted=number("evicted_keys"),
            max_clients=number("maxclients"),
            saves_succeed=all(saves) if saves else None,
            saved=number("rdb_last_save_time"),
            replicas=number("connected_slaves"),
            replication_up=link == "up" if link is not None else None,
            result_keys=broker_redis.result_keys(info, session.address),
        ),
    )


def _rabbitmq(session: RabbitSession, known: Iterable[str]) -> BrokerState:
    server, queues = session.server(), session.queues(list(known))
    unacked = [queue.unacked for queue in queues if queue.unacked is not None]
    return BrokerState(
        kind="rabbitmq",
        version=server.version,
        queues=[_queue(queue) for queue in queues],
        nodes=[_node(node) for node in server.nodes],
        unacked=sum(unacked) if unacked or server.nodes else None,
        clients=server.connections,
        blocked_clients=server.blocked_connections,
        management_up=server.management_up,
    )


def _queue(queue: RabbitQueue) -> Queue:
    return Queue(queue.name, queue.messages, queue.consumers, queue.unacked)


def _node(node: RabbitNode) -> Node:
    described = Node(node.name, node.running, node.started)
    if not node.running:
        return described
    return replace(
        described,
        memory=node.memory,
        memory_max=node.memory_limit,
        disk_free=node.disk_free,
        disk_free_limit=node.disk_free_limit,
        alarms=(("memory", node.memory_alarm), ("disk", node.disk_alarm)),
    )


def _of_node(node: Node) -> Iterator[Reading]:
    for metric, value in (
        (metrics.BROKER_NODE_UP, node.up),
        (metrics.BROKER_STARTED, node.started),
        (metrics.BROKER_MEMORY, node.memory),
        (metrics.BROKER_MEMORY_MAX, node.memory_max),
        (metrics.BROKER_DISK_FREE, node.disk_free),
        (metrics.BROKER_DISK_FREE_LIMIT, node.disk_free_limit),
    ):
        if value is not None:
            yield metric.sample(value, node=node.name)
    for alarm, on in node.alarms:
        yield metrics.BROKER_ALARM.sample(on, alarm=alarm, node=node.name)


def _of_redis(own: Redis) -> Iterator[Reading]:
    for metric, value in (
        (metrics.BROKER_UNACKED_OLDEST, own.unacked_oldest),
        (metrics.BROKER_VISIBILITY_TIMEOUT, own.visibility_timeout),
        (metrics.BROKER_EVICTED, own.evicted),
        (metrics.BROKER_CLIENTS_MAX, own.max_clients),
        (metrics.BROKER_SAVE_OK, own.saves_succeed),
        (metrics.BROKER_LAST_SAVE, own.saved),
        (metrics.BROKER_REPLICAS, own.replicas),
        (metrics.BROKER_REPLICATION_UP, own.replication_up),
        (metrics.BROKER_RESULT_KEYS, own.result_keys),
    ):
        if value is not None:
            yield metric.sample(value)
