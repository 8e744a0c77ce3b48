"""The schemes of a broker's URL: those that we read, and what is said of the others."""

from __future__ import annotations

PORTS = {
    "redis": 6379,
    "rediss": 6379,
    "sentinel": 26379,
    "amqp": 5672,
    "pyamqp": 5672,
    "librabbitmq": 5672,
    "amqps": 5671,
}
"""The port where a URL names none."""
SOCKETS = ("unix", "redis+socket")
SENTINEL = "sentinel"
RABBITMQ = ("amqp", "amqps", "pyamqp", "librabbitmq")
EXAMPLES = "redis://:<password>@host:6379/0 or amqp://user:<password>@host:5672/vhost"
_OTHERS = ("sqs", "kafka", "confluentkafka", "filesystem", "memory", "gcpubsub", "mongodb")
"""What Celery takes and we do not."""
_MEANT = {
    "rabbitmq": "amqp",
    "redis+sentinel": "sentinel",
    "redis+ssl": "rediss",
    "redis+tls": "rediss",
    "redis+unix": "redis+socket",
    "redis-sentinel": "sentinel",
    "rediss+sentinel": "sentinel (for TLS, [celery] ssl_active of Airflow)",
    "rediss+socket": "redis+socket (a socket has no TLS)",
    "valkey": "redis",
    "valkeys": "rediss",
}
"""What people write who mean one of ours; Celery takes none of these."""


def unsupported(scheme: str) -> str:
    """What a scheme that is not ours is, and what to write.

    Only known names are repeated: what stands before :// may be anything, when people get it wrong.
    """
    if meant := _MEANT.get(scheme):
        return f"{scheme}, which Celery does not know: write {meant}"
    what = f"{scheme}, which is not supported" if scheme in _OTHERS else "a kind that is not supported"
    return f"{what}: Redis (redis, rediss, redis+socket, unix, sentinel) and RabbitMQ (amqp, amqps, pyamqp) are"
