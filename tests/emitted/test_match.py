"""Names that could mean several things, and names that mean nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_obs.catalog.emitted.match import CUT, MAX_DAGS, Matcher

IDS = st.lists(st.text("abcXYZ019_-", min_size=1, max_size=8), min_size=1, max_size=4).map(".".join)
LONG = "a_dag_with_quite_a_long_identifier_that_will_overflow_the_otel_limit"


def values(matcher: Matcher, name: str) -> dict[str, str]:
    found = matcher.match(name)
    assert found
    return dict(found.values)


def test_a_dag_with_dots_is_known_once_its_name_stood_alone() -> None:
    matcher = Matcher()
    name = "ti.finish.team.a.dotted.consume.it.success"
    assert values(matcher, name) == {"dag_id": "team", "task_id": "a.dotted.consume.it", "state": "success"}
    before = matcher.revision
    assert values(matcher, "dagrun.dependency-check.team.a.dotted") == {"dag_id": "team.a.dotted"}
    assert matcher.revision > before
    assert values(matcher, name) == {"dag_id": "team.a.dotted", "task_id": "consume.it", "state": "success"}


def test_the_longest_dag_that_leaves_a_task_wins() -> None:
    matcher = Matcher()
    for dag_id in ("a", "a.b", "a.b.c"):
        matcher.learn(dag_id)
    assert values(matcher, "dag.a.b.c.duration") == {"dag_id": "a.b", "task_id": "c"}
    assert values(matcher, "dag.a.b.c.d.duration") == {"dag_id": "a.b.c", "task_id": "d"}


def test_what_stands_before_a_dag_ends_where_a_known_one_begins() -> None:
    matcher = Matcher()
    matcher.learn("etl.daily")
    assert values(matcher, "ti.queued.high.mem.etl.daily.load") == {
        "queue": "high.mem", "dag_id": "etl.daily", "task_id": "load",
    }  # fmt: skip
    assert values(matcher, "edge_worker.ti.finish.default.success.etl.daily.load") == {
        "queue": "default", "state": "success", "dag_id": "etl.daily", "task_id": "load",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spelt", "where"),
    [("team.a.dotted", "otlp of Team.A.Dotted"), ("Team__A__Dotted", "3.3"), ("team__a__dotted", "otlp of 3.3")],
)
def test_a_dag_is_known_in_the_spellings_that_airflow_makes_of_its_id(spelt: str, where: str) -> None:
    matcher = Matcher()
    matcher.learn("Team.A.Dotted")
    assert values(matcher, f"dagrun.schedule_delay.{spelt}") == {"dag_id": "Team.A.Dotted"}, where
    assert values(matcher, f"dag.{spelt}.load.duration") == {"dag_id": "Team.A.Dotted", "task_id": "load"}, where


def test_a_dag_whose_id_is_the_spelling_of_another_stays_itself() -> None:
    matcher = Matcher()
    matcher.learn("a.b")
    matcher.learn("a__b")
    assert values(matcher, "dagrun.schedule_delay.a__b") == {"dag_id": "a__b"}


@pytest.mark.parametrize("learnt", [True, False])
def test_no_more_dags_are_remembered_than_there_is_room_for(learnt: bool) -> None:
    matcher = Matcher()
    for number in range(MAX_DAGS + 1):
        if learnt:
            matcher.learn(f"d.{number}")
        else:
            matcher.match(f"dagrun.schedule_delay.d.{number}")
    assert matcher.revision == MAX_DAGS
    assert values(matcher, f"dag.d.{MAX_DAGS - 1}.t.duration")["dag_id"] == f"d.{MAX_DAGS - 1}"
    assert values(matcher, f"dag.d.{MAX_DAGS}.t.duration")["dag_id"] == "d"


@pytest.mark.parametrize(
    ("name", "signal"),
    [
        (
            "kubernetes_executor.clear_not_launched_queued_tasks.dur",
            "kubernetes_executor.clear_not_launched_queued_tasks.duration",
        ),
        (f"dagrun.{LONG}.first_task_scheduling_delay"[:55], "dagrun.first_task_scheduling_delay"),
        (f"dagrun.dependency-check.{LONG}"[:55], "dagrun.dependency-check"),
        (f"ti.finish.{LONG}.task.success"[:55], "ti.finish"),
        (f"task.cpu_usage.{LONG}.task"[:55], "task.cpu_usage.{dag_id}.{task_id}"),
        (f"dag.{LONG}.task.duration"[:55], CUT.name),
        (f"dag.{LONG}.task.queued_duration"[:50], CUT.name),
    ],
)
def test_a_name_that_was_cut_is_still_known(name: str, signal: str) -> None:
    found = Matcher().match(name)
    assert found
    assert found.signal.name == signal


@pytest.mark.parametrize(
    ("name", "signal"),
    [
        ("ti.start.etl.load", "ti.start"),
        ("ti.scheduled.default.etl.load", "ti.scheduled"),
        ("dagrun.duration.success.x", "dagrun.duration.success"),
        ("dagrun.duration.first_task_scheduling_delay", "dagrun.first_task_scheduling_delay"),
        ("operator_successes__PythonDecoratedOperator", "operator_successes"),
        ("task_instance_created-BashOperator", "task_instance_created"),
        ("operator_failures_my_end", "operator_failures"),
        ("job_start", "{job_name}_start"),
        ("scheduler_job_heartbeat_failure", "{job_name}_heartbeat_failure"),
        ("dag.serialization.version_created.etl.git", "dag.serialization.version_created"),
        ("dag_processing.last_duration.git.etl", "dag_processing.last_duration"),
    ],
)
def test_the_spelling_that_says_most_wins(name: str, signal: str) -> None:
    found = Matcher().match(name)
    assert found
    assert found.signal.name == signal


def test_a_parse_time_has_its_bundle_since_3_2() -> None:
    matcher = Matcher()
    assert values(matcher, "dag_processing.last_duration.git.etl") == {"bundle_name": "git", "file_name": "etl"}
    assert values(matcher, "dag_processing.last_duration.etl") == {"file_name": "etl"}


@pytest.mark.parametrize(
    "name",
    ["", ".", "ti", "ti.finish", "ti.finish.", "ti.finish.a", "ti.finish.a..b.success", "dag..load.duration", "_start",
     "a.b_start", "pool.open_slots.", "my.own.metric", "scheduler_heartbeats", "x" * 50],
)  # fmt: skip
def test_what_airflow_does_not_send_is_unknown(name: str) -> None:
    found = Matcher().match(name)
    assert found is None or (name == "ti.finish" and found.tagged)


@pytest.mark.parametrize("name", ["ti.finish." + "a." * 500 + "success", "ti.queued." + "a" * 1000 + ".etl.load"])
def test_a_name_longer_than_any_of_airflow_is_unknown(name: str) -> None:
    assert Matcher().match(name) is None


def test_an_id_longer_than_any_of_airflow_is_not_learnt() -> None:
    matcher = Matcher()
    matcher.learn("d." * 125 + "d")
    assert matcher.match(f"dagrun.schedule_delay.{'e.' * 125}e")
    assert matcher.revision == 0


@given(
    st.text(max_size=80)
    | st.lists(st.sampled_from(["ti", "finish", "dag", "a", "", "duration", "x" * 30])).map(".".join)
)
def test_any_text_is_a_name_or_none(name: str) -> None:
    found = Matcher().match(name)
    assert found is None or (found.signal.to is not None) != (found.signal.refused is not None)


@given(IDS, IDS, st.sampled_from(["success", "None"]))
def test_a_known_dag_and_any_task_come_out_of_a_name_as_they_went_in(dag_id: str, task_id: str, state: str) -> None:
    matcher = Matcher()
    matcher.learn(dag_id)
    assert values(matcher, f"ti.finish.{dag_id}.{task_id}.{state}") == {
        "dag_id": dag_id, "task_id": task_id, "state": state,
    }  # fmt: skip
    assert values(matcher, f"dag.{dag_id}.{task_id}.duration") == {"dag_id": dag_id, "task_id": task_id}
