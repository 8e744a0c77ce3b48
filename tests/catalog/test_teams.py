"""An alert on a DAG goes to the DAG's team, whatever its owner, id and tags hold, and whatever several exporters say of them."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts.alert import Scope, TeamDags
from airflow_obs.catalog.alerts.teams import DAG, by_team, team_dags, team_of
from airflow_obs.promql import Expr, max_by
from tests.catalog.stories import promtool, selector

TEAMS = (
    team_dags("payments", [], ["pay.", "fin_(eu)_"], ["p&l", "c++"]),
    team_dags("data", ["data-*", "Ann O'Hara", "bi?"], [], []),
    team_dags("late", ["data-late"], ["pay"], []),
    team_dags("costs$1", [], [], ["costs"]),
)
FALLBACK = "platform"

DAGS = {
    ("pay.day", "x", ""): "payments",
    ("payday", "x", ""): "late",
    ("prepay.day", "x", ""): FALLBACK,
    ("fin_(eu)_books", "x", ""): "payments",
    ("fin_eu_books", "x", ""): FALLBACK,
    ("tagged", "x", ",daily,p&l,"): "payments",
    ("tagged-with-plus", "x", ",c++,"): "payments",
    ("tagged-alike", "x", ",c,cc,"): FALLBACK,
    ("tagged-in-part", "x", ",p&l-old,"): FALLBACK,
    ("first-of-two-teams", "data-late", ""): "data",
    ("one-of-two-owners", "x, data-eng", ""): "data",
    ("named", "Ann O'Hara", ""): "data",
    ("one-letter", "bi1", ""): "data",
    ("two-letters", "bi22", ""): FALLBACK,
    ("owner-in-part", "metadata-eng", ""): FALLBACK,
    ("dollar", "x", ",costs,"): "costs$1",
    ("nobody's", "", ""): FALLBACK,
}
"""(dag_id, owner, tags) as dag_info has them, and whose each is."""


def scope(teams: tuple[TeamDags, ...] = TEAMS) -> Scope:
    return Scope("a", {"threshold": Decimal(0)}, teams=teams, team=FALLBACK)


@pytest.mark.parametrize(("dag", "team"), DAGS.items())
def test_whose_a_dag_is(dag: tuple[str, str, str], team: str) -> None:
    assert team_of(scope(), *dag) == team


def test_prometheus_finds_the_same(tmp_path: Path) -> None:
    series = [series_of(*dag) for dag in DAGS]
    assert_firing(tmp_path, scope(), series, {(dag_id, DAGS[dag_id, owner, tags]) for dag_id, owner, tags in DAGS})


def test_without_teams_an_alert_says_none_of_its_own(tmp_path: Path) -> None:
    dag = ("pay.day", "x", "")
    assert_firing(tmp_path, scope(()), [series_of(*dag)], {("pay.day", "")})


def test_two_exporters_that_differ_give_one_alert_for_the_first_of_both_teams(tmp_path: Path) -> None:
    old = series_of("moved", "data-late", "", instance="a")
    new = series_of("moved", "x", ",p&l,", instance="b")
    assert_firing(tmp_path, scope(), [old, new], {("moved", "payments")})


def test_a_team_without_dags_owns_none() -> None:
    nobody = scope((TeamDags("nobody"),))
    assert team_of(nobody, "", "", "") == FALLBACK
    assert "nobody" not in by_team(paused(nobody), nobody).text


def paused(at: Scope) -> Expr:
    return max_by(at(metrics.DAG_PAUSED), *DAG).equals(1)


def series_of(dag_id: str, owner: str, tags: str, instance: str = "a") -> list[dict[str, str]]:
    """That the DAG is paused, and whose it is, as an exporter tells it."""
    own = {"airflow": "a", "dag_id": dag_id, "instance": instance}
    return [
        {"series": selector(metrics.DAG_PAUSED.name, own), "values": "1x3"},
        {"series": selector(metrics.DAG_INFO.name, own | {"owner": owner, "tags": tags}), "values": "1x3"},
    ]


def assert_firing(folder: Path, at: Scope, series: list[list[dict[str, str]]], expected: set[tuple[str, str]]) -> None:
    """promtool finds an alert on paused DAGs firing for exactly these (dag_id, team)."""
    rule = {"alert": "Paused", "expr": by_team(paused(at), at).text}
    (folder / "rules.yaml").write_text(json.dumps({"groups": [{"name": "teams", "rules": [rule]}]}))
    labels = [{"airflow": "a", "dag_id": dag_id} | ({"team": team} if team else {}) for dag_id, team in expected]
    test = {
        "input_series": [one for several in series for one in several],
        "alert_rule_test": [
            {"eval_time": "1m", "alertname": "Paused", "exp_alerts": [{"exp_labels": one} for one in labels]}
        ],
    }
    promtool({"rule_files": ["rules.yaml"], "tests": [test]}, folder)
