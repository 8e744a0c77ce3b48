"""`airflow-obs explain` says what an alert is made of, where its numbers come from, and why it is not there."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from airflow_obs.catalog.alerts import ALL
from airflow_obs.cli import cli
from airflow_obs.generate.explain import explained
from airflow_obs.generate.scopes import Withheld, decided
from airflow_obs.policy import settings
from airflow_obs.policy.alerts import exact, written
from airflow_obs.policy.durations import parse
from airflow_obs.policy.effective import effective
from airflow_obs.policy.loader import load, merged
from airflow_obs.policy.tree import resolve
from tests.generate.fleet import as_text, one


def explain(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["explain", *arguments])


def test_each_number_is_there_with_its_place(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(
        "deployments:\n"
        "  - name: prod\n"
        "    alerts:\n"
        "      AirflowTableLarge: {threshold: 5GiB}\n"
        "alerts:\n"
        "  AirflowTableLarge: {threshold: 9GiB, for: 3h}\n"
    )
    text = explain("AirflowTableLarge", "--policy", str(site)).output
    assert "in prod: emitted\n" in text
    assert "(threshold 5GiB)" in text
    lines = [line.split() for line in text.splitlines()]
    assert ["threshold", "5GiB", f"{site}:4"] in [line[:3] for line in lines]
    assert ["for", "3h", f"{site}:6"] in [line[:3] for line in lines]
    assert ["severity", "warning", "default"] in [line[:3] for line in lines]
    assert "> 5368709120\n" in text
    assert "collector tables, source database; there)" in text
    assert "D6  Tables grow without bound" in text
    assert "airflow-obs runbook AirflowTableLarge --deployment prod" in text
    assert "alerts: {AirflowTableLarge: {threshold: 5GiB}}  # what is in force: write another\n" in text


def test_what_to_write_is_what_would_change_something(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("alerts: {AirflowTableLarge: {enabled: false}}\n")
    text = explain("AirflowTableLarge", "--policy", str(site)).output
    assert "to have it, write in the policy" in text
    assert "  alerts: {AirflowTableLarge: {enabled: true}}\n" in text
    assert "alerts: {AirflowSchedulerDown: {enabled: false}}" in explain("AirflowSchedulerDown").output
    lacking = explain("AirflowContainerRestarting").output
    assert "not emitted: " in lacking
    assert "to have it, change in the policy what keeps it away (above), then `airflow-obs gen-rules`\n" in lacking


def test_a_number_that_follows_the_scrapes_says_so(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("output: {scrape_interval: 2m}\nalerts: {AirflowSchedulerMissing: {for: 7m}}\n")
    for arguments in (["explain", "AirflowSchedulerDown"], ["policy", "explain", "alerts.AirflowSchedulerDown"]):
        said = CliRunner().invoke(cli, [*arguments, "--policy", str(site)]).output
        assert re.search(r"for (= )?\s*4m\s+(# )?two scrapes", said), said
    assert re.search(
        rf"for\s+7m\s+{re.escape(str(site))}:2", explain("AirflowSchedulerMissing", "--policy", str(site)).output
    )


def test_what_is_explained_is_what_is_in_force(tmp_path: Path) -> None:
    """Two ways lead from the policy to a number: to the rules, and to whoever asks."""
    site = tmp_path / "site.yaml"
    site.write_text(
        "output: {scrape_interval: 90s}\n"
        "alerts: {AirflowTableLarge: {threshold: 9GiB}, AirflowSchedulesOverdue: {for: 1h, severity: info}}\n"
        "deployments:\n  - name: prod\n    alerts: {AirflowTableLarge: {threshold: 5GiB, shadow: true}}\n"
    )
    chosen = load(site)
    said = {one.path: one.value for one in effective(chosen, merged(site))}
    for alert in ALL:
        in_force = settings(chosen, chosen.deployments[0], alert)
        told = {
            key: said.get(f"deployments[0].alerts.{alert.name}.{key}", said.get(f"alerts.{alert.name}.{key}", "none"))
            for key in written(alert)
        }
        assert told.pop("severity", "none") == str(in_force.severity)
        assert (told.pop("enabled"), told.pop("shadow")) == ("true", str(in_force.shadow).lower())
        assert parse(told.pop("for")) == in_force.wait
        read = {knob.name: exact(replace(knob, default=resolve(told[knob.name]) or 0)) for knob in alert.knobs}
        assert read == in_force.knobs


def test_of_several_deployments_one_is_chosen(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(as_text(one("a"), one("b", sources={"health": {}})))
    assert "in a: emitted" in explain("AirflowSchedulerDown", "--policy", str(site), "--deployment", "a").output
    there = explain("AirflowSchedulerDown", "--policy", str(site), "--deployment", "b").output
    assert "in b: not emitted: " in there
    assert "its collector jobs needs database, which the deployment does not list" in there
    assert "choose one with --deployment (a, b)" in str(
        explain("AirflowSchedulerDown", "--policy", str(site)).exception
    )


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("AirflowSchedulerDwn", "there is no alert AirflowSchedulerDwn: did you mean AirflowSchedulerDown?"),
        ("schedulerdown", "there is no alert schedulerdown: did you mean AirflowSchedulerDown?"),
        ("AirflowXyzzy", "there is no alert AirflowXyzzy: rules/README.md lists all of them"),
    ],
)
@pytest.mark.parametrize("command", ["explain", "runbook"])
def test_a_misspelt_alert_is_told_the_nearest(command: str, typed: str, said: str) -> None:
    assert str(CliRunner().invoke(cli, [command, typed]).exception) == said


def test_an_alert_can_be_explained_whether_it_is_emitted_or_not() -> None:
    """One of each subject, and the last one of each."""
    chosen, tree = load(), merged()
    decision = {one.alert.name: one for one in decided(chosen, chosen.deployments[0])}
    some = {alert.subject: alert for alert in ALL} | {alert.subject + "'": alert for alert in reversed(ALL)}
    for alert in some.values():
        text = explained(chosen, tree, chosen.deployments[0], alert)
        assert text.startswith(f"{alert.name} ({alert.subject})\n")
        assert ("not emitted: " in text) == isinstance(decision[alert.name], Withheld)
