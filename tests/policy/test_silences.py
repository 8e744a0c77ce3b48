"""A silence is for some time and not for all; of two that are silent outside of their times each alert knows one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_obs.policy import Policy

Site = Callable[[str], Policy]
Complaints = Callable[[str], list[str]]

DAY = [{"start_time": "00:00", "end_time": "12:00"}, {"start_time": "12:00", "end_time": "24:00"}]
ALWAYS: list[dict[str, Any]] = [
    {"weekdays": ["sunday:saturday"]},
    {"weekdays": ["monday:saturday", "sunday"]},
    {"times": DAY},
    {"months": ["1:6", "july:december"]},
    {"days_of_month": ["1:31"]},
    {"days_of_month": ["1:-1"]},
    {"days_of_month": ["1:20", "-12:-1"]},
    {"years": ["2000:2999"]},
    {
        "weekdays": ["sunday:saturday"],
        "times": DAY,
        "months": ["1:12"],
        "days_of_month": ["1:-1"],
        "years": ["2000:2999"],
    },
]
NEVER: list[dict[str, Any]] = [
    {"months": ["february"], "days_of_month": ["30"]},
    {"months": ["april", "june"], "days_of_month": ["31"]},
    {"months": ["february"], "days_of_month": ["-31:-30"]},
    {"months": ["february"], "days_of_month": ["29"], "years": ["2027"]},
]
SOMETIMES: list[dict[str, Any]] = [
    {"weekdays": ["monday:saturday"]},
    {"times": [{"start_time": "00:00", "end_time": "23:59"}]},
    {"months": ["1:11"]},
    {"days_of_month": ["1:30"]},
    {"days_of_month": ["1:20", "-10:-1"]},
    {"years": ["2027:2999"]},
    {"months": ["february"], "days_of_month": ["29"]},
    {"months": ["february"], "days_of_month": ["29"], "years": ["2027:2028"]},
    {"weekdays": ["sunday"], "times": DAY},
    {"weekdays": ["sunday:saturday"], "times": [DAY[0]]},
]


def silences(*some: dict[str, Any]) -> str:
    return json.dumps({"silences": [{"name": f"s{index}", **one} for index, one in enumerate(some)]})


@pytest.mark.parametrize("times", [*ALWAYS, *NEVER], ids=str)
@pytest.mark.parametrize("when", ["inside", "outside"])
def test_what_is_silent_for_ever_or_never_is_refused(complaints: Complaints, when: str, times: dict[str, Any]) -> None:
    extent, silent = ("never end", when == "inside") if times in ALWAYS else ("never come", when == "outside")
    said = f"these times {extent}, so that it would {'be silent for ever' if silent else 'never be silent'}"
    [problem] = complaints(silences({"when": when, **times}))
    assert problem.endswith(f"silences[0]: {said}: mend them, or remove the silence")


@pytest.mark.parametrize("times", SOMETIMES, ids=str)
@pytest.mark.parametrize("when", ["inside", "outside"])
def test_what_is_silent_for_some_time_is_none_of_that(site: Site, when: str, times: dict[str, Any]) -> None:
    assert site(silences({"when": when, **times})).silences[0].when == when


HOURS: dict[str, Any] = {"when": "outside", "weekdays": ["monday:friday"]}
APART = [
    ({"deployments": ["a"]}, {"deployments": ["b"]}),
    ({"severities": ["warning", "info"]}, {"severities": ["critical"]}),
    ({"alerts": ["AirflowSchedulerDown"], "deployments": ["a", "b"]}, {"alerts": ["AirflowBrokerDown"]}),
    ({"teams": ["x"]}, {"teams": ["y"]}),
]
TOGETHER = [
    ({}, {}),
    ({"deployments": ["a"]}, {}),
    ({"deployments": ["a", "b"]}, {"deployments": ["b"], "severities": ["info"]}),
    ({"alerts": ["AirflowSchedulerDown"]}, {"deployments": ["a"]}),
]
OTHERS = {"deployments": [{"name": "a"}, {"name": "b"}], "teams": [{"name": "x"}, {"name": "y"}]}


def with_others(text: str) -> str:
    return json.dumps({**OTHERS, **json.loads(text)})


@pytest.mark.parametrize(("first", "second"), APART)
def test_two_outside_their_times_may_be_apart(site: Site, first: dict[str, Any], second: dict[str, Any]) -> None:
    assert len(site(with_others(silences({**HOURS, **first}, {**HOURS, **second}))).silences) == 2


@pytest.mark.parametrize(("first", "second"), TOGETHER)
def test_two_outside_their_times_over_the_same_alerts_are_refused(
    complaints: Complaints, first: dict[str, Any], second: dict[str, Any]
) -> None:
    [problem] = complaints(with_others(silences({**HOURS, **first}, {**HOURS, **second})))
    assert "silences[1].when: s0 is silent outside of its times as well, and for some of the same alerts" in problem
    assert problem.endswith(
        "write one of them with `inside`, or keep them apart by deployments, teams, severities or alerts"
    )


def test_one_inside_and_one_outside_may_meet(site: Site) -> None:
    assert len(site(silences(HOURS, {"weekdays": ["wednesday"]}, {"weekdays": ["monday"]})).silences) == 3
