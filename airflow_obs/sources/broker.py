"""Reads Celery's broker, whichever it is: what its sessions can be asked, and the choice of one by the URL's scheme."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from airflow_obs.sources.broker_url import BrokerAddress

Command = tuple[str | int, ...]
"""A Redis command and its arguments."""


def is_task_queue(name: str) -> bool:
    """Whether a queue or exchange is for tasks: Celery's control protocol and its events have some of their own."""
    of_control = name == "celery.pidbox" or name.endswith(".celery.pidbox")
    return not (of_control or name == "celeryev" or name.startswith("celeryev."))


class RedisSession(Protocol):
    """A Redis that answers. `now` is this host's clock, in Unix seconds."""

    kind: Literal["redis"]
    address: BrokerAddress
    now: float

    def ask(self, commands: Sequence[Command], /) -> list[Any]:
        """The replies in order, in one round trip; the reply to a command that was refused is a SourceError, not raised.

        Raises SourceUnreachable when the server stops answering. Texts come as str, bytes that are no UTF-8
        as surrogates (PEP 383), so that a name may be asked for as it was told.
        """


@dataclass(frozen=True)
class RabbitQueue:
    """A queue of RabbitMQ. `messages` are ready, `unacked` is None where only AMQP is spoken (the management API knows).

    `exists` is False for one that was asked for and that nobody has declared: then all counts are 0.
    """

    name: str
    messages: int
    consumers: int
    unacked: int | None = None
    exists: bool = True


@dataclass(frozen=True)
class RabbitNode:
    """A node of the cluster, by the management API; sizes in bytes, `started` in Unix seconds, None where it is not said."""

    name: str
    running: bool
    started: float | None = None
    memory: int | None = None
    memory_limit: int | None = None
    memory_alarm: bool = False
    disk_free: int | None = None
    disk_free_limit: int | None = None
    disk_alarm: bool = False


@dataclass(frozen=True)
class RabbitServer:
    """The whole broker. `version` is known either way; without the management API `nodes` is empty and the counts are None.

    `management_up` is None where nobody told us of the management API.
    """

    version: str
    nodes: tuple[RabbitNode, ...] = ()
    connections: int | None = None
    blocked_connections: int | None = None
    management_up: bool | None = None


class RabbitSession(Protocol):
    """A RabbitMQ that answers; SourceUnreachable or SourceError from any of these when it stops doing so."""

    kind: Literal["rabbitmq"]
    address: BrokerAddress
    now: float

    def queues(self, names: Collection[str], /) -> list[RabbitQueue]:
        """The queues of those names, and with the management API every other queue of the vhost.

        Replies to the control protocol, its pidboxes and event queues are left out. Sorted by name.
        """

    def server(self) -> RabbitServer:
        """The broker itself."""


BrokerSession = RedisSession | RabbitSession


class Connector(Protocol):
    """One kind of broker behind one address: connects when asked, and again after any failure. Not thread-safe.

    Constructed as `RedisBroker(address, stop)` in redis.py and `RabbitBroker(address, management_url, stop)` in rabbitmq.py;
    `stop` (threading.Event or None) ends waiting early when it is set.
    """

    def session(self, budget: float, /) -> AbstractContextManager[BrokerSession]:
        """A session that has `budget` seconds; raises SourceUnreachable or SourceError, without any password."""

    def close(self) -> None:
        """Close the connection; the next session starts anew."""


class Broker:
    """Celery's broker as a source. `find` gives its address, or None while this Airflow has no Celery as far as known."""

    name = "broker"

    def __init__(
        self,
        find: Callable[[], BrokerAddress | None],
        management_url: str | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._find = find
        self._management_url = management_url
        self._stop = stop
        self._address: BrokerAddress | None = None
        self._connector: Connector | None = None
        self.known = True

    @contextmanager
    def session(self, budget: float) -> Iterator[BrokerSession | None]:
        """The broker, for `budget` seconds; None when there is none (nothing to report).

        The address is asked for every time, so that a rotated secret file is read without a restart.
        """
        address = self._find()
        self.known = address is not None
        if address is None:
            self.close()
            yield None
            return
        if self._connector is None or address != self._address:
            self.close()
            self._address, self._connector = address, self._connect(address)
        with self._connector.session(budget) as session:
            yield session

    def close(self) -> None:
        """Close the connection; the next session starts anew."""
        connector, self._connector = self._connector, None
        if connector is not None:
            connector.close()

    def _connect(self, address: BrokerAddress) -> Connector:
        if address.kind == "rabbitmq":
            from airflow_obs.sources.rabbitmq import RabbitBroker

            return RabbitBroker(address, self._management_url, self._stop)
        from airflow_obs.sources.redis import RedisBroker

        return RedisBroker(address, self._stop)
