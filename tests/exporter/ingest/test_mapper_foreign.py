"""Lines that have series under names that are not ours: a mapping's, or their own."""

from __future__ import annotations

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.exporter.ingest.accounts import Outcome, Reason
from airflow_obs.exporter.ingest.foreign.mapping import Mapping, Rule, Shape
from tests.exporter.ingest.ingesting import Ingesting

PLAIN = b"airflow.pool.open_slots.%b:%d|g"


def test_line_whose_mapped_series_had_no_room_gets_it_later() -> None:
    rules = [Rule("airflow.pool.open_slots.*", "slots", (("pool", "$1"),))]
    ingesting = Ingesting(style="none", mapping=Mapping(rules), max_series=1, ttl=60)
    ingesting.take(b"airflow.dagbag_size:1|g", PLAIN % (b"a", 1), b"airflow.pool.open_slots.b:1|g|@0.5")
    ingesting.store.expire()
    ingesting.clock.now += 40
    ingesting.take(PLAIN % (b"b", 2))
    assert ingesting.named("slots") == {("a",): 1}
    ingesting.store.expire()
    ingesting.clock.now += 40
    ingesting.store.expire()
    ingesting.take(PLAIN % (b"b", 3))
    assert ingesting.named("slots") == {("b",): 3}


def test_mapping_gives_a_line_a_series_beside_the_catalogues() -> None:
    rule = Rule("airflow.pool.open_slots.*", "airflow_pool_open_slots", (("pool", "$1"),))
    drop = Rule("airflow.noise", "", drop=True)
    ingesting = Ingesting(style="none", mapping=Mapping([rule, drop]))
    ingesting.take(PLAIN % (b"a", 5), PLAIN % (b"a", 6), b"airflow.noise:1|c", b"airflow.other:1|c")
    assert ingesting.values(metrics.POOL_OPEN) == {("a",): 6}
    assert ingesting.named("airflow_pool_open_slots") == {("a",): 6}
    assert ingesting.outcomes() == {Outcome.MAPPED: 2, Outcome.DROPPED: 1, Outcome.UNMAPPED: 1}
    assert ingesting.refused() == {Reason.MAPPING_DROPS: 1, Reason.UNKNOWN_NAME: 1}


def test_mapping_takes_bare_names_and_those_that_wait_at_once_and_once() -> None:
    rules = [Rule("airflow.ti.start", "bare"), Rule("airflow.ti.start.*.*", "legacy", (("dag", "$1"),))]
    ingesting = Ingesting(mapping=Mapping(rules))
    ingesting.take(b"airflow.ti.start.etl.load:1|c")
    assert (ingesting.named("legacy"), ingesting.outcomes()) == ({("etl",): 1}, {Outcome.MAPPED: 1})
    ingesting.take(b"airflow.ti.start:1|c")
    assert ingesting.named("bare") == {(): 1}
    assert ingesting.values(metrics.TRIES_STARTED) == {("etl",): 1}
    assert ingesting.outcomes() == {Outcome.MAPPED: 2}, "what waited was counted when it came"


def test_unmapped_lines_are_kept_under_their_own_names() -> None:
    ingesting = Ingesting(keep_unmapped=True, max_series=30)
    ingesting.take(b"my.queue-depth,host=a:5|g", b"my.queue-depth,host=a:6|g", b"my.jobs:1|c", b"my.jobs:2|c")
    assert ingesting.named("my_queue_depth") == {("a",): 6}
    assert ingesting.named("my_jobs") == {(): 3}
    assert ingesting.refused() == {Reason.UNKNOWN_NAME: 4}


def test_own_names_never_take_those_of_the_exporter() -> None:
    ingesting = Ingesting(keep_unmapped=True)
    ingesting.take(b"airflow_obs_pool_open_slots:5|g")
    assert ingesting.refused() == {Reason.NAME_TAKEN: 1}


def test_name_of_another_type_says_so_until_it_is_free() -> None:
    ingesting = Ingesting(keep_unmapped=True, ttl=60)
    ingesting.take(b"foo:1|c", *[b"foo:100|g"] * 3)
    assert ingesting.refused() == {Reason.UNKNOWN_NAME: 1, Reason.NAME_TAKEN: 3}
    for _ in range(4):
        ingesting.clock.now += 61
        ingesting.store.expire()
        ingesting.take(b"foo:200|g")
    assert ingesting.named("foo") == {(): 200}


@pytest.mark.parametrize("first", [0, 1])
def test_negative_scale_never_lowers_a_counter(first: int) -> None:
    rule = Rule("mine", "mine", shape=Shape(scale=-1))
    ingesting = Ingesting(mapping=Mapping([rule]))
    ingesting.take(b"mine:-7|c", b"mine:%d|c" % first, b"mine:5|c", b"mine:500|c")
    assert ingesting.named("mine") == {(): 7}
    assert ingesting.refused()[Reason.NEGATIVE_COUNT] == 3


def test_what_waits_and_is_kept_under_its_own_name_is_mapped() -> None:
    ingesting = Ingesting(mapping=Mapping(names_the_rest=True), keep_unmapped=True)
    ingesting.take(b"airflow.ti.start.etl.load:1|c", b"airflow.ti.start:1|c")
    ingesting.mapper.finish()
    assert ingesting.named("airflow_ti_start_etl_load") == ingesting.named("airflow_ti_start") == {(): 1}
    assert (ingesting.outcomes(), ingesting.refused()) == ({Outcome.MAPPED: 2}, {})


@pytest.mark.parametrize("kept", [True, False])
def test_where_statsd_exporter_was_lines_without_a_rule_keep_their_names_beside_ours(kept: bool) -> None:
    mapping = Mapping([Rule("airflow.scheduler_heartbeat", "beats")], names_the_rest=kept)
    ingesting = Ingesting(style="none", mapping=mapping, keep_unmapped=True)
    for _ in range(2):  # found out, and looked up
        ingesting.take(b"airflow.scheduler_heartbeat:1|c", b"airflow.dagbag_size:7|g", b"airflow.pool.open_slots.p:3|g")
        ingesting.take(b"airflow.pool.open_slots:3|g", b"mine:1|c")
    ingesting.mapper.finish()
    assert ingesting.named("beats") == {(): 2}
    assert ingesting.values(metrics.DAG_BAG) == {(): 7}
    assert ingesting.values(metrics.POOL_OPEN) == {("p",): 3}
    assert ingesting.named("mine") == {(): 2}
    assert ingesting.named("airflow_dagbag_size") == ({(): 7} if kept else {})
    assert ingesting.named("airflow_pool_open_slots_p") == ({(): 3} if kept else {})
    assert ingesting.named("airflow_pool_open_slots") == ({(): 3} if kept else {})
    assert ingesting.named("airflow_scheduler_heartbeat") == {}
    # What is kept although Airflow says it twice: the drop-in's dashboards ask for it.
    assert ingesting.outcomes() == {"mapped": 8, "unmapped": 2} if kept else {"mapped": 6, "unmapped": 2, "dropped": 2}
