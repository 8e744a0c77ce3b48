"""What a Redis says of Celery's queues: Kombu's keys, and the server's own figures."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import SplitResult, parse_qsl, urlsplit

from airflow_obs.errors import SourceError
from airflow_obs.sources.broker import Command, RedisSession, is_task_queue
from airflow_obs.sources.broker_url import BrokerAddress

log = logging.getLogger(__name__)
T = TypeVar("T")

SCAN_STEP = 5_000
"""Keys that one SCAN looks at: 3 to 5 ms of Redis' time (bench/)."""
FIRST_STEPS = 40
"""Steps of the very first search in one run; later ones take one step in a run, so that each costs the same."""
REST = 3
"""Runs without a search for bindings after each step that the last search took."""
MOST_REST = 20
"""Runs without a search that are enough, however long it took."""
MOST_BINDINGS = 10_000
PRIORITIES = range(1, 10)
"""Kombu's default steps are 3, 6 and 9; a site may use any, and clients with other steps may share the broker."""
LONGEST_FIGURE = 19
"""Digits of the largest whole number that Redis knows."""
_BINDING = "_kombu.binding."
_LOOPBACK = {"127.0.0.1": "localhost", "::1": "localhost"}


@dataclass(frozen=True)
class Keys:
    """What Kombu calls its keys, by Celery's transport options: https://docs.celeryq.dev/projects/kombu/en/stable/reference/kombu.transport.redis.html"""

    prefix: str
    separator: str
    priorities: tuple[str, ...]
    unacked: str
    unacked_index: str

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Keys:
        """The keys under these transport options."""
        prefix = str(options.get("global_keyprefix") or "")
        steps = options.get("priority_steps")
        more = [str(step) for step in steps if step] if isinstance(steps, list) else []
        return cls(
            prefix,
            str(options.get("sep") or "\x06\x16"),
            tuple(dict.fromkeys([*map(str, PRIORITIES), *more])),
            prefix + str(options.get("unacked_key") or "unacked"),
            prefix + str(options.get("unacked_index_key") or "unacked_index"),
        )

    def lists(self, queue: str) -> Iterator[str]:
        """The lists of a queue, one for each priority."""
        yield self.prefix + queue
        for priority in self.priorities:
            yield f"{self.prefix}{queue}{self.separator}{priority}"

    def bindings(self) -> str:
        """The glob pattern of the keys that hold bindings."""
        return re.sub(r"([*?\[\]\\^])", r"\\\1", self.prefix) + _BINDING + "*"

    def queue_of(self, member: str) -> str:
        """The queue that a member of such a set names."""
        return member.rsplit(self.separator, 1)[-1]


@dataclass(frozen=True)
class RedisFigures:
    """What one run saw. Messages per queue, the unacked ones in all queues (None: their key is another's), INFO's fields as text.

    `unacked_oldest` (Unix seconds) is when the message held longest was delivered. Which queue an unacked message is of stands
    only in its body, which is never read.
    """

    queues: dict[str, int]
    unacked: int | None
    unacked_oldest: float | None
    info: dict[str, str]


class BindingSearch:
    """Finds queues by Kombu's bindings, bounded in each run: the same database may hold 100,000 results.

    SCAN goes on where the run before stopped. A queue is forgotten when a whole search did not see it.
    """

    def __init__(self) -> None:
        self._cursor: str | None = None
        self._rest = self._steps = 0
        self._first = True
        self._seen: set[str] = set()
        self._queues: dict[str, None] = {}
        self._warned: str | None = None

    @property
    def queues(self) -> Iterable[str]:
        """The queues found so far."""
        return self._queues

    def command(self, keys: Keys) -> Command | None:
        """The next step of the search, or None while it rests."""
        if self._rest > 0:
            self._rest -= 1
            return None
        return ("SCAN", self._cursor or "0", "MATCH", keys.bindings(), "COUNT", SCAN_STEP)

    def warn(self, text: str | None) -> None:
        """Log what is odd in this Redis, once for as long as it is so."""
        if text != self._warned:
            self._warned = text
            if text:
                log.warning("broker: %s", text)

    def take(self, session: RedisSession, keys: Keys, reply: Any) -> set[str]:
        """Follow the reply to the command; the queues that were not known before. Asks on while it is the first search."""
        before, bindings = set(self._queues), list[str]()
        for _ in range(FIRST_STEPS if self._first else 1):
            cursor, found = _pair(reply)
            self._steps += 1
            bindings += found
            self._cursor = None if cursor == "0" else cursor
            if self._cursor is None or not self._first:
                break
            reply = session.ask([("SCAN", self._cursor, "MATCH", keys.bindings(), "COUNT", SCAN_STEP)])[0]
        self._note(session, keys, bindings[:MOST_BINDINGS])
        if self._cursor is None:
            self._queues = dict.fromkeys(name for name in self._queues if name in self._seen)
            self._rest = min(REST * self._steps, MOST_REST)
            self._seen, self._steps, self._first = set(), 0, False
        return set(self._queues) - before

    def _note(self, session: RedisSession, keys: Keys, bindings: list[str]) -> None:
        tasks = [name for name in bindings if is_task_queue(name.removeprefix(keys.prefix + _BINDING))]
        if not tasks:
            return
        for members in session.ask([("SMEMBERS", name) for name in tasks]):
            if _of_another_type(members):
                continue
            for member in _sound(members, list):
                if (queue := keys.queue_of(member)) and is_task_queue(queue) and len(self._queues) < MOST_BINDINGS:
                    self._queues[queue] = None
                    self._seen.add(queue)


def read(session: RedisSession, keys: Keys, search: BindingSearch, known: Iterable[str]) -> RedisFigures:
    """Everything, in one round trip when no search is due. Raises SourceError when a command is refused."""
    queues = [name for name in dict.fromkeys([*known, *search.queues]) if _askable(name)]
    step = search.command(keys)
    commands: list[Command] = [
        ("INFO",),
        ("HLEN", keys.unacked),
        ("ZRANGE", keys.unacked_index, 0, 0, "WITHSCORES"),
        *([step] if step else []),
    ]
    fixed = len(commands)
    replies = session.ask([*commands, *_lengths(keys, queues)])
    counted = _counted(keys, queues, replies[fixed:])
    if step and (new := search.take(session, keys, replies[3]) - set(queues)):
        counted |= _counted(keys, sorted(new), session.ask(list(_lengths(keys, sorted(new)))))
    foreign = _of_another_type(replies[1]) or _of_another_type(replies[2])
    search.warn(
        f"{keys.unacked} or {keys.unacked_index} is no key of Celery's: unacked messages cannot be told"
        if foreign
        else None
    )
    return RedisFigures(
        counted,
        None if foreign else _sound(replies[1], int),
        None if foreign else _moment(_sound(replies[2], list)),
        parsed_info(_sound(replies[0], str)),
    )


def parsed_info(text: str) -> dict[str, str]:
    """INFO's lines by their names."""
    pairs = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value.strip() for name, _, value in pairs if name}


def result_keys(info: Mapping[str, str], address: BrokerAddress) -> int | None:
    """Keys of the result backend, if it is a database of this very server; in the broker's own, those that expire.

    None when that cannot be told by INFO.
    """
    try:
        url = urlsplit(address.result_backend or "")
    except ValueError:
        return None
    query = dict(parse_qsl(url.query))
    if url.scheme in {"socket", "redis+socket", "unix"}:
        same, number = url.path == address.socket, query.get("virtual_host") or query.get("db")
    elif url.scheme in {"redis", "rediss"}:
        here = {(_LOOPBACK.get(host, host), port) for host, port in address.hosts}
        same, number = _place(url) in here and not address.sentinel_master, url.path.strip("/")
    else:
        return None
    if not same:
        return None
    number = number or "0"
    # "keys=12,expires=3,avg_ttl=0"
    fields = dict(part.split("=", 1) for part in info.get(f"db{number}", "keys=0,expires=0").split(",") if "=" in part)
    return whole(fields.get("expires" if number == address.database else "keys", "0"))


def _place(url: SplitResult) -> tuple[str, int] | None:
    try:
        host = url.hostname or "localhost"
        return _LOOPBACK.get(host, host), url.port or 6379
    except ValueError:
        return None


def whole(text: str) -> int | None:
    """A figure of INFO's, or None for what is none."""
    return int(text) if text.isdecimal() and len(text) <= LONGEST_FIGURE else None


def _lengths(keys: Keys, queues: Iterable[str]) -> Iterator[Command]:
    return (("LLEN", name) for queue in queues for name in keys.lists(queue))


def _askable(name: str) -> bool:
    """Whether Redis can be asked for it: JSON and databases can hold half a character, which no key has."""
    try:
        name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _counted(keys: Keys, queues: list[str], replies: list[Any]) -> dict[str, int]:
    """Messages per queue. One whose own name belongs to something other than a list is none; of the others lists count."""
    each = len(keys.priorities) + 1
    counted = {}
    for index, queue in enumerate(queues):
        lengths = replies[index * each : (index + 1) * each]
        if not _of_another_type(lengths[0]):
            counted[queue] = sum(_sound(length, int) for length in lengths if not _of_another_type(length))
    return counted


def _of_another_type(reply: Any) -> bool:
    return isinstance(reply, SourceError) and "WRONGTYPE" in str(reply)


def _moment(oldest: list[Any]) -> float | None:
    """The score of the first of a sorted set, where it can be a moment."""
    try:
        moment = float(oldest[1]) if oldest else math.nan
    except (ValueError, TypeError, IndexError):
        raise _strange("ZRANGE") from None
    return moment if math.isfinite(moment) and moment > 0 else None


def _pair(reply: Any) -> tuple[str, list[str]]:
    """SCAN's cursor and keys."""
    match _sound(reply, list):
        case [str(cursor), list(found)]:
            return cursor, found
    raise _strange("SCAN")


def _sound(reply: Any, kind: type[T]) -> T:
    if isinstance(reply, SourceError):
        raise reply
    if not isinstance(reply, kind):
        raise _strange(f"a reply of the type {type(reply).__name__}")
    return reply


def _strange(what: str) -> SourceError:
    return SourceError(
        f"broker: what answers is no Redis, or a proxy that changes its replies: {what} is not as it should be; give the URL of "
        "Celery's own broker"
    )
