"""Objectives of a policy become rules of the deployments that they are for, in every format; what cannot be judged is said."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts.alert import Scope
from airflow_obs.catalog.burning import BURNED_BY
from airflow_obs.catalog.objective import COUNTED
from airflow_obs.errors import PolicyError
from airflow_obs.generate.kinds import STAND_INS
from airflow_obs.generate.rules import rules
from airflow_obs.generate.scopes import emitted
from airflow_obs.policy import Policy, load
from airflow_obs.policy.lacking import certain
from tests.catalog.alert_policies import SLOS
from tests.generate.fleet import ODD_NAMES, as_text, one, policy
from tests.generate.test_rules import parsed
from tests.tools import tool

STARTS, QUEUE, *_ = SLOS
TEAMS = [{"name": "platform"}, {"name": "sales"}]
FAST = "AirflowErrorBudgetBurnFast"
DATABASE: Mapping[str, Any] = {"database": {}}


def site(*slos: dict[str, Any], **more: Any) -> Policy:
    return policy(one(sources={**DATABASE, "statsd": {}}), slos=slos or SLOS, **more)


def test_every_format_holds_what_is_recorded() -> None:
    tree = rules(site({**STARTS, "team": "sales"}, teams=TEAMS))
    raw = parsed(tree["prometheus/prod.slos.yaml"])["groups"]
    assert [group["name"] for group in raw] == ["airflow-obs/prod/slos/starts", "airflow-obs/prod/slos"]
    assert (raw[0]["interval"], raw[1]["interval"]) == ("1m", "30s")
    assert {str(rule["labels"]) for rule in raw[0]["rules"]} == {
        "{'airflow': 'prod', 'slo': 'starts', 'team': 'sales'}"
    }
    assert all("team" not in rule["labels"] for rule in raw[1]["rules"])
    for path, spec in (("mimir", False), ("prometheusrule", True), ("vmrule", True)):
        file = parsed(tree[f"{path}/prod.yaml"])
        groups = file["spec"]["groups"] if spec else file["groups"]
        assert all(group in groups for group in raw)


def test_numbers_are_exact() -> None:
    """0.05% of 28 days, which no binary fraction is."""
    text = rules(site({**STARTS, "objective": "99.95%", "window": "28d"}))["prometheus/prod.slos.yaml"]
    assert set(re.findall(r"\* (\d+)\n +/ (.*)", text)) == {
        (str(seconds), "1209.6") for seconds in (300, 1800, 3600, 7200, 21600, 86400, 259200)
    }
    assert "/ 0.0005\n" in text
    assert 'expr: "vector(0.9995)"' in text
    assert "[27d23h59m30s]" in text


def test_the_same_policy_makes_the_same_bytes() -> None:
    assert dict(rules(site())) == dict(rules(site()))


def test_promtool_finds_the_tests_of_kinds_on_time_to_hold(tmp_path: Path) -> None:
    """Those on time, each alone: where there is one that counts events, the cases take that (tests/catalog/test_alerts.py)."""
    for slo in SLOS:
        if slo["kind"] in COUNTED and slo is not QUEUE:
            continue
        folder = tmp_path / str(slo["name"])
        for path, text in rules(site(dict(slo), teams=TEAMS)).items():
            if path.startswith(("prometheus/prod.slos", "prometheus/prod.absence", "tests/prod.slos")):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text)
        tests = sorted(map(str, folder.glob("tests/*.yaml")))
        assert tests
        done = subprocess.run([tool("promtool"), "test", "rules", *tests], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_without_objectives_there_is_nothing_of_them() -> None:
    tree = rules(policy(one(sources=DATABASE)))
    assert [path for path in tree if "slos" in path] == []
    assert "## Objectives" not in tree["README.md"]
    assert (
        "- AirflowSloUnjudged: the policy's slos have no objective for the deployment that it would be about."
        in tree["README.md"]
    )


def test_a_deployment_has_the_objectives_that_are_for_it() -> None:
    """Of two that are alike but for these; odd names are theirs in each."""
    chosen = policy(
        *(one(name, sources=DATABASE) for name in ODD_NAMES),
        slos=[
            {**STARTS, "deployments": ["true", "a.b"]},
            {"name": "up", "kind": "scheduler_availability", "objective": "99.9%"},
        ],
        teams=TEAMS,
    )
    tree = rules(chosen)
    for name in ODD_NAMES:
        text = tree[f"prometheus/{name}.slos.yaml"]
        names = {group["name"] for group in parsed(text)["groups"]}
        own = {f"airflow-obs/{name}/slos", f"airflow-obs/{name}/slos/up"}
        assert names == own | ({f"airflow-obs/{name}/slos/starts"} if name in ("true", "a.b") else set())
        assert STAND_INS.airflow not in text
        assert STAND_INS.team not in text
    assert {path for path in tree if re.match(r"tests/.*\.slos\.", path)} == {
        f"tests/{name}.slos.{step}test.yaml" for name in ("Prod_A", "true") for step in ("", "1h.")
    }


def test_alerts_are_those_that_the_objectives_need() -> None:
    chosen = site({"name": "by-seven", "kind": "dag_deadline", "objective": "95%", "deadline": "07:00", "dag_id": "x"})
    names = {of.alert.name for of in emitted(chosen, chosen.deployments[0]) if of.alert.subject == "slos"}
    budget = {"AirflowErrorBudgetExhausted", "AirflowSloUnjudged"}
    assert names == budget | {"AirflowDagDeadlinePassed", "AirflowSloDagMissing"}
    text = rules(chosen)["prometheus/prod.slos.yaml"]
    assert "error_budget_spent" not in text
    for dag_id, there in (("x", True), (None, False)):
        runs = site({"name": "runs", "kind": "dag_success", "objective": "99%", "dag_id": dag_id})
        assert ("AirflowSloDagMissing" in rules(runs)["prometheus/prod.slos.yaml"]) == there


def test_what_few_deadlines_are_follows_from_the_days_of_the_week() -> None:
    weekly = {
        "name": "a",
        "kind": "dag_deadline",
        "objective": "95%",
        "deadline": "07:00",
        "dag_id": "x",
        "window": "28d",
    }
    for days, minutes in (([], 7 * 1440), (["saturday:monday"], 6 * 1440), (["monday", "monday:monday"], 2 * 1440)):
        text = rules(site({**weekly, "weekdays": days}))["prometheus/prod.slos.yaml"]
        assert f"vector({minutes})" in text


def refused(tmp_path: Path, *deployments: dict[str, Any], **sections: Any) -> str:
    file = tmp_path / "site.yaml"
    file.write_text(as_text(*deployments, **sections))
    with pytest.raises(PolicyError) as found:
        rules(load(file), file)
    return "\n".join(re.sub(r"^.*site\.yaml:\d+:\d+: ", "", str(problem)) for problem in found.value.problems)


def test_what_no_deployment_can_be_judged_by_is_refused(tmp_path: Path) -> None:
    facts = {"version": "3.1"}
    assert refused(tmp_path, one(sources={"statsd": {}}, airflow=facts), slos=[QUEUE]) == (
        "slos[0].kind: no deployment can be judged by queue: airflow_obs_emitted_task_queued_duration_seconds: Airflow 3.0 to 3.3 "
        "do not have it, and this is 3.1; and airflow_obs_task_instances_oldest_timestamp_seconds: its collector task_instances "
        "needs database, which the deployment does not list: mend that, or remove the objective"
    )
    switched_off = {"outcomes": {"enabled": False}}
    assert "its collector outcomes is switched off" in refused(
        tmp_path, one(sources=DATABASE), slos=[STARTS], collectors=switched_off
    )


def test_a_deployment_that_is_named_must_be_one_that_can(tmp_path: Path) -> None:
    both = one("a", sources=DATABASE), one("b", sources={"statsd": {}})
    said = refused(tmp_path, *both, slos=[{**STARTS, "deployments": ["a", "b"]}])
    assert said.startswith("slos[0].deployments[1]: b cannot be judged by starts: ")
    assert said.endswith("mend that, or take b out of this list")
    readme = rules(policy(*both, slos=[STARTS]))["README.md"]
    assert (
        "- **starts** is not judged everywhere: `airflow_obs_dag_run_start_delay_seconds`: its collector outcomes"
        in readme
    )


TASKS, MINUTES = (
    "airflow_obs_emitted_task_queued_duration_seconds_bucket",
    "airflow_obs_task_instances_oldest_timestamp_seconds",
)
BOTH = {**DATABASE, "statsd": {}}


@pytest.mark.parametrize(
    ("sources", "version", "by"),
    [
        (DATABASE, "auto", MINUTES), (DATABASE, "2.10", MINUTES),
        (BOTH, "auto", MINUTES), (BOTH, "2.10", TASKS), (BOTH, "2.6", MINUTES), (BOTH, "3.1", MINUTES),
        ({**DATABASE, "otlp": {}}, "2.11", TASKS),
        ({"statsd": {}}, "auto", TASKS), ({"statsd": {}}, "2.10", TASKS),
    ],
)  # fmt: skip
def test_time_in_the_queue_is_judged_by_what_is_certain_to_be_there(
    sources: Mapping[str, Any], version: str, by: str
) -> None:
    """Airflow 3.0 to 3.3 do not say how long each task waited, nor do releases before 2.7."""
    tree = rules(policy(one(sources=sources, airflow={"version": version}), slos=[QUEUE]))
    text = tree["prometheus/prod.slos.yaml"]
    assert [name for name in (TASKS, MINUTES) if name in text] == [by]
    assert "- **queue**: in 1 deployment " + ("the tasks" if by == TASKS else "minutes") in tree["README.md"]


@pytest.mark.parametrize("bounds", [{"since": "2.7"}, {"until": "3.0"}, {"gap": ("3.0", "3.3")}])
def test_what_not_every_release_has_is_certain_where_the_release_is_known(bounds: dict[str, Any]) -> None:
    unbound = replace(metrics.TRY_QUEUED, since=None, until=None, gap=None)
    assert certain(unbound, Scope("a"))
    bound = replace(unbound, **bounds)
    assert (certain(bound, Scope("a")), certain(bound, Scope("a", version="2.10"))) == (False, True)


def test_the_readme_says_how_many_deployments_are_judged_by_tasks_and_how_many_by_minutes() -> None:
    those = (
        one(name, sources=BOTH, airflow={"version": version})
        for name, version in (("a", "2.10"), ("b", "3.1"), ("c", "3.2"))
    )
    text = rules(policy(*those, slos=[QUEUE]))["README.md"]
    assert "- **queue**: in 1 deployment the tasks are counted" in text
    assert "; in 2 deployments minutes are judged" in text
    assert "| 7d | 1% of the events or minutes |" in text


@pytest.mark.parametrize(("objectives", "said"), [(2, "more than "), (80, "even one deployment ")])
def test_the_readme_says_of_how_many_deployments_mimir_has_enough(objectives: int, said: str) -> None:
    many = [{**STARTS, "name": f"starts-{number}"} for number in range(objectives)]
    text = rules(policy(one(sources=DATABASE), slos=many, output={"tests": False}))["README.md"]
    [sentence] = re.findall(r"so that for (.*) `ruler_max_rule_groups_per_tenant`", text)
    assert sentence.startswith(said.strip())
    assert "more than 0" not in text


def test_what_silences_a_page_is_what_can_burn_an_objective_of_its_kind() -> None:
    """By the recorded series, and by no rule of Alertmanager's that would take all kinds for one."""
    groups = parsed(rules(site(QUEUE, SLOS[4]))["prometheus/prod.slos.yaml"])["groups"]
    causes = {
        rule["labels"]["slo"]: re.findall(r'alertname=~"(.*?)"', rule["expr"])[0].split("|")
        for group in groups for rule in group["rules"] if rule.get("record") == "airflow_obs:slo_cause:firing"
    }  # fmt: skip
    assert {slo for slo, names in causes.items() if "AirflowQueueWithoutWorker" in names} == {"queue"}
    assert causes["runs"] == list(BURNED_BY["dag_success"])


def test_prometheus_must_scrape_often_enough(tmp_path: Path) -> None:
    said = refused(tmp_path, one(sources=DATABASE), slos=[STARTS], output={"scrape_interval": "76s"})
    assert "output.scrape_interval: objectives are judged once a minute: scrape every 75s or more often" in said
    assert rules(policy(one(sources=DATABASE), slos=[STARTS], output={"scrape_interval": "75s"}))


def test_a_number_that_no_outage_reaches_is_refused(tmp_path: Path) -> None:
    """Of the budget of 99.5% over 30 days an hour is 28%, of that of 98% it is 7%; six hours are six times as much."""
    at, low = one(sources=DATABASE), {**STARTS, "objective": "98%"}
    for key, most, more in (("sooner", "6.9%", "7%"), ("threshold", "41.6%", "41.7%")):
        assert rules(policy(at, slos=[low], alerts={FAST: {key: most}}))
        said = "starts could not spend as much in that time if all were bad: lower it, or raise the objective"
        assert refused(tmp_path, at, slos=[low], alerts={FAST: {key: more}}) == f"alerts.{FAST}.{key}: {said}"
        own = one(sources=DATABASE, alerts={FAST: {key: more}})
        assert refused(tmp_path, own, slos=[low]) == f"deployments[0].alerts.{FAST}.{key}: {said}"
    both = refused(tmp_path, at, slos=[low], alerts={FAST: {"sooner": "100%", "threshold": "100%"}})
    assert [line.partition(":")[0] for line in both.splitlines()] == [
        f"alerts.{FAST}.{key}" for key in ("sooner", "threshold")
    ]


def test_the_readme_says_what_is_promised_and_for_how_long_prometheus_must_remember() -> None:
    text = rules(site({**STARTS, "window": "90d"}, SLOS[3], SLOS[5]))["README.md"]
    assert (
        "| `starts` | 99.5%: scheduled runs start within 1m of when they are due | all deployments | 90d | 0.5% of the events |"
        in text
    )
    assert (
        "| `by-seven` | 95%: `sales_load` has succeeded by 07:00 UTC | all deployments | 30d | 5% of the deadlines |"
        in text
    )
    assert (
        "| `scheduler` | 99.9%: a scheduler is alive, and the database answers | all deployments | 30d | 43m12s |"
        in text
    )
    assert "must keep its series for 90d at least" in text
