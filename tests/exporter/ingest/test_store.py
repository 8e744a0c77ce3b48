"""The store: series that live as long as they are used, under caps, and come back to life when they are used again."""

from __future__ import annotations

import gc
import math
import threading
from collections.abc import Callable, Sequence

import pytest

from airflow_obs.exporter.ingest.series import MOST_PARTS
from airflow_obs.exporter.ingest.store import Store
from airflow_obs.model import Distribution, Foreign, Kind, Metric, Quantiles, Sample
from tests.eventually import eventually
from tests.exporter.ingest.clock import Clock

STARTS = Metric("airflow_obs_starts_total", Kind.COUNTER, "Starts.", "ingest", ("dag_id",))
SLOTS = Metric("airflow_obs_slots", Kind.GAUGE, "Slots.", "ingest", ("pool",))
LOOPS = Metric("airflow_obs_loop_seconds", Kind.HISTOGRAM, "Loops.", "ingest", buckets=(0.1, 1.0))
QUANTILES = Foreign("loop", Kind.SUMMARY, "Loops.", quantiles=(0.5,))
A, B, C = (("dag_id", "a"),), (("dag_id", "b"),), (("dag_id", "c"),)


class Newest:
    """A window that remembers one observation."""

    def __init__(self) -> None:
        self.value = math.nan

    def observe(self, value: float, _times: float) -> None:
        self.value = value

    def frozen(self) -> Callable[[Sequence[float]], list[tuple[float, float]]]:
        value = self.value
        return lambda wanted: [(quantile, value) for quantile in wanted]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Store:
    return Store(max_series=10, max_total=20, ttl=60, clock=clock)


def test_series_of_each_kind_say_what_was_added(store: Store) -> None:
    counter, gauge, histogram = store.counter(STARTS, A), store.gauge(SLOTS, ()), store.histogram(LOOPS, ())
    summary = store.summary(QUANTILES, (), Newest)
    assert counter
    assert gauge
    assert histogram
    assert summary
    assert counter.add(2)
    assert counter.add(0.5)
    assert gauge.set(7)
    assert gauge.shift(-2)
    assert histogram.observe(0.1)
    assert histogram.observe(5, times=10)
    assert histogram.add([1, 2, 0], 2.2)
    assert summary.observe(3, times=2)
    assert store.readings() == [
        Sample(STARTS, A, 2.5),
        Sample(SLOTS, (), 5),
        Distribution(LOOPS, (), (2, 2, 10), pytest.approx(52.3)),  # type: ignore[arg-type]  # equal to a float
        Quantiles(QUANTILES, (), ((0.5, 3),), 2, 6),
    ]


def test_quantiles_are_told_when_the_lock_is_free(store: Store) -> None:
    """That takes much longer than to copy what they are told of, and who adds samples waits for the lock."""
    held = []

    class Watched(Newest):
        def frozen(self) -> Callable[[Sequence[float]], list[tuple[float, float]]]:
            held.append(store.lock.locked())
            told = super().frozen()

            def tell(wanted: Sequence[float]) -> list[tuple[float, float]]:
                held.append(store.lock.locked())
                return told(wanted)

            return tell

    assert store.summary(QUANTILES, (), Watched)
    assert len(store.readings()) == 1
    assert held == [True, False]


def test_same_labels_are_the_same_series(store: Store) -> None:
    assert store.counter(STARTS, A) is store.counter(STARTS, A)
    assert store.counter(STARTS, A) is not store.counter(STARTS, B)


def test_distribution_weighs_as_many_series_as_lines_on_the_page(store: Store) -> None:
    store.histogram(LOOPS, ())
    assert store.size == 5, "two buckets, +Inf, count and sum"
    store.summary(QUANTILES, (), Newest)
    assert store.size == 8, "a quantile, count and sum more"


def test_family_has_a_cap(clock: Clock) -> None:
    store = Store(max_series=2, max_total=100, ttl=60, clock=clock)
    assert store.counter(STARTS, A)
    assert store.counter(STARTS, B)
    assert store.counter(STARTS, C) is None
    assert store.counter(STARTS, A), "those within stay"
    assert store.gauge(SLOTS, A), "another family has room of its own"
    assert store.histogram(LOOPS, ()) is None, "it takes five lines"


def test_all_families_together_have_a_cap(clock: Clock) -> None:
    store = Store(max_series=10, max_total=2, ttl=60, clock=clock)
    assert store.counter(STARTS, A)
    assert store.gauge(SLOTS, A)
    assert store.counter(STARTS, B) is None
    assert store.size == 2


def test_what_expires_makes_room_and_says_so(clock: Clock) -> None:
    store = Store(max_series=1, max_total=1, ttl=60, clock=clock)
    store.counter(STARTS, A)
    store.expire()
    clock.now += 61
    freed = store.freed
    store.expire()
    assert store.freed > freed
    assert (store.size, store.readings()) == (0, [])
    assert store.gauge(SLOTS, A)


def test_series_lives_while_it_is_used(store: Store, clock: Clock) -> None:
    counter = store.counter(STARTS, A)
    assert counter
    for _ in range(5):
        counter.add(1)
        store.expire()
        clock.now += 59
    store.expire()
    assert store.readings() == [Sample(STARTS, A, 5)]
    clock.now += 2
    store.expire()
    assert store.readings() == []


def test_ttl_of_its_own_and_none_at_all(store: Store, clock: Clock) -> None:
    store.counter(STARTS, A, ttl=5)
    store.counter(STARTS, B, ttl=0)
    store.expire()
    clock.now += 6
    store.expire()
    assert [reading.labels for reading in store.readings()] == [B]
    clock.now += 1e9
    store.expire()
    assert [reading.labels for reading in store.readings()] == [B]


def test_expired_series_that_is_held_comes_back_from_zero(store: Store, clock: Clock) -> None:
    counter, gauge, histogram = store.counter(STARTS, A), store.gauge(SLOTS, ()), store.histogram(LOOPS, ())
    summary = store.summary(QUANTILES, (), Newest)
    assert counter
    assert gauge
    assert histogram
    assert summary
    assert all((counter.add(5), gauge.set(5), histogram.observe(5), summary.observe(5)))
    store.expire()
    clock.now += 61
    store.expire()
    assert store.readings() == []
    assert all((counter.add(1), gauge.shift(2), histogram.observe(3), summary.observe(4)))
    assert store.readings() == [
        Sample(STARTS, A, 1),
        Sample(SLOTS, (), 2),
        Distribution(LOOPS, (), (0, 0, 1), 3),
        Quantiles(QUANTILES, (), ((0.5, 4),), 1, 4),
    ]
    assert store.counter(STARTS, A) is counter, "two holders never have two series of the same labels"


def test_expired_series_stays_out_while_there_is_no_room(clock: Clock) -> None:
    store = Store(max_series=1, max_total=1, ttl=60, clock=clock)
    counter = store.counter(STARTS, A)
    assert counter
    store.expire()
    clock.now += 61
    store.expire()
    other = store.counter(STARTS, B)
    assert other
    assert not counter.add(1)
    clock.now += 61
    other.add(1)
    store.expire()
    clock.now += 61
    store.expire()
    assert counter.add(1)
    assert store.readings() == [Sample(STARTS, A, 1)]


def test_nothing_is_left_of_series_that_nobody_holds(store: Store, clock: Clock) -> None:
    store.counter(Foreign("name", Kind.COUNTER, "One kind."), A)
    store.expire()
    clock.now += 61
    store.expire()
    gc.collect()
    store.expire()
    assert store.gauge(Foreign("name", Kind.GAUGE, "Another kind."), A), "the name is free again"


def test_name_has_one_kind_and_one_set_of_buckets(store: Store) -> None:
    assert store.counter(Foreign("name", Kind.COUNTER, "Help."), A)
    assert store.counter(Foreign("name", Kind.COUNTER, "Other help."), B), "help is no difference"
    assert store.gauge(Foreign("name", Kind.GAUGE, "Help."), A) is None
    assert store.gauge(Foreign("name", Kind.GAUGE, "Help."), C) is None
    assert store.histogram(Foreign("name2", Kind.HISTOGRAM, "Help.", buckets=(1.0,)), A)
    assert store.histogram(Foreign("name2", Kind.HISTOGRAM, "Help.", buckets=(2.0,)), B) is None


def test_family_of_another_kind_is_a_mistake(store: Store) -> None:
    with pytest.raises(ValueError, match="airflow_obs_slots: a gauge cannot be kept as a counter"):
        store.counter(SLOTS, A)
    histogram = store.histogram(LOOPS, ())
    assert histogram
    with pytest.raises(ValueError, match="airflow_obs_loop_seconds: 2 counts for 3 buckets"):
        histogram.add([1, 2], 3)


def test_parts_are_summed_or_the_newest_wins(store: Store) -> None:
    newest, summed = store.gauge(SLOTS, A), store.gauge(SLOTS, B, parts="sum")
    assert newest
    assert summed
    for gauge in (newest, summed):
        gauge.part("one", 5)
        gauge.part("two", 3)
        gauge.part("one", 4)
    assert (newest.value, summed.value) == (4, 7)
    summed.forget("two")
    summed.forget("nobody")
    assert summed.value == 4


def test_who_sets_or_shifts_a_summed_gauge_is_one_sender_more(store: Store) -> None:
    gauge = store.gauge(SLOTS, A, parts="sum")
    assert gauge
    gauge.part("one", 5)
    gauge.set(3)
    gauge.shift(1)
    gauge.shift(-2, "one")
    gauge.set(2)
    assert gauge.value == 5
    gauge.forget("one")
    assert gauge.value == 2


def test_sum_comes_back_from_infinity(store: Store) -> None:
    gauge = store.gauge(SLOTS, A, parts="sum")
    assert gauge
    for value in (1, math.inf, 3):
        gauge.part("one", value)
        gauge.part("two", 4)
    assert gauge.value == 7


def test_family_fits_where_its_name_is_free_or_its_own(store: Store) -> None:
    counter, gauge = Foreign("name", Kind.COUNTER, "Help."), Foreign("name", Kind.GAUGE, "Help.")
    assert store.fits(counter)
    assert store.fits(gauge)
    assert store.counter(counter, ())
    assert (store.fits(counter), store.fits(gauge)) == (True, False)
    assert not store.fits(Foreign("name", Kind.SUMMARY, "Help.")), "one of its lines has that name"


def test_part_expires_by_itself(store: Store, clock: Clock) -> None:
    gauge = store.gauge(SLOTS, A, parts="sum")
    assert gauge
    gauge.part("gone", 5)
    gauge.part("stays", 3)
    store.expire()
    clock.now += 40
    gauge.part("stays", 3)
    store.expire()
    clock.now += 40
    store.expire()
    assert gauge.value == 3


def test_parts_have_a_cap(store: Store) -> None:
    gauge = store.gauge(SLOTS, A, parts="sum")
    assert gauge
    assert all(gauge.part(number, 1) for number in range(MOST_PARTS))
    assert not gauge.part("one more", 1)
    assert gauge.part(0, 2)
    assert gauge.value == MOST_PARTS + 1


def test_page_is_made_while_samples_are_added() -> None:
    store = Store(max_series=100_000, max_total=100_000, ttl=60)
    seen: list[float] = []
    done = threading.Event()

    def scrape() -> None:
        while not done.is_set():
            seen.append(sum(r.value for r in store.readings() if isinstance(r, Sample)))
            store.expire()

    scraper = threading.Thread(target=scrape)
    scraper.start()
    try:
        eventually(lambda: seen, "a page was made")
        for batch in range(200):
            with store.lock:
                for number in range(50):
                    counter = store.counter(STARTS, (("dag_id", f"{batch % 20}-{number}"),))
                    assert counter
                    assert counter.add(1)
    finally:
        done.set()
        scraper.join()
    assert seen == sorted(seen), "counts never fall"
    assert sum(r.value for r in store.readings() if isinstance(r, Sample)) == 10_000


def test_families_that_nobody_asked_for_share_a_cap_of_their_own(clock: Clock) -> None:
    store = Store(max_series=10, max_total=20, ttl=60, clock=clock, max_unknown=2)
    unknown = [Foreign(f"name{number}", Kind.GAUGE, "Help.", unknown=True) for number in range(3)]
    assert store.gauge(unknown[0], A)
    assert store.gauge(unknown[1], A)
    assert store.gauge(unknown[2], A) is None
    assert store.gauge(Foreign("asked_for", Kind.GAUGE, "Help."), A), "others have their room"
    store.expire()
    clock.now += 61
    store.expire()
    assert store.gauge(unknown[2], A), "there is room again"


def test_what_counts_stays_longer_than_a_gauge(clock: Clock) -> None:
    store = Store(max_series=10, max_total=20, ttl=60, clock=clock, ttl_of_counts=600)
    counter = store.counter(STARTS, A)
    assert counter
    counter.add(2)
    assert store.gauge(SLOTS, A)
    store.expire()
    clock.now += 599
    store.expire()
    assert store.readings() == [Sample(STARTS, A, 2)]
    clock.now += 2
    store.expire()
    assert store.readings() == []
