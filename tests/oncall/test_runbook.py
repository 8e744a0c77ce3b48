"""`airflow-obs runbook` prints what to do, with what is known of what fired set into what is typed in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from airflow_obs.catalog.alerts import ALL
from airflow_obs.cli import cli
from airflow_obs.oncall.runbook import is_safe, runbook, without_place
from tests.catalog.alert_policies import of_everything, policy_of
from tests.generate.fleet import as_text, one


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["runbook", *arguments])


def test_what_is_known_is_set_into_code_and_nowhere_else(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(as_text(one("prod")))
    text = call("AirflowSourceUnknown", "--policy", str(site), "--label", "source=workers", "--print").stdout
    assert 'airflow_obs_source_up{airflow="prod"}' in text
    assert "kubectl -n data exec deploy/prod-scheduler" in text
    assert "take `workers` out of the `sources` of `prod`" in text
    assert re.findall("<[a-z_]+>", text) == []


def test_what_is_not_known_stays_to_be_filled_in(tmp_path: Path) -> None:
    plain = runbook("AirflowSourceUnknown", {})
    assert call("AirflowSourceUnknown").stdout == plain
    assert {"<source>", "<namespace>", "<release>", "<deployment>"} <= set(re.findall("<[a-z_]+>", plain))
    site = tmp_path / "site.yaml"
    site.write_text(as_text(one("a"), one("b")))
    assert call("AirflowSourceUnknown", "--policy", str(site)).stdout == plain
    assert 'airflow="b"' in call("AirflowSourceUnknown", "--policy", str(site), "--deployment", "b").stdout
    assert "no deployment of that name" in str(
        call("AirflowSourceUnknown", "--policy", str(site), "--deployment", "c").exception
    )


def test_the_command_of_an_alert_needs_no_policy() -> None:
    """As its annotation has it: whoever is on call may have none at hand."""
    done = call("AirflowSourceUnknown", "--deployment", "prod", "--label", "source=workers")
    assert done.exit_code == 0
    assert 'airflow="prod"' in done.stdout


def test_what_the_command_of_an_alert_passes_has_a_place_in_its_runbook() -> None:
    given = {
        name: re.findall(r"--label '([a-z_]+)=", one.annotations["command"])
        for name, one in of_everything(policy_of()).items()
    }
    assert given["AirflowDagDeadlinePassed"] == ["dag_id", "slo"]
    assert {name: nowhere for name, labels in given.items() if (nowhere := without_place(name, labels))} == {}


def test_the_command_of_an_alert_says_what_things_are_called() -> None:
    facts = ("namespace=data", "release=af", "chart=community", "executor=CeleryExecutor")
    done = call("AirflowApiServerDown", "--deployment", "prod", *(word for one in facts for word in ("--label", one)))
    assert done.stderr == ""
    assert "deploy/af-web" in done.stdout
    assert "-n data" in done.stdout
    assert "<release>" not in done.stdout


@pytest.mark.parametrize(
    "value",
    [
        "$(reboot)",
        "a`id`",
        "a;b",
        "a'b",
        'a"b',
        "a\nb",
        "a|b",
        "a&b",
        "a>b",
        "a\\b",
        "-rf",
        "*",
        "a b",
        "~root",
        "a=b",
        "\x1b[2J",
    ],
)
def test_what_a_shell_would_act_upon_is_not_set_in(value: str) -> None:
    assert not is_safe(value)
    done = call("AirflowSourceUnknown", "--label", f"source={value}")
    assert done.stdout == runbook("AirflowSourceUnknown", {})
    assert done.stderr == "airflow-obs: --label: not set in, since a shell would act upon it: source\n"


@pytest.mark.parametrize(
    "value", ["default", "team.dag-1_x", "celery@host:1", "größe", "50%", "2026-11-22T00:00:00+00:00"]
)
def test_what_it_takes_for_text_is(value: str) -> None:
    assert value in runbook("AirflowSourceUnknown", {"source": value})


def test_a_label_that_the_runbook_does_not_know_is_said() -> None:
    done = call("AirflowSourceUnknown", "--label", "source=workers", "--label", "nope=1")
    assert done.stderr == "airflow-obs: --label: the runbook has no place for nope\n"
    assert done.stdout == call("AirflowSourceUnknown", "--label", "source=workers").stdout


def test_a_label_without_a_value_is_said() -> None:
    done = call("AirflowSourceUnknown", "--label", "source")
    assert done.exit_code == 2
    assert "'source' is not NAME=VALUE; write it like queue=default" in done.output


def test_every_alert_has_one() -> None:
    for alert in ALL:
        assert runbook(alert.name, {}).startswith(f"# {alert.name}\n")


@pytest.mark.parametrize(
    ("chart", "executor", "called"),
    [
        ("official", "CeleryExecutor", ("exec deploy/prod-scheduler -c scheduler",)),
        ("official", "LocalExecutor", ("exec sts/prod-scheduler -c scheduler",)),
        ("community", "CeleryExecutor", ("exec deploy/prod-scheduler -c airflow-scheduler",)),
        ("community", "LocalExecutor", ("exec deploy/prod-scheduler -c airflow-scheduler",)),
    ],
)
def test_containers_and_workloads_are_called_as_the_chart_has_them(
    chart: str, executor: str, called: tuple[str, ...], tmp_path: Path
) -> None:
    site = tmp_path / "site.yaml"
    facts = {"chart": chart, "executor": executor, "namespace": "data", "release": "prod"}
    site.write_text(as_text(one("prod", airflow=facts)))
    text = call("AirflowQueueStalled", "--policy", str(site)).stdout
    assert [name for name in called if name not in text] == []


def test_no_name_of_the_official_chart_is_left_for_that_of_the_community() -> None:
    """Each stands in a runbook for the official one, so that none is looked for in vain."""
    official = (
        r"-c (?:scheduler|worker|triggerer|webserver|api-server|git-sync)\b"
        r"|(?:deploy|sts)/R-(?:webserver|api-server|redis)\b(?!-)|sts/R-triggerer\b|component=(?:webserver|api-server)\b"
    )
    texts = {
        chart: "".join(runbook(alert.name, {"release": "R"}, chart) for alert in ALL)
        for chart in ("official", "community")
    }
    assert re.findall(official, texts["official"])
    assert re.findall(official, texts["community"]) == []
