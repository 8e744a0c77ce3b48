"""Rules that are made once for a kind, and then get their names, are those that are made for each deployment."""

from __future__ import annotations

import io
from typing import Any

import pytest
from ruamel.yaml import YAML

from airflow_obs.generate.kinds import STAND_INS, kind
from airflow_obs.generate.rule import rule
from airflow_obs.generate.rules import rules
from airflow_obs.generate.scopes import emitted
from airflow_obs.policy import Policy
from tests.generate.fleet import ODD_NAMES, one, policy

TEAMS = [{"name": "platform"}, {"name": "1e3", "dag_prefixes": ["finance_"]}]


def fleet(*names: str) -> Policy:
    """Deployments with odd names, in odd namespaces, of teams with odd names; few alerts, for reading YAML takes seconds."""
    return policy(
        *(
            one(
                name,
                team=team,
                airflow={"namespace": place, "release": "prod", "executor": "CeleryExecutor"},
                sources=SOURCES,
            )
            for name, place, team in zip(names, ("null", "007", "data", "y") * 2, ("1e3", None) * 4, strict=False)
        ),
        teams=TEAMS,
    )


SOURCES = {"health": {}, "kubernetes": {"kube_state_metrics": False}}


def flat(written: Any) -> Any:
    """Without line breaks, which follow the length of names."""
    if isinstance(written, dict):
        return {key: flat(value) for key, value in written.items()}
    return "".join(written.split())


@pytest.mark.parametrize("name", ODD_NAMES)
def test_what_is_named_is_what_would_be_made(name: str) -> None:
    chosen = fleet(*ODD_NAMES)
    deployment = chosen.deployment(name)
    tree = rules(chosen, formats=["prometheus"])
    reader = YAML(typ="safe", pure=True)
    reader.version = (1, 1)
    files = [
        text
        for path, text in tree.items()
        if path.startswith(f"prometheus/{name}.") and path.count(".") == name.count(".") + 2
    ]
    read = [
        made for text in files for group in reader.load(io.BytesIO(text.encode()))["groups"] for made in group["rules"]
    ]
    assert [flat(made) for made in read] == [flat(dict(rule(of))) for of in emitted(chosen, deployment)]


def test_no_stand_in_is_left_anywhere() -> None:
    tree = rules(fleet(*ODD_NAMES))
    words = (STAND_INS.airflow, STAND_INS.namespace, STAND_INS.team)
    assert [path for path, text in tree.items() if any(word in path + text for word in words)] == []


def test_only_names_are_no_difference() -> None:
    chosen = policy(
        one("a"),
        one("b", team="1e3"),
        one("c", alerts={"AirflowTableLarge": {"threshold": "9GiB"}}),
        one("d", replicas={}),
        teams=TEAMS,
    )
    first, second, *others = (kind(chosen, deployment) for deployment in chosen.deployments)
    assert repr(first) == repr(second)
    assert len({repr(like) for like in (first, *others)}) == 3
