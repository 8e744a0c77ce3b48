"""Celery's broker."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import counter, gauge, info

BROKER_INFO = info(
    "broker", "broker_info",
    "What the broker is (redis, rabbitmq), its version, and for Redis what it does when its memory is full and its role.",
    ("kind", "version"), ("eviction_policy", "role"),
    shows=("C4",),
)  # fmt: skip
BROKER_MESSAGES = gauge(
    "broker", "broker_queue_messages",
    "Messages that wait in the queue for a worker, at every priority; 0 for a known queue that is empty.", ("queue",),
    shows=("C2", "C5", "C1"),
)  # fmt: skip
BROKER_CONSUMERS = gauge(
    "broker", "broker_queue_consumers",
    "Consumers of the queue (RabbitMQ only; on Redis airflow_obs_worker_subscribed tells).", ("queue",),
    shows=("C2", "C1"),
)  # fmt: skip
BROKER_QUEUE_UNACKED = gauge(
    "broker", "broker_queue_unacked_messages",
    "Messages of the queue that a worker holds (RabbitMQ with its management API only).", ("queue",),
)  # fmt: skip
BROKER_UNACKED = gauge(
    "broker", "broker_unacked_messages",
    "Messages that workers hold and have not acknowledged, in all queues: tasks that run, and tasks that were fetched ahead.",
    shows=("T7", "C5"),
)  # fmt: skip
BROKER_UNACKED_OLDEST = gauge(
    "broker", "broker_unacked_oldest_timestamp_seconds",
    "When the unacknowledged message that is held longest was delivered (Redis only).",
    shows=("T7",),
)  # fmt: skip
BROKER_VISIBILITY_TIMEOUT = gauge(
    "broker", "broker_visibility_timeout_seconds",
    "Age at which an unacknowledged message is delivered again, and its task may run twice (Redis only; as configured).",
    shows=("T7",),
)  # fmt: skip
BROKER_MEMORY = gauge(
    "broker", "broker_memory_bytes", "Memory that the broker uses, by its own count.", (), ("node",), shows=("C4",)
)
BROKER_MEMORY_MAX = gauge(
    "broker", "broker_memory_max_bytes",
    "Memory at which Redis evicts or refuses to write, or RabbitMQ stops its publishers; +Inf when there is no limit.",
    (), ("node",),
    shows=("C4",),
)  # fmt: skip
BROKER_DISK_FREE = gauge(
    "broker",
    "broker_disk_free_bytes",
    "Free space on the node's disk (RabbitMQ with its management API only).",
    ("node",),
    shows=("C4",),
)
BROKER_DISK_FREE_LIMIT = gauge(
    "broker", "broker_disk_free_limit_bytes",
    "Free space below which RabbitMQ stops its publishers (with its management API only).", ("node",),
    shows=("C4",),
)  # fmt: skip
BROKER_ALARM = gauge(
    "broker", "broker_alarm",
    "1 while RabbitMQ stops its publishers on this node because memory or disk is short (with its management API only).",
    ("alarm", "node"),
    shows=("C4",),
)  # fmt: skip
BROKER_NODE_UP = gauge(
    "broker",
    "broker_node_up",
    "1 if the node of the RabbitMQ cluster runs (with its management API only).",
    ("node",),
    shows=("C5",),
)
BROKER_MANAGEMENT_UP = gauge(
    "broker", "broker_management_up",
    "1 if RabbitMQ's management API answered when it was last asked; absent where the policy names none.",
)  # fmt: skip
BROKER_EVICTED = counter(
    "broker", "broker_evicted_keys_total",
    "Keys that Redis threw away because its memory was full: each may have been a whole queue.",
    shows=("C4",),
)  # fmt: skip
BROKER_CLIENTS = gauge("broker", "broker_connected_clients", "Client connections of the broker.", shows=("C4",))
BROKER_CLIENTS_MAX = gauge(
    "broker", "broker_max_clients", "Connections at which Redis turns clients away.", shows=("C4",)
)
BROKER_BLOCKED_CLIENTS = gauge(
    "broker", "broker_blocked_clients",
    "Redis: clients that wait for a message, idle workers among them. RabbitMQ: publishers that an alarm has stopped.",
    shows=("C4", "C1"),
)  # fmt: skip
BROKER_STARTED = gauge(
    "broker", "broker_start_timestamp_seconds", "When the broker started; without persistence its queues were empty then.",
    (), ("node",),
    shows=("C5",),
)  # fmt: skip
BROKER_SAVE_OK = gauge(
    "broker", "broker_last_save_ok",
    "1 if the newest attempts of Redis to write its snapshot and its append-only file succeeded.",
    shows=("C5",),
)  # fmt: skip
BROKER_LAST_SAVE = gauge(
    "broker",
    "broker_last_save_timestamp_seconds",
    "When Redis last wrote a whole snapshot, or when it started.",
    shows=("C5",),
)
BROKER_REPLICAS = gauge("broker", "broker_replicas", "Replicas that are connected to Redis.", shows=("C5",))
BROKER_REPLICATION_UP = gauge(
    "broker", "broker_replication_link_up",
    "1 if the Redis that we reach, being a replica, is connected to its master; absent on a master.",
    shows=("C5",),
)  # fmt: skip
BROKER_RESULT_KEYS = gauge(
    "broker", "broker_result_keys",
    "Keys in the result backend's database of this Redis; in the broker's own, those that expire. Absent when it is elsewhere.",
    shows=("C7",),
)  # fmt: skip
