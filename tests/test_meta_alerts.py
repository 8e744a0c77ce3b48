"""What holds for every alert and its runbook, and names what somebody who adds one forgot."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import click
import pytest

from airflow_obs.catalog.alerts import ALL, BY_NAME
from airflow_obs.catalog.alerts.unseen import UNSEEN
from airflow_obs.catalog.failures import BY_ID
from airflow_obs.cli import cli
from airflow_obs.generate.lint import Placed, Terms, findings
from airflow_obs.generate.lint.families import known
from airflow_obs.generate.proven import by_subject
from airflow_obs.generate.rule import Emitted, rule
from airflow_obs.generate.rules import groups
from airflow_obs.model import PREFIX, Severity
from tests.airflow_schemas import ROOT
from tests.catalog.alert_policies import of_everything, policy_of

POLICY = policy_of()
EMITTED = of_everything(POLICY)
RUNBOOKS = ROOT / "airflow_obs" / "oncall" / "runbooks"
NAMES = sorted(path.stem for path in RUNBOOKS.glob("*.md"))
HEADINGS = ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"]
A_NAME_TO_SEND = f"{PREFIX}probe"
"""What a runbook has somebody send, to see whether it arrives."""
OF_THE_DEPLOYMENT = {"namespace", "release", "deployment"}
PLACEHOLDER = re.compile(r"<([a-z_]+)>")
PAGES = 20
"""Most alerts that may wake somebody."""


def text(alert: str) -> str:
    return (RUNBOOKS / f"{alert}.md").read_text()


def blocks(alert: str) -> Iterator[tuple[str, str]]:
    """(language, code) of each fenced block, without its indentation."""
    for indent, language, code in re.findall(r"^( *)```(\w*)\n(.*?)^ *```$", text(alert), re.MULTILINE | re.DOTALL):
        yield language, re.sub(rf"^{indent}", "", code, flags=re.MULTILINE)


def prose(alert: str) -> str:
    """The text without its code."""
    return re.sub(r"`[^`\n]+`", "", re.sub(r"^ *```.*?^ *```$", "", text(alert), flags=re.MULTILINE | re.DOTALL))


def spans(alert: str) -> list[str]:
    """Code within lines."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```$", "", text(alert), flags=re.MULTILINE | re.DOTALL))


def test_each_way_of_failing_is_shown_by_an_alert_or_it_is_said_why_not() -> None:
    shown = {failure for alert in ALL for failure in alert.failures}
    assert shown <= BY_ID.keys()
    assert shown | UNSEEN.keys() == BY_ID.keys()
    assert not shown & UNSEEN.keys()


def test_no_name_is_given_twice() -> None:
    assert [name for name, count in Counter(alert.name for alert in ALL).items() if count > 1] == []


def test_few_alerts_wake_somebody() -> None:
    pages = [alert.name for alert in ALL if alert.severity is Severity.CRITICAL]
    assert len(pages) <= PAGES, pages


def test_a_group_has_no_more_rules_than_mimir_takes() -> None:
    every = [
        group
        for subject, of in by_subject(list(EMITTED.values())).items()
        for group in groups(POLICY, POLICY.deployments[0], subject, of)
    ]
    assert all(isinstance(group, dict) and 0 < len(group["rules"]) <= 20 for group in every)


@pytest.mark.parametrize("of", EMITTED.values(), ids=EMITTED)
def test_lint_finds_nothing_in_a_rule_of_ours(of: Emitted) -> None:
    """Among them: what is not held for two scrapes counts over a time, and templates name labels that are left."""
    made = rule(of)
    annotations, labels = made.get("annotations"), made.get("labels")
    assert isinstance(annotations, dict)
    assert isinstance(labels, dict)
    placed = Placed("f", 1, str(made["expr"]), of.alert.name, "", str(made.get("for", "")), labels, annotations)
    assert list(map(str, findings([placed], Terms(POLICY.output.scrape_interval, generated=True)))) == []


@pytest.mark.parametrize("of", EMITTED.values(), ids=EMITTED)
def test_lines_of_an_expression_can_be_read(of: Emitted) -> None:
    """Whatever a deployment's name and the names of its pods are."""
    assert max(len(re.sub(r"\{[^}]*\}", "", line)) for line in of.expr.text.split("\n")) <= 120


@pytest.mark.parametrize("of", EMITTED.values(), ids=EMITTED)
def test_a_summary_fits_on_a_line(of: Emitted) -> None:
    assert len(of.annotations["summary"]) <= 120


@pytest.mark.parametrize("of", EMITTED.values(), ids=EMITTED)
def test_a_knob_can_be_halved_and_doubled(of: Emitted) -> None:
    """Bounds that leave no room would make a knob of it in name only."""
    for knob in of.alert.knobs:
        assert str(knob.low) != str(knob.high)
        assert of.at.knobs[knob.name] >= Decimal(0)


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert set(NAMES) == {alert.name for alert in ALL}


@pytest.mark.parametrize("alert", NAMES)
def test_a_runbook_has_its_headings_and_says_which_failure(alert: str) -> None:
    lines = text(alert).splitlines()
    assert [line for line in lines if re.match("#+ [A-Z]", line) and not _in_code(alert, line)] == [
        f"# {alert}",
        *HEADINGS,
    ]
    assert lines[1] == ""
    named = set(re.findall(r"\b[A-Z][0-9]\b", lines[2]))
    assert named == set(BY_NAME[alert].failures)
    assert "**Do not**" in text(alert).split("## Mitigation")[1]


def _in_code(alert: str, line: str) -> bool:
    return any(line.strip() in code for _, code in blocks(alert))


@pytest.mark.parametrize("alert", NAMES)
def test_a_runbook_is_short_enough_for_the_night(alert: str) -> None:
    assert 20 <= len(text(alert).splitlines()) <= 90


@pytest.mark.parametrize("alert", NAMES)
def test_placeholders_stand_in_code_and_can_be_filled_in(alert: str) -> None:
    assert PLACEHOLDER.findall(prose(alert)) == []
    labels = EMITTED[alert].expr.labels or frozenset()
    assert set(PLACEHOLDER.findall(text(alert))) <= OF_THE_DEPLOYMENT | labels


@pytest.mark.parametrize("alert", NAMES)
def test_commands_of_ours_are_commands_that_there_are(alert: str) -> None:
    code = [*spans(alert), *(line for _, block in blocks(alert) for line in block.splitlines())]
    for line in code:
        if line.strip().startswith("airflow-obs "):
            words = shlex.split(re.split(r"[|;&>]", PLACEHOLDER.sub("x", line))[0])[1:]
            context = click.Context(cli)
            name, command, rest = cli.resolve_command(context, words)
            assert name is not None
            assert command is not None
            command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("alert", NAMES)
def test_metrics_of_ours_are_in_the_catalogue(alert: str) -> None:
    named = set(re.findall(rf"\b{PREFIX}[a-z0-9_]+", text(alert)))
    assert {name for name in named if known(name) is None} <= {A_NAME_TO_SEND}


@pytest.mark.parametrize("alert", NAMES)
def test_promql_can_be_asked_as_it_stands(alert: str) -> None:
    """Nothing that Prometheus or the catalogue does not know, in one expression for a block, or one for each line."""
    for language, block in blocks(alert):
        if language == "promql" or (not language and PREFIX in block):
            whole = _said(block)
            assert whole == [] or [finding for line in block.splitlines() if line for finding in _said(line)] == []


def _said(code: str) -> list[str]:
    asked = Placed("f", 1, PLACEHOLDER.sub("x", code), record="asked")
    mistakes = {"parse", "regex", "metric", "label", "label-lost", "rate"}
    return [str(one) for one in findings([asked], Terms(interval=15)) if one.check in mistakes]


@pytest.mark.parametrize("alert", NAMES)
def test_an_alert_that_a_runbook_names_is_one(alert: str) -> None:
    named = set(re.findall(r"\bAirflow(?:[A-Z][a-z]+){2,}\b", prose(alert)))
    assert named <= BY_NAME.keys() | OTHERS


OTHERS = {"AirflowException", "AirflowTaskTimeout", "AirflowFailException", "AirflowRescheduleException"}
"""Classes of Airflow that are called as alerts are."""


def test_runbooks_are_found_where_the_annotation_leads() -> None:
    url = EMITTED["AirflowSchedulerDown"].annotations["runbook_url"]
    assert (ROOT / Path(*Path(url.partition("/main/")[2]).parts)).is_file()
