"""However many alerts there are, and however much they say, a message is what its service takes, and tells how much is left out."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from tests.generate.alertmanager.told import PAGE, Page, Told, shown, soon
from tests.tools import tool

EMOJI = "\N{GRINNING FACE}"
MANY = 60


@pytest.fixture(scope="module")
def crowded(told: Told) -> Told:
    """Many alerts, each with as much text as Airflow allows, in characters of four bytes."""
    long = {
        "summary": f"{EMOJI * 400} waited (threshold 1)",
        "impact": EMOJI * 400,
        "runbook_url": "https://runbooks.example.com/A",
        "dashboard_url": f"https://grafana.example.com/d?var-dag_id={quote_plus(EMOJI * 250)}",
        "command": f"airflow-obs runbook A --label 'dag_id={EMOJI * 250}'",
    }
    alerts = [{**PAGE, "airflow": "crowd", "dag_id": f"{EMOJI * 240}-{place:03}"} for place in range(MANY)]
    told.server.fire(*alerts, since=soon(), **long)
    return told


def test_however_much_there_is_slack_shows_what_fits(crowded: Told) -> None:
    slack = crowded.slack("crowd")
    assert slack["title"].startswith(f"[FIRING:{MANY}]")
    assert len(slack["title"]) <= 150
    assert len(slack["fallback"]) <= 300
    full, lines = shown(slack["text"], MANY)
    assert 1 <= full <= 3
    assert full + lines > 3
    assert len(slack["text"]) <= 3_000 + len(f"\n\nand {MANY} more")


def test_however_much_there_is_pagerduty_takes_it(crowded: Told) -> None:
    [event] = crowded.bodies("/pagerduty", deployment="crowd")
    assert len(event["payload"]["summary"]) <= 1_024
    full, lines = shown(event["payload"]["custom_details"]["firing"], MANY)
    assert full == 3
    assert lines > 3
    assert len(json.dumps(event)) <= 512_000


def test_however_much_there_is_opsgenie_takes_it(crowded: Told) -> None:
    request = crowded.bodies("/v2/alerts", deployment="crowd")[0]
    assert len(request["message"]) <= 130
    assert request["message"].endswith("...")
    full, lines = shown(request["description"], MANY)
    assert full == 3
    assert lines > 10
    assert len(request["description"]) <= 15_000


def test_however_much_there_is_a_mail_shows_most_of_it(crowded: Told) -> None:
    mail = crowded.mail("crowd")
    assert len(str(mail.message["Subject"])) <= 150
    paragraphs = "\n\n".join(Page(mail.text("html")).paragraphs)
    assert shown(mail.text().rstrip(), MANY) == shown(paragraphs, MANY) == (3, 47)


def test_a_webhook_gets_no_more_alerts_than_it_wants(crowded: Told) -> None:
    [body] = crowded.bodies("/webhook", deployment="crowd")
    assert (len(body["alerts"]), body["truncatedAlerts"]) == (5, MANY - 5)


def test_a_text_is_cut_and_a_command_or_a_link_left_out(crowded: Told) -> None:
    first = crowded.slack("crowd")["text"].split("\n\n")[0].splitlines()
    assert first[1] == f"{EMOJI * 297}..."
    assert not any(line.startswith("```") for line in first), "half a command is none"
    assert first[-1] == "<https://runbooks.example.com/A|Runbook>"
    assert "Dashboard" not in "".join(first)


def test_no_detail_is_yaml(crowded: Told, tmp_path: Path) -> None:
    """Else a newer Alertmanager would fill in templates that a label holds. Its reader of YAML is that of amtool."""
    details = crowded.bodies("/pagerduty", deployment="crowd")[0]["payload"]["custom_details"]
    (tmp_path / "detail").write_text(details["firing"])
    done = subprocess.run(
        [tool("amtool"), "check-config", str(tmp_path / "detail")], capture_output=True, text=True, check=False
    )
    assert "found character that cannot start any token" in done.stdout + done.stderr
