"""One call to Celery's workers, in Celery's control protocol over the broker, without Celery or Airflow.

The protocol is that of `celery inspect`: https://docs.celeryq.dev/en/stable/userguide/workers.html#inspecting-workers.
The tasks that a worker runs are not asked for (`inspect active`), but counted in the heartbeats that it sends by itself: the
arguments of Airflow 3's tasks carry a live token. Those it has fetched and not begun are told by no heartbeat: of the answer to
`reserved` only the length is kept.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_obs.sources.bounded import GaveUp
from airflow_obs.sources.broker_url import BrokerAddress
from airflow_obs.sources.control import Worker
from airflow_obs.sources.control_broker import Unanswered, connection, exists, hang_up, new_identity, sweep

if TYPE_CHECKING:
    from kombu import Connection, Exchange, Queue
    from kombu.message import Message

QUESTIONS = ("stats", "active_queues", "reserved")
HEARTBEAT = "worker-heartbeat"
LISTEN, LISTEN_AT_LEAST, LEAVE = 0.6, 0.25, 0.15
"""Shares of the budget: for how long answers are awaited, how long that must be lest the slow pass for silent, and what is
kept for taking leave."""
QUIET = 1.0
"""Seconds without an answer from somebody new after which, all those expected having answered, no more is awaited."""
BEAT = 2.5
"""Seconds in which every worker has beaten once: Celery's do so every 2 s."""
MOST = 10_000
"""Workers heard, and queues of each."""
LARGEST = 2**53
"""What a count stays below, so that a float holds it."""
_TICK = 0.2


@dataclass
class _Heard:
    """What has come in during one call; of each message only numbers and names of queues are kept."""

    tickets: Mapping[str, str]
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    active: dict[str, int] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    newest: float = field(default_factory=time.monotonic)
    unreadable: str | None = None

    def take(self, message: Message) -> None:
        try:
            body = message.decode()
        except Exception as error:  # noqa: BLE001 (anything may come in, and its text may hold what must not be told)
            self.unreadable = type(error).__name__
            return
        headers = message.headers or {}
        if not isinstance(body, dict) or not isinstance(headers, dict):
            return
        if body.get("type") == HEARTBEAT:
            if (active := _number(body.get("active"))) is not None and len(self.active) < MOST:
                self.active[str(body.get("hostname"))] = active
            return
        question = self.tickets.get(str(headers.get("ticket")))
        for name, answer in body.items() if question else ():
            if name not in self.answers:
                if len(self.answers) >= MOST:
                    return
                self.newest = time.monotonic()
            self.answers.setdefault(name, {})[str(question)] = _gist(str(question), answer)

    def complete(self, expected: Collection[str]) -> bool:
        """Whether everybody has said everything, as far as can be told, and nobody new has turned up lately."""
        names = self.answers.keys() | self.active.keys() | set(expected)
        said_all = all(len(self.answers.get(name, ())) == len(QUESTIONS) and name in self.active for name in names)
        now = time.monotonic()
        return bool(names) and said_all and now - self.newest >= QUIET and now - self.began >= BEAT

    def workers(self) -> list[Worker]:
        """Those that answered, and those that only beat: alive, though nobody can say what they consume."""
        return [
            self._worker(name, self.answers.get(name, {})) for name in sorted(self.answers.keys() | self.active.keys())
        ]

    def _worker(self, name: str, said: Mapping[str, Any]) -> Worker:
        return Worker(
            name, said.get("active_queues"), self.active.get(name), said.get("reserved"), **said.get("stats", {})
        )


class _Blocked:
    """Hears that RabbitMQ has stopped its publishers, us among them."""

    def __init__(self) -> None:
        self._reason: str | None = None

    def take(self, reason: str) -> None:
        self._reason = reason

    def check(self) -> None:
        if self._reason is not None:
            raise Unanswered(f"it blocks its publishers ({self._reason}): no worker can be asked; free memory or disk")


def call(address: BrokerAddress, expected: Collection[str], budget: float, stop: threading.Event) -> list[Worker]:
    """What the workers say within `budget` seconds; whatever stands in the way comes out as the libraries raise it."""
    began, identity = time.monotonic(), new_identity()
    rabbitmq, blocked = address.kind == "rabbitmq", _Blocked()
    heard = _Heard({str(uuid.uuid4()): question for question in QUESTIONS})
    with connection(address, budget, blocked.take) as broker:
        # Workers make the exchanges; without remote control ([celery] worker_enable_remote_control) they only beat.
        replies = None if rabbitmq and not exists(broker, "celery.pidbox") else _replies(identity)
        beats = None if rabbitmq and not exists(broker, "celeryev") else _heartbeats(identity, rabbitmq=rabbitmq)
        queues = [queue for queue in (replies, beats) if queue is not None]
        if not queues:
            return []  # there has never been a worker
        channel = broker.channel()
        try:
            cancel = _consume(channel, queues, heard, rabbitmq=rabbitmq)
            if replies is not None:
                _publish(channel, replies, heard.tickets, rabbitmq=rabbitmq)
            until = _end_of_listening(began, budget)
            while time.monotonic() < until and not heard.complete(expected) and not stop.is_set():
                _drain(broker)
                blocked.check()
            # What follows is a round trip too: a broker that froze meanwhile must not pass for workers that are silent.
            cancel()
            for queue in queues:
                queue(channel).delete()
            channel.close()
        except BaseException as error:
            hang_up(channel)
            if not (rabbitmq or isinstance(error, OSError)):
                with suppress(Exception):  # a Redis that refused something still takes its bindings back
                    for queue in queues:
                        queue(channel).delete()
                hang_up(channel)
            raise
    if stop.is_set():
        raise GaveUp("the exporter is stopping")
    if heard.unreadable and not heard.answers:
        raise Unanswered(f"the workers' answers are not JSON ({heard.unreadable}); see Celery's task_serializer")
    return heard.workers()


def _end_of_listening(began: float, budget: float) -> float:
    now = time.monotonic()
    until = min(now + budget * LISTEN, began + budget * (1 - LEAVE))
    if until - now < budget * LISTEN_AT_LEAST:
        raise Unanswered("it is too slow for the workers to be asked in time; raise collectors.workers.timeout")
    return until


def _consume(channel: Any, queues: list[Queue], heard: _Heard, *, rabbitmq: bool) -> Callable[[], None]:
    """Begin to listen; returns what ends it."""
    from kombu import Consumer

    for queue in () if rabbitmq else queues:  # RabbitMQ deletes what is exclusive to a connection that is gone
        sweep(channel, queue.exchange.name)
    consumer = Consumer(channel, queues, no_ack=True, on_message=heard.take, accept=["json"])
    consumer.consume()
    cancel: Callable[[], None] = consumer.cancel
    return cancel


def _publish(channel: Any, replies: Queue, tickets: Mapping[str, str], *, rabbitmq: bool) -> None:
    """Ask, as kombu.pidbox.Mailbox words it; that class would try for ever to publish, whatever timeout it is given."""
    from kombu import Producer

    mailbox = _exchange("celery.pidbox", "fanout", declared_by_us=not rabbitmq)
    producer = Producer(channel, exchange=mailbox, serializer="json")
    reply_to = {"exchange": replies.exchange.name, "routing_key": replies.routing_key}
    nobody = {"destination": None, "pattern": None, "matcher": None}
    for ticket, question in tickets.items():
        message = {"method": question, "arguments": {}, "ticket": ticket, "reply_to": reply_to, **nobody}
        producer.publish(message, retry=False)


def _drain(broker: Connection) -> None:
    try:
        broker.drain_events(timeout=_TICK)
    except TimeoutError:
        return


def _exchange(name: str, kind: str, *, declared_by_us: bool, durable: bool = False) -> Exchange:
    """An exchange of Celery's. On Redis nothing is written by declaring it; on RabbitMQ it costs a permission."""
    from kombu import Exchange

    return Exchange(name, type=kind, durable=durable, delivery_mode="transient", no_declare=not declared_by_us)


def _replies(identity: str) -> Queue:
    """Without an expiry: with one, kombu on Redis would run scripts that sweep the bindings of others."""
    from kombu import Queue

    exchange = _exchange("reply.celery.pidbox", "direct", declared_by_us=True)
    name = f"{identity}.{exchange.name}"
    return Queue(name, exchange, routing_key=identity, durable=False, exclusive=True, auto_delete=True)


def _heartbeats(identity: str, *, rabbitmq: bool) -> Queue:
    from kombu import Queue

    exchange = _exchange("celeryev", "topic" if rabbitmq else "fanout", declared_by_us=not rabbitmq, durable=True)
    name = f"celeryev.{identity}"
    return Queue(name, exchange, routing_key="worker.heartbeat", durable=False, exclusive=True, auto_delete=True)


def _gist(question: str, answer: Any) -> Any:
    """What is kept of an answer: `stats` also holds where and as whom the worker reaches the broker."""
    if question == "active_queues":
        if not isinstance(answer, list):
            return None
        names = {one["name"] for one in answer if isinstance(one, dict) and isinstance(one.get("name"), str)}
        return tuple(sorted(names)[:MOST]) if names or not answer else None
    if question == "reserved":
        return len(answer) if isinstance(answer, list) else None
    stats = answer if isinstance(answer, dict) else {}
    pool, total, uptime = stats.get("pool"), stats.get("total"), _number(stats.get("uptime"))
    counts = [_number(count) for count in total.values()] if isinstance(total, dict) else [None]
    return {
        "pool_size": _number(pool.get("max-concurrency")) if isinstance(pool, dict) else None,
        "prefetch": _number(stats.get("prefetch_count")),
        "processed": None if None in counts else sum(count or 0 for count in counts),
        "started": None if uptime is None else time.time() - uptime,
    }


def _number(value: Any) -> int | None:
    """A count, or None for whatever else JSON can hold in its place."""
    sound = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < LARGEST
    return int(value) if sound else None
