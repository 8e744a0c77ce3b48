"""Reads Redis: one connection, commands that only read, a time budget for each session."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from redis import Connection, SSLConnection, UnixDomainSocketConnection, exceptions

from airflow_obs.errors import SourceError, SourceUnreachable, redact
from airflow_obs.sources.bounded import GaveUp, Lane
from airflow_obs.sources.broker import Command
from airflow_obs.sources.broker_url import BrokerAddress

CLIENT_NAME = "airflow-obs"
GRANTS = "~* +info +llen +hlen +zrange +smembers +scan +select +client|setname"
"""What a Redis user needs for every command that is ever sent here."""
MOST_SAID = 300
"""Characters of a server's own words that are repeated."""
T = TypeVar("T")


class Wire(Protocol):
    """What we use of redis-py's connections, without its pools and its retries, which know of no budget."""

    def connect(self) -> None: ...

    def disconnect(self) -> None: ...

    def pack_commands(self, commands: Sequence[Command], /) -> Any: ...

    def send_packed_command(self, command: Any, check_health: bool = ..., /) -> None: ...

    def read_response(self) -> Any: ...


@dataclass
class Session:
    """A Redis that answers. The protocol is RedisSession in broker.py."""

    address: BrokerAddress
    _ask: Callable[[Sequence[Command]], list[Any]] = field(repr=False)
    kind: Literal["redis"] = "redis"
    now: float = field(default_factory=time.time)

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """The replies in order, in one round trip; the reply to a command that was refused is a SourceError, not raised."""
        return self._ask(commands)


class RedisBroker:
    """A Redis behind one address: connects when asked, and again after any failure. Not thread-safe.

    All waiting is done in a lane: name resolution knows of no timeout, and a socket's own begins anew with every byte.
    """

    def __init__(self, address: BrokerAddress, stop: threading.Event | None = None) -> None:
        self._address = address
        self._lane = Lane("broker-redis", stop)
        self._wire: Wire | None = None
        self._opening: Wire | None = None

    @contextmanager
    def session(self, budget: float) -> Iterator[Session]:
        """A session that has `budget` seconds; raises SourceUnreachable or SourceError, without any password."""
        until = time.monotonic() + budget
        wire = self._wire = self._wire or self._bounded(lambda: self._connect(until), until)
        try:
            yield Session(
                self._address, lambda commands: self._bounded(lambda: _replies(self._address, wire, commands), until)
            )
        except BaseException:
            self.close()  # replies may still be on their way, and would be taken for those of the next session
            raise

    def close(self) -> None:
        """Close the connection; the next session starts anew."""
        wires, self._wire, self._opening = (self._wire, self._opening), None, None
        for wire in wires:
            if wire is not None:
                _cut(wire)

    def _bounded(self, ask: Callable[[], T], until: float) -> T:
        """What `ask` says; after any failure the connection is not used again."""
        try:
            return self._lane.call(ask, until - time.monotonic())
        except SourceError:
            self.close()
            raise
        except Exception as error:  # noqa: BLE001 (what is no Redis makes redis-py's parser raise ValueError, RecursionError, …)
            self.close()
            raise explained(error, self._address) from None

    def _connect(self, until: float) -> Wire:
        address = self._address
        if address.sentinel_master is not None:
            return self._opened(_master(address, until, self._opened), until)
        if address.socket is not None:
            return self._opened(None, until)
        failure: exceptions.RedisError = exceptions.ConnectionError("no host")
        for index, place in enumerate(address.hosts):
            try:
                return self._opened(place, _share(until, len(address.hosts) - index))
            except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
                failure = error
        raise failure

    def _opened(self, place: tuple[str, int] | None, until: float, login: dict[str, Any] | None = None) -> Wire:
        wire = self._opening = _wire(self._address, place, until, login)
        try:
            wire.connect()
            if login is None:
                # Whoever looks at CLIENT LIST should know us; a server or proxy that forbids it is no worse for it.
                _replies(self._address, wire, [("CLIENT", "SETNAME", CLIENT_NAME)])
            if time.monotonic() > until:
                raise exceptions.TimeoutError("no answer in time")  # nobody waits for it any more
        except BaseException:
            _cut(wire)
            raise
        self._opening = None
        return wire


def _replies(address: BrokerAddress, wire: Wire, commands: Sequence[Command]) -> list[Any]:
    wire.send_packed_command(wire.pack_commands(commands))
    return [_reply(address, wire, command) for command in commands]


def _reply(address: BrokerAddress, wire: Wire, command: Command) -> Any:
    try:
        return wire.read_response()
    except (exceptions.MovedError, exceptions.ClusterDownError):
        raise
    except exceptions.ResponseError as error:
        return explained(error, address, str(command[0]))


def _cut(wire: Wire) -> None:
    """Close it, whatever state it is in: a thread that still reads from it wakes up."""
    with suppress(exceptions.RedisError, OSError, AttributeError, ValueError):
        wire.disconnect()


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
        "encoding_errors": "surrogateescape",  # a name that is no UTF-8 is asked for as it was told
        "protocol": 2,
        "driver_info": None,
        **(login or {"username": address.user, "password": address.password, "db": int(address.database or 0)}),
    }
    if place is None:
        del options["socket_connect_timeout"]
        return UnixDomainSocketConnection(path=address.socket or "", **options)  # type: ignore[abstract]  # its stubs leave methods abstract
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


def _master(address: BrokerAddress, until: float, opened: Callable[..., Wire]) -> tuple[str, int]:
    """Where the master is, by the first sentinel that knows. Raises SourceUnreachable when none does."""
    given = address.options.get("sentinel_kwargs") or {}
    login = {"username": given.get("username"), "password": given.get("password"), "db": 0}
    question: Command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", str(address.sentinel_master))
    failures = []
    for index, place in enumerate(address.hosts):
        try:
            wire = opened(place, _share(until, len(address.hosts) - index + 1), login)
            try:
                [found] = _replies(address, wire, [question])
            finally:
                _cut(wire)
        except exceptions.RedisError as error:
            found = explained(error, address)
        match found:
            case [str(host), str(port)] if port.isdecimal():
                return host, int(port)
        failures.append(f"{place[0]}:{place[1]}: {found or 'it watches no master of that name'}")
    raise SourceUnreachable(
        f"broker: no sentinel says where the master {address.sentinel_master} is: {'; '.join(failures)}; look at the sentinels, "
        "master_name and sentinel_kwargs (their password is not the master's)"
    )


def explained(error: Exception, address: BrokerAddress, command: str = "") -> SourceError:
    """The error in words that say what to do, without any password."""
    text = redact(" ".join(str(error).split()), *address.secrets)[:MOST_SAID]
    where = f"broker: {_where(address)}"
    if isinstance(error, exceptions.InvalidResponse) or not isinstance(error, exceptions.RedisError | GaveUp | OSError):
        return _no_redis(error, where, address.setting)
    if isinstance(
        error, exceptions.BusyLoadingError | exceptions.MovedError | exceptions.AskError | exceptions.ClusterDownError
    ):
        return _no_broker(error, where)
    if isinstance(error, exceptions.NoPermissionError):
        refused = f"the command {command}" if command else "a command"
        return SourceError(
            f"{where}: our user may not run {refused} ({text}); grant it with ACL SETUSER <user> {GRANTS}"
        )
    if isinstance(error, exceptions.AuthenticationError | exceptions.AuthenticationWrongNumberOfArgsError):
        written = (
            ": it has a user and no password; a password alone is written redis://:<password>@host"
            if address.lone_user
            else ""
        )
        return SourceUnreachable(f"{where}: {text}; look at user and password in {address.setting}{written}")
    if isinstance(error, exceptions.TimeoutError | GaveUp | TimeoutError) or "timed out" in text.lower():
        plain = " (or it does not speak TLS)" if address.tls else ""
        return SourceUnreachable(
            f"{where}: no answer in time: the server is frozen, overloaded or cut off; look at it{plain}"
        )
    if "max number of clients" in text:
        return SourceUnreachable(f"{where}: {text}: find who opens them (CLIENT LIST), or raise maxclients")
    if "certificate" in text.lower():
        return SourceUnreachable(f"{where}: {text}; look at the CA ([celery] ssl_cacert, or ssl_ca_certs in the URL)")
    if isinstance(error, exceptions.ConnectionError | OSError):
        return SourceUnreachable(f"{where}: cannot be reached: {text}")
    if isinstance(error, exceptions.OutOfMemoryError):
        return SourceError(f"{where}: {text}: its memory is full, and so nothing can be queued")
    return _refused(where, text, command, address.setting)


def _refused(where: str, text: str, command: str, setting: str) -> SourceError:
    if not command:  # of the first ones, which log in and choose the database
        return SourceUnreachable(f"{where}: {text}; correct it in {setting}")
    return SourceError(f"{where}: {command} was refused: {text}")


def _no_broker(error: Exception, where: str) -> SourceError:
    if isinstance(error, exceptions.BusyLoadingError):
        return SourceUnreachable(f"{where}: Redis is loading its data from disk; it answers when that is done")
    return SourceUnreachable(
        f"{where}: this Redis is part of a cluster, on which Celery does not work; give the URL of Celery's own broker"
    )


def _no_redis(error: Exception, where: str, setting: str) -> SourceError:
    """Without the error's text, which quotes what came in."""
    if isinstance(error, UnicodeError):
        return SourceUnreachable(f"{where}: that is no name of a host; correct it in {setting}")
    return SourceUnreachable(
        f"{where}: what answers there is no Redis ({type(error).__name__}); look at host, port and redis:// or rediss:// "
        f"in {setting}"
    )


def _where(address: BrokerAddress) -> str:
    if address.socket is not None:
        return address.socket
    return re.sub(r"[^\w.:,\[\]-]", "?", ",".join(f"{host}:{port}" for host, port in address.hosts))
