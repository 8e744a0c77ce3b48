"""An agent that is away, that breaks off, that is frozen, or that nobody can find."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.errors import PushFailed
from airflow_obs.exporter.push import statsd_clients
from airflow_obs.exporter.push.pusher import Pusher
from airflow_obs.exporter.push.statsd import Statsd
from airflow_obs.model import Reading
from airflow_obs.policy.push import StatsdPush
from tests.eventually import DEADLINE, eventually
from tests.exporter.push.sending import HERE, Scene, agent
from tests.tools import lacking

TEMPLATE = "sent.{metric}.{labels}"
FINISHED = "sent_airflow_obs_task_instances_finished_total_success_default"


@pytest.fixture
def free_port() -> Iterator[int]:
    """Where nobody listens; nobody else gets it meanwhile."""
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind((HERE, 0))
        yield kept.getsockname()[1]


def to(where: str, transport: str) -> Statsd:
    policy = {"address": where, "transport": transport, "template": TEMPLATE}
    return Statsd(StatsdPush.model_validate(policy), "prod")


def finished(value: float) -> Reading:
    return metrics.TASKS_FINISHED.sample(value, state="success", queue="default")


def test_over_tcp_nothing_is_lost_while_the_agent_is_away(free_port: int) -> None:
    scene, destination = Scene("outcomes"), to(f"{HERE}:{free_port}", "tcp")
    for value in (100, 101, 103):
        with pytest.raises(
            PushFailed, match=r"^127\.0\.0\.1:\d+: Connection refused; is a StatsD agent there that takes TCP\?$"
        ):
            destination.send(scene.says(finished(value)))
    for value, news in ((110, 10), (130, 20)):  # it comes back, and is started anew between two pushes
        with agent(tcp_port=free_port) as taking:
            destination.send(scene.says(finished(value)))
            eventually(lambda news=news, taking=taking: taking.named(FINISHED) == news, f"it has {news}")  # type: ignore[misc]  # bound here
    assert (destination.waiting, sum(destination.lost.values())) == (0, 0)


def test_over_udp_what_a_host_refuses_is_known_and_adds_up(free_port: int) -> None:
    scene, destination = Scene("outcomes"), to(f"{HERE}:{free_port}", "udp")
    for value in (100, 101, 103):
        with pytest.raises(PushFailed, match="Connection refused; is a StatsD agent there that takes UDP"):
            destination.send(scene.says(finished(value)))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind((HERE, free_port))
        destination.send(scene.says(finished(110)))
        listening.settimeout(10)
        lines = b""
        while b"finished_total" not in lines:
            lines += listening.recv(65_535)
        assert (
            f"{TEMPLATE.partition('{')[0]}airflow_obs_task_instances_finished_total.success.default:10|c".encode()
            in lines
        )


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """An agent that does what a test does; its kernel takes what fits, whether it reads or not."""
    with socket.socket() as one:
        one.bind((HERE, 0))
        one.listen()
        one.settimeout(DEADLINE)
        yield one


def listens(port: int) -> socket.socket:
    """Another such agent, on that port."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind((HERE, port))
    one.listen()
    one.settimeout(DEADLINE)
    return one


def read(listening: socket.socket, *, last: bool = False) -> bytes:
    """What came by the next connection, whole; then it hangs up, and if that was the `last` one, is gone."""
    client, _ = listening.accept()
    heard = b""
    with client:
        while some := client.recv(65_536):
            heard += some
        if last:
            listening.close()
    return heard


def break_off(listening: socket.socket) -> bytes:
    """What came first by the next connection, which is then reset."""
    client, _ = listening.accept()
    with client:
        heard = client.recv(65_536)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return heard


def test_agent_that_breaks_off_gets_nothing_twice(listening: socket.socket) -> None:
    """It has read some of it, nobody knows how much: what would be sent again could be counted twice."""
    scene, destination = Scene("outcomes"), to(f"{HERE}:{listening.getsockname()[1]}", "tcp")
    with ThreadPoolExecutor(1) as other:
        other.submit(read, listening)
        destination.send(scene.says(finished(1)))
        other.submit(read, listening)
        reset = other.submit(break_off, listening)
        with pytest.raises(PushFailed, match=r"reset by peer|Broken pipe|is not connected"):
            destination.send(scene.says(finished(3)))
        assert b"finished_total.success.default:2|c" in reset.result()
        assert destination.lost == {"interrupted": 1}
        other.submit(read, listening)
        after = other.submit(read, listening)
        destination.send(scene.says(finished(8)))
        assert b"finished_total.success.default:5|c" in after.result()


def test_agent_that_goes_away_after_the_gauges_costs_no_increments(free_port: int) -> None:
    """Who refuses the second connection has read nothing of what was to come by it."""
    scene, destination = Scene("outcomes"), to(f"{HERE}:{free_port}", "tcp")
    with pytest.raises(PushFailed, match="Connection refused"):
        destination.send(scene.says(finished(1)))
    with ThreadPoolExecutor(1) as other:
        gauges = other.submit(read, listens(free_port), last=True)
        with pytest.raises(PushFailed, match="Connection refused"):
            destination.send(scene.says(finished(3)))
        assert b"|g" in gauges.result()
        assert destination.lost == {"interrupted": 0}
        with listens(free_port) as back:
            other.submit(read, back)
            news = other.submit(read, back)
            destination.send(scene.says(finished(8)))
            assert b"finished_total.success.default:7|c" in news.result()


def test_agent_that_is_frozen_is_given_no_increments(listening: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, destination = Scene("outcomes"), to(f"{HERE}:{listening.getsockname()[1]}", "tcp")
    with ThreadPoolExecutor(1) as other:
        other.submit(read, listening)
        destination.send(scene.says(finished(1)))
        with monkeypatch.context() as impatient:
            impatient.setattr(statsd_clients, "TIMEOUT", 0.1)
            for value in (3, 8):
                with pytest.raises(
                    PushFailed, match=r"^127\.0\.0\.1:\d+: has not read all and hung up within .*; see why"
                ):
                    destination.send(scene.says(finished(value)))
        assert destination.lost == {"interrupted": 0}
        heard = [other.submit(read, listening) for _ in range(4)]  # it goes on with what it was sent meanwhile
        destination.send(scene.says(finished(20)))
        *before, last = [one.result() for one in heard]
        assert all(b"|g" in one and b"|c" not in one for one in before)
        assert b"finished_total.success.default:19|c" in last


def test_agent_that_freezes_before_it_has_read_the_increments(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its kernel has them, so that it may count them yet."""
    scene, destination = Scene("outcomes"), to(f"{HERE}:{listening.getsockname()[1]}", "tcp")
    accounts = Pusher(destination, scene.says).readings
    first = [*accounts()]
    assert metrics.PUSH_LOST.sample(0, destination="statsd", reason="interrupted") in first, (
        "for increase() to see it rise"
    )
    with ThreadPoolExecutor(1) as other:
        other.submit(read, listening)
        destination.send(scene.says(finished(1)))
        other.submit(read, listening)
        monkeypatch.setattr(statsd_clients, "TIMEOUT", 3.0)
        with pytest.raises(PushFailed, match="has not read all"):
            destination.send(scene.says(finished(3)))
        assert metrics.PUSH_LOST.sample(1, destination="statsd", reason="interrupted") in [*accounts()]


def test_host_of_two_families_is_tried_at_the_other_one_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the resolver says stands for a host name of both, as localhost is where /etc/hosts has it so."""
    addresses = {socket.AF_INET: HERE, socket.AF_INET6: "::1"}
    resolve = socket.getaddrinfo

    def both(_: str, port: int, family: int = 0, type: int = 0) -> list[object]:  # noqa: A002 (as it is called there)
        return [one for it, where in addresses.items() if family in {0, it} for one in resolve(where, port, type=type)]

    scene = Scene("outcomes")
    with socket.socket(socket.AF_INET6) as listening, socket.socket() as taken, ThreadPoolExecutor(1) as other:
        try:
            listening.bind(("::1", 0))
        except OSError:
            lacking("this machine has no IPv6")
        port = listening.getsockname()[1]
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((HERE, port))  # and nobody listens
        listening.listen()
        monkeypatch.setattr(socket, "getaddrinfo", both)
        destination = to(f"agent:{port}", "tcp")
        with pytest.raises(PushFailed, match="Connection refused"):
            destination.send(scene.says())
        for _ in range(2):
            other.submit(read, listening)
            destination.send(scene.says())


@pytest.mark.parametrize("where", ["no.such.host.invalid:8125", f"{'x' * 70}.example:8125"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_host_that_nobody_knows(where: str, transport: str) -> None:
    destination = to(where, transport)
    with pytest.raises(PushFailed, match=f"^{where}: "):
        destination.send(Scene().board.snapshot)


@pytest.mark.parametrize("reads", [True, False], ids=["does not hang up", "reads nothing"])
def test_close_interrupts_what_is_being_sent(reads: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statsd_clients, "TIMEOUT", 600.0)
    pools = [metrics.POOL_SLOTS.sample(1, pool=f"{'x' * 200}{number}") for number in range(30_000)]
    snapshot = Scene("pools").says(*([] if reads else pools))
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        listening.bind((HERE, 0))
        listening.listen()
        destination = to(f"{HERE}:{listening.getsockname()[1]}", "tcp")
        failed: list[bool] = []

        def send() -> None:
            try:
                destination.send(snapshot)
            except PushFailed:
                failed.append(True)

        sending = threading.Thread(target=send)
        sending.start()
        client, _ = listening.accept()
        with client:
            sending.join(0.5)
            assert sending.is_alive(), "it waits"
            destination.close()
            sending.join(30)
            assert not sending.is_alive()
    assert failed == [True]
