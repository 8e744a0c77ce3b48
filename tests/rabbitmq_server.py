"""A real RabbitMQ for the tests, from Debian's package, as a process of its own that no service manager knows of."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psutil
import requests

from tests.eventually import eventually
from tests.tools import tool

VHOST = "celery"
AIRFLOW = ("airflow", "airflow-pa/ss")
"""Celery's own user, who may do everything in the vhost."""
READER = ("reader", "reader-p@ss")
"""Who may enter the vhost, and nothing else: what reading over AMQP needs."""
MONITOR = ("monitor", "monitor-p@ss")
"""A reader with the tag monitoring: what the management API needs."""
CONTROLLER = ("controller", "controller-p@ss")
"""What Celery's control protocol needs, and nothing else."""
STRANGER = ("stranger", "stranger-p@ss")
"""Who may not enter the vhost."""
_LIBRARY = "/usr/lib/rabbitmq/bin"  # the commands on PATH insist on being root, and on becoming the user rabbitmq
_NONE = "^$"
_OURS = r"(airflow-obs-.*|celeryev\.airflow-obs-.*"
_CONTROL = {
    "configure": rf"^{_OURS}|reply\.celery\.pidbox)$",
    "write": rf"^{_OURS}|celery\.pidbox)$",
    "read": rf"^{_OURS}|reply\.celery\.pidbox|celeryev)$",
}
BOOT = 90.0
"""Seconds; the Erlang VM takes its time on a busy machine."""


@dataclass
class RabbitServer:
    """A broker that may be frozen, killed and started again. Its queues outlive a restart."""

    folder: Path
    port: int
    management_port: int
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    _everything: list[psutil.Process] = field(default_factory=list)

    @property
    def management_url(self) -> str:
        return f"http://127.0.0.1:{self.management_port}"

    def url(self, login: tuple[str, str] = AIRFLOW, vhost: str = VHOST) -> str:
        """As Celery takes it."""
        user, password = (quote(text, safe="") for text in login)
        return f"amqp://{user}:{password}@127.0.0.1:{self.port}/{quote(vhost, safe='')}"

    def run(self, *command: str) -> None:
        """Run a `rabbitmqctl …` of an administrator's on it."""
        done = self._control(*command[1:])
        assert (command[0], done.returncode) == ("rabbitmqctl", 0), f"{command}: {done.stderr}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [f"{_LIBRARY}/rabbitmq-server"],
                env=self.environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        eventually(self._answers, "RabbitMQ answers", BOOT)
        self._everything = [
            psutil.Process(self.process.pid),
            *psutil.Process(self.process.pid).children(recursive=True),
        ]

    def kill(self) -> None:
        """SIGKILL to all of it."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within, it stands still."""
        for process in self._everything:
            process.suspend()
        try:
            # The signal reaches one thread after the other: until all stand still one of them may answer yet.
            eventually(lambda: all(map(_stands_still, self._everything)), "the server stands still")
            yield
        finally:
            for process in self._everything:
                process.resume()

    @contextmanager
    def disk_alarm(self) -> Iterator[None]:
        """Within, it believes that its disk is full, and stops its publishers."""
        limit = self._control("set_disk_free_limit", "1000000GB")
        assert limit.returncode == 0, limit.stderr
        eventually(lambda: self._node().get("disk_free_alarm"), "the alarm goes off")
        try:
            yield
        finally:
            self._control("set_disk_free_limit", "1MB")
            eventually(lambda: self._node().get("disk_free_alarm") is False, "the alarm ends")

    def queues(self) -> set[str]:
        """The names of all queues in the vhost."""
        return {str(one["name"]) for one in self._api(f"queues/{VHOST}?disable_stats=true")}

    @contextmanager
    def memory_alarm(self) -> Iterator[None]:
        """Within, it believes that its memory is full, and stops its publishers."""
        self.run("rabbitmqctl", "set_vm_memory_high_watermark", "absolute", "1MB")
        eventually(lambda: self._node().get("mem_alarm"), "the alarm goes off")
        try:
            yield
        finally:
            self.run("rabbitmqctl", "set_vm_memory_high_watermark", "0.4")
            eventually(lambda: self._node().get("mem_alarm") is False, "the alarm ends")

    def purge(self) -> None:
        """Delete every queue of the vhost."""
        for name in self.queues():
            url = f"{self.management_url}/api/queues/{VHOST}/{quote(name, safe='')}"
            assert requests.delete(url, auth=AIRFLOW, timeout=10).status_code in {204, 404}  # 404: gone with its owner

    def connections(self) -> int:
        """Connections that are open."""
        return len(self._api("connections"))

    def connections_of(self, user: str) -> int:
        """Connections of that user."""
        return sum(one.get("user") == user for one in self._api("connections"))

    def hang_up(self, user: str) -> None:
        """Close that user's connections, which it takes a second to hear of."""
        eventually(lambda: self.connections_of(user), f"{user} is connected")
        for one in self._api("connections"):
            if one.get("user") == user:
                self.administer("DELETE", f"connections/{quote(str(one['name']), safe='')}")

    def administer(self, method: str, path: str, **settings: str) -> None:
        """Change something through the management API, which is quicker than rabbitmqctl."""
        url = f"{self.management_url}/api/{path}"
        answer = requests.request(method, url, json=settings, auth=AIRFLOW, timeout=10)
        assert answer.ok or answer.status_code == requests.codes.not_found, answer.text

    def bindings(self) -> set[tuple[str, str]]:
        """(exchange, queue) of every binding in the vhost but those to the default exchange."""
        return {
            (str(one["source"]), str(one["destination"])) for one in self._api(f"bindings/{VHOST}") if one["source"]
        }

    def _node(self) -> dict[str, object]:
        [node] = self._api("nodes")
        return node

    def _api(self, path: str) -> list[dict[str, object]]:
        answer = requests.get(f"{self.management_url}/api/{path}", auth=AIRFLOW, timeout=10)
        answer.raise_for_status()
        found: list[dict[str, object]] = answer.json()
        return found

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()[-3000:]
        try:
            self._api("queues")
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except (requests.RequestException, OSError):
            return False
        return True

    def _control(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        node = self.environment["RABBITMQ_NODENAME"]
        return subprocess.run(
            [f"{_LIBRARY}/rabbitmqctl", "-n", node, *arguments],
            env=self.environment, capture_output=True, text=True, timeout=BOOT, check=False,
        )  # fmt: skip


@contextmanager
def rabbitmq_server() -> Iterator[RabbitServer]:
    """Start a server in a new folder, with the users above; kill and remove it at the end."""
    tool("rabbitmqctl", _LIBRARY)
    epmd = tool("epmd")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="airflow-obs-")))
        port, management, distribution, mapper = _free_ports(4)
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"test{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +S 2",
        }
        (folder / "plugins").write_text("[rabbitmq_management].\n")
        (folder / "rabbitmq.conf").write_text(
            f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {management}\nloopback_users = none\n"
            f"load_definitions = {folder}/definitions.json\ndisk_free_limit.absolute = 1MB\n"
            "collect_statistics_interval = 1000\n"
        )
        (folder / "definitions.json").write_text(json.dumps(_definitions()))
        # Its own, in the foreground: the server would else start one that outlives it.
        names = subprocess.Popen([epmd, "-port", str(mapper), "-address", "127.0.0.1"], stderr=subprocess.DEVNULL)
        stack.callback(names.wait)
        stack.callback(names.kill)
        server = RabbitServer(folder, port, management, environment)
        stack.callback(server.kill)
        server.start()
        yield server


def _stands_still(process: psutil.Process) -> bool:
    states = [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in _tasks(process)]
    return all(state in "TZX" for state in states)


def _tasks(process: psutil.Process) -> list[Path]:
    folder = Path(f"/proc/{process.pid}/task")
    return list(folder.iterdir()) if folder.is_dir() else []


def _definitions() -> dict[str, object]:
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    nothing = {"configure": _NONE, "write": _NONE, "read": _NONE}
    tags = {AIRFLOW: "administrator", MONITOR: "monitoring"}
    logins = (AIRFLOW, READER, MONITOR, CONTROLLER, STRANGER)
    granted = {AIRFLOW: everything, READER: nothing, MONITOR: nothing, CONTROLLER: _CONTROL}
    return {
        "vhosts": [{"name": VHOST}],
        "users": [{"name": name, "password": word, "tags": tags.get((name, word), "")} for name, word in logins],
        "permissions": [{"user": login[0], "vhost": VHOST, **may} for login, may in granted.items()],
        "queues": [],
        "exchanges": [],
        "bindings": [],
    }


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
