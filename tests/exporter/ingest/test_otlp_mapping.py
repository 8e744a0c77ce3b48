"""What Airflow's processes say over OTLP becomes the catalogue's series: each event once, from any release."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

from airflow_obs.catalog import metrics
from airflow_obs.exporter.ingest.accounts import Outcome, Reason
from airflow_obs.exporter.ingest.otlp import mapper as module
from airflow_obs.exporter.ingest.otlp.mapper import BATCH, outcome
from airflow_obs.exporter.ingest.otlp.points import Gauge, Origin, Point
from airflow_obs.policy.dags import DagsPolicy
from tests.exporter.ingest.otlp_airflow import Airflow
from tests.exporter.ingest.otlp_requests import (
    DELTA,
    EPOCH,
    SCOPE_2,
    SCOPE_3,
    exponential,
    gauge,
    sender,
    tagged,
    total,
)

SENT = Path(__file__).parents[2] / "emitted" / "sent"


@pytest.fixture
def airflow() -> Airflow:
    return Airflow()


def test_tries_of_tasks_are_counted_over_all_their_processes(airflow: Airflow) -> None:
    for instance in ("1", "2", "3"):
        began = 109 + int(instance) / 1_000
        start = total("ti.start", 1, 110, start=began, dag_id="d", task_id="t")
        finish = total("ti.finish", 1, 110, start=began, dag_id="d", task_id="t", state="success")
        assert airflow.sends(start, finish, **{"service.instance.id": instance}) == {None: 2}
    assert airflow.shows(metrics.TRIES_STARTED) == {"d": 3}
    assert airflow.shows(metrics.TRIES_FINISHED) == {"success d": 3}


def test_task_level_adds_the_task() -> None:
    airflow = Airflow(dags=DagsPolicy(task_level=True))
    airflow.sends(total("ti.start", 1, 110, start=109, dag_id="d", task_id="t"))
    assert airflow.shows(metrics.TRIES_STARTED) == {"d t": 1}


def test_two_spellings_of_a_counter_are_one_count(airflow: Airflow) -> None:
    sent = [
        total("ti.start.d.t", 4, 110, start=90, dag_id="d", task_id="t"),
        total("ti.start", 4, 110, start=90, dag_id="d", task_id="t"),
    ]
    assert airflow.sends(*sent) == {None: 1, Reason.TWIN_SAYS_IT: 1}
    assert airflow.sends(sent[0]) == {Reason.TWIN_SAYS_IT: 1}
    assert airflow.shows(metrics.TRIES_STARTED) == {"d": 4}


def test_legacy_spelling_counts_where_it_is_alone(airflow: Airflow) -> None:
    assert airflow.sends(total("ti.start.d.t", 4, 110, start=90)) == {None: 1}
    assert airflow.shows(metrics.TRIES_STARTED) == {"d": 4}


def test_restart_of_a_process_goes_on_counting(airflow: Airflow) -> None:
    airflow.sends(total("scheduler_heartbeat", 7, 110, start=50))
    airflow.clock.now = 180
    airflow.sends(total("scheduler_heartbeat", 2, 180, start=160))
    assert airflow.shows(metrics.SCHEDULER_HEARTBEATS) == {"": 9}


def test_histogram_of_3_3_is_in_milliseconds_but_for_parse_times(airflow: Airflow) -> None:
    """Parse times are seconds in what says milliseconds; the family shows one value for each file, the mean of those new."""
    with sender() as scheduler:
        loop = scheduler.meter.create_histogram("airflow.scheduler.scheduler_loop_duration", unit="ms")
        parse = scheduler.meter.create_histogram("airflow.dag_processing.last_duration", unit="ms")
        for milliseconds in (20, 200, 700):
            loop.record(milliseconds)
        parse.record(1.0, {"file_name": "f", "bundle_name": "b"})
        parse.record(2.0, {"file_name": "f", "bundle_name": "b"})
        found = scheduler.collected().resource_metrics[0].scope_metrics[0].metrics
        for metric in found:
            for point in metric.exponential_histogram.data_points:
                point.start_time_unix_nano, point.time_unix_nano = EPOCH * 10**9, EPOCH * 10**9 + 5
        assert airflow.sends(*found) == {None: 2}
    assert airflow.observed(metrics.SCHEDULER_LOOP) == {0.05: 1, 0.25: 1, 1.0: 1}
    assert airflow.shows(metrics.SCHEDULER_LOOP) == {"": pytest.approx(0.92)}
    assert list(airflow.shows(metrics.PARSE_DURATION).values()) == [pytest.approx(1.5)]


@pytest.mark.parametrize(
    ("scope", "release", "seconds"),
    [(SCOPE_2, (2, 10), 90.0), (SCOPE_2, (3, 1), 0.09), (SCOPE_3, None, 0.09), (SCOPE_3, (3, 2), 0.09)],
)
def test_timer_that_comes_as_a_gauge_is_in_its_releases_unit(
    scope: str, release: tuple[int, int] | None, seconds: float
) -> None:
    airflow = Airflow(release)
    assert airflow.sends(gauge("scheduler.scheduler_loop_duration", 90.0, 110), scope=scope) == {None: 1}
    assert airflow.shows(metrics.SCHEDULER_LOOP) == {"": pytest.approx(seconds)}


def test_release_is_learned_from_what_only_it_sends(airflow: Airflow) -> None:
    loop = gauge("scheduler.scheduler_loop_duration", 0.2, 110)
    assert airflow.sends(loop, scope=SCOPE_2) == {Reason.UNIT_UNKNOWN: 1}
    assert airflow.sends(loop, gauge("dataset.orphaned", 0, 110), scope=SCOPE_2) == {None: 2}
    assert airflow.observed(metrics.SCHEDULER_LOOP) == {0.25: 1}


def test_timer_that_comes_as_a_gauge_counts_when_it_changes() -> None:
    airflow = Airflow((2, 10))
    for value in (0.2, 0.2, 3.0, 3.0):
        airflow.sends(gauge("scheduler.scheduler_loop_duration", value, 110), scope=SCOPE_2)
    assert airflow.observed(metrics.SCHEDULER_LOOP) == {0.25: 1, 5.0: 1}


def test_of_timers_that_come_as_gauges_the_legacy_spelling_has_all() -> None:
    """2.x exports one label set only of a gauge with tags."""
    airflow = Airflow((2, 10))
    sent = [
        gauge("dagrun.schedule_delay", 5.0, 110, dag_id="b"),
        gauge("dagrun.schedule_delay.a", 3.0, 110),
        gauge("dagrun.schedule_delay.b", 5.0, 110),
    ]
    assert airflow.sends(*sent, scope=SCOPE_2) == {None: 2, Reason.LEGACY_SAYS_IT: 1}
    assert airflow.shows(metrics.RUN_SCHEDULE_DELAY) == {"a": 3.0, "b": 5.0}


def test_gauges_of_2_come_in_both_spellings_and_are_the_same() -> None:
    airflow = Airflow((2, 10))
    sent = [
        gauge("pool.open_slots", 4, 110, pool_name="Default"),
        gauge("pool.open_slots.default", 4, 110),
        gauge("pool.open_slots.small", 1, 110),
    ]
    assert airflow.sends(*sent, scope=SCOPE_2) == {None: 3}
    assert airflow.shows(metrics.POOL_OPEN) == {"Default": 4, "small": 1}


def test_gauges_of_3_count_with_their_tags(airflow: Airflow) -> None:
    """Names are in small letters over OpenTelemetry: the legacy one would make a second series."""
    sent = [gauge("pool.open_slots", 4, 110, pool_name="Default"), gauge("pool.open_slots.default", 4, 110)]
    assert airflow.sends(*sent) == {None: 1, Reason.TWIN_SAYS_IT: 1}
    assert airflow.shows(metrics.POOL_OPEN) == {"Default": 4}


def test_pool_gauges_of_several_schedulers_are_one(airflow: Airflow) -> None:
    for host, value in (("a", 5), ("b", 4)):
        airflow.sends(gauge("pool.open_slots", value, 110, pool_name="p"), **{"host.name": host})
    assert airflow.shows(metrics.POOL_OPEN) == {"p": 4}


def test_executor_gauges_of_several_schedulers_add_up(airflow: Airflow) -> None:
    for host, value in (("a", 5), ("b", 4), ("a", 7)):
        airflow.sends(
            gauge("executor.queued_tasks", value, 110, executor_class_name="CeleryExecutor"), **{"host.name": host}
        )
    assert list(airflow.shows(metrics.EXECUTOR_QUEUED).values()) == [11]


def test_scheduler_that_is_gone_leaves_the_sum(airflow: Airflow) -> None:
    for host, now in (("a", 120), ("b", 120), ("b", 240), ("b", 360)):
        airflow.clock.now = now
        airflow.store.expire()
        airflow.sends(
            gauge("executor.queued_tasks", 4, now, executor_class_name="CeleryExecutor"), **{"host.name": host}
        )
    airflow.store.expire()
    assert list(airflow.shows(metrics.EXECUTOR_QUEUED).values()) == [4]


def test_gauges_of_tasks_add_up_to_their_queue(airflow: Airflow) -> None:
    for host in ("a", "b"):
        both = [gauge("ti.queued", n, 110, queue="q", dag_id="d", task_id=task) for n, task in ((2, "x"), (3, "y"))]
        airflow.sends(*both, **{"host.name": host})
    assert list(airflow.shows(metrics.SCHEDULER_TASK_INSTANCES).values()) == [5]


def test_gauges_of_tasks_add_up_though_the_first_names_none(airflow: Airflow) -> None:
    airflow.sends(gauge("ti.queued", 0, 110, queue="q", dag_id="d"))
    airflow.sends(
        *(gauge("ti.queued", n, 110, queue="q", dag_id="d", task_id=task) for n, task in ((2, "x"), (3, "y")))
    )
    assert list(airflow.shows(metrics.SCHEDULER_TASK_INSTANCES).values()) == [5]


def test_counter_that_has_no_value_for_a_while_goes_on(airflow: Airflow) -> None:
    pause = total("scheduler_heartbeat", 0, 115, start=100)
    pause.sum.data_points[0].flags = pb.DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
    airflow.sends(total("scheduler_heartbeat", 5, 110, start=100))
    assert airflow.sends(pause) == {None: 1}
    airflow.sends(total("scheduler_heartbeat", 7, 119, start=100))
    assert list(airflow.shows(metrics.SCHEDULER_HEARTBEATS).values()) == [7]


def test_age_becomes_a_moment_that_stays() -> None:
    """2.x sends the last age again and again: a processor that hangs would seem to have parsed just now."""
    airflow = Airflow((2, 10))
    for time in (110, 170):
        airflow.sends(gauge("dag_processing.last_run.seconds_ago.f", 10.0, time), scope=SCOPE_2)
        assert airflow.shows(metrics.FILE_LAST_PARSED) == {"f": EPOCH + 100}
    airflow.sends(gauge("dag_processing.last_run.seconds_ago.f", 12.0, 230), scope=SCOPE_2)
    assert airflow.shows(metrics.FILE_LAST_PARSED) == {"f": EPOCH + 218}


def test_counter_that_goes_down_feeds_another(airflow: Airflow) -> None:
    def processes(started: int, finished: int, time: float) -> list[pb.Metric]:
        name = "dag_processing.processes"
        return [
            total(name, started, time, monotonic=False, file_path="f.py", action="start"),
            total(name, -finished, time, monotonic=False, file_path="f.py", action="finish"),
        ]

    airflow.sends(*processes(5, 4, 110))
    airflow.sends(*processes(7, 7, 170))
    assert sum(airflow.shows(metrics.PARSES_STARTED).values()) == 7
    assert sum(airflow.shows(metrics.PARSES_ENDED).values()) == 7


def test_decrement_of_what_only_rises_is_invalid(airflow: Airflow) -> None:
    assert airflow.sends(total("scheduler_heartbeat", -3, 110, monotonic=False)) == {Reason.NEGATIVE_COUNT: 1}


def test_deltas_add_up(airflow: Airflow) -> None:
    for time in (110, 170, 170):
        airflow.sends(total("scheduler_heartbeat", 3, time, start=time - 60, temporality=DELTA))
    assert airflow.shows(metrics.SCHEDULER_HEARTBEATS) == {"": 6}


def test_policy_keeps_dags_out() -> None:
    airflow = Airflow(dags=DagsPolicy(exclude=("secret*",)))
    assert airflow.sends(
        total("ti.start", 1, 110, dag_id="secret_a"),
        total("ti.start.secret_b.t", 1, 110),
        total("ti.start", 1, 110, dag_id="open"),
    ) == {Reason.EXCLUDED: 2, None: 1}
    assert airflow.shows(metrics.TRIES_STARTED) == {"open": 1}


def test_spellings_are_learned_of_what_names_have_and_the_last_are_remembered(
    airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_SPELT", 3)
    for number in range(9):
        airflow.sends(total("ti.start", 1, 110, dag_id="d", queue=f"Queue{number}"))
    airflow.sends(gauge("pool.open_slots", 1, 110, pool_name="MyPool"))
    for number in range(9):
        airflow.sends(total("ti.start", 1, 110, dag_id="d", nobodys=f"Value{number}"))
    airflow.sends(gauge("pool.starving_tasks.mypool", 4, 110))
    assert airflow.shows(metrics.POOL_STARVING) == {"MyPool": 4}


def test_of_known_names_a_few_are_forgotten_for_new_ones(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KNOWN", 10)
    sent = [total("ti.start", 1, 110, dag_id=f"d{number}") for number in range(35)]
    assert airflow.sends(*sent) == {None: 35}
    assert len(airflow.shows(metrics.TRIES_STARTED)) == 35


def test_dag_ids_with_dots_are_learned_from_tags(airflow: Airflow) -> None:
    airflow.sends(total("ti.finish.Team.a.dotted.go.it.success".lower(), 1, 110), gauge("x", 1, dag_id="Team.a.dotted"))
    assert airflow.shows(metrics.TRIES_FINISHED) == {"success Team.a.dotted": 1}


@pytest.mark.parametrize(
    ("metric", "reason", "ends"),
    [
        (gauge("pool.closed_slots", 1, 110), Reason.UNKNOWN_NAME, Outcome.UNMAPPED),
        (gauge("scheduler_heartbeat", 1, 110), Reason.OTHER_TYPE, Outcome.UNMAPPED),
        (total("pool.open_slots", 1, 110, pool_name="p"), Reason.OTHER_TYPE, Outcome.UNMAPPED),
        (exponential("scheduler_heartbeat", {1: 1}, 1.0, 110), Reason.OTHER_TYPE, Outcome.UNMAPPED),
        (gauge("pool.open_slots", float("nan"), 110, pool_name="p"), Reason.NO_NUMBER, Outcome.INVALID),
        (gauge("scheduler.tasks.running", 0, 110), Reason.REFUSED, Outcome.DROPPED),
    ],
)
def test_what_is_not_mapped_has_its_reason(airflow: Airflow, metric: pb.Metric, reason: Reason, ends: Outcome) -> None:
    assert airflow.sends(metric) == {reason: 1}
    assert outcome(reason) is ends
    assert airflow.store.readings() == []


def test_names_of_others_are_unknown(airflow: Airflow) -> None:
    assert airflow.sends(pb.Metric(name="scheduler_heartbeat", sum=total("", 1, 110).sum)) == {Reason.UNKNOWN_NAME: 1}


def test_series_beyond_the_cap_are_dropped_and_counted() -> None:
    airflow = Airflow(most=3)
    sent = [gauge("pool.open_slots", 1, 110, pool_name=f"p{number}") for number in range(5)]
    assert airflow.sends(*sent) == {None: 3, Reason.SERIES_LIMIT: 2}
    many = [total("ti.start", 1, 110, dag_id=f"d{number}") for number in range(5)]
    assert airflow.sends(*many) == {None: 3, Reason.SERIES_LIMIT: 2}


def test_large_requests_are_taken_whole(airflow: Airflow) -> None:
    sent = [
        total("ti.start", 1, 110, start=109, dag_id=f"d{number % 7}", run=str(number))
        for number in range(2 * BATCH + 1)
    ]
    assert airflow.sends(*sent) == {None: 2 * BATCH + 1}
    assert sum(airflow.shows(metrics.TRIES_STARTED).values()) == 2 * BATCH + 1


@pytest.mark.parametrize(("release", "scope"), [("2.10.5", SCOPE_2), ("3.3.2", SCOPE_3)])
def test_everything_that_airflow_sent_is_mapped_or_refused(release: str, scope: str) -> None:
    """Names, kinds and attributes as real ones sent them; a value for each attribute is made up."""
    airflow = Airflow()
    sent = []
    for line in (SENT / f"{release}-otlp.tsv").read_text().splitlines():
        name, kind, unit, monotonic, tags = (line.split("\t") + [""] * 4)[:5]
        name = name.removeprefix("airflow.")
        metric = {
            "sum": total(name, 1, 110, monotonic=monotonic == "True"),
            "gauge": gauge(name, 1, 110),
            "exponentialHistogram": exponential(name, {3: 2}, 20.0, 110, unit=unit),
        }[kind]
        sent.append(tagged(metric, {tag: f"a_{tag}" for tag in tags.split(",") if tag}))
    airflow.sends(*sent, scope=scope)
    airflow.clock.now += 60
    became = airflow.sends(*sent, scope=scope)
    assert sum(became.values()) == len(sent) > 70
    known = {None, Reason.TWIN_SAYS_IT, Reason.LEGACY_SAYS_IT, Reason.REFUSED, Reason.NO_TASKS}
    assert set(became) <= known
    assert len({one.metric.name for one in airflow.store.readings()}) > 30


TEXT = st.text(st.characters(codec="utf-8"), max_size=70)
NAMES = st.sampled_from(
    ["airflow.scheduler_heartbeat", "airflow.pool.open_slots", "airflow.pool.open_slots.p", "airflow.ti.finish.a.b.c",
     "airflow.dag_processing.last_duration", "airflow.dag_processing.processes", "airflow.scheduler.scheduler_loop_duration",
     "airflow.dag_processing.last_run.seconds_ago", "airflow.executor.open_slots", "airflow.ti.queued", "airflow.", "x"]
) | TEXT.map("airflow.{}".format)  # fmt: skip
TAGS = st.dictionaries(
    st.sampled_from(["dag_id", "task_id", "pool_name", "state", "file_name", "queue", "action"]), TEXT
)


@settings(max_examples=150)
@given(
    st.lists(st.tuples(NAMES, TAGS, st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 3)), max_size=30)
)
def test_every_point_is_counted_once(given_points: list[tuple[str, dict[str, str], float, int]]) -> None:
    airflow = Airflow((3, 3))
    sent = []
    for name, tags, value, kind in given_points:
        metric = [
            total("", value, 110),
            total("", value, 110, monotonic=False, temporality=DELTA),
            exponential("", {round(value) % 99: 3, 5: 1}, abs(value), 110),
            gauge("", value, 110),
        ][kind]
        metric.name = name
        sent.append(tagged(metric, tags))
    became = Counter(airflow.sends(*sent))
    assert became.total() == len(sent)
    airflow.store.readings()


def test_point_with_a_reason_keeps_it(airflow: Airflow) -> None:
    origin = Origin((), SCOPE_3)
    broken = Point(origin, "airflow.pool.open_slots", "", (("pool_name", "p"),), 0, 1, Reason.TOO_LONG)
    well = Point(origin, "airflow.pool.open_slots", "", (("pool_name", "p"),), 0, 1, Gauge(3.0))
    ended = Point(origin, "airflow.pool.open_slots", "", (("pool_name", "p"),), 0, 1, None)
    assert dict(airflow.mapper.take([broken, well, ended])) == {Reason.TOO_LONG: 1, None: 2}
