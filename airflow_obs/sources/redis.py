"""Reads Redis: one connection, commands that only read, a time budget for each session."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from redis import Connection, SSLConnection, UnixDomainSocketConnection, exceptions

from airflow_obs.errors import SourceError, SourceUnreachable, redact
from airflow_obs.sources.broker import Command
from airflow_obs.sources.broker_url import BrokerAddress

CLIENT_NAME = "airflow-obs"
GRANTS = "~* +info +llen +hlen +zrange +smembers +scan +select +client|setname"
"""What a Redis user needs for every command that is ever sent here."""
_LOOK_UP_EVERY = 0.2
"""Seconds between looks at whether the process wants to stop."""


class Wire(Protocol):
    """What we use of redis-py's connections, without its pools and its retries, which know of no budget."""

    def connect(self) -> None: ...

    def disconnect(self) -> None: ...

    def pack_commands(self, commands: Sequence[Command], /) -> Any: ...

    def send_packed_command(self, command: Any, check_health: bool = ..., /) -> None: ...

    def can_read(self, timeout: float = ..., /) -> bool: ...

    def read_response(self) -> Any: ...


@dataclass
class Session:
    """A Redis that answers; `until` on the monotonic clock. The protocol is RedisSession in broker.py."""

    address: BrokerAddress
    wire: Wire
    until: float
    stop: threading.Event | None
    kind: Literal["redis"] = "redis"
    now: float = field(default_factory=time.time)

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """The replies in order, in one round trip; the reply to a command that was refused is a SourceError, not raised."""
        self.wire.send_packed_command(self.wire.pack_commands(commands))
        return [self._reply(command) for command in commands]

    def _reply(self, command: Command) -> Any:
        while not self.wire.can_read(min(_LOOK_UP_EVERY, max(self.until - time.monotonic(), 0.001))):
            if self.stop is not None and self.stop.is_set():
                raise exceptions.TimeoutError("the exporter is stopping")
            if time.monotonic() > self.until:
                raise exceptions.TimeoutError("no answer in time")
        try:
            return self.wire.read_response()
        except (exceptions.MovedError, exceptions.ClusterDownError):
            raise
        except exceptions.ResponseError as error:
            return explained(error, self.address, str(command[0]))


class RedisBroker:
    """A Redis behind one address: connects when asked, and again after any failure. Not thread-safe."""

    def __init__(self, address: BrokerAddress, stop: threading.Event | None = None) -> None:
        self._address = address
        self._stop = stop
        self._wire: Wire | None = None

    @contextmanager
    def session(self, budget: float) -> Iterator[Session]:
        """A session that has `budget` seconds; raises SourceUnreachable or SourceError, without any password."""
        until = time.monotonic() + budget
        try:
            if self._wire is None:
                self._wire = self._connect(until)
            yield Session(self._address, self._wire, until, self._stop)
        except exceptions.RedisError as error:
            self.close()
            raise explained(error, self._address) from None
        except BaseException:
            self.close()  # replies may still be on their way, and would be taken for those of the next session
            raise

    def close(self) -> None:
        """Close the connection; the next session starts anew."""
        wire, self._wire = self._wire, None
        if wire is not None:
            with suppress(exceptions.RedisError, OSError):
                wire.disconnect()

    def _connect(self, until: float) -> Wire:
        address = self._address
        if address.sentinel_master is not None:
            return self._opened(_wire(address, _master(address, until, self._stop), until), until)
        if address.socket is not None:
            return self._opened(_wire(address, None, until), until)
        failure: exceptions.RedisError = exceptions.ConnectionError("no host")
        for index, place in enumerate(address.hosts):
            try:
                return self._opened(_wire(address, place, _share(until, len(address.hosts) - index)), until)
            except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
                failure = error
        raise failure

    def _opened(self, wire: Wire, until: float) -> Wire:
        try:
            wire.connect()
            # Whoever looks at CLIENT LIST should know us; a server or proxy that forbids it is no worse for it.
            Session(self._address, wire, until, self._stop).ask([("CLIENT", "SETNAME", CLIENT_NAME)])
        except BaseException:
            with suppress(exceptions.RedisError, OSError):
                wire.disconnect()
            raise
        return wire


def _share(until: float, parts: int) -> float:
    """The end of this part's share of the time that is left."""
    now = time.monotonic()
    return now + (until - now) / parts


def _wire(
    address: BrokerAddress, place: tuple[str, int] | None, until: float, login: dict[str, Any] | None = None
) -> Wire:
    """A connection, not yet open. `login` replaces user, password and database."""
    timeout = max(until - time.monotonic(), 0.05)
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "decode_responses": True,
        "encoding_errors": "backslashreplace",
        "protocol": 2,
        "driver_info": None,
        **(login or {"username": address.user, "password": address.password, "db": int(address.database or 0)}),
    }
    if place is None:
        del options["socket_connect_timeout"]
        return UnixDomainSocketConnection(path=address.socket or "", **options)  # type: ignore[abstract]
    options |= {"host": place[0], "port": place[1]}
    if (tls := address.tls) is None:
        return Connection(**options)
    return SSLConnection(
        ssl_ca_certs=tls.ca,
        ssl_certfile=tls.certificate,
        ssl_keyfile=tls.key,
        ssl_cert_reqs="required" if tls.verify else "none",
        ssl_check_hostname=tls.check_hostname and tls.verify,
        **options,
    )


def _master(address: BrokerAddress, until: float, stop: threading.Event | None) -> tuple[str, int]:
    """Where the master is, by the first sentinel that knows. Raises SourceUnreachable when none does."""
    given = address.options.get("sentinel_kwargs") or {}
    login = {"username": given.get("username"), "password": given.get("password"), "db": 0}
    question: Command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", str(address.sentinel_master))
    failures = []
    for index, place in enumerate(address.hosts):
        share = _share(until, len(address.hosts) - index + 1)
        wire = _wire(address, place, share, login)
        try:
            wire.connect()
            [found] = Session(address, wire, share, stop).ask([question])
        except exceptions.RedisError as error:
            found = explained(error, address)
        finally:
            with suppress(exceptions.RedisError, OSError):
                wire.disconnect()
        if isinstance(found, list):
            return str(found[0]), int(found[1])
        failures.append(f"{place[0]}:{place[1]}: {found or 'it watches no master of that name'}")
    raise SourceUnreachable(
        f"broker: no sentinel says where the master {address.sentinel_master} is: {'; '.join(failures)}; look at the sentinels, "
        "master_name and sentinel_kwargs (their password is not the master's)"
    )


def explained(error: Exception, address: BrokerAddress, command: str = "") -> SourceError:
    """The error in words that say what to do, without any password."""
    text = redact(" ".join(str(error).split()), *address.secrets)
    where = f"broker: {_where(address)}"
    if isinstance(error, exceptions.NoPermissionError):
        refused = f"the command {command}" if command else "a command"
        return SourceError(
            f"{where}: our user may not run {refused} ({text}); grant it with ACL SETUSER <user> {GRANTS}"
        )
    if isinstance(error, exceptions.BusyLoadingError):
        return SourceUnreachable(f"{where}: Redis is loading its data from disk; it answers when that is done")
    if isinstance(error, exceptions.MovedError | exceptions.AskError | exceptions.ClusterDownError):
        return SourceUnreachable(
            f"{where}: this Redis is part of a cluster, on which Celery does not work; give the URL of Celery's own broker"
        )
    if isinstance(error, exceptions.AuthenticationError | exceptions.AuthenticationWrongNumberOfArgsError):
        return SourceUnreachable(f"{where}: {text}; look at user and password in {address.setting}")
    if isinstance(error, exceptions.TimeoutError) or "timed out" in text.lower():
        plain = " (or it does not speak TLS)" if address.tls else ""
        return SourceUnreachable(
            f"{where}: no answer in time: the server is frozen, overloaded or cut off; look at it{plain}"
        )
    if "max number of clients" in text:
        return SourceUnreachable(f"{where}: {text}: find who opens them (CLIENT LIST), or raise maxclients")
    if "certificate" in text.lower():
        return SourceUnreachable(f"{where}: {text}; look at the CA ([celery] ssl_cacert, or ssl_ca_certs in the URL)")
    if isinstance(error, exceptions.ConnectionError):
        return SourceUnreachable(f"{where}: cannot be reached: {text}")
    if isinstance(error, exceptions.OutOfMemoryError):
        return SourceError(f"{where}: {text}: its memory is full, and so nothing can be queued")
    return SourceError(f"{where}: {command or 'it'} was refused: {text}")


def _where(address: BrokerAddress) -> str:
    if address.socket is not None:
        return address.socket
    return re.sub(r"[^\w.:,\[\]-]", "?", ",".join(f"{host}:{port}" for host, port in address.hosts))
