"""What is written is what the receivers fit; what does not fit, and is asked for, is refused where it was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from airflow_obs.cli import cli
from airflow_obs.errors import PolicyError
from airflow_obs.generate.alertmanager.fitting import FILE, OBJECT, fitting
from airflow_obs.generate.routes import routes
from airflow_obs.policy import load
from tests.generate.alertmanager.site import CHAT, DESK, SECRET, deployment
from tests.generate.fleet import as_text

FROM_FILE = {"name": "mail", "slack": {"channel": "#a", "api_url_file": "/etc/a"}}
FROM_SECRET = {"name": "mail", "slack": {"channel": "#a", "api_url_secret": SECRET}}
MAIL = {"name": "mail", "email": {"to": ["a@example.com"]}}
NOWHERE = {"name": "dev", "sources": {"health": {}}}
IN_PARIS = {"name": "s", "weekdays": ["sunday"], "location": "Europe/Paris"}


def site(tmp_path: Path, *deployments: dict[str, Any], **sections: Any) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(as_text(*(deployments or (deployment("prod"),)), **sections))
    return path


@pytest.mark.parametrize(
    ("one", "sections", "forms"),
    [
        (deployment("prod"), {"receivers": [CHAT, DESK]}, (FILE, OBJECT)),
        (deployment("prod"), {"receivers": [FROM_FILE]}, (FILE,)),
        (deployment("prod"), {"receivers": [FROM_SECRET]}, (OBJECT,)),
        (deployment("prod"), {"receivers": [MAIL]}, (OBJECT,)),
        (NOWHERE, {"receivers": [CHAT]}, (FILE,)),
        (deployment("prod"), {"receivers": []}, (FILE,)),
        (deployment("prod"), {"receivers": [CHAT], "silences": [IN_PARIS]}, (FILE,)),
        (deployment("prod"), {"receivers": [CHAT], "output": {"routes": [OBJECT]}}, (OBJECT,)),
        (deployment("prod"), {"receivers": [CHAT], "output": {"routes": []}}, ()),
    ],
)
def test_what_is_written_is_what_fits(
    tmp_path: Path, one: dict[str, Any], sections: dict[str, Any], forms: tuple[str, ...]
) -> None:
    path = site(tmp_path, one, **sections)
    assert fitting(load(path), path) == forms
    folders = {name.split("/")[0] for name in routes(load(path), path)}
    assert folders == ({FILE, *forms} | ({"tests"} if FILE in forms else set()) if forms else set())


FILE_AND_SECRET = "alertmanager.yml cannot read a Kubernetes secret: give api_url_file as well, or let output.routes be"
NO_FILES = f"an AlertmanagerConfig cannot read a file: give api_url_secret as well, or let output.routes be [{FILE}]"

NO_ZONES = f"an AlertmanagerConfig knows no time zones: write the times in UTC, or let output.routes be [{FILE}]"


@pytest.mark.parametrize(
    ("one", "sections", "said"),
    [
        (
            deployment("prod"),
            {"receivers": [FROM_SECRET], "output": {"routes": [FILE]}},
            [f"receivers[0].slack.api_url_secret: {FILE_AND_SECRET} [{OBJECT}]"],
        ),
        (
            deployment("prod"),
            {"receivers": [FROM_FILE], "output": {"routes": [OBJECT]}},
            [f"receivers[0].slack.api_url_file: {NO_FILES}"],
        ),
        (
            deployment("prod"),
            {"receivers": [MAIL], "output": {"routes": [FILE]}},
            [
                f"receivers[0].email: alertmanager.yml has no global settings: give `{key}`, or let output.routes be [{OBJECT}]"
                for key in ("from", "smarthost")
            ],
        ),
        (
            NOWHERE,
            {"receivers": [FROM_SECRET]},
            [
                "receivers: an AlertmanagerConfig is for a namespace: give one of `deployments` airflow.namespace",
                f"receivers[0].slack.api_url_secret: {FILE_AND_SECRET} [{OBJECT}]",
            ],
        ),
        (
            deployment("prod"),
            {"output": {"routes": [OBJECT]}},
            ["output.routes: an AlertmanagerConfig without receivers is none: list some"],
        ),
        (
            deployment("prod"),
            {"receivers": [CHAT], "silences": [IN_PARIS], "output": {"routes": [FILE, OBJECT]}},
            [f"silences[0].location: {NO_ZONES}"],
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_its_place(
    tmp_path: Path, one: dict[str, Any], sections: dict[str, Any], said: list[str]
) -> None:
    path = site(tmp_path, one, **sections)
    with pytest.raises(PolicyError) as caught:
        fitting(load(path), path)
    assert [problem.text for problem in caught.value.problems] == said
    for command in (["gen-rules", "--out", str(tmp_path / "rules")], ["policy", "check"]):
        assert str(CliRunner().invoke(cli, [*command, "--policy", str(path)]).exception) == str(caught.value)


def test_a_silence_of_others_is_no_matter(tmp_path: Path) -> None:
    """It holds in no namespace that has an object."""
    path = site(
        tmp_path, deployment("prod"), NOWHERE, receivers=[CHAT], silences=[{**IN_PARIS, "deployments": ["dev"]}]
    )
    assert fitting(load(path), path) == (FILE, OBJECT)
