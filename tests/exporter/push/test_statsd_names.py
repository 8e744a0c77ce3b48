"""Names in StatsD: what the template makes of labels, what is cleaned away, and that no two series share one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_obs.exporter.push.statsd_names import Names, Series
from airflow_obs.policy.push import StatsdPush

TASKS = "airflow_obs_task_instances"
LABELS = (("dag_id", "etl.daily"), ("state", "running"))
TEXT = st.text(max_size=12)
SERIES = st.tuples(
    st.sampled_from([TASKS, "job:rate_5m", "airflow_obs_pool_slots"]),
    st.tuples(st.tuples(st.just("dag_id"), TEXT), st.tuples(st.just("state"), TEXT)),
)
ALLOWED = st.text("abcXYZ019_-", min_size=1, max_size=8)


def names(template: str = "{metric}.{deployment}.{labels}", tags: str = "none", deployment: str = "prod") -> Names:
    return Names(StatsdPush.model_validate({"template": template, "tags": tags}), deployment)


def one(chosen: Names, *labels: tuple[str, str], metric: str = TASKS) -> str:
    series: Series = (metric, labels)
    return chosen.of([series])[series]


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{metric}.{deployment}.{labels}", f"{TASKS}.prod.etl_daily.running"),
        ("airflow.{deployment}.{metric}.{labels}", f"airflow.prod.{TASKS}.etl_daily.running"),
        ("{state}.{metric}.{labels}", f"running.{TASKS}.etl_daily"),
        ("{metric}.{pool}.{labels}", f"{TASKS}.etl_daily.running"),
        ("..{metric}-{state}..{labels}.", f"{TASKS}-running.etl_daily"),
        ("{airflow}.{metric}.{labels}", f"prod.{TASKS}.etl_daily.running"),
    ],
)
def test_template(template: str, name: str) -> None:
    assert one(names(template), *LABELS) == name


def test_tags_take_the_labels_out_of_the_name() -> None:
    tags = "|#airflow:prod,dag_id:etl.daily,state:running"
    assert one(names("{metric}", "datadog"), *LABELS) == f"{TASKS}{tags}"
    assert one(names(tags="datadog"), *LABELS) == f"{TASKS}.prod{tags}"
    assert one(names("{metric}.{state}", "datadog"), *LABELS) == f"{TASKS}.running{tags}"


def test_label_without_a_value_is_no_segment_and_no_tag() -> None:
    assert one(names(), ("dag_id", ""), ("state", "running")) == f"{TASKS}.prod.running"
    assert one(names("{metric}", "datadog"), ("dag_id", ""), ("state", "up")) == f"{TASKS}|#airflow:prod,state:up"


def test_what_would_share_a_name_is_told_apart_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    chosen = names()
    series: list[Series] = [(TASKS, (("dag_id", dag_id),)) for dag_id in ("a_b", "a.b", "a b")]
    found = chosen.of(series)
    assert found[series[0]] == f"{TASKS}.prod.a_b"
    assert len(set(found.values())) == 3
    assert all(re.fullmatch(rf"{TASKS}\.prod\.a_b_[0-9a-f]{{8}}", found[other]) for other in series[1:])
    assert len(caplog.records) == 1
    assert f"{TASKS}.prod.a_b" in caplog.text
    assert "'a.b'" in caplog.text
    assert chosen.of(reversed(series)) == found, "whoever has a name keeps it"
    assert len(caplog.records) == 1
    assert chosen.of(series[1:2]) == {series[1]: found[series[1]]}
    assert chosen.of(series[:1]) == {series[0]: f"{TASKS}.prod.a_b"}


@given(st.lists(SERIES, max_size=20), st.sampled_from(["none", "datadog"]))
def test_no_name_breaks_a_line_and_no_two_are_the_same(series: list[Series], tags: str) -> None:
    found = names(tags=tags).of(series)
    assert len(set(found.values())) == len(set(series))
    for name in found.values():
        bare, mark, rest = name.partition("|#")
        assert re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", bare)
        assert bool(mark) == (tags == "datadog")
        assert not re.search("[|#\n\r\0]", rest)
        assert len(rest.split(",")) <= 3


@given(st.lists(st.tuples(ALLOWED, ALLOWED), unique=True, max_size=20))
def test_ids_that_need_no_cleaning_keep_their_names(ids: list[tuple[str, str]]) -> None:
    series: list[Series] = [(TASKS, (("dag_id", dag), ("state", state))) for dag, state in ids]
    assert [*names().of(series).values()] == [f"{TASKS}.prod.{dag}.{state}" for dag, state in ids]
