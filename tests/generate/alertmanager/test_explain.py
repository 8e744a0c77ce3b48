"""`airflow-obs routes explain` says of an alert what Alertmanager would do with it, and where each of its labels comes from."""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from airflow_obs.cli import cli
from airflow_obs.generate.alertmanager.config import config
from airflow_obs.generate.alertmanager.explain import explained
from airflow_obs.generate.alertmanager.inhibition import inhibitions
from airflow_obs.policy import Policy
from tests.generate.alertmanager.site import CHAT, DESK, HEART, PAGER, SILENCES, TEAMS, WATCHERS, deployment, routed
from tests.generate.fleet import as_text
from tests.tools import tool

SECTIONS: dict[str, Any] = {
    "teams": TEAMS,
    "receivers": (PAGER, CHAT, DESK, WATCHERS, HEART),
    "silences": SILENCES,
    "alertmanager": {"default": "chat", "shadow": "watchers", "watchdog": "heart"},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("site") / "site.yaml"
    fleet = (deployment("prod"), deployment("staging", "test", team="sales"))
    path.write_text(as_text(*fleet, **SECTIONS))
    return path


def explain(site: Path, *labels: str, **options: str) -> Result:
    given = [word for label in labels for word in ("--label", label)]
    return CliRunner().invoke(
        cli, ["routes", "explain", "--policy", str(site), *given, *options.get("more", "").split()]
    )


def data(site: Path, *labels: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(explain(site, *labels, more="--format json").stdout)
    return found


def test_the_whole_answer_can_be_read(site: Path) -> None:
    said = explain(site, "alertname=AirflowHealthUnhealthy", "component=scheduler", "airflow=staging").stdout
    first, _, hushing = said.partition("held back while one of these fires\n")
    assert first == (
        "labels\n"
        "  airflow    staging                 given\n"
        "  namespace  test                    its namespace\n"
        "  severity   warning                 the policy\n"
        "  team       sales                   the deployment's team\n"
        "  alertname  AirflowHealthUnhealthy  given\n"
        "  component  scheduler               given\n"
        "by the routes of alertmanager/alertmanager.yml\n"
        "  all alerts\n"
        '  airflow!=""\n'
        '  team="sales"\n'
        '  severity="warning"\n'
        '  airflow="staging"\n'
        "told\n"
        "  desk (webhook)\n"
        "  of what takes this route, one message for each airflow and severity: "
        "the first after 30s, what changes after 5m, what still fires again after 1d\n"
        "silent\n"
        "  nights: outside of monday to friday, 09:00 to 17:00 (UTC)\n"
        "  upgrades: sunday (UTC)\n"
        "  closing: day -2 to -1 of the month (UTC)\n"
    )
    assert hushing.startswith('  alertname="AirflowWebserverDown", severity="')


def test_of_a_team_and_a_severity_it_says_who_is_told(site: Path) -> None:
    [one] = data(site, "team=platform", "severity=critical")
    assert (one["receiver"], one["integrations"]) == ("pager", ["pagerduty"])
    assert one["routes"] == [[], ['airflow!=""'], ['team="platform"'], ['severity="critical"']]
    assert one["group_by"] == ["airflow", "alertname", "slo"]
    assert one["origins"] == {
        "airflow": "the first deployment", "namespace": "its namespace", "team": "given", "severity": "given",
    }  # fmt: skip
    assert one["held_back_by"] is None


def test_without_a_severity_each_is_explained(site: Path) -> None:
    assert [(one["labels"]["severity"], one["receiver"]) for one in data(site, "team=platform")] == [
        ("critical", "pager"),
        ("warning", "chat"),
        ("info", "chat"),
    ]


@pytest.mark.parametrize(
    ("labels", "team", "why"),
    [
        (["dag_id=sales_daily"], "sales", "whose DAG it is"),
        (["owner=ops-night"], "platform", "whose DAG it is"),
        (["tags=hourly,crm"], "sales", "whose DAG it is"),
        (["dag_id=other"], "platform", "whose DAG it is"),
        ([], "platform", "the deployment's team"),
        (["airflow=staging"], "sales", "the deployment's team"),
        (["dag_id=sales_daily", "team=lab"], "lab", "given"),
    ],
)
def test_an_alert_on_a_dag_is_the_team_s_whose_dag_it_is(site: Path, labels: list[str], team: str, why: str) -> None:
    fleet = site.with_name(f"dags-{len(labels)}.yaml")
    both = [deployment("prod"), deployment("staging", "test", team="sales")]
    fleet.write_text(as_text(*({**one, "sources": {"database": {}}} for one in both), **SECTIONS))
    [one] = data(fleet, "alertname=AirflowDagRunTooLong", *labels)
    assert (one["labels"]["team"], one["origins"]["team"]) == (team, why)
    assert not {"owner", "tags"} & {*one["labels"]}
    known = any(label.split("=")[0] in ("dag_id", "owner", "tags", "team") for label in labels)
    assert (one["notes"] == []) == known
    assert known or one["notes"] == ["whose DAG it is decides the team: give dag_id, owner or tags"]


@pytest.mark.parametrize(
    ("labels", "team", "notes"),
    [
        (["slo=starts"], "sales", []),
        (["slo=queue"], "platform", []),
        (["slo=start"], "platform", ["the policy knows no objective start: did you mean starts?"]),
        ([], "platform", ["which objective it is decides the team: give slo"]),
    ],
)
def test_an_alert_on_an_objective_is_the_team_s_whose_objective_it_is(
    site: Path, labels: list[str], team: str, notes: list[str]
) -> None:
    objectives = [
        {"name": "starts", "kind": "schedule_delay", "objective": "99%", "threshold": "1m", "team": "sales"},
        {"name": "queue", "kind": "queue_time", "objective": "99%", "threshold": "1m"},
    ]
    promised = site.with_name("promised.yaml")
    promised.write_text(
        as_text({**deployment("prod"), "sources": {"database": {}}}, **SECTIONS | {"silences": []}, slos=objectives)
    )
    [one] = data(promised, "alertname=AirflowErrorBudgetBurnFast", *labels)
    assert (one["labels"]["team"], one["notes"]) == (team, notes)


def test_an_alert_of_the_platform_is_the_deployment_s_team_s_whatever_dag_is_named(site: Path) -> None:
    [one] = data(site, "alertname=AirflowHealthUnhealthy", "dag_id=sales_daily")
    assert one["labels"]["team"] == "platform"


@pytest.mark.parametrize(
    ("labels", "note"),
    [
        (["alertname=AirflowHealthUnhealty"], "AirflowHealthUnhealty is no alert of ours: did you mean AirflowHealthUnhealthy?"),
        (["alertname=KubePodCrashLooping"], "KubePodCrashLooping is no alert of ours"),
        (["airflow=prd"], "the policy knows no deployment prd: did you mean prod?"),
        (["team=platfrom"], "the policy knows no team platfrom: did you mean platform?"),
        (["severity=critcal"], "the policy knows no severity critcal: did you mean critical?"),
        (["severity=page"], "the policy knows no severity page"),
        (["sevrity=critical"], "nothing goes by a label sevrity: did you mean severity?"),
        (["alertname=AirflowSchedulerDown"], "prod has no AirflowSchedulerDown: "),
    ],
)  # fmt: skip
def test_what_is_misspelt_or_not_there_is_said(site: Path, labels: list[str], note: str) -> None:
    for one in data(site, *labels):
        [said] = one["notes"]
        assert said == note or (note.endswith(": ") and said.startswith(note))
    assert explain(site, *labels).stdout.startswith(f"warning\n  {note}"), "before all that is said of something else"


def test_a_shadow_alert_is_told_to_those_who_watch(site: Path) -> None:
    watched = site.with_name("watched.yaml")
    watched.write_text(
        as_text(deployment("prod", alerts={"AirflowHealthUnhealthy": {"shadow": True}}), **{**SECTIONS, "silences": []})
    )
    [one] = data(watched, "alertname=AirflowHealthUnhealthy")
    assert (one["labels"]["shadow"], one["origins"]["shadow"], one["receiver"]) == ("true", "the policy", "watchers")
    assert one["origins"]["airflow"] == "the only deployment"


def test_nobody_is_said_to_be_nobody(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(as_text(deployment("prod")))
    assert (
        "told\n  nobody is told: name a receiver for the team, or alertmanager.default\n"
        in explain(site, "severity=info").stdout
    )
    [one] = data(site, "severity=info")
    assert one["receiver"] is None


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        (["alertname=AirflowWatchdog"], "alertmanager.watchdog"),
        (["alertname=AirflowWatchdog", "shadow=true"], "alertmanager.watchdog"),
        (["severity=critical", "shadow=true"], "alertmanager.shadow"),
        (["severity=critical", "team=lab"], "a receiver for the team, or alertmanager.default"),
        (["alertname=KubePodCrashLooping"], "alertmanager.default"),
    ],
)
def test_of_what_nobody_hears_it_says_what_to_name(tmp_path: Path, labels: list[str], named: str) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(as_text(deployment("prod"), teams=TEAMS, receivers=(PAGER, CHAT, DESK)))
    assert f"told\n  nobody is told: name {named}\n" in explain(site, *labels).stdout


def test_the_help_names_the_labels_that_say_whose_it_is() -> None:
    said = " ".join(CliRunner().invoke(cli, ["routes", "explain", "--help"]).stdout.split())
    assert "on a DAG also its dag_id, owner or tags, of one on an objective its slo." in said


def test_a_label_is_name_and_value(site: Path) -> None:
    done = explain(site, "team")
    assert done.exit_code == 2
    assert "'team' is not NAME=VALUE" in done.stderr


def test_a_label_is_given_once(site: Path) -> None:
    done = explain(site, "team=sales", "severity=info", "team=lab")
    assert done.exit_code == 2
    assert "team is given twice" in done.stderr


NOWHERE = {"name": "dev", "sources": {"health": {}}}


@pytest.fixture(scope="module")
def operated(site: Path) -> Path:
    """A site that writes AlertmanagerConfigs alone, and none for one of its deployments."""
    path = site.with_name("operated.yaml")
    fleet = (deployment("prod"), deployment("staging", "test", team="sales"), NOWHERE)
    path.write_text(as_text(*fleet, **SECTIONS, output={"routes": ["alertmanagerconfig"]}))
    return path


def test_where_only_objects_are_written_it_is_that_of_the_namespace(operated: Path) -> None:
    [one] = data(operated, "airflow=staging", "severity=warning")
    assert (one["file"], one["receiver"]) == ("alertmanagerconfig/test.yaml", "desk")
    assert one["routes"][0] == ['namespace="test"', 'airflow="staging"']
    assert {"upgrades", "nights"} <= {silence["name"] for silence in one["silences"]}
    said = explain(operated, "airflow=staging", "severity=warning").stdout
    assert 'by the routes of alertmanagerconfig/test.yaml\n  namespace="test", airflow="staging"\n' in said


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (["airflow=dev"], "no AlertmanagerConfig is for dev, since it names no airflow.namespace"),
        (["airflow=prod", "namespace=test"], "no AlertmanagerConfig is for prod in the namespace test"),
        (["alertname=KubePodCrashLooping"], "no AlertmanagerConfig is for alerts that are not ours: "),
    ],
)
def test_what_no_object_is_for_nobody_is_told(operated: Path, labels: list[str], why: str) -> None:
    [one] = data(operated, *labels, "severity=critical")
    assert (one["file"], one["receiver"], one["routes"], one["silences"]) == (None, None, [], [])
    assert one["notes"][-1].startswith(why)
    assert (
        "told\n  nobody by these files: no route is for this alert\n"
        in explain(operated, *labels, "severity=critical").stdout
    )


def test_where_no_routes_are_written_it_says_so(site: Path) -> None:
    without = site.with_name("without.yaml")
    without.write_text(as_text(deployment("prod"), **SECTIONS | {"silences": []}, output={"routes": []}))
    [one] = data(without, "team=sales", "severity=info")
    assert (one["receiver"], one["notes"]) == (
        "desk",
        ["no routes are written (output.routes is []): these are what alertmanager.yml would have"],
    )


@pytest.mark.parametrize(
    ("labels", "silent", "perhaps"),
    [
        ([], {"nights"}, {"upgrades", "loads"}),
        (["airflow=prod"], {"nights"}, {"loads"}),
        (["airflow=staging"], {"nights", "upgrades"}, {"loads"}),
        (["alertname=AirflowHealthUnhealthy"], {"nights"}, {"upgrades"}),
        (["alertname=AirflowHealthUnhealthy", "airflow=prod"], {"nights"}, set()),
    ],
)
def test_silences_that_depend_on_what_was_not_given_are_perhaps(
    site: Path, labels: list[str], silent: set[str], perhaps: set[str]
) -> None:
    [one] = data(site, "team=platform", "severity=warning", *labels)
    assert {silence["name"] for silence in one["silences"]} == silent
    assert {silence["name"] for silence in one["perhaps_silences"]} == perhaps
    said = explain(site, "team=platform", "severity=warning", *labels).stdout
    assert ("perhaps silent" in said) == bool(perhaps)


def test_only_what_the_deployment_itself_has_holds_an_alert_back(site: Path) -> None:
    loud = site.with_name("loud.yaml")
    fleet = [
        {**deployment(name), "alerts": {"AirflowWebserverDown": {"severity": severity}}}
        for name, severity in (("prod", "critical"), ("staging", "warning"))
    ]
    loud.write_text(as_text(*fleet, **SECTIONS))
    for name, severity in (("prod", "critical"), ("staging", "warning")):
        [one] = data(loud, "alertname=AirflowHealthUnhealthy", f"airflow={name}")
        of = [held["source"][1] for held in one["held_back_by"] if "AirflowWebserverDown" in held["source"][0]]
        assert set(of) == {f'severity="{severity}"'}


def amtool(policy: Policy, folder: Path, labels: dict[str, str]) -> str:
    """Whom the real thing would tell."""
    path = folder / "alertmanager.yml"
    if not path.exists():
        path.write_text(config(policy, inhibitions(policy)))
    words = [f"{label}={value}" for label, value in labels.items()]
    call = [tool("amtool"), "config", "routes", "test", f"--config.file={path}", *words]
    return subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip()


def test_it_says_what_amtool_says(tmp_path: Path) -> None:
    policy = routed(deployment("prod"), deployment("staging", "test", team="sales"))
    every = {
        "alertname": (None, "AirflowHealthUnhealthy", "KubePodCrashLooping"),
        "team": (None, "sales", "elsewhere"),
        "severity": ("warning", None),
        "shadow": ("true", None),
    }
    asked: dict[tuple[tuple[str, str], ...], str] = {}
    for values in itertools.product(*every.values()):
        given = {label: value for label, value in zip(every, values, strict=True) if value}
        for one in explained(policy, given):
            labels = dict(one.alert.labels)
            key = tuple(sorted(labels.items()))
            if key not in asked:
                asked[key] = amtool(policy, tmp_path, labels)
            assert one.receiver == asked[key], labels
    assert len(set(asked.values())) >= 3
