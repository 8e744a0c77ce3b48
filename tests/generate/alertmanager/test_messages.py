"""What a real Alertmanager tells each service, of one alert and of many, of what is over and of what is crafted."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from tests.eventually import eventually
from tests.generate.alertmanager.told import BEGAN, PAGE, Page, Told, soon

COMMAND = "airflow-obs runbook AirflowSchedulerDown --label 'queue=default'"
ANNOTATIONS = {
    "summary": "0 schedulers are alive (threshold 1)",
    "impact": "No task starts.",
    "runbook_url": "https://runbooks.example.com/AirflowSchedulerDown?a=1&b=2",
    "dashboard_url": "https://grafana.example.com/d/airflow-obs-scheduler?var-queue=default",
    "command": COMMAND,
}
CRAFTED = "x\nBcc: evil@example.com <script>alert(1)</script> & <!channel> *b* [c](http://evil) {{ .ExternalURL }} `c` \"q\" 'p'"


def test_each_service_is_told_all_that_whoever_is_on_call_needs(told: Told) -> None:
    told.server.fire(PAGE, since=BEGAN, **ANNOTATIONS)
    headline = "[FIRING:1] AirflowSchedulerDown in production (critical)"
    lines = [
        "AirflowSchedulerDown (critical)",
        "0 schedulers are alive (threshold 1)",
        "Impact: No task starts.",
        "Since 2025-06-15 15:06 UTC; deployment production, team platform",
        f"Command: {COMMAND}",
        f"Runbook: {ANNOTATIONS['runbook_url']}",
        f"Dashboard: {ANNOTATIONS['dashboard_url']}",
    ]
    plain = "\n".join(lines)

    slack = told.slack("production")
    assert slack["title"] == slack["fallback"] == f"{headline}: {ANNOTATIONS['summary']}"
    assert slack["color"] == "danger"
    assert slack["text"].splitlines() == [
        f"*{lines[0]}*",
        *lines[1:4],
        f"```{COMMAND}```",
        "<https://runbooks.example.com/AirflowSchedulerDown?a=1&amp;b=2|Runbook>",
        f"<{ANNOTATIONS['dashboard_url']}|Dashboard>",
    ]

    [event] = told.bodies("/pagerduty", deployment="production")
    assert (event["routing_key"], event["event_action"]) == ("sesame", "trigger")
    assert event["payload"].items() >= {
        "summary": f"{headline}: {ANNOTATIONS['summary']}", "severity": "critical", "class": "AirflowSchedulerDown",
        "group": "production",
        "custom_details": {
            "firing": "\n".join([f"`{lines[0]}`", *lines[1:]]), "resolved": "none", "num_firing": "1", "num_resolved": "0",
        },
    }.items()  # fmt: skip
    assert event["links"] == [
        {"href": ANNOTATIONS["runbook_url"], "text": "Runbook"},
        {"href": ANNOTATIONS["dashboard_url"], "text": "Dashboard"},
    ]

    request = told.bodies("/v2/alerts", deployment="production")[0]
    assert request.items() >= {
        "message": f"{headline}: {ANNOTATIONS['summary']}", "description": plain, "priority": "P1", "entity": "production",
        "responders": [{"name": "Data Platform", "type": "team"}],
    }.items()  # fmt: skip

    mail = told.mail("production")
    assert (mail.sender, mail.to) == ("alerts@example.com", ("a@example.com", "b@example.com"))
    assert mail.message["Subject"] == f"{headline}: {ANNOTATIONS['summary']}"
    assert mail.text().splitlines() == lines
    page = Page(mail.text("html"))
    for said in (*lines[:4], COMMAND):
        assert said in page.text
    assert page.links == [ANNOTATIONS["runbook_url"], ANNOTATIONS["dashboard_url"]]

    [body] = told.bodies("/webhook", deployment="production")
    assert [alert["annotations"] for alert in body["alerts"]] == [ANNOTATIONS]


def test_what_is_over_is_said_to_be(told: Told) -> None:
    stays, ends = ({**PAGE, "airflow": "ending", "queue": queue} for queue in ("stays", "ends"))
    told.server.fire(stays, ends, since=soon(), **ANNOTATIONS)
    assert told.slack("ending")["title"].startswith("[FIRING:2]")
    told.server.resolve(ends, since=None, **ANNOTATIONS)
    partly = told.slack("ending", count=2)
    assert partly["title"].startswith("[FIRING:1 RESOLVED:1]")
    assert partly["color"] == "danger"
    firing, resolved = partly["text"].split("\n\n")
    assert "queue=stays" in firing
    assert "RESOLVED" not in firing
    assert re.search(
        r"\nRESOLVED: lasted from 20\d\d-\d\d-\d\d \d\d:\d\d UTC to 20\d\d-\d\d-\d\d \d\d:\d\d UTC; .*queue=ends\n",
        resolved,
    )
    assert "```" not in resolved, "there is nothing left to be done"

    event = told.bodies("/pagerduty", deployment="ending", count=2)[-1]
    assert event["event_action"] == "trigger"
    details = event["payload"]["custom_details"]
    assert "queue=stays" in details["firing"]
    assert "queue=ends" in details["resolved"]
    assert "queue=ends" not in details["firing"]
    eventually(lambda: any("RESOLVED" in text for text in descriptions(told)), "Opsgenie's alert says what it is now")

    told.server.resolve(stays, since=None, **ANNOTATIONS)
    over = told.slack("ending", count=3)
    assert over["title"].startswith("[RESOLVED:1] AirflowSchedulerDown in ending")
    assert over["color"] == "good"
    assert told.bodies("/pagerduty", deployment="ending", count=3)[-1]["event_action"] == "resolve"


def descriptions(told: Told) -> list[str]:
    """What alerts in Opsgenie were made to say after they had been made."""
    return [one.body["description"] for one in told.web.received if one.method == "PUT" and "description" in one.body]


def test_what_a_label_says_is_text_and_nothing_else(told: Told) -> None:
    told.server.fire({**PAGE, "airflow": "crafted", "queue": CRAFTED}, since=BEGAN, summary=CRAFTED, command="true")
    text = told.slack("crafted")["text"]
    assert text.count("&lt;!channel&gt; *b*") == 2
    assert not re.search("<(?!https?://)", text)
    assert text.count("`") == 6, "those of the command"
    assert "<" not in told.slack("crafted")["fallback"]
    [event] = told.bodies("/pagerduty", deployment="crafted")
    assert "{{ .ExternalURL }}" in event["payload"]["custom_details"]["firing"]
    mail = told.mail("crafted")
    assert "Bcc" not in mail.message
    assert "Bcc: evil@example.com" in mail.message["Subject"]
    page = Page(mail.text("html"))
    assert page.tags <= {"html", "head", "meta", "body", "p", "div", "b", "br", "pre", "a"}
    assert page.text.count(CRAFTED) == 2


@pytest.mark.parametrize(
    ("severity", "pagerduty", "opsgenie", "colour"),
    [
        ("critical", "critical", "P1", "danger"),
        ("warning", "warning", "P3", "warning"),
        ("info", "info", "P5", "#439fe0"),
    ],
)
def test_each_service_has_its_word_for_a_severity(
    told: Told, severity: str, pagerduty: str, opsgenie: str, colour: str
) -> None:
    deployment = f"of-{severity}"
    told.server.fire({**PAGE, "airflow": deployment, "severity": severity}, since=BEGAN, **ANNOTATIONS)
    assert told.bodies("/pagerduty", deployment=deployment)[0]["payload"]["severity"] == pagerduty
    assert told.bodies("/v2/alerts", deployment=deployment)[0]["priority"] == opsgenie
    assert told.slack(deployment)["color"] == colour


def test_several_alerts_of_a_deployment_are_one_message(told: Told) -> None:
    names = ("AirflowPoolFull", "AirflowTasksQueuedLong")
    alerts = [{**PAGE, "alertname": name, "airflow": "several"} for name in names]
    told.server.post([{"labels": labels, "annotations": {"summary": f"of {labels['alertname']}"}} for labels in alerts])
    slack = told.slack("several")
    assert slack["title"] == slack["fallback"] == "[FIRING:2] several alerts in several (critical)"
    assert [one.splitlines()[1] for one in slack["text"].split("\n\n")] == [f"of {name}" for name in names]


def test_in_a_long_group_the_newest_is_told_at_length_and_the_others_by_a_line(told: Told) -> None:
    begun = soon()
    common = {**PAGE, "alertname": "AirflowPoolFull", "airflow": "long", "severity": "warning"}
    for since, pools in ((begun, [f"pool-{place:02}" for place in range(12)]), (begun + 1, ["pool-99"])):
        told.server.post(
            [
                {
                    "labels": {**common, "pool": pool},
                    "annotations": {**ANNOTATIONS, "summary": f"{pool} is full"},
                    "startsAt": f"{datetime.fromtimestamp(since, tz=UTC):%Y-%m-%dT%H:%M:%SZ}",
                }
                for pool in pools
            ]
        )
    eventually(lambda: told.slack("long")["title"].startswith("[FIRING:13]"), "all are told of")
    newest, *others = told.slack("long")["text"].split("\n\n")
    assert newest.splitlines()[1] == "pool-99 is full"
    assert [one.splitlines()[1] for one in others[:2]] == ["pool-00 is full", "pool-01 is full"]
    [lines] = others[2:]
    assert lines.splitlines() == [
        f"- AirflowPoolFull, pool=pool-{place:02}: pool-{place:02} is full" for place in range(2, 12)
    ]
    assert told.slack("long")["text"].count("Impact: No task starts.") == 1, "all share it"
    page = Page(told.mail("long").text("html"))
    assert page.paragraphs[-1] == "- AirflowPoolFull, pool=pool-11: pool-11 is full"
    assert page.text.count("Impact: No task starts.") == 1
    assert page.text.index("pool-99 is full") < page.text.index("pool-00 is full")


def test_an_alert_that_is_not_ours_is_told_as_well_as_can_be(told: Told) -> None:
    told.server.fire({"alertname": "DiskFull", "instance": "db-1"}, since=BEGAN, description="99% of foreign-disk")
    text = told.slack("foreign-disk")["text"]
    assert text.splitlines() == ["*DiskFull*", "99% of foreign-disk", "Since 2025-06-15 15:06 UTC, instance=db-1"]
    [event] = told.bodies("/pagerduty", deployment="foreign-disk")
    assert event["payload"]["severity"] == "error"
    assert [link["text"] for link in event["links"]] == ["Alertmanager", "Alertmanager"]
    assert all(link["href"] for link in event["links"]), "PagerDuty refuses an event with an empty link"
    assert told.bodies("/v2/alerts", deployment="foreign-disk")[0]["priority"] == "P3"
