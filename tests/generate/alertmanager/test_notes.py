"""Whoever generates routes is told of what nobody is told, and what leads nowhere; the file of the routes says nothing of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from airflow_obs.cli import cli
from airflow_obs.generate.alertmanager.notes import notes
from airflow_obs.policy import load
from tests.generate.alertmanager.site import CHAT, DESK, PAGER, SECRET, TEAMS, deployment, routed
from tests.generate.fleet import as_text

SITE = Path("site.yaml")
NO_RECEIVERS = "nobody is told of anything, since the policy has no receivers: list some, or say `output: {routes: []}`"


def test_nothing_is_to_be_said_of_a_policy_that_tells_everybody() -> None:
    assert notes(routed(), SITE) == []


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        (
            {"teams": TEAMS[1:], "receivers": [DESK], "alertmanager": {}},
            [
                f"nobody is told of {severity} alerts of the team lab: give it a receiver, or name alertmanager.default"
                for severity in ("critical", "warning", "info")
            ],
        ),
        (
            {"teams": [{"name": "a", "receivers": {"warning": "chat"}}, {"name": "b", "receivers": {"critical": "chat"}}]},
            [
                "nobody is told of critical alerts of the team a: give it a receiver, or name alertmanager.default",
                "nobody is told of warning alerts of the team b: give it a receiver, or name alertmanager.default",
                "nobody is told of info alerts of the team a: give it a receiver, or name alertmanager.default",
                "nobody is told of info alerts of the team b: give it a receiver, or name alertmanager.default",
            ],
        ),
        (
            {"teams": [], "receivers": [PAGER, CHAT], "alertmanager": {"default": "chat"}},
            ["the receiver pager is never told of anything: name it in `teams` or `alertmanager`, or remove it"],
        ),
        (
            {"teams": [], "alertmanager": {"shadow": "chat"}},
            [f"nobody is told of {severity} alerts: name alertmanager.default" for severity in ("critical", "warning", "info")],
        ),
    ],
)  # fmt: skip
def test_what_nobody_is_told_is_said_the_loudest_first(sections: dict[str, Any], said: list[str]) -> None:
    usual = {"silences": [], "receivers": [CHAT], "alertmanager": {}}
    assert notes(routed(**{**usual, **sections}), SITE) == said


def test_a_deployment_that_no_object_is_for_is_named() -> None:
    both = (deployment("prod"), deployment("dev", None))
    said = ["no AlertmanagerConfig is for dev, since it names no airflow.namespace"]
    assert notes(routed(*both, silences=[]), SITE) == said
    assert notes(routed(*both, silences=[], output={"routes": ["alertmanager"]}), SITE) == []


def test_of_a_cause_that_a_silence_names_it_is_said_that_its_effects_are_held_back() -> None:
    named = ["AirflowDagRunTooLong", "AirflowDatabaseDown"]
    silences = [{"name": "upgrades", "weekdays": ["sunday"], "alerts": named}, {"name": "all", "weekdays": ["monday"]}]
    assert notes(routed(silences=silences), SITE) == [
        "while the silence upgrades holds back AirflowDatabaseDown, what only follows from it is held back as well"
    ]


IN_PARIS = {"name": "paris", "weekdays": ["sunday"], "location": "Europe/Paris"}
FROM_SECRET = {"name": "ops", "slack": {"channel": "#a", "api_url_secret": SECRET}}
FROM_FILE = {"name": "ops", "slack": {"channel": "#a", "api_url_file": "/etc/a"}}


@pytest.mark.parametrize(
    ("receivers", "silences", "more", "said"),
    [
        ([CHAT], [IN_PARIS], {}, "no AlertmanagerConfig is written: {path}: silences[0].location: an"),
        (
            [CHAT, FROM_SECRET], [], {},
            "no alertmanager.yml is written: {path}: receivers[1].slack.api_url_secret: alertmanager.yml cannot read",
        ),
        ([FROM_FILE], [IN_PARIS], {}, ""),
        ([FROM_SECRET], [], {}, ""),
        ([CHAT], [], {}, ""),
        ([CHAT], [IN_PARIS], {"output": {"routes": ["alertmanager"]}}, ""),
    ],
)  # fmt: skip
def test_what_the_receivers_are_made_for_and_is_not_written_is_said_with_its_place(
    tmp_path: Path, receivers: list[Any], silences: list[Any], more: dict[str, Any], said: str
) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(
        as_text(
            deployment("prod"), receivers=receivers, silences=silences,
            teams=[{"name": one["name"], "receiver": one["name"]} for one in receivers],
            alertmanager={"default": receivers[0]["name"]}, **more,
        )
    )  # fmt: skip
    found = [re.sub(r"(?<=yaml):\d+:\d+", "", note) for note in notes(load(path), path)]
    assert len(found) == bool(said)
    assert all(note.startswith(said.format(path=path)) for note in found)


def test_a_site_without_namespaces_misses_no_object() -> None:
    assert (
        notes(
            routed(deployment("dev", None), receivers=[CHAT], silences=[], teams=[], alertmanager={"default": "chat"}),
            SITE,
        )
        == []
    )


def test_they_stand_on_stderr(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(as_text(deployment("prod")))
    for command in ("gen-rules", "gen"):
        arguments = [command, "--policy", str(path), "--out", str(tmp_path / "out")]
        for more in ([], ["--check"]):
            done = CliRunner().invoke(cli, [*arguments, *more])
            assert done.stderr.startswith(f"airflow-obs: {path}: {NO_RECEIVERS}")
            assert "nobody is told" not in done.stdout
    done = CliRunner().invoke(cli, ["policy", "check", "--policy", str(path)])
    assert done.stderr.startswith(f"airflow-obs: {path}: {NO_RECEIVERS}")
    assert done.stdout == "ok\n"
    path.write_text(as_text(deployment("prod"), output={"routes": []}))
    done = CliRunner().invoke(cli, ["gen-rules", "--policy", str(path), "--out", str(tmp_path / "none")])
    assert done.stderr == ""
    assert not (tmp_path / "none" / "alertmanager").exists()
