"""Messages that amtool fills in: those for Microsoft Teams, which 0.25 cannot send, and the worst that there could be."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from airflow_obs.generate.alertmanager.messages import (
    IN_OPSGENIE,
    IN_PAGERDUTY,
    IN_SLACK,
    IN_TEAMS,
    PAGED,
    PLAIN,
    SLACK,
    TEAMS,
    Limit,
    Style,
    listing,
    title,
)
from tests.generate.alertmanager.told import shown
from tests.tools import tool

PAGE = {"alertname": "AirflowSchedulerDown", "airflow": "production", "severity": "critical", "team": "platform"}
ANNOTATIONS = {
    "summary": "0 schedulers are alive (threshold 1)",
    "impact": "No task starts.",
    "command": "airflow-obs runbook AirflowSchedulerDown --deployment production",
    "runbook_url": "https://runbooks.example.com/AirflowSchedulerDown",
    "dashboard_url": "https://grafana.example.com/d/airflow-obs-scheduler?var-airflow=production",
}
MANY = 60


def filled(text: str, alerts: Sequence[Mapping[str, Any]], folder: Path) -> str:
    """What amtool makes of a template for these alerts, which are of one group."""
    (folder / "none.tmpl").touch()
    common = {"alertname": "A", "airflow": "production", "severity": "critical"}
    data = {"status": "firing", "alerts": alerts, "commonLabels": common, "commonAnnotations": {}, "groupLabels": {}}
    (folder / "data.json").write_text(json.dumps(data))
    done = subprocess.run(
        [
            tool("amtool"), "template", "render", f"--template.glob={folder}/none.tmpl",
            f"--template.data={folder}/data.json", f"--template.text={text}",
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.removesuffix("\n")


def alert(annotations: Mapping[str, str], status: str = "firing", *, mark: str = "", **labels: str) -> dict[str, Any]:
    return {
        "status": status, "labels": {**PAGE, **labels}, "annotations": annotations,
        "startsAt": "2025-06-15T15:06:40Z", "endsAt": "2025-06-15T16:06:40Z", "fingerprint": mark or status,
    }  # fmt: skip


def test_teams_is_told_all_that_whoever_is_on_call_needs(tmp_path: Path) -> None:
    alerts = [alert({}, "resolved"), alert(ANNOTATIONS)]
    text = filled(listing(TEAMS, IN_TEAMS), alerts, tmp_path)
    assert [one.split("\n\n") for one in text.split("\n\n\n\n")] == [
        [
            "**AirflowSchedulerDown (critical)**",
            ANNOTATIONS["summary"],
            "Impact: No task starts.",
            "Since 2025-06-15 15:06 UTC; deployment production, team platform",
            f"Command: {ANNOTATIONS['command']}",
            f"[Runbook]({ANNOTATIONS['runbook_url']})",
            f"[Dashboard]({ANNOTATIONS['dashboard_url']})",
        ],
        [
            "**AirflowSchedulerDown (critical)**",
            "RESOLVED: lasted from 2025-06-15 15:06 UTC to 2025-06-15 16:06 UTC; deployment production, team platform",
        ],
    ]
    assert filled(title(TEAMS, 150), alerts, tmp_path) == r"\[FIRING:1 RESOLVED:1\] A in production (critical)"


@pytest.mark.parametrize("text", ["\N{GRINNING FACE}", "<", "&", "\\", "\x01", "a"])
@pytest.mark.parametrize(
    ("style", "limit", "encoding", "most"),
    [
        # Frame and title take less than the rest of 28 KB.
        (TEAMS, IN_TEAMS, "utf-16-le", 27_000),
        (SLACK, IN_SLACK, "utf-8", 40_000),
        (PLAIN, IN_OPSGENIE, "utf-32-le", 15_000 * 4),
        (PAGED, IN_PAGERDUTY, "utf-8", 40_000),
    ],
    ids=["teams", "slack", "opsgenie", "pagerduty"],
)
def test_no_text_is_longer_than_its_service_takes(
    tmp_path: Path, style: Style, limit: Limit, encoding: str, most: int, text: str
) -> None:
    long = {
        "summary": text * 1_000, "impact": text * 1_000, "command": "c" * 790,
        "runbook_url": f"https://{'r' * 780}", "dashboard_url": f"https://{'d' * 780}",
    }  # fmt: skip
    many = [alert(long, mark=f"{place:03}", dag_id=text * 1_000) for place in range(MANY)]
    written = filled(listing(style, limit), many, tmp_path)
    assert sum(shown(written, MANY)) < MANY
    said = written if encoding == "utf-32-le" else json.dumps(written, ensure_ascii=False)
    assert len(said.encode(encoding)) < most


def test_what_a_label_says_is_no_markdown(tmp_path: Path) -> None:
    crafted = alert({"runbook_url": "https://r/a b)(c<d>"}, queue="<b> *b* _i_ [click](http://evil) `c` \\")
    text = filled(listing(TEAMS, IN_TEAMS), [crafted], tmp_path)
    assert r"queue=\<b\> \*b\* \_i\_ \[click\](http://evil) \`c\` \\" in text
    assert "[Runbook](https://r/a%20b%29%28c%3Cd%3E)" in text
