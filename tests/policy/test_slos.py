"""Objectives: what each kind takes and needs, and for whom each is."""

from __future__ import annotations

import pytest

from airflow_obs.errors import PolicyError
from airflow_obs.policy import loads
from airflow_obs.policy.slos import Slo, days_of

DEADLINE = 'name: a, kind: dag_deadline, dag_id: sales, deadline: "07:00"'
FRESH = "name: a, kind: dag_freshness, dag_id: sales, threshold: 1h"


def slo(text: str, objective: str = "99%") -> Slo:
    (one,) = loads(f"slos: [{{objective: {objective}, {text}}}]", "site.yaml").slos
    return one


def problem(text: str, objective: str = "99%") -> str:
    with pytest.raises(PolicyError) as raised:
        slo(text, objective)
    (only,) = raised.value.problems
    return only.text


def test_a_deadline_has_days_and_a_lead() -> None:
    plain = slo(DEADLINE)
    assert (plain.weekdays, plain.lead, plain.location) == ((), None, None)
    full = slo(f'{DEADLINE}, weekdays: ["monday:friday", sunday], lead: 90m, location: Europe/Paris')
    assert (full.weekdays, full.lead, full.location) == (("monday:friday", "sunday"), 5400, "Europe/Paris")


@pytest.mark.parametrize(("text", "said"), [
    (f"{FRESH}, lead: 1h", "slos[0].lead: dag_freshness takes no lead: remove it"),
    (f"{FRESH}, weekdays: [monday]", "slos[0].weekdays: dag_freshness takes no weekdays: remove it"),
    (f"{FRESH}, location: UTC", "slos[0].location: dag_freshness takes no location: remove it"),
    (f"{DEADLINE}, threshold: 1h", "slos[0].threshold: dag_deadline takes no threshold: remove it"),
    (f"{DEADLINE}, lead: 25h", "slos[0].lead: out of bounds: must be from 1m to 1d"),
    (f"{DEADLINE}, lead: 59s", "slos[0].lead: out of bounds: must be from 1m to 1d"),
    ("name: a, kind: dag_deadline, dag_id: sales", "slos[0]: dag_deadline needs deadline: add it"),
    ("name: a, kind: dag_freshness", "slos[0]: dag_freshness needs dag_id and threshold: add them"),
])  # fmt: skip
def test_what_a_kind_does_not_take(text: str, said: str) -> None:
    assert problem(text) == said


def test_an_objective_never_reaches_alertmanager_and_its_days_may_go_on_into_the_next_week() -> None:
    assert days_of(slo(f'{DEADLINE}, weekdays: ["saturday:monday", wednesday]').weekdays) == {6, 0, 1, 3}
    assert days_of(("monday:sunday",)) == days_of(()) == set(range(7))
    assert days_of(("friday",)) == {5}


def test_a_misspelt_day() -> None:
    said = problem(f"{DEADLINE}, weekdays: [mondy]")
    assert said.startswith("slos[0].weekdays[0]: must be a day such as saturday, or a range")
    assert said.endswith("did you mean monday?")


def test_a_deadline_may_be_kept_on_a_few_days_only() -> None:
    """It is no burn that pages; where one does, it must be possible."""
    assert slo(DEADLINE, "60%").objective * 100 == 60
    assert "could never fire" in problem(FRESH, "60%")


def test_whose_it_is() -> None:
    slos = (
        "{objective: 99%, kind: dag_success, name: x, deployments: [b]}, {objective: 99%, kind: dag_success, name: y}"
    )
    text = f"deployments: [{{name: a}}, {{name: b}}]\nslos: [{slos}]"
    every = loads(text, "site.yaml").slos
    assert {name: [one.name for one in every if one.applies_to(name)] for name in "ab"} == {"a": ["y"], "b": ["x", "y"]}
