"""A receiver of OTLP of whose refusals nobody knows what they mean, and one that a backlog is drained to."""

from __future__ import annotations

import grpc
import pytest

from airflow_obs.errors import PushFailed
from airflow_obs.exporter.push.otlp.destination import DOUBTS, FULL, REFUSED, Otlp
from tests.exporter.push.otlp_collector import (
    MOMENT,
    Answer,
    Collector,
    Protocol,
    Refusal,
    Request,
    collecting,
    snapshot,
)
from tests.exporter.push.test_otlp_data import GAUGE
from tests.exporter.push.test_otlp_failures import OVERLOADED, fails
from tests.exporter.push.test_otlp_sending import otlp, protocol

__all__ = ["protocol"]

ILL = {"http": Refusal(500), "grpc": Refusal(grpc.StatusCode.INTERNAL)}


def push(sending: Otlp, minute: int) -> bool:
    """Whether that minute's snapshot was pushed with success."""
    try:
        sending.send(snapshot(GAUGE.sample(1, place="here"), after=60 * minute))
    except PushFailed:
        return False
    return True


def minutes(collector: Collector) -> list[int]:
    return [round(moment - MOMENT) // 60 for moment in collector.moments()]


def poisoned(collector: Collector, *minutes: int) -> None:
    """From now on it answers as one that is ill to the snapshots of these minutes, and takes all others."""

    def judge(request: Request) -> Answer | None:
        return ILL[collector.protocol] if round(request.points[0].time / 1e9 - MOMENT) // 60 in minutes else None

    collector.judge = judge


def test_outage_with_500_loses_nothing_however_long(protocol: Protocol) -> None:
    """A proxy says so while the Collector behind it comes back."""
    with collecting(protocol) as collector:
        sending = otlp(collector)
        collector.answers = [ILL[protocol]]
        assert not any(push(sending, minute) for minute in range(10))
        assert len(collector.requests) <= 20  # one that is ill is not sent the whole backlog each time
        collector.answers = [None]
        collector.requests.clear()
        assert push(sending, 10)
    assert minutes(collector) == [*range(11)]
    assert sending.lost == {FULL: 0, REFUSED: 0}


def test_snapshot_that_alone_is_answered_with_500_stands_in_nobodys_way_and_is_dropped_in_the_end(
    protocol: Protocol,
) -> None:
    with collecting(protocol) as collector:
        poisoned(collector, 1)
        sending = otlp(collector)
        assert [push(sending, minute) for minute in range(2)] == [True, False]
        for minute in range(2, 2 + DOUBTS):
            assert (sending.waiting, sending.lost[REFUSED]) == (1, 0)
            fails(
                sending, 60 * minute, "see what its log says" if minute < 1 + DOUBTS else "which is dropped: .*its log"
            )
        assert push(sending, 2 + DOUBTS)
    assert [minute for minute in minutes(collector) if minute != 1] == [0, *range(2, 3 + DOUBTS)]
    assert (sending.waiting, sending.lost) == (0, {FULL: 0, REFUSED: 1})


def test_several_such_snapshots_hold_up_the_newest_at_no_time(protocol: Protocol) -> None:
    with collecting(protocol) as collector:
        poisoned(collector, 0, 1, 2)
        sending = otlp(collector)
        assert not any(push(sending, minute) for minute in range(3))
        last = 3
        while sending.waiting:
            push(sending, last)
            assert last in minutes(collector)
            last += 1
            assert last < 20
    assert sending.lost == {FULL: 0, REFUSED: 3}


def waiting(collector: Collector, sending: Otlp, number: int) -> None:
    """The snapshots of so many minutes wait, since it was away until now."""
    collector.answers = [OVERLOADED[collector.protocol]]
    assert not any(push(sending, minute) for minute in range(number))
    collector.answers = [None]
    collector.requests.clear()


def test_several_such_snapshots_hold_up_none_of_those_between_and_are_dropped_together(protocol: Protocol) -> None:
    ill = (0, 2, 3, 5, 6, 7, 8, 9)
    with collecting(protocol) as collector:
        sending = otlp(collector)
        waiting(collector, sending, 10)
        poisoned(collector, *ill)
        push(sending, 10)
        assert {1, 4, 10} <= {*minutes(collector)}
        assert (sending.waiting, sending.lost[REFUSED]) == (len(ill), 0)
        for minute in range(11, 10 + DOUBTS):
            push(sending, minute)
            assert minute in minutes(collector)
        assert (sending.waiting, sending.lost) == (0, {FULL: 0, REFUSED: len(ill)})
        assert push(sending, 10 + DOUBTS)


def test_receiver_that_falls_ill_during_a_push_loses_nothing(protocol: Protocol) -> None:
    """The oldest is not taken, the newest is, and then nothing any more, for long."""
    with collecting(protocol) as collector:
        sending = otlp(collector)
        waiting(collector, sending, 10)
        collector.answers = [ILL[protocol], None, ILL[protocol]]
        assert not any(push(sending, minute) for minute in range(10, 20))
        assert len(collector.requests) <= 40  # the backlog twice, until it is known to be ill
        collector.answers = [None]
        collector.requests.clear()
        assert push(sending, 20)
    assert minutes(collector) == [*range(10), *range(11, 21)]
    assert sending.lost == {FULL: 0, REFUSED: 0}


def test_failures_of_a_receiver_that_takes_some_of_what_waits_are_not_blamed_on_the_rest(protocol: Protocol) -> None:
    with collecting(protocol) as collector:
        sending = otlp(collector)
        collector.answers = [OVERLOADED[protocol]]
        for minute in range(10):
            assert not push(sending, minute)
        for minute in range(10, 20):
            collector.answers = [None, ILL[protocol]]
            assert not push(sending, minute)
        assert sending.lost == {FULL: 0, REFUSED: 0}
        collector.answers = [None]
        collector.requests.clear()
        assert push(sending, 20)
    assert minutes(collector) == [*range(10, 21)]


def test_push_that_shortens_the_queue_is_a_success_though_some_still_wait(protocol: Protocol) -> None:
    with collecting(protocol) as collector:
        sending = otlp(collector)
        collector.answers = [OVERLOADED[protocol]]
        for minute in range(5):
            assert not push(sending, minute)
        for minute, waiting in ((5, 4), (6, 3), (7, 2)):
            collector.answers = [None, None, OVERLOADED[protocol]]
            assert push(sending, minute)
            assert sending.waiting == waiting
        collector.answers = [None, OVERLOADED[protocol]]
        with pytest.raises(PushFailed):  # as many as are added, which is no progress
            sending.send(snapshot(GAUGE.sample(1, place="here"), after=480))
        assert sending.waiting == 2
