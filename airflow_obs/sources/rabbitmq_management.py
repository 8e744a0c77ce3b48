"""Reads RabbitMQ's management API, the only one that knows of unacknowledged messages, all queues, nodes and alarms."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests

from airflow_obs.errors import SourceNotConfigured
from airflow_obs.sources.airflow_settings import Environment, read_secret
from airflow_obs.sources.broker import RabbitNode, RabbitQueue
from airflow_obs.sources.broker_url import BrokerAddress
from airflow_obs.sources.steady import SteadyMoments

PAGE = 500
"""Queues asked for at once; the API's own limit."""
_QUEUE = "name,exclusive,messages_ready,messages_unacknowledged,consumers"
_NODE = "name,running,uptime,mem_used,mem_limit,mem_alarm,disk_free,disk_free_limit,disk_free_alarm"
_STOPPED = ("blocked", "blocking")
STALE = 10.0
"""Seconds by which an uptime that the API tells may lag."""
DEFAULT_LOGIN = "guest"
"""User and password of a URL without them, as every AMQP client has it."""


class ManagementError(Exception):
    """The API answered, but not with what we need; its text says what to do, without any password."""


@dataclass(frozen=True)
class Listing:
    """What it says. `queues` has None for one without counts (statistics are off, or the queue is seconds old)."""

    queues: Mapping[str, RabbitQueue | None]
    nodes: tuple[RabbitNode, ...]
    connections: int | None
    blocked_connections: int | None


class Management:
    """The API at a base URL, with the login of the broker's URL unless the environment names another."""

    def __init__(self, url: str, address: BrokerAddress, environment: Environment = os.environ) -> None:
        self._url = url.rstrip("/")
        self._vhost = quote(address.database or "/", safe="")
        self._address = address
        self._environment = environment
        self._login = (DEFAULT_LOGIN, DEFAULT_LOGIN)
        self._started = SteadyMoments(STALE)

    def listing(self, seconds: float) -> Listing:
        """Everything, within so many seconds; raises ManagementError, or what requests raises."""
        try:
            # Each time: the file of the password may have been rotated.
            self._login = _login(self._address, self._environment)
            return self._listing(time.monotonic() + seconds)
        except SourceNotConfigured as error:
            raise ManagementError(str(error)) from None
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            if isinstance(error, requests.RequestException):
                raise
            raise ManagementError(
                f"its answer has another form than it should ({type(error).__name__}): is `sources.broker.management_url` right?"
            ) from None

    def _listing(self, until: float) -> Listing:
        with requests.Session() as http:
            http.auth = self._login
            overview = self._get(http, "overview", {"columns": "object_totals"}, until)
            nodes = tuple(self._node(one) for one in self._get(http, "nodes", {"columns": _NODE}, until))
            blocked = 0
            if any(node.memory_alarm or node.disk_alarm for node in nodes):
                states = self._get(http, "connections", {"columns": "state"}, until)
                blocked = sum(one.get("state") in _STOPPED for one in states)
            queues = {name: queue for one in self._pages(http, until) for name, queue in _queue(one)}
            return Listing(queues, nodes, _whole(overview.get("object_totals", {}).get("connections")), blocked)

    def _pages(self, http: requests.Session, until: float) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        page = pages = 1
        while page <= pages:
            asked = {"page": str(page), "page_size": str(PAGE), "columns": _QUEUE}
            answer = self._get(http, f"queues/{self._vhost}", asked, until)
            found += answer["items"]
            pages = answer["page_count"]
            page += 1
        return found

    def _get(self, http: requests.Session, path: str, asked: dict[str, str], until: float) -> Any:
        left = until - time.monotonic()
        if left <= 0:
            raise requests.Timeout
        with http.get(f"{self._url}/api/{path}", params=asked, timeout=left, allow_redirects=False) as answer:
            if answer.status_code == requests.codes.unauthorized:
                raise ManagementError(
                    f"it refuses user {self._login[0]}: give the user the tag monitoring (`rabbitmqctl set_user_tags "
                    f"{self._login[0]} monitoring`), or another login in AIRFLOW_OBS_BROKER_MANAGEMENT_USER and _PASSWORD"
                )
            if answer.status_code != requests.codes.ok:
                raise ManagementError(
                    f"HTTP status {answer.status_code} from /api/{path}: is `sources.broker.management_url` right?"
                )
            try:
                return answer.json()
            except ValueError:
                raise ManagementError(
                    f"its answer to /api/{path} is no JSON: is `sources.broker.management_url` right?"
                ) from None

    def _node(self, one: dict[str, Any]) -> RabbitNode:
        """A node that is down has a name and `running`, and nothing else."""
        name, uptime = str(one["name"]), _whole(one.get("uptime"))  # milliseconds
        return RabbitNode(
            name=name,
            running=bool(one.get("running")),
            started=None if uptime is None else self._started.of(name, time.time() - uptime / 1000),
            memory=_whole(one.get("mem_used")),
            memory_limit=_whole(one.get("mem_limit")),
            memory_alarm=one.get("mem_alarm") is True,
            disk_free=_whole(one.get("disk_free")),
            disk_free_limit=_whole(one.get("disk_free_limit")),
            disk_alarm=one.get("disk_free_alarm") is True,
        )


def _queue(one: dict[str, Any]) -> list[tuple[str, RabbitQueue | None]]:
    if one.get("exclusive"):
        return []
    name = str(one["name"])
    if one.get("messages_ready") is None:
        return [(name, None)]
    unacked = _whole(one.get("messages_unacknowledged"))
    return [(name, RabbitQueue(name, int(one["messages_ready"]), int(one.get("consumers") or 0), unacked))]


def _whole(value: Any) -> int | None:
    """A number, or None for the words that stand in for one ("disk_free_monitoring_disabled", "undefined")."""
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _login(address: BrokerAddress, environment: Environment) -> tuple[str, str]:
    """User and password: of the environment, or else of the broker's URL."""
    user = environment.get("AIRFLOW_OBS_BROKER_MANAGEMENT_USER")
    password = environment.get("AIRFLOW_OBS_BROKER_MANAGEMENT_PASSWORD")
    if path := environment.get("AIRFLOW_OBS_BROKER_MANAGEMENT_PASSWORD_FILE"):
        password = read_secret("AIRFLOW_OBS_BROKER_MANAGEMENT_PASSWORD_FILE", path)
    return user or address.user or DEFAULT_LOGIN, password or address.password or DEFAULT_LOGIN
