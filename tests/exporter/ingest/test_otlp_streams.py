"""Streams: out of what there is in all, again and again, comes what is new, once; after restarts, silence and confusion too."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

from airflow_obs.exporter.ingest.accounts import Reason
from airflow_obs.exporter.ingest.otlp.decode import decode
from airflow_obs.exporter.ingest.otlp.distributions import Explicit, Exponential
from airflow_obs.exporter.ingest.otlp.points import Observations, Sum
from airflow_obs.exporter.ingest.otlp.streams import LAST, Streams
from tests.exporter.ingest.clock import Clock
from tests.exporter.ingest.otlp_requests import DELTA, exponential, points, total

TTL = 100.0


@pytest.fixture
def clock() -> Clock:
    return Clock(0.0)


@pytest.fixture
def streams(clock: Clock) -> Streams:
    return Streams(TTL, most=5, clock=clock, settle=10.0)


def counted(streams: Streams, metric: pb.Metric, **resource: str) -> float | Reason:
    (point,) = points(metric, resource=resource)
    assert isinstance(point.value, Sum)
    return streams.counted(point, point.value)


def observed(streams: Streams, metric: pb.Metric) -> Explicit | Exponential | Reason | None:
    (point,) = points(metric)
    assert isinstance(point.value, Observations)
    return streams.observed(point, point.value)


def test_what_started_after_us_is_new_in_full(streams: Streams, clock: Clock) -> None:
    clock.now = 60
    assert counted(streams, total("a", 5, 60, start=1)) == 5
    clock.now = 120
    assert counted(streams, total("a", 5, 120, start=1)) == 0
    assert counted(streams, total("a", 8, 180, start=1)) == 3


def test_what_started_before_us_is_only_compared_with(streams: Streams) -> None:
    assert counted(streams, total("a", 500, 0, start=-3_600)) == 0
    assert counted(streams, total("a", 507, 60, start=-3_600)) == 7
    assert counted(streams, total("lately", 500, 0, start=-1)) == 0


def test_of_unknown_start_the_first_is_only_compared_with(streams: Streams, clock: Clock) -> None:
    clock.now = 60
    assert counted(streams, total("a", 500, 60, start=None)) == 0
    assert counted(streams, total("a", 507, 120, start=None)) == 7


def test_age_is_told_by_the_senders_clock(streams: Streams, clock: Clock) -> None:
    """A clock that is an hour ahead makes no stream new, one that is behind none old."""
    clock.now = 60
    assert counted(streams, total("ahead", 5, 3_600, start=3_400)) == 0
    assert counted(streams, total("behind", 5, -3_600, start=-3_650)) == 5


def test_processes_that_share_a_name_are_told_apart_by_their_start(streams: Streams, clock: Clock) -> None:
    clock.now = 60
    assert counted(streams, total("job_start", 1, 60, start=10)) == 1
    assert counted(streams, total("job_start", 1, 60, start=20)) == 1
    assert counted(streams, total("job_start", 2, 70, start=10)) == 1


def test_resources_and_attributes_tell_streams_apart(streams: Streams, clock: Clock) -> None:
    clock.now = 60
    assert counted(streams, total("a", 1, 60, dag_id="x"), **{"host.name": "1"}) == 1
    assert counted(streams, total("a", 1, 60, dag_id="x"), **{"host.name": "2"}) == 1
    assert counted(streams, total("a", 1, 60, dag_id="y"), **{"host.name": "2"}) == 1
    assert len(streams) == 3


def test_counter_of_unknown_start_that_falls_has_begun_again(streams: Streams) -> None:
    assert counted(streams, total("a", 5, 0, start=None)) == 0
    assert counted(streams, total("a", 2, 60, start=None)) == 2


FORKS = """
import os
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

reader = InMemoryMetricReader()
provider = MeterProvider([reader], shutdown_on_exit=False)
meter = provider.get_meter("airflow")
counter, histogram = meter.create_counter("airflow.a"), meter.create_histogram("airflow.b")

def count(n):
    counter.add(n)
    for _ in range(n):
        histogram.record(1.0)

def say():
    print(encode_metrics(reader.get_metrics_data()).SerializeToString().hex(), flush=True)

count(10)
say()
child = os.fork()
count(3 if child else 2)
if child:
    os.waitpid(child, 0)
say()
count(1)
say()
"""
"""Counts 10, forks, and counts 4 more; its child counts 3."""


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (0, 3, 1, 4, 2)])
def test_forked_process_of_the_real_sdk_is_counted_beside_its_parent(
    streams: Streams, clock: Clock, order: Sequence[int]
) -> None:
    """It says in all what its parent had counted, too, whoever of them is heard first."""
    clock.now = 60
    said = subprocess.run([sys.executable, "-c", FORKS], check=True, capture_output=True, text=True).stdout.split()
    requests = [decode(bytes.fromhex(one)).points for one in said]
    assert len({points[0].origin for points in requests}) == 2
    assert len({points[0].start for points in requests}) == 1
    found = {"airflow.a": 0.0, "airflow.b": 0.0}
    for request in order:
        for point in requests[request]:
            if isinstance(point.value, Sum):
                more = streams.counted(point, point.value)
                assert isinstance(more, float)
                found[point.name] += more
            else:
                assert isinstance(point.value, Observations)
                new = streams.observed(point, point.value)
                assert not isinstance(new, Reason)
                found[point.name] += new.count if new else 0.0
    assert found == {"airflow.a": 17, "airflow.b": 17}


def test_processes_forked_one_after_the_other_say_nothing_twice(streams: Streams, clock: Clock) -> None:
    clock.now = 60
    assert counted(streams, total("a", 10, 60), **{"service.instance.id": "parent", "process.pid": "1"}) == 10
    for number in range(2):
        own = {"service.instance.id": f"child {number}", "process.pid": f"{number}"}
        assert counted(streams, total("a", 10, 60), **own) == 0
        assert counted(streams, total("b", -1, 60, monotonic=False), **own) == (0 if number else -1)
    assert counted(streams, total("a", 11, 62), **own) == 1


def test_what_an_older_sdk_says_again_in_a_forked_process_is_not_counted_again(streams: Streams) -> None:
    """There both go on as the same stream."""
    said = [5, 5, 6, 5, 7, 5, 8]
    assert [counted(streams, total("a", n, second)) for second, n in enumerate(said)] == [5, 0, 1, 0, 1, 0, 1]


def test_distributions_of_a_forked_process_are_not_counted_again(streams: Streams, clock: Clock) -> None:
    clock.now = 30
    assert observed(streams, exponential("a", {0: 4}, 4.0, 1)) is not None
    assert observed(streams, exponential("a", {0: 5}, 5.0, 2)) is not None
    assert observed(streams, exponential("a", {0: 4}, 4.0, 3)) is None
    assert observed(streams, exponential("a", {0: 4, 3: 1}, 9.0, 4)) is None
    more = observed(streams, exponential("a", {0: 7}, 7.0, 5))
    assert isinstance(more, Exponential)
    assert more.count == 2


def test_sum_that_may_fall_falls(streams: Streams) -> None:
    assert counted(streams, total("a", -5, 0, monotonic=False)) == -5
    assert counted(streams, total("a", -7, 60, monotonic=False)) == -2
    assert counted(streams, total("a", -4, 120, monotonic=False)) == 3


def test_late_point_is_out_of_order(streams: Streams, clock: Clock) -> None:
    clock.now = 60
    assert counted(streams, total("a", 5, 60)) == 5
    assert counted(streams, total("a", 3, 59)) is Reason.OUT_OF_ORDER
    assert counted(streams, total("a", 6, 120)) == 1
    assert counted(streams, total("b", 5, 60, start=None)) == 0
    assert counted(streams, total("b", 7, 59, start=None)) is Reason.OUT_OF_ORDER


def test_clock_that_was_set_back_loses_nothing_that_can_only_have_been_later(streams: Streams, clock: Clock) -> None:
    clock.now = 3_600
    assert counted(streams, total("a", 5, 3_600)) == 5
    assert counted(streams, total("a", 9, 60)) == 4
    assert counted(streams, total("a", 10, 120)) == 1
    assert observed(streams, exponential("b", {0: 1}, 1.0, 3_600)) is not None
    more = observed(streams, exponential("b", {0: 3}, 3.0, 60))
    assert isinstance(more, Exponential)
    assert more.count == 2
    assert observed(streams, exponential("b", {0: 2}, 2.0, 30)) is Reason.OUT_OF_ORDER


def test_deltas_are_new_each(streams: Streams) -> None:
    """Two processes that cannot be told apart may send theirs in any order; a point sent twice is one."""
    assert counted(streams, total("a", 5, 60, start=0, temporality=DELTA)) == 5
    assert counted(streams, total("a", 3, 59, start=1, temporality=DELTA)) == 3
    assert counted(streams, total("a", 3, 59, start=1, temporality=DELTA)) == 0
    assert counted(streams, total("a", 2, 120, start=60, temporality=DELTA)) == 2


def test_silent_streams_are_forgotten_and_not_counted_twice(streams: Streams, clock: Clock) -> None:
    clock.now = 1
    assert counted(streams, total("a", 5, 1, start=0)) == 5
    clock.now = 90
    assert counted(streams, total("b", 1, 90, start=80)) == 1
    clock.now = 1 + TTL + 1
    streams.expire()
    assert len(streams) == 1
    assert counted(streams, total("a", 6, 102, start=0)) is Reason.SILENT
    assert counted(streams, total("a", 7, 103, start=0)) == 1


def test_sender_that_is_too_slow_is_told_from_one_that_was_there_before_us(streams: Streams, clock: Clock) -> None:
    """What counts nothing is not said to be mapped."""
    clock.now = 60
    assert counted(streams, total("before us", 5, 60, start=-3_600)) == 0
    clock.now += TTL + 1
    streams.expire()
    assert counted(streams, total("before us", 9, clock.now, start=-3_600)) is Reason.SILENT
    metric = exponential("before us", {0: 7}, 9.0, clock.now)
    metric.exponential_histogram.data_points[0].start_time_unix_nano = 1
    assert observed(streams, metric) is Reason.SILENT


def test_what_started_after_all_that_is_forgotten_is_new_however_long_ago(streams: Streams, clock: Clock) -> None:
    clock.now = 10 * TTL
    assert counted(streams, total("a", 5, clock.now, start=1)) == 5


def test_stream_too_many_is_refused_until_others_are_forgotten(streams: Streams, clock: Clock) -> None:
    clock.now = 2
    for name in "abcde":
        assert counted(streams, total(name, 1, 1)) == 1
    assert counted(streams, total("f", 1, 1)) is Reason.STREAM_LIMIT
    assert counted(streams, total("f", 1, 1, temporality=DELTA)) is Reason.STREAM_LIMIT
    assert observed(streams, exponential("f", {0: 1}, 1.0, 1)) is Reason.STREAM_LIMIT
    assert streams.changed("f", 1.0) is streams.moment("f", 1.0, 1.0) is Reason.STREAM_LIMIT
    assert counted(streams, total("a", 2, 2)) == 1
    clock.now = TTL + 3
    streams.expire()
    assert counted(streams, total("f", 1, 101, start=90)) == 1


def test_who_is_silent_for_long_makes_room_for_another(clock: Clock) -> None:
    streams = Streams(1_000.0, most=2, clock=clock, least=10.0)
    for name in "ab":
        clock.now += 5
        assert counted(streams, total(name, 1, clock.now, start=clock.now)) == 1
    clock.now = 16
    assert counted(streams, total("c", 1, 16, start=16)) == 1
    assert counted(streams, total("d", 1, 16, start=16)) is Reason.STREAM_LIMIT
    clock.now = 30
    assert counted(streams, total("a", 7, 30, start=5)) is Reason.SILENT


def test_distributions_are_told_from_those_before(streams: Streams, clock: Clock) -> None:
    clock.now = 30
    assert observed(streams, exponential("a", {0: 1, 5: 2}, 90.0, 10)) is not None
    more = observed(streams, exponential("a", {0: 1, 5: 3}, 130.0, 20))
    assert isinstance(more, Exponential)
    assert (list(more.indexes), list(more.counts), more.total) == ([5], [1.0], 40.0)


def test_distribution_of_unknown_start_that_falls_has_begun_again(streams: Streams) -> None:
    before, after = exponential("a", {0: 1, 5: 2}, 90.0, 10), exponential("a", {4: 1}, 20.0, 30)
    for metric in (before, after):
        metric.exponential_histogram.data_points[0].start_time_unix_nano = 0
    assert observed(streams, before) is None
    again = observed(streams, after)
    assert isinstance(again, Exponential)
    assert again.count == 1


def test_distribution_from_before_us_is_only_compared_with(streams: Streams) -> None:
    metric = exponential("a", {0: 7}, 9.0, 10)
    metric.exponential_histogram.data_points[0].start_time_unix_nano = 1
    assert observed(streams, metric) is None


def test_delta_distributions_are_new_each(streams: Streams) -> None:
    metric = exponential("a", {0: 7}, 9.0, 10)
    metric.exponential_histogram.aggregation_temporality = DELTA
    first = observed(streams, metric)
    assert isinstance(first, Exponential)
    assert first.count == 7
    assert observed(streams, metric) is None


def test_newest_duration_counts_when_it_is_another(streams: Streams, clock: Clock) -> None:
    clock.now = 20
    assert streams.changed("loop", 0.5) is True
    assert streams.changed("loop", 0.5) is False
    assert streams.changed("loop", 0.6) is True
    assert streams.changed("other", 0.5) is True


def test_senders_that_take_turns_show_nothing_new(streams: Streams, clock: Clock) -> None:
    clock.now = 20
    for number in range(LAST):
        assert streams.changed("loop", float(number)) is True
    assert not any(streams.changed("loop", float(number)) for number in range(LAST))


def test_duration_shown_when_we_start_may_be_old(streams: Streams, clock: Clock) -> None:
    clock.now = 9
    assert streams.changed("loop", 0.5) is False
    assert streams.changed("loop", 0.6) is True


def test_age_that_stays_the_same_is_no_new_one(streams: Streams) -> None:
    assert streams.moment("file", 5.0, 100.0) == 100.0
    assert streams.moment("file", 5.0, 160.0) == 100.0
    assert streams.moment("file", 6.0, 220.0) == 220.0


@settings(max_examples=200)
@given(st.data())
def test_nothing_is_counted_twice_and_little_is_lost(data: st.DataObject) -> None:
    """Processes come, count, send every few seconds or fall silent; what is found is never more than they counted."""
    clock = Clock(0.0)
    streams = Streams(TTL, most=1_000, clock=clock)
    starts = data.draw(st.lists(st.integers(-50, 300), min_size=1, max_size=4, unique=True))
    counts = dict.fromkeys(starts, 0)
    found = 0.0
    silent = False
    for _ in range(data.draw(st.integers(1, 12))):
        step = data.draw(st.integers(1, 150))
        silent = silent or step > TTL
        clock.now += step
        streams.expire()
        for start in starts:
            if start < clock.now:
                counts[start] += data.draw(st.integers(0, 9))
                more = counted(streams, total("a", counts[start], clock.now, start=start))
                assert isinstance(more, float) or (silent and more is Reason.SILENT)
                found += more if isinstance(more, float) else 0.0
    assert found <= sum(counts.values())
    if not silent and min(starts) >= 0:
        assert found == sum(counts.values())
