"""Reads RabbitMQ over AMQP, by passive declares, which need no permission but that to enter the vhost."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import amqp
import requests

from airflow_obs.errors import SourceError, SourceUnreachable, redact
from airflow_obs.sources.bounded import GaveUp, Lane
from airflow_obs.sources.broker import RabbitQueue, RabbitServer, is_task_queue
from airflow_obs.sources.broker_url import BrokerAddress
from airflow_obs.sources.rabbitmq_management import DEFAULT_LOGIN, Listing, Management, ManagementError

log = logging.getLogger(__name__)
T = TypeVar("T")

PORT = 5672
GRACE = 0.9
"""Share of what is left of the budget after which a read fails by itself, so that its reason is the one told."""
LONGEST_NAME = 255
"""Bytes."""
MOST_SAID = 300
"""Characters of a server's own words that are repeated."""
_LOST = (OSError, amqp.exceptions.ConnectionError, amqp.exceptions.RecoverableConnectionError)


@dataclass
class _Session:
    """One run of the collector. AMQP tells of the queues one asks for; the management API of all, and of the nodes."""

    address: BrokerAddress
    now: float
    _ask: Callable[[Callable[[], Any]], Any]
    _connection: amqp.Connection
    _listing: Callable[[], Listing | None]
    _managed: bool
    kind: Literal["rabbitmq"] = field(default="rabbitmq", init=False)

    def queues(self, names: Collection[str]) -> list[RabbitQueue]:
        listing = self._listing()
        listed = {} if listing is None else dict(listing.queues)
        # Whatever somebody asks for is a queue of tasks, however it is called.
        found = {name: queue for name, queue in listed.items() if name in names or is_task_queue(name)}
        # What the management API says of a queue may be seconds old, or missing where its statistics are switched off.
        wanted = set(names) | {name for name, queue in found.items() if queue is None}
        counted: list[RabbitQueue] = self._ask(lambda: [_count(self._connection, name) for name in sorted(wanted)])
        every = {name: queue for name, queue in found.items() if queue is not None}
        for queue in counted:
            known = every.get(queue.name)
            every[queue.name] = RabbitQueue(
                queue.name, queue.messages, queue.consumers, known.unacked if known else None, queue.exists
            )
        return sorted(every.values(), key=lambda queue: queue.name)

    def server(self) -> RabbitServer:
        version = str(self._connection.server_properties.get("version", "unknown"))
        listing = self._listing()
        if listing is None:
            return RabbitServer(version, management_up=False if self._managed else None)
        return RabbitServer(
            version, listing.nodes, listing.connections, listing.blocked_connections, management_up=True
        )


class RabbitBroker:
    """RabbitMQ behind an address. The connection is kept, without heartbeats: the kernel's keepalive watches it.

    Not thread-safe. Without a management URL, or while that does not answer (which is logged), AMQP alone speaks.
    """

    def __init__(
        self, address: BrokerAddress, management_url: str | None = None, stop: threading.Event | None = None
    ) -> None:
        self._address = address
        self._management = Management(management_url, address) if management_url else None
        self._lane = Lane("broker-rabbitmq", stop)
        # Its own: a call that hangs there must not hold up AMQP.
        self._management_lane = Lane("broker-management", stop)
        self._connection: amqp.Connection | None = None
        self._said: str | None = None

    @contextmanager
    def session(self, budget: float) -> Iterator[_Session]:
        until = time.monotonic() + budget
        connection = self._bounded(lambda: self._connected(until), until)
        listings: list[Listing | None] = []

        def listing() -> Listing | None:
            if not listings:
                listings.append(self._listing(until))
            return listings[0]

        managed = self._management is not None
        yield _Session(self._address, time.time(), lambda ask: self._bounded(ask, until), connection, listing, managed)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            cut(connection)

    def _connected(self, until: float) -> amqp.Connection:
        """The connection of last time if it still answers (RabbitMQ may have been restarted), or a new one."""
        if self._connection is not None:
            try:
                set_patience(self._connection, until - time.monotonic())
                self._connection.channel().close()
            except (*_LOST, amqp.exceptions.AMQPError):
                self.close()
            else:
                return self._connection
        hosts = self._address.hosts
        for nth, place in enumerate(hosts, 1):
            self._connection = _connection(self._address, place, (until - time.monotonic()) / (len(hosts) - nth + 1))
            try:
                self._connection.connect()
                return self._connection
            except _LOST as error:
                self.close()
                if nth == len(hosts) or isinstance(error, amqp.exceptions.AMQPError) or time.monotonic() > until:
                    raise
        raise SourceUnreachable(f"broker: {self._address.setting} names no host")

    def _listing(self, until: float) -> Listing | None:
        if self._management is None:
            return None
        management, reason = self._management, None
        # Half of what is left, so that a management API that hangs does not take the queues' counts with it.
        seconds = (until - time.monotonic()) / 2
        try:
            return self._management_lane.call(lambda: management.listing(seconds), seconds + 0.1)
        except ManagementError as error:
            reason = str(error)
        except (GaveUp, requests.RequestException) as error:
            reason = "no answer in time" if isinstance(error, GaveUp | requests.Timeout) else "cannot connect"
        finally:
            if reason != self._said:
                self._said = reason
                (log.warning if reason else log.info)("broker: RabbitMQ's management API: %s", reason or "answers")
        return None

    def _bounded(self, ask: Callable[[], T], until: float) -> T:
        """What `ask` says; after any failure the connection is not used again."""
        try:
            left = until - time.monotonic()
            if self._connection is not None:
                set_patience(self._connection, left)
            return self._lane.call(ask, left)
        except SourceError:
            self.close()
            raise
        except Exception as error:  # noqa: BLE001 (what is no RabbitMQ makes py-amqp raise struct.error, MemoryError, …)
            self.close()
            raise explained(error, self._address) from None


def tls_options(address: BrokerAddress) -> dict[str, Any] | None:
    """The TLS options of py-amqp (and of kombu's `ssl`), or None for a connection in the clear."""
    tls = address.tls
    if tls is None:
        return None
    options: dict[str, Any] = {"cert_reqs": ssl.CERT_REQUIRED if tls.verify else ssl.CERT_NONE}
    options |= {"ca_certs": tls.ca} if tls.ca else {}
    options |= {"certfile": tls.certificate, "keyfile": tls.key} if tls.certificate else {}
    return options


def _connection(address: BrokerAddress, place: tuple[str, int], seconds: float) -> amqp.Connection:
    options = tls_options(address)
    if options is not None and address.tls is not None and address.tls.check_hostname:
        options["server_hostname"] = place[0]
    host = f"[{place[0]}]" if ":" in place[0] else place[0]
    return amqp.Connection(
        f"{host}:{place[1] or PORT}",
        userid=address.user or DEFAULT_LOGIN,
        password=address.password if address.password is not None else DEFAULT_LOGIN,
        virtual_host=address.database or "/",
        ssl=options or False,
        connect_timeout=max(seconds * GRACE, 0.1),
        read_timeout=max(seconds * GRACE, 0.1),
        write_timeout=max(seconds * GRACE, 0.1),
        heartbeat=0,
        client_properties={"connection_name": "airflow-obs"},
    )


def set_patience(connection: amqp.Connection, seconds: float) -> None:
    """Let each wait of this connection end a little before so many seconds.

    The limits of its birth will not do: within a frame py-amqp takes them for a reason to wait again.
    """
    if (sock := _socket(connection)) is not None:
        with suppress(OSError):
            sock.settimeout(max(seconds * GRACE, 0.1))


def cut(connection: amqp.Connection) -> None:
    """Close without a farewell, which a frozen server would not answer; a thread that reads from it wakes up."""
    sock = _socket(connection)
    if sock is not None:
        with suppress(OSError):
            socket.socket.shutdown(
                sock, socket.SHUT_RDWR
            )  # TLS's own shutdown would forget that it has a farewell to say
    with suppress(*_LOST, AttributeError, ValueError):
        connection.collect()
    if sock is not None:
        with suppress(OSError):
            sock.close()


def _socket(connection: amqp.Connection) -> socket.socket | None:
    transport = connection._transport  # the public property raises where there is none
    return getattr(transport, "sock", None)


def _count(connection: amqp.Connection, name: str) -> RabbitQueue:
    """A passive declare; for a queue that is missing RabbitMQ closes the channel, so each failure costs a new one."""
    if not _sendable(name):
        return RabbitQueue(name, 0, 0, exists=False)
    channel = _channel(connection)
    try:
        answer = channel.queue_declare(name, passive=True)
    except (amqp.NotFound, amqp.ResourceLocked):  # locked: somebody's exclusive queue, which is none for tasks
        return RabbitQueue(name, 0, 0, exists=False)
    return RabbitQueue(name, answer.message_count, answer.consumer_count)


def _sendable(name: str) -> bool:
    """Whether a queue can have that name: AMQP knows none that is longer, and takes the empty one for the last declared."""
    try:
        return 0 < len(name.encode()) <= LONGEST_NAME
    except UnicodeEncodeError:
        return False


def _channel(connection: amqp.Connection) -> Any:
    """The one channel that is open, or a new one."""
    for channel in connection.channels.values():
        if getattr(channel, "channel_id", 0) and channel.is_open:
            return channel
    return connection.channel()


def explained(error: Exception, address: BrokerAddress) -> SourceError:
    """The error in words that say what to do, without any password."""
    text = redact(" ".join(str(error).split()), *address.secrets)[:MOST_SAID]
    place = ", ".join(f"{host}:{port}" for host, port in address.hosts)
    user, vhost = redact(address.user or DEFAULT_LOGIN, *address.secrets), address.database or "/"
    if isinstance(error, UnicodeError):
        return SourceUnreachable(f"broker: {place}: that is no name of a host; correct it in {address.setting}")
    if isinstance(error, amqp.exceptions.UnexpectedFrame) or not isinstance(error, (*_LOST, GaveUp, amqp.AMQPError)):
        return SourceUnreachable(
            f"broker: {place}: what answers there is no RabbitMQ ({type(error).__name__}); look at host, port and amqp:// or "
            f"amqps:// in {address.setting}"
        )
    if isinstance(error, amqp.AccessRefused):
        return SourceUnreachable(
            f"broker: RabbitMQ at {place} refuses the login of user {user}: correct user and password in {address.setting}"
        )
    if isinstance(error, amqp.NotAllowed):
        return SourceUnreachable(
            f"broker: RabbitMQ at {place} does not let user {user} into the vhost {vhost}: correct the vhost in "
            f"{address.setting}, or run `rabbitmqctl set_permissions -p {vhost} {user} '^$' '^$' '^$'`"
        )
    if isinstance(error, GaveUp | TimeoutError):
        reason = str(error) if isinstance(error, GaveUp) else "no answer in time"
        return SourceUnreachable(
            f"broker: RabbitMQ at {place}: {reason}: the server is frozen, overloaded or cut off; look at it, "
            f"not at the exporter (or at {address.setting}, if something else than RabbitMQ has that port)"
        )
    if isinstance(error, ssl.SSLError):
        return SourceUnreachable(
            f"broker: RabbitMQ at {place}: TLS: {text}: see [celery] ssl_cacert, ssl_cert, ssl_key"
        )
    if isinstance(error, _LOST):
        return SourceUnreachable(f"broker: RabbitMQ at {place}: cannot be reached: {text}")
    return SourceError(f"broker: RabbitMQ at {place}: {type(error).__name__}: {text}")
