"""Celery's queues in Redis, in Kombu's layout: a task instance is queued as a message, held while it runs, then gone."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_obs.demo.redis import Command, Line
from airflow_obs.demo.state import LiveTask

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

SEPARATOR = "\x06\x16"
STEPS = (0, 3, 6, 9)
"""Kombu's priorities for Redis: 0 is taken first, and has the list without a suffix."""
UNACKED, UNACKED_INDEX = "unacked", "unacked_index"

TAKE = """
if redis.call('LREM', KEYS[1], -1, ARGV[2]) == 0 then
    return redis.call('HEXISTS', KEYS[2], ARGV[1])
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
return 1
"""
"""Takes one message, as a worker does; 0 when it is gone. Like all that is sent here, it may be sent twice."""


@dataclass(frozen=True)
class Message:
    """A message: its delivery tag, Celery's id of the task in it, its queue, that queue's list for its priority, its text there."""

    tag: str
    number: str
    queue: str
    key: str
    text: str

    @property
    def held(self) -> str:
        """Its text in the hash of those that are held."""
        return json.dumps([json.loads(self.text), "", self.queue])

    @classmethod
    def of(cls, task: LiveTask) -> Message:
        """What Airflow's executor sends for a task instance, but for the token that a real one carries."""
        spec, run, tag, number = task.spec, task.run, str(uuid.uuid4()), str(uuid.uuid4())
        step = max(step for step in STEPS if step <= spec.priority)
        workload = {
            "type": "ExecuteTask", "dag_rel_path": run.dag.spec.file,
            "ti": {"id": str(task.id), "dag_id": run.dag.spec.dag_id, "task_id": spec.task_id, "run_id": run.run_id,
                   "try_number": task.try_number, "map_index": task.map_index, "queue": spec.queue},
        }  # fmt: skip
        content = json.dumps([[json.dumps(workload)], {}, {"callbacks": None, "errbacks": None}])
        text = json.dumps({
            "body": base64.b64encode(content.encode()).decode(), "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"lang": "py", "task": "execute_workload", "id": number, "root_id": number, "retries": 0},
            "properties": {
                "correlation_id": number, "delivery_mode": 2, "priority": spec.priority, "body_encoding": "base64",
                "delivery_info": {"exchange": "", "routing_key": spec.queue}, "delivery_tag": tag,
            },
        })  # fmt: skip
        return cls(tag, number, spec.queue, f"{spec.queue}{SEPARATOR}{step}" if step else spec.queue, text)


class Broker:
    """What schedulers and workers do in the broker. When it does not answer, all is left for later and nobody waits."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._messages: dict[LiveTask, Message] = {}
        self._bound: set[str] = set()
        self._later: list[Command] = []
        self._asked: list[Command] = []
        self._wanted: list[LiveTask] = []

    def send(self, task: LiveTask) -> str:
        """Queue a task instance, as the schedulers do; gives Celery's id of it."""
        message = self._messages[task] = Message.of(task)
        self._bind(message.queue)
        # Not twice, should it be sent again after the connection was lost.
        self._later += [("LREM", message.key, 0, message.text), ("LPUSH", message.key, message.text)]
        return message.number

    def hold(self, task: LiveTask, since: datetime) -> str:
        """Give a worker the message of a task instance that it has run for long, without its ever having waited.

        Gives Celery's id of it.
        """
        message = self._messages[task] = Message.of(task)
        self._bind(message.queue)
        tag = message.tag
        self._later += [("HSET", UNACKED, tag, message.held), ("ZADD", UNACKED_INDEX, since.timestamp(), tag)]
        return message.number

    def acknowledge(self, task: LiveTask) -> None:
        """Give back the message of a task instance that has ended, as its worker does."""
        if (message := self._messages.pop(task, None)) is not None:
            self._later += [("HDEL", UNACKED, message.tag), ("ZREM", UNACKED_INDEX, message.tag)]

    def redeliver(self, task: LiveTask, now: datetime) -> None:
        """Deliver the message of a task instance that runs once more, as happens after the visibility timeout."""
        if (message := self._messages.get(task)) is not None:
            self._later.append(("ZADD", UNACKED_INDEX, now.timestamp(), message.tag))

    def subscribe(self, queues: Sequence[str]) -> None:
        """Bind queues, as every worker does that consumes from them."""
        for queue in queues:
            self._bind(queue)

    def order(self, *commands: Command) -> None:
        """Have other commands carried out, whose answers nobody needs."""
        self._later += commands

    def has(self, task: LiveTask) -> bool:
        """Whether there is a message for a task instance, as far as workers have seen."""
        return task in self._messages

    def take(self, tasks: Sequence[LiveTask], now: datetime) -> list[LiveTask]:
        """The task instances, of these or of those asked for before, whose messages the workers hold from now on."""
        taken = []
        for task, answer in self._flush(tasks, now):
            if answer == 1:
                taken.append(task)
            elif answer == 0:
                # The broker has lost it; in Airflow nobody notices until task_queued_timeout.
                del self._messages[task]
        return taken

    def step(self, _cur: cursor, now: datetime) -> None:
        """Send what the step before left, so that no task instance is queued without its message."""
        if self._later and not self._line.waiting:
            self.take((), now)

    def close(self) -> None:
        """Hang up."""
        self._line.close()

    def _bind(self, queue: str) -> None:
        if queue not in self._bound:
            self._bound.add(queue)
            self._later.append(_binding(queue))

    def _flush(self, tasks: Sequence[LiveTask], now: datetime) -> list[tuple[LiveTask, Any]]:
        """Each task instance that was asked for, with the answer; empty while there is none."""
        if not self._line.waiting:
            self._asked, self._later = self._later, []
            self._wanted = [task for task in tasks if task in self._messages]
        takes = [self._take(task, now) for task in self._wanted]
        if not self._asked and not takes:
            return []
        # It may have come back empty; whoever declares its queues again then binds them.
        bindings = [] if self._line.connected else [_binding(queue) for queue in sorted(self._bound)]
        if (replies := self._line.ask([*bindings, *self._asked, *takes])) is None:
            if not self._line.waiting:
                self._later = self._asked + self._later
            return []
        self._asked = []
        return list(zip(self._wanted, replies[len(replies) - len(takes) :], strict=True))

    def _take(self, task: LiveTask, now: datetime) -> Command:
        message = self._messages[task]
        keys = (message.key, UNACKED, UNACKED_INDEX)
        return ("EVAL", TAKE, len(keys), *keys, message.tag, message.text, message.held, now.timestamp())


def _binding(queue: str) -> Command:
    return ("SADD", f"_kombu.binding.{queue}", SEPARATOR.join((queue, "", queue)))
