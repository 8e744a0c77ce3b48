"""The mapper: which of two spellings counts, in which unit, with which labels; and every sample is accounted for once."""

from __future__ import annotations

import math

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.exporter.ingest.accounts import Outcome, Reason
from airflow_obs.exporter.ingest.foreign.mapping import Mapping, Rule
from airflow_obs.exporter.ingest.opinion import PATIENCE
from airflow_obs.exporter.ingest.statsd import mapper as module
from airflow_obs.exporter.ingest.statsd.twins import MOST_HELD
from airflow_obs.model import Sample
from airflow_obs.policy.dags import DagsPolicy
from tests.exporter.ingest.ingesting import Ingesting

INFLUXDB = b"airflow.pool.open_slots,pool_name=%b:%d|g"
PLAIN = b"airflow.pool.open_slots.%b:%d|g"
BARE = b"airflow.pool.open_slots:%d|g"


@pytest.fixture
def ingesting() -> Ingesting:
    return Ingesting()


def test_tagged_name_counts_where_tags_arrive(ingesting: Ingesting) -> None:
    ingesting.take(PLAIN % (b"a", 5))
    assert ingesting.values(metrics.POOL_OPEN) == {}, "it waits for its twin"
    ingesting.take(INFLUXDB % (b"a", 5), PLAIN % (b"b", 7), INFLUXDB % (b"b", 7))
    assert ingesting.values(metrics.POOL_OPEN) == {("a",): 5, ("b",): 7}
    assert ingesting.refused() == {Reason.TWIN_SAYS_IT: 2}
    assert ingesting.mapper.style == "influxdb"


def test_legacy_name_counts_where_tags_are_lost(ingesting: Ingesting) -> None:
    for value in (5, 6):
        ingesting.take(PLAIN % (b"a", value), BARE % value, PLAIN % (b"b", 7), BARE % 7)
    assert ingesting.values(metrics.POOL_OPEN) == {("a",): 6, ("b",): 7}
    assert ingesting.refused() == {Reason.LOST_TAGS: 4}
    assert ingesting.outcomes() == {Outcome.MAPPED: 4, Outcome.DROPPED: 4}
    assert ingesting.mapper.style == "plain"


def test_counters_that_wait_are_counted_once_decided(ingesting: Ingesting) -> None:
    line = b"airflow.ti.start.etl.load:1|c"
    ingesting.take(line, line)
    assert ingesting.values(metrics.TRIES_STARTED) == {}
    ingesting.take(
        b"airflow.ti.start:1|c|#dag_id:etl,task_id:load", line, b"airflow.ti.start:1|c|#dag_id:etl,task_id:load"
    )
    assert ingesting.values(metrics.TRIES_STARTED) == {("etl",): 2}
    assert ingesting.refused() == {Reason.TWIN_SAYS_IT: 3}


def test_without_a_twin_in_time_the_legacy_name_counts(ingesting: Ingesting) -> None:
    ingesting.take(b"airflow.ti.start.etl.load:1|c", b"airflow.ti.start.etl.load:1|c")
    ingesting.clock.now += PATIENCE
    ingesting.mapper.tick()
    assert ingesting.values(metrics.TRIES_STARTED) == {("etl",): 2}
    ingesting.take(b"airflow.ti.start.etl.load:1|c")
    assert ingesting.values(metrics.TRIES_STARTED) == {("etl",): 3}
    assert ingesting.outcomes() == {Outcome.MAPPED: 3}


def test_late_tags_take_over_without_counting_anything_twice(ingesting: Ingesting) -> None:
    legacy, tagged = b"airflow.ti.start.etl.load:1|c", b"airflow.ti.start,dag_id=etl,task_id=load:1|c"
    ingesting.take(legacy)
    ingesting.clock.now += PATIENCE
    ingesting.mapper.tick()
    ingesting.clock.now += PATIENCE
    ingesting.take(legacy, tagged, legacy, tagged, legacy, tagged)
    assert ingesting.values(metrics.TRIES_STARTED) == {("etl",): 4}
    assert ingesting.refused() == {Reason.LEGACY_SAYS_IT: 1, Reason.TWIN_SAYS_IT: 2}


def test_tags_that_come_too_soon_after_a_decision_take_over_later(ingesting: Ingesting) -> None:
    legacy, tagged = b"airflow.ti.start.etl.load:1|c", b"airflow.ti.start,dag_id=etl,task_id=load:1|c"
    ingesting.take(legacy)
    ingesting.clock.now += PATIENCE
    ingesting.mapper.tick()
    ingesting.take(legacy, tagged, legacy, tagged)
    assert ingesting.refused() == {Reason.LEGACY_SAYS_IT: 2}
    ingesting.clock.now += PATIENCE
    ingesting.mapper.tick()
    ingesting.take(legacy, tagged, legacy, tagged)
    assert ingesting.refused() == {Reason.LEGACY_SAYS_IT: 3, Reason.TWIN_SAYS_IT: 1}
    assert ingesting.values(metrics.TRIES_STARTED) == {("etl",): 5}


def test_name_that_needs_no_tags_counts_unless_a_legacy_one_says_more(ingesting: Ingesting) -> None:
    ingesting.take(b"airflow.executor.open_slots:5|g")
    ingesting.clock.now += PATIENCE
    ingesting.mapper.tick()
    assert ingesting.values(metrics.EXECUTOR_OPEN) == {(): 5}
    ingesting.take(b"airflow.executor.open_slots.CeleryExecutor:7|g", b"airflow.executor.open_slots:8|g")
    assert ingesting.values(metrics.EXECUTOR_OPEN)[("CeleryExecutor",)] == 7
    assert ingesting.values(metrics.EXECUTOR_OPEN)[()] == 5


@pytest.mark.parametrize(
    "first", [b"airflow.executor.open_slots:8|g", b"airflow.executor.open_slots.CeleryExecutor:8|g"]
)
def test_legacy_name_wins_over_one_without_tags_whichever_comes_first(ingesting: Ingesting, first: bytes) -> None:
    ingesting.take(first, b"airflow.executor.open_slots.CeleryExecutor:8|g", b"airflow.executor.open_slots:8|g")
    assert ingesting.values(metrics.EXECUTOR_OPEN) == {("CeleryExecutor",): 8}


def test_parse_times_tell_their_unit_by_the_release(ingesting: Ingesting) -> None:
    ingesting = Ingesting(style="none")
    ingesting.take(b"airflow.dag_processing.last_duration.etl:500|ms")
    ingesting.take(b"airflow.dag_processing.last_duration.dags-folder.elt:0.25|ms")
    assert set(ingesting.values(metrics.PARSE_DURATION).values()) == {0.5, 0.25}


def test_queued_durations_wait_for_a_release() -> None:
    known: list[tuple[int, int]] = []
    ingesting = Ingesting(style="none", release=lambda: known[-1] if known else None)
    line = b"airflow.dag.etl.load.queued_duration:5|ms"
    ingesting.take(line)
    assert ingesting.refused() == {Reason.UNIT_UNKNOWN: 1}
    known.append((2, 8))
    ingesting.mapper.tick()
    ingesting.take(line)
    assert ingesting.total(metrics.TRY_QUEUED) == 5
    known.append((2, 10))
    ingesting.mapper.tick()
    ingesting.take(line)
    assert ingesting.total(metrics.TRY_QUEUED) == 5.005


def test_release_is_learned_from_what_only_it_emits() -> None:
    ingesting = Ingesting(style="datadog")
    duration = b"airflow.dagrun.duration.success:5|ms|#dag_id:etl"
    ingesting.take(duration)
    assert ingesting.refused() == {Reason.UNIT_UNKNOWN: 1}
    ingesting.take(b"airflow.sla_missed:1|c|#dag_id:etl", duration)
    assert ingesting.total(metrics.EMITTED_RUN_DURATION) == 5


def test_negative_durations_are_of_two_clocks() -> None:
    ingesting = Ingesting(style="none")
    ingesting.take(b"airflow.dagrun.schedule_delay.etl:-5|ms", b"airflow.dagrun.schedule_delay.etl:1000|ms")
    assert ingesting.total(metrics.RUN_SCHEDULE_DELAY) == 1


def test_age_becomes_a_moment() -> None:
    ingesting = Ingesting(style="none")
    ingesting.wall.now = 1_800_000_000
    ingesting.take(b"airflow.dag_processing.last_run.seconds_ago.etl:12.5|g")
    assert list(ingesting.values(metrics.FILE_LAST_PARSED).values()) == [1_799_999_987.5]


def test_decrements_have_a_counter_of_their_own(ingesting: Ingesting) -> None:
    ingesting.take(*[b"airflow.dag_processing.processes:1|c"] * 3, b"airflow.dag_processing.processes:-1|c")
    assert ingesting.outcomes() == {Outcome.MAPPED: 4}
    ingesting.take(b"airflow.job_start:-1|c")
    assert ingesting.refused() == {Reason.NEGATIVE_COUNT: 1}


def test_sampled_values_stand_for_several(ingesting: Ingesting) -> None:
    ingesting = Ingesting(style="none")
    ingesting.take(b"airflow.ti.start.etl.load:1|c|@0.1", b"airflow.ti.start.etl.load:1|c|@0.1")
    assert ingesting.values(metrics.TRIES_STARTED) == {("etl",): 20}
    ingesting.take(b"airflow.scheduler.scheduler_loop_duration:500|ms|@0.5")
    assert ingesting.total(metrics.SCHEDULER_LOOP) == 1


def test_signed_gauges_change(ingesting: Ingesting) -> None:
    ingesting = Ingesting(style="none")
    ingesting.take(b"airflow.dagbag_size:10|g", b"airflow.dagbag_size:-3|g", b"airflow.dagbag_size:+1|g")
    assert ingesting.values(metrics.DAG_BAG) == {(): 8}


def test_pools_without_a_limit(ingesting: Ingesting) -> None:
    ingesting = Ingesting(style="none", mapping=Mapping([Rule("airflow.pool.open_slots.*", "foreign")]))
    ingesting.take(PLAIN.replace(b"%d", b"inf") % b"a")
    assert ingesting.values(metrics.POOL_OPEN) == {("a",): math.inf}
    assert list(ingesting.named("foreign").values()) == [math.inf]
    ingesting.take(PLAIN % (b"a", 3))
    assert ingesting.values(metrics.POOL_OPEN) == {("a",): 3}
    assert ingesting.outcomes() == {Outcome.MAPPED: 2}


def test_another_type_than_the_catalogues(ingesting: Ingesting) -> None:
    ingesting.take(b"airflow.dagbag_size:10|c")
    assert ingesting.refused() == {Reason.OTHER_TYPE: 1}


def test_names_without_the_prefix_are_unknown() -> None:
    ingesting = Ingesting(prefix="af")
    ingesting.take(b"airflow.dagbag_size:10|g", b"af.dagbag_size:11|g", b"afdagbag_size:12|g")
    assert (ingesting.values(metrics.DAG_BAG), ingesting.refused()) == ({(): 11}, {Reason.UNKNOWN_NAME: 2})
    ingesting = Ingesting(prefix="")
    ingesting.take(b"dagbag_size:11|g")
    assert ingesting.values(metrics.DAG_BAG) == {(): 11}


def test_job_ids_are_refused(ingesting: Ingesting) -> None:
    ingesting.take(b"airflow.local_task_job.task_exit.17.etl.load.0:1|c")
    assert ingesting.refused() == {Reason.REFUSED: 1}


def test_excluded_dags_have_no_series() -> None:
    ingesting = Ingesting(style="none", dags=DagsPolicy(exclude=("test_*",)))
    ingesting.take(b"airflow.ti.start.etl.load:1|c", b"airflow.ti.start.test_1.load:1|c")
    assert ingesting.values(metrics.TRIES_STARTED) == {("etl",): 1}
    assert ingesting.refused() == {Reason.EXCLUDED: 1}


def test_tasks_have_series_where_the_policy_wants_them() -> None:
    lines = [b"airflow.ti.start.etl.load:1|c", b"airflow.ti.start.etl.extract:2|c"]
    off, on = Ingesting(style="none"), Ingesting(style="none", dags=DagsPolicy(task_level=True))
    off.take(*lines)
    on.take(*lines)
    assert off.values(metrics.TRIES_STARTED) == {("etl",): 3}
    assert on.values(metrics.TRIES_STARTED) == {("etl", "load"): 1, ("etl", "extract"): 2}


def test_gauges_of_tasks_are_summed_where_tasks_have_no_series() -> None:
    ingesting = Ingesting(style="none", release=lambda: (3, 3))
    ingesting.take(b"airflow.ti.queued.default.etl.load:3|g", b"airflow.ti.queued.default.etl.extract:2|g")
    ingesting.take(b"airflow.ti.queued.default.etl.load:1|g")
    series = [
        r for r in ingesting.readings() if r.metric.name.startswith("airflow_obs_") and ("dag_id", "etl") in r.labels
    ]
    assert [getattr(reading, "value", None) for reading in series] == [3]


def test_dags_with_dots_are_learned_from_tags(ingesting: Ingesting) -> None:
    ingesting.take(b"airflow.ti.start,dag_id=team.a,task_id=load.it:1|c")
    ingesting = Ingesting(style="none")
    ingesting.take(b"airflow.dagrun.duration.success.team.a:1000|ms", b"airflow.ti.start.team.a.load.it:1|c")
    assert ingesting.values(metrics.TRIES_STARTED) == {("team.a",): 1}


@pytest.mark.parametrize("tail", [b"\n", b"\r\n", b""])
def test_lines_end_as_they_may(ingesting: Ingesting, tail: bytes) -> None:
    for _ in range(2):
        ingesting.mapper.take([b"airflow.job_start:1|c\nairflow.job_start:100|c" + tail, b"", b"\n\n", b"\r\n"])
    assert ingesting.outcomes() == {Outcome.MAPPED: 4}


def test_cap_drops_and_what_expires_makes_room() -> None:
    ingesting = Ingesting(style="none", max_series=1, ttl=60)
    ingesting.take(PLAIN % (b"a", 1), PLAIN % (b"b", 1), PLAIN % (b"b", 1))
    assert ingesting.refused() == {Reason.SERIES_LIMIT: 2}
    ingesting.store.expire()
    ingesting.clock.now += 61
    ingesting.store.expire()
    ingesting.take(PLAIN % (b"b", 3), PLAIN % (b"a", 1), PLAIN % (b"b", 4))
    assert ingesting.values(metrics.POOL_OPEN) == {("b",): 4}
    assert ingesting.outcomes() == {Outcome.MAPPED: 3, Outcome.DROPPED: 3}


def test_what_expires_is_no_reason_to_look_at_all_lines_anew() -> None:
    ingesting = Ingesting(style="none", ttl=60)
    ingesting.take(PLAIN % (b"a", 1), PLAIN % (b"b", 1))
    ingesting.store.expire()
    ingesting.clock.now += 61
    ingesting.store.expire()
    assert ingesting.values(metrics.POOL_OPEN) == {}
    before = ingesting.mapper.remembered
    ingesting.take(PLAIN % (b"a", 2))
    assert ingesting.mapper.remembered > before > 0
    assert ingesting.values(metrics.POOL_OPEN) == {("a",): 2}


def test_waiting_samples_have_a_cap(ingesting: Ingesting) -> None:
    ingesting.take(*[b"airflow.ti.start.etl.load:1|c"] * (MOST_HELD + 7))
    assert ingesting.refused() == {Reason.HOLD_LIMIT: 7}
    ingesting.mapper.finish()
    assert ingesting.values(metrics.TRIES_STARTED) == {("etl",): MOST_HELD}


@pytest.mark.parametrize("keeps", [True, False])
def test_of_a_flood_of_names_next_to_nothing_is_remembered_and_nothing_forgotten_for_it(
    monkeypatch: pytest.MonkeyPatch, keeps: bool
) -> None:
    monkeypatch.setattr(module, "MOST_STRANGERS", 10)
    ingesting = Ingesting(style="none", keep_unmapped=keeps, max_series=5)
    ingesting.take(PLAIN % (b"a", 100), PLAIN % (b"b", 100))
    before = ingesting.mapper.remembered
    ingesting.take(*(b"flood.%d:100|c" % number for number in range(1_000)))
    ingesting.take(*(PLAIN % (b"flood%d" % number, 100) for number in range(1_000)))
    assert before < ingesting.mapper.remembered <= before + 10 + 5
    ingesting.take(PLAIN % (b"a", 200), b"flood.1:100|c")
    assert ingesting.values(metrics.POOL_OPEN)["a",] == 200
    assert sum(ingesting.outcomes().values()) == 2_004


def test_what_is_remembered_of_lines_has_a_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CACHED", 100)
    ingesting = Ingesting(style="none")
    ingesting.take(
        *(b"flood.%d:1|c" % number for number in range(1_000)), *(b"airflow.job_start:%d|c" % n for n in range(500))
    )
    ingesting.take(
        *(b"flood.%d:1|c" % number for number in range(1_000)), *(b"airflow.job_start:%d|c" % n for n in range(500))
    )
    assert ingesting.mapper.remembered <= 200
    assert ingesting.outcomes() == {Outcome.UNMAPPED: 2_000, Outcome.MAPPED: 1_000}


def test_signed_gauges_of_tasks_change_what_their_task_said() -> None:
    ingesting = Ingesting(style="none", release=lambda: (3, 3))
    ingesting.take(b"airflow.ti.queued.default.etl.load:3|g", b"airflow.ti.queued.default.etl.extract:2|g")
    ingesting.take(b"airflow.ti.queued.default.etl.load:-1|g", b"airflow.ti.queued.default.etl.load:1|g")
    assert [r.value for r in ingesting.readings() if isinstance(r, Sample)] == [3]
