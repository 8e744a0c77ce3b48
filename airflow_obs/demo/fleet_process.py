"""The process that speaks for the simulated workers: it answers Celery's control protocol and sends their heartbeats.

`python -m airflow_obs.demo.fleet_process ROSTER`, with the broker's URL in the environment. Whatever becomes of the broker, it
comes back. What Celery's own workers say beside this, nobody here asks for.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kombu import Connection, Exchange
    from kombu.message import Message

BROKER = "AIRFLOW_OBS_DEMO_BROKER"
HEARTBEAT = 1.0
"""Seconds between two heartbeats of a worker; Celery's own send one every 2 seconds."""
PATIENCE = 1.0
"""Seconds that one answer of the broker is waited for, and between two attempts to connect."""

Said = dict[str, Any]
"""What the roster has of a worker: see roster.py."""


def answer(method: str, said: Said, now: float) -> object:
    """What a worker of Celery 5 answers, as far as Airflow's tasks go; https://docs.celeryq.dev/en/stable/userguide/workers.html"""
    if method == "stats":
        return {
            "total": {"execute_workload": said["processed"]} if said["processed"] else {},
            "pid": os.getpid(), "clock": "0", "uptime": round(now - said["started"]), "rusage": {},
            "pool": {"implementation": "celery.concurrency.prefork:TaskPool", "max-concurrency": said["slots"],
                     "max-tasks-per-child": "N/A", "put-guarded-by-semaphore": False, "timeouts": [0, 0]},
            "broker": {"transport": "redis", "virtual_host": "0", "transport_options": {}},
            "prefetch_count": said["slots"],
        }  # fmt: skip
    if method == "active_queues":
        return [
            {"name": queue, "exchange": {"name": queue, "type": "direct", "durable": True}, "routing_key": queue,
             "durable": True, "exclusive": False, "auto_delete": False, "no_ack": False}
            for queue in said["queues"]
        ]  # fmt: skip
    if method == "reserved":
        # Airflow's workers acknowledge late and fetch no more than they can run at once.
        return []
    if method == "ping":
        return {"ok": "pong"}
    return {"error": f"KeyError('{method}')"}


def heartbeat(name: str, said: Said, now: float) -> dict[str, object]:
    """The event that a worker sends by itself."""
    return {
        "type": "worker-heartbeat", "hostname": name, "timestamp": now, "utcoffset": 0, "pid": os.getpid(), "clock": 0,
        "freq": HEARTBEAT, "active": said["active"], "processed": said["processed"], "loadavg": list(os.getloadavg()),
        "sw_ident": "py-celery", "sw_ver": "5.6.0", "sw_sys": "Linux",
    }  # fmt: skip


class Fleet:
    """The workers over one connection, which is good for as long as nothing fails."""

    def __init__(self, broker: Connection, roster: Path) -> None:
        from kombu import Consumer, Producer, Queue

        self._broker = broker
        self._roster = roster
        self._channel = broker.channel()
        self._producer = Producer(self._channel, serializer="json")
        mailbox = _exchange("celery.pidbox", "fanout", durable=False)
        queues = [
            Queue(f"{name}.celery.pidbox", mailbox, durable=False, exclusive=True, auto_delete=True)
            for name in self._workers()
        ]
        Consumer(self._channel, queues[:1], no_ack=True, on_message=self._asked, accept=["json"]).consume()
        for queue in queues[1:]:
            queue(self._channel).declare()

    def serve(self) -> None:
        """Answer and beat until something fails."""
        events, beat = _exchange("celeryev", "fanout", durable=True), 0.0
        while True:
            if time.monotonic() >= beat:
                beat = time.monotonic() + HEARTBEAT
                for name, said in self._workers().items():
                    self._producer.publish(
                        heartbeat(name, said, time.time()), exchange=events, routing_key="worker.heartbeat",
                        declare=[events], headers={"hostname": name}, retry=False,
                    )  # fmt: skip
            with suppress(TimeoutError):
                self._broker.drain_events(timeout=max(beat - time.monotonic(), 0.01))

    def close(self) -> None:
        """Hang up without a farewell, which a frozen broker would not answer."""
        for name in ("client", "subclient"):
            if (client := vars(self._channel).get(name)) is not None:
                with suppress(Exception):
                    client.connection_pool.disconnect()

    def _workers(self) -> dict[str, Said]:
        workers: dict[str, Said] = json.loads(self._roster.read_text(encoding="utf-8"))
        return workers

    def _asked(self, message: Message) -> None:
        question = message.decode()
        if not (reply_to := question.get("reply_to")):
            return
        for name, said in self._workers().items():
            if question.get("destination") and name not in question["destination"]:
                continue
            replies = _exchange(reply_to["exchange"], "direct", durable=False)
            self._producer.publish(
                {name: answer(question["method"], said, time.time())}, exchange=replies, declare=[replies],
                routing_key=reply_to["routing_key"], headers={"ticket": question.get("ticket")}, retry=False,
            )  # fmt: skip


def _exchange(name: str, kind: str, *, durable: bool) -> Exchange:
    from kombu import Exchange

    return Exchange(name, type=kind, durable=durable, delivery_mode="transient")


def main(roster: Path) -> None:
    """Speak for the workers until the process is ended."""
    from kombu import Connection

    limits = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE, "retry_on_timeout": False}
    # Kombu would put the simulation's messages back into their queues when it finds them old.
    options = {**limits, "health_check_interval": 0, "ack_emulation": False, "polling_interval": PATIENCE / 4}
    while not roster.exists():
        time.sleep(0.05)
    while True:
        broker, fleet = Connection(os.environ[BROKER], transport_options=options), None
        try:
            broker.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=PATIENCE)
            fleet = Fleet(broker, roster)
            fleet.serve()
        # The loop of a process whose broker the faults freeze, kill, empty and fill: it says what failed, and starts anew.
        except Exception as error:  # noqa: BLE001 (redis, kombu and celery raise what they like)
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            if fleet is not None:
                fleet.close()
            time.sleep(PATIENCE / 2)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
