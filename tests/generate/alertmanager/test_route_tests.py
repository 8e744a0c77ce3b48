"""The routes' tests pass on the routes that they are for, wherever they are started, and say which alert goes astray."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_obs.generate.routes import CONFIG, TEST, routes
from airflow_obs.generate.yaml_text import text_of
from airflow_obs.policy import Policy, load
from tests.generate.alertmanager.site import DESK, TEAMS, deployment, routed
from tests.generate.test_rules import parsed
from tests.tools import tool

Run = Callable[[], "subprocess.CompletedProcess[str]"]


def written(policy: Policy, folder: Path) -> Path:
    for path, text in routes(policy).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def run(folder: Path, beside: Path) -> subprocess.CompletedProcess[str]:
    """The script, started in another folder."""
    path = os.pathsep.join([str(Path(tool("amtool")).parent), os.environ["PATH"]])
    return subprocess.run(
        ["sh", str(folder / TEST)], cwd=beside, env={"PATH": path}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "policy",
    [routed(), load(), routed(deployment("1.5"), silences=[], teams=[{"name": "no-such-team", "receiver": "desk"}])],
    ids=["everything", "default policy", "team of the unknown one's name"],
)
def test_they_pass_on_what_they_are_for(policy: Policy, tmp_path: Path) -> None:
    done = run(written(policy, tmp_path / "a b"), tmp_path)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_every_team_and_severity_is_asked_for_and_what_is_special() -> None:
    lines = [
        line.removeprefix("reaches ") for line in routes(routed())[TEST].splitlines() if line.startswith("reaches ")
    ]
    for team, critical, warning in (("platform", "pager", "chat"), ("sales", "desk", "desk"), ("lab", "chat", "chat")):
        alert = f"alertname=AirflowSchedulerDown airflow=prod team={team} severity"
        assert {f"{critical} {alert}=critical", f"{warning} {alert}=warning", f"{warning} {alert}=info"} <= {*lines}
        assert f"watchers {alert}=critical shadow=true" in lines
    assert "heart alertname=AirflowWatchdog airflow=prod severity=none" in lines
    assert "chat alertname=AirflowSchedulerDown airflow=prod severity=critical team=no-such-team" in lines
    assert "chat alertname=NotOurs severity=critical" in lines
    # A silence has routes of its own, which must not lead elsewhere.
    assert "desk alertname=AirflowDagRunTooLong airflow=prod team=sales severity=warning" in lines


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("receiver: pager", "receiver: chat", "team=platform severity=critical should reach pager and reaches chat"),
        (
            'matchers:\n            - "shadow=',
            'matchers:\n            - "shadowy=',
            "shadow=true should reach watchers",
        ),
        ("receiver: heart\n", "receiver: desk\n", "severity=none should reach heart and reaches desk"),
        ("repeat_interval: 4h", "repeat_interval: often", "FAILED"),
    ],
)
def test_what_goes_astray_is_said(tmp_path: Path, before: str, after: str, said: str) -> None:
    folder = written(routed(), tmp_path)
    config = (folder / CONFIG).read_text()
    assert before in config
    (folder / CONFIG).write_text(config.replace(before, after, 1))
    done = run(folder, tmp_path)
    assert done.returncode == 1
    assert said in done.stderr + done.stdout


def test_there_are_none_where_the_policy_wants_none() -> None:
    assert TEST not in routes(routed(output={"tests": False}))
    page = routes(routed(output={"tests": False}))["alertmanager/README.md"]
    assert "routes.test.sh" not in page


@pytest.mark.parametrize(
    ("form", "head"), [("alertmanager", "alertmanager.yml"), ("alertmanagerconfig", "AlertmanagerConfig")]
)
def test_the_readme_says_how_to_load_what_is_there(form: str, head: str) -> None:
    page = routes(routed(output={"routes": [form]}))["alertmanager/README.md"]
    loaded = [line for line in page.splitlines() if line.startswith("## ")]
    assert loaded == [f"## {head}", "## Teams and severities", "## Silences", "## What is not told while its cause is"]


def test_the_readme_says_who_is_told_and_when_not() -> None:
    page = routes(routed(teams=TEAMS[:2]))["alertmanager/README.md"]
    assert "| `platform` | `pager` | `chat` | `chat` |\n| `sales` | `desk` | `desk` | `desk` |\n| none, or " in page
    assert "| `upgrades` | sunday (UTC) | deployment `staging` |\n" in page
    assert "| `nights` | outside of monday to friday, 09:00 to 17:00 (UTC) | severity `warning`, `info` |\n" in page
    assert "- AirflowWatchdog: `heart`\n" in page
    assert 'namespace=~"data|test"\'' in page
    alone = routes(routed(teams=[], silences=[], receivers=[DESK], alertmanager={}))["alertmanager/README.md"]
    assert "- Nobody is told of critical alerts: name alertmanager.default.\n" in alone
    assert "## Silences" not in alone


NOWHERE = {"name": "dev", "sources": {"health": {}}}


@pytest.mark.parametrize(
    ("forms", "foreign", "homeless"),
    [
        (["alertmanager"], "`chat`", ""),
        (
            ["alertmanagerconfig"], "no AlertmanagerConfig is for them: your own routes decide",
            "nobody; no AlertmanagerConfig is for dev, since it names no airflow.namespace",
        ),
        (
            ["alertmanager", "alertmanagerconfig"],
            "`chat` (alertmanager.yml); no AlertmanagerConfig is for them: your own routes decide",
            "no AlertmanagerConfig is for dev, since it names no airflow.namespace",
        ),
    ],
    ids=" and ".join,
)  # fmt: skip
def test_the_readme_says_of_each_form_whom_it_does_not_tell(forms: list[str], foreign: str, homeless: str) -> None:
    page = routes(routed(deployment("prod"), NOWHERE, silences=[], output={"routes": forms}))["alertmanager/README.md"]
    assert f"- Alerts that are not ours: {foreign}\n" in page
    assert (f"- Alerts of `dev`: {homeless}\n" in page) == bool(homeless)
    assert ("Alerts of `dev`" in page) == bool(homeless)


THEIRS: dict[str, Any] = {
    "route": {
        "receiver": "theirs", "group_wait": "7m", "group_interval": "9m", "repeat_interval": "2h", "group_by": ["..."],
        "routes": [{"receiver": "all", "matchers": ['severity="critical"']}],
    },
    "receivers": [{"name": "theirs"}, {"name": "all"}],
    "inhibit_rules": [{"source_matchers": ['a="1"'], "target_matchers": ['a="2"']}],
}  # fmt: skip


def test_the_routes_go_into_an_alertmanager_that_others_use_as_the_readme_says(tmp_path: Path) -> None:
    times = {"group_wait": "20s", "group_interval": "4m", "repeat_interval": "6h"}
    ours = parsed(routes(routed(alertmanager={"default": "chat", "repeat_interval_others": "6h", **times}))[CONFIG])
    [first] = ours["route"]["routes"]
    # Nothing of it may come from their root, not even what our own root has, too.
    assert {key: first[key] for key in (*times, "group_by")} == {**times, "group_by": ["airflow", "severity"]}
    merged: dict[str, Any] = {
        "route": {**THEIRS["route"], "routes": [first, *THEIRS["route"]["routes"]]},
        **{key: [*THEIRS.get(key, []), *ours[key]] for key in ("receivers", "inhibit_rules", "time_intervals")},
    }
    path = tmp_path / "alertmanager.yml"
    path.write_text(text_of(merged))
    subprocess.run([tool("amtool"), "check-config", str(path)], check=True, capture_output=True)
    for labels, receiver in (
        (["severity=critical", "alertname=Theirs"], "all"),
        (["severity=critical", "airflow=prod", "team=platform"], "pager"),
        (["severity=other", "airflow=prod"], "chat"),
    ):
        call = [tool("amtool"), "config", "routes", "test", f"--config.file={path}", *labels]
        assert subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip() == receiver


def test_the_readme_says_what_is_one_message() -> None:
    page = routes(routed())["alertmanager/README.md"]
    assert "all others of a deployment, team and severity are one message, and what a silence is limited to is" in page
    assert "(`group_by: [airflow, alertname, slo]`)" in page
    assert "Teams that are told where the default is, and have no silences of their own, share" in page
    assert "Alertmanager's mute time intervals, and active ones" in page
