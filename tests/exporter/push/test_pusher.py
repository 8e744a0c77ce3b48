"""The pusher: when it pushes, what it says and counts, and that a destination that hangs holds up nobody."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.errors import PushFailed
from airflow_obs.exporter.board import Snapshot
from airflow_obs.exporter.push.pusher import Pusher, next_beat
from airflow_obs.model import Metric
from tests.eventually import eventually
from tests.exporter.push.sending import Scene

SECRET = "http://user:hunter2@collector:4318"


class FakeDestination:
    """Does what it is told to with each snapshot."""

    name = "statsd"
    of = where = "here"
    waiting = 3

    def __init__(self, take: Callable[[], None] = lambda: None, interval: float = 3600.0) -> None:
        self.take, self.interval = take, interval
        self.lost: Counter[str] = Counter()
        self.sent: list[Snapshot] = []
        self.closed = threading.Event()

    def send(self, snapshot: Snapshot, /) -> None:
        self.sent.append(snapshot)
        self.take()

    def close(self) -> None:
        self.closed.set()


def raises(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def pusher(destination: FakeDestination) -> Pusher:
    return Pusher(destination, lambda: SNAPSHOT)


def accounts(of: Pusher) -> dict[Metric, float]:
    return {one.metric: one.value for one in of.readings()}  # type: ignore[misc, union-attr]  # all are samples of ours


SNAPSHOT = Scene().board.snapshot


def test_it_waits_until_every_collector_was_tried() -> None:
    scene, destination = Scene("pools"), FakeDestination()
    one = Pusher(destination, lambda: scene.board.snapshot)
    one.start()
    one.join(0.3)
    assert not destination.sent
    ready = scene.fails("pools")
    eventually(lambda: destination.sent, "it pushes")
    assert destination.sent[0] is ready
    one.stop()
    one.join(10)
    assert not one.is_alive()


def test_it_stops_while_no_collector_was_ever_tried() -> None:
    scene, destination = Scene("pools"), FakeDestination()
    one = Pusher(destination, lambda: scene.board.snapshot)
    one.start()
    one.stop()
    one.join(10)
    assert (one.is_alive(), destination.sent, destination.closed.is_set()) == (False, [], True)


@pytest.mark.parametrize(("now", "then"), [(100.1, 115), (114.9, 115), (115, 130), (141, 145), (145.5, 160)])
def test_rhythm_stays_without_the_beats_that_a_long_push_takes(now: float, then: float) -> None:
    assert next_beat(100, 15, now) == then


def test_it_pushes_at_its_interval_and_has_the_accounts_published() -> None:
    destination, published = FakeDestination(interval=0.01), []
    one = Pusher(destination, lambda: SNAPSHOT, lambda: published.append(len(destination.sent)))
    one.start()
    eventually(lambda: len(destination.sent) >= 5, "it goes on")
    one.stop()
    one.join(10)
    assert published == [*range(1, len(destination.sent) + 1)]


def test_failure_is_said_once_and_so_is_recovery(caplog: pytest.LogCaptureFixture) -> None:
    destination = FakeDestination(raises(PushFailed("here: refused; start it")))
    one = pusher(destination)
    with caplog.at_level(logging.INFO):
        assert [one.push(SNAPSHOT) for _ in range(3)] == [False] * 3
        assert [record.getMessage() for record in caplog.records] == ["push: statsd: failed: here: refused; start it"]
        destination.take = lambda: None
        assert [one.push(SNAPSHOT) for _ in range(2)] == [True] * 2
    assert [record.getMessage() for record in caplog.records][1:] == ["push: statsd: recovered; 3 snapshots still wait"]


def test_bug_is_said_with_where_it_is_once_and_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    one = pusher(FakeDestination(raises(ZeroDivisionError(SECRET))))
    assert not one.push(SNAPSHOT)
    assert not one.push(SNAPSHOT)
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    assert "please report it: Traceback" in caplog.text
    assert "hunter2" not in caplog.text


def test_accounts() -> None:
    destination = FakeDestination()
    one = pusher(destination)
    assert accounts(one) == {metrics.PUSH_LAST_SUCCESS: 0, metrics.PUSH_FAILURES: 0, metrics.PUSH_WAITING: 3}
    before = time.time()
    one.push(SNAPSHOT)
    now = accounts(one)
    assert now[metrics.PUSH_SUCCESS] == 1
    assert before <= now[metrics.PUSH_LAST_SUCCESS] <= time.time()
    destination.take = raises(PushFailed("no"))
    destination.lost["full"] = 2
    one.push(SNAPSHOT)
    assert accounts(one) == now | {metrics.PUSH_SUCCESS: 0, metrics.PUSH_FAILURES: 1, metrics.PUSH_LOST: 2}


@pytest.mark.parametrize("error", [PushFailed("hung up"), ConnectionError("hung up")])
def test_stop_ends_a_push_that_hangs_and_blames_nobody(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    destination = FakeDestination()

    def hang() -> None:
        destination.closed.wait()
        raise error

    destination.take = hang
    one = pusher(destination)
    one.start()
    eventually(lambda: destination.sent, "it sends")
    one.stop()
    one.join(10)
    assert not one.is_alive()
    assert not caplog.records
    assert accounts(one)[metrics.PUSH_FAILURES] == 0


def test_one_that_hangs_does_not_hold_another() -> None:
    stuck, well = FakeDestination(interval=0.1), FakeDestination(interval=0.1)
    stuck.take = stuck.closed.wait  # type: ignore[assignment]  # whatever it returns
    both = [pusher(stuck), pusher(well)]
    for one in both:
        one.start()
    eventually(lambda: len(well.sent) >= 3, "the other goes on")
    assert len(stuck.sent) == 1
    for one in both:
        one.stop()
        one.join(10)
        assert not one.is_alive()
