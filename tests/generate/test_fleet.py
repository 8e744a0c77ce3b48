"""Fifty deployments: files for each, tests for each kind, and nothing of one in another's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from airflow_obs.generate.rules import rules
from tests.generate.fleet import one, policy

NAMES = [f"team-{number}" for number in range(50)]
OTHER = "team-7"
"""The one with another threshold."""


def deployment(name: str) -> dict[str, Any]:
    own = {"alerts": {"AirflowBrokerMemoryHigh": {"threshold": "70%"}}} if name == OTHER else {}
    facts = {"namespace": f"ns-{name}", "release": "airflow", "chart": "official"}
    return one(name, airflow=facts, sources={"health": {}, "broker": {}}, **own)


@pytest.fixture(scope="module")
def tree() -> Mapping[str, str]:
    # Who is told is one file for all.
    return rules(policy(*map(deployment, NAMES), output={"routes": []}))


def test_every_deployment_has_its_files(tree: Mapping[str, str]) -> None:
    for kind in ("mimir", "prometheusrule", "vmrule"):
        assert {path for path in tree if path.startswith(f"{kind}/")} == {f"{kind}/{name}.yaml" for name in NAMES}
    by_deployment = {
        name: {path.split(".")[1] for path in tree if path.startswith(f"prometheus/{name}.")} for name in NAMES
    }
    assert len(set(map(frozenset, by_deployment.values()))) == 1
    assert by_deployment["team-0"]


def test_no_file_speaks_of_another_deployment(tree: Mapping[str, str]) -> None:
    for path, text in tree.items():
        if path != "README.md":
            [own] = re.findall(r"/(team-\d+)\.", path)
            assert set(re.findall(r"team-\d+", text)) == {own}


def test_of_a_kind_one_has_tests(tree: Mapping[str, str]) -> None:
    """And those of the other one are of the subject that is another."""
    tests = {path for path in tree if path.startswith("tests/")}
    first = {path for path in tests if path.startswith("tests/team-0.")}
    assert tests - first == {f"tests/{OTHER}.broker.test.yaml"}
    assert {path.split(".")[1] for path in first} == {
        path.split(".")[1] for path in tree if path.startswith("prometheus/team-0.")
    }


def test_the_readme_says_where_they_differ(tree: Mapping[str, str]) -> None:
    readme = tree["README.md"]
    assert "50 deployments" in readme
    [row] = [line for line in readme.splitlines() if line.startswith("| [AirflowBrokerMemoryHigh]")]
    assert "threshold 80% or threshold 70%" in row
    [reason] = [line for line in readme.splitlines() if line.startswith("- AirflowSchedulerDown:")]
    assert reason.endswith("its collector jobs needs database, which the deployment does not list.")
