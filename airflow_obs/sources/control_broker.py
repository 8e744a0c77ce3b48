"""Connects kombu to the broker so that nothing waits for ever, nothing is retried and no message is restored."""

from __future__ import annotations

import re
import ssl
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import amqp
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, RedisError
from redis.retry import Retry

from airflow_obs.errors import SourceError, SourceUnreachable, redact
from airflow_obs.sources import rabbitmq, redis
from airflow_obs.sources.bounded import GaveUp
from airflow_obs.sources.broker_url import BrokerAddress

if TYPE_CHECKING:
    from kombu import Connection

GRANTS = (
    "~airflow-obs-* ~celeryev.airflow-obs-* ~_kombu.binding.reply.celery.pidbox ~_kombu.binding_permanent.reply.celery.pidbox "
    "~_kombu.binding.celeryev ~_kombu.binding_permanent.celeryev &/0.celery.pidbox &/0.celeryev/worker.heartbeat "
    "+ping +multi +exec +llen +sadd +srem +del +brpop +publish +psubscribe +punsubscribe +select +client|setname"
)
"""What a Redis user needs for Celery's control protocol, beside what reading needs; 0 is the number of the database."""
PATIENCE = 0.25
"""Share of the budget that one wait for the broker may take."""
BRPOP = 1.0
"""Seconds that kombu lets Redis hold the answer, in whole seconds for the sake of old servers."""
_SHARED = (
    "fanout_patterns", "fanout_prefix", "global_keyprefix", "master_name", "min_other_sentinels", "sentinel_fanout_compat", "sep",
)  # fmt: skip
"""Airflow's transport options that say where and how workers listen; the others are about consuming tasks."""


ABANDONED = 86_400.0
"""Seconds after which nobody can be in the call that a name of ours was made for, however wrong the clocks are."""
_OURS = re.compile(r"(?:celeryev\.)?airflow-obs-(\d{1,15})-[0-9a-f-]{36}(?:\.reply\.celery\.pidbox)?")


class Unanswered(Exception):
    """The broker is there, but workers cannot be asked over it; the text says why and what to do."""


@contextmanager
def connection(address: BrokerAddress, budget: float, on_blocked: Callable[[str], None]) -> Iterator[Connection]:
    """A connection that has `budget` seconds; `on_blocked` hears the reason when RabbitMQ stops its publishers."""
    from kombu import Connection

    seconds = max(budget * PATIENCE, 0.1)
    options = _redis_options(address, seconds) if address.kind == "redis" else _amqp_options(seconds, on_blocked)
    broker = (_quiet_connection() if address.kind == "redis" else Connection)(
        _url(address), ssl=_tls(address), connect_timeout=seconds, heartbeat=0, transport_options=options
    )
    wire = None
    try:
        attempts = max(len(address.hosts) - 1, 1)
        broker.ensure_connection(max_retries=attempts, interval_start=0, interval_step=0, timeout=budget)
        wire = broker.connection if address.kind == "rabbitmq" else None
        if wire is not None:
            rabbitmq.set_patience(wire, seconds)
        yield broker
        broker.close()
    finally:
        if wire is not None:
            rabbitmq.cut(wire)
        # Kombu leaves its epoll to the garbage collector; it makes one anew for every host that it tries.
        for poller in vars(broker).get("pollers", ()):
            poller.close()


@cache
def _quiet_connection() -> type[Connection]:
    """Connections to Redis that send no CLIENT SETINFO: refused, as by our grants, it would fill the ACL LOG at every call."""
    from kombu import Connection

    class Quiet(Connection):  # type: ignore[misc]  # amqp has no types
        def __init__(self, *given: Any, **named: Any) -> None:
            self.pollers: list[Any] = []
            super().__init__(*given, **named)

        def create_transport(self) -> Any:
            transport = super().create_transport()
            self.pollers.append(transport.cycle.poller)
            return transport

        def get_transport_cls(self) -> Any:
            return _quiet(super().get_transport_cls())

    quiet: type[Connection] = Quiet
    return quiet


@cache
def _quiet(transport: Any) -> type:
    class Channel(transport.Channel):  # type: ignore[misc]  # kombu has no types
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            # Kombu's is one for the whole process: it would grow with the names of every call.
            self._fanout_queues: dict[str, Any] = {}

        def _connparams(self, *given: Any, **named: Any) -> dict[str, Any]:
            # From protocol 3 on redis-py would also ask for notices of maintenance.
            return {**super()._connparams(*given, **named), "driver_info": None, "protocol": 2}

    return type("Transport", (transport,), {"Channel": Channel})


def exists(broker: Connection, exchange: str) -> bool:
    """Whether RabbitMQ has this exchange: workers make it, and we may not. Asking needs no permission."""
    channel = broker.channel()
    try:
        channel.exchange_declare(exchange, "fanout", passive=True)
    except amqp.NotFound:
        return False
    channel.close()
    return True


def new_identity() -> str:
    """Who we are during one call: never the same twice, and telling when it was made."""
    return f"airflow-obs-{int(time.time())}-{uuid.uuid4()}"


def sweep(channel: Any, exchange: str) -> None:
    """Remove from Redis what exporters left behind that were killed in the middle of a call, more than a day ago."""
    before = time.time() - ABANDONED
    with channel.conn_or_acquire() as client:
        for key in (channel.keyprefix_queue % exchange, channel.keyprefix_binding_permanent % exchange):
            for member in client.smembers(key):
                queue = member.decode(errors="replace").rpartition(channel.sep)[2]
                if (ours := _OURS.fullmatch(queue)) and int(ours[1]) < before:
                    client.srem(key, member)
                    client.delete(queue)


def hang_up(channel: Any) -> None:
    """Close the channel's sockets without a farewell, which a frozen Redis would not answer."""
    for name in ("client", "subclient"):
        if (client := vars(channel).get(name)) is not None:
            with suppress(Exception):
                client.connection_pool.disconnect()


def _redis_options(address: BrokerAddress, seconds: float) -> dict[str, Any]:
    limits = {"socket_timeout": seconds, "socket_connect_timeout": seconds}
    options = {name: value for name, value in address.options.items() if name in _SHARED}
    if address.sentinel_master:
        given = address.options.get("sentinel_kwargs")
        options |= {"master_name": address.sentinel_master}
        # Left to itself, a sentinel that is down is tried again and again before the next one is.
        sentinel = {**limits, "retry": Retry(NoBackoff(), 0)}
        options |= {"sentinel_kwargs": {**(given if isinstance(given, dict) else {}), **sentinel}}
    # The last BRPOP of a call is waited for: it asks Redis to hold its answer for 1 s, or (since Redis 6) less.
    options |= {} if seconds > 2 * BRPOP else {"polling_interval": seconds / 4}
    return options | limits | {
        "retry_on_timeout": False,
        "health_check_interval": 0,
        "client_name": "airflow-obs-workers",
        "priority_steps": [0],
        # With it, kombu puts messages that workers hold back into their queues once they are older than a visibility
        # timeout that it takes for 1 h: tasks that run would be run again.
        "ack_emulation": False,
    }  # fmt: skip


def _amqp_options(seconds: float, on_blocked: Callable[[str], None]) -> dict[str, Any]:
    return {
        "read_timeout": seconds,
        "write_timeout": seconds,
        "on_blocked": on_blocked,
        "client_properties": {"connection_name": "airflow-obs workers"},
    }


def _url(address: BrokerAddress) -> str:
    login = f"{quote(address.user or '', safe='')}:{quote(address.password or '', safe='')}@"
    login = login if address.user or address.password else ""
    name = quote(address.database, safe="")
    if address.socket:
        return f"redis+socket://{login}{address.socket}?virtual_host={name}"
    scheme = "amqp" if address.kind == "rabbitmq" else "sentinel" if address.sentinel_master else "redis"
    hosts = [(f"[{host}]" if ":" in host else host, port) for host, port in address.hosts]
    return ";".join(f"{scheme}://{login}{host}:{port}/{name}" for host, port in hosts)


def _tls(address: BrokerAddress) -> dict[str, Any] | None:
    if (tls := address.tls) is None:
        return None
    prefix = "ssl_" if address.kind == "redis" else ""
    options: dict[str, Any] = {f"{prefix}cert_reqs": ssl.CERT_REQUIRED if tls.verify else ssl.CERT_NONE}
    options |= {f"{prefix}ca_certs": tls.ca} if tls.ca else {}
    if tls.certificate:
        options |= {f"{prefix}certfile": tls.certificate, f"{prefix}keyfile": tls.key}
    if address.kind == "redis":
        options["ssl_check_hostname"] = tls.check_hostname and tls.verify
    elif tls.check_hostname:
        # For None kombu puts in the node that it connects to, and 127.0.0.1 for localhost.
        options["server_hostname"] = address.hosts[0][0] if len(address.hosts) == 1 else None
    return options


def _of_kombu(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] == "kombu"


def explained(error: Exception, address: BrokerAddress) -> SourceError:
    """The error as a user may see it, without any password."""
    if isinstance(error.__cause__, Exception) and type(error).__module__.startswith("kombu"):
        error = error.__cause__
    what = "RabbitMQ" if address.kind == "rabbitmq" else "Redis"
    text = redact(" ".join(str(error).split()), *address.secrets)
    if isinstance(error, Unanswered):
        return SourceError(f"workers: {what}: {text}")
    if isinstance(error, GaveUp):
        return SourceUnreachable(
            f"workers: {what}: {text}: the broker is frozen, overloaded or cut off; look at it, not at the exporter"
        )
    if isinstance(error, NoPermissionError) or re.search("access to (queue|exchange|topic)", text):
        return SourceError(
            f"workers: {what}: {text}: Celery's control protocol needs more than reading: grant it as the README says, or set "
            "sources.broker.control to false in the policy"
        )
    if isinstance(error, ImportError):
        return SourceError(
            f"workers: {text}: the installation is incomplete: run pip install --force-reinstall airflow-obs"
        )
    if not isinstance(error, RedisError | amqp.AMQPError | OSError) and not _of_kombu(error):
        # Its text may hold what came in.
        return SourceError(
            f"workers: {what}: something came in that is no answer of Celery's ({type(error).__name__}): look at who else "
            "publishes there"
        )
    # By whoever reads the queues of the same broker.
    return rabbitmq.explained(error, address) if address.kind == "rabbitmq" else redis.explained(error, address)
