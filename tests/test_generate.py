"""What is generated is current, and the tool that writes it finds every difference."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from airflow_obs.catalog import metrics
from airflow_obs.catalog.emitted import SIGNALS
from airflow_obs.catalog.failures import FAILURES, LOOK_FIRST
from airflow_obs.cli import cli
from airflow_obs.generate.docs import PAGE, docs
from airflow_obs.generate.names import NAMES_PAGE
from airflow_obs.model import PREFIX
from tests.airflow_schemas import ROOT


def gen(folder: Path, *arguments: str) -> Result:
    """Run `airflow-obs gen` on a folder."""
    return CliRunner().invoke(cli, ["gen", "--out", str(folder), *arguments])


def test_what_is_committed_is_what_would_be_generated() -> None:
    """If this fails, run `make gen` and commit what it writes."""
    found = gen(ROOT, "--check")
    assert (found.exit_code, found.output) == (0, "")


def test_every_metric_and_failure_mode_has_its_row() -> None:
    page = docs()[PAGE]
    assert re.findall(r"^\| `(\w+)`", page, re.MULTILINE) == [
        metric.name
        for collector in dict.fromkeys(metric.collector for metric in metrics.ALL)
        for metric in metrics.ALL
        if metric.collector == collector
    ]
    assert re.findall(r"^\| ([A-Z]\d) \|", page, re.MULTILINE) == [failure.id for failure in FAILURES]
    columns = {row.count("|") - row.count("\\|") for row in page.splitlines() if row.startswith("| `airflow_obs")}
    assert columns == {8}


def test_every_name_of_airflow_has_its_row() -> None:
    page = docs()[NAMES_PAGE]
    fed, refused = page.split("## Refused")
    assert re.findall(r"^\| `([^`]+)` \|", fed, re.MULTILINE) == [one.name for one in SIGNALS if one.to]
    assert re.findall(r"^\| `([^`]+)` \|", refused, re.MULTILINE) == [one.name for one in SIGNALS if one.refused]
    assert {one.to.name for one in SIGNALS if one.to} <= set(re.findall(r"`(airflow_obs_\w+)", fed))
    assert all(f"`{spelling}`" in fed for one in SIGNALS for spelling in one.legacy)
    assert all(one.refused in refused for one in SIGNALS if one.refused)


def test_what_decides_comes_first_and_what_shows_something_else_better_comes_later() -> None:
    shown_by = {
        row[0]: re.findall(r"`airflow_obs_(\w+)`", row[1])
        for row in re.findall(r"^\| ([A-Z]\d) \|.*\|(.*)\|$", docs()[PAGE], re.MULTILINE)
    }
    assert shown_by["S5"][0] == "scheduled_task_instances"
    assert shown_by["C1"] == [
        "worker_queues", "worker_subscribed", "worker_active_tasks",
        "broker_queue_consumers", "broker_blocked_clients", "broker_queue_messages",
    ]  # fmt: skip
    assert (shown_by["C4"][0], shown_by["C4"][-1]) == ("broker_memory_bytes", "broker_info")
    assert shown_by["R1"][:2] == ["triggers_stranded", "triggers_stranded_oldest_timestamp_seconds"]
    assert {key: names[0] for key, names in shown_by.items() if len(names) > 1} == {
        key: metric.name.removeprefix(PREFIX) for key, metric in LOOK_FIRST.items()
    }


def test_write_then_check(tmp_path: Path) -> None:
    assert {NAMES_PAGE, PAGE, "rules/README.md", "rules/peers.md"} <= set(gen(tmp_path).output.splitlines())
    assert gen(tmp_path).output == ""
    assert gen(tmp_path, "--check").exit_code == 0


def test_missing_stale_and_orphaned_files_are_shown_and_mended(tmp_path: Path) -> None:
    missing = gen(tmp_path, "--check")
    assert missing.exit_code == 1
    for path in (PAGE, NAMES_PAGE):
        assert f"--- {path} (missing)\n+++ {path}\n" in missing.output
    assert not list(tmp_path.iterdir())

    gen(tmp_path)
    page = tmp_path / PAGE
    page.write_text(page.read_text().replace("# Metrics", "# Figures"))
    old, own = page.with_name("old.md"), page.with_name("own.md")
    old.write_text(page.read_text())
    own.write_text("# Ours\n")
    stale = gen(tmp_path, "--check")
    assert stale.exit_code == 1
    assert "-# Figures\n+# Metrics\n" in stale.output
    assert "+++ exporters/old.md (no longer generated)" in stale.output
    assert gen(tmp_path).output == f"{PAGE}\nremoved exporters/old.md\n"
    assert not old.exists()
    assert own.exists()


@pytest.mark.parametrize("arguments", [(), ("--check",)])
def test_a_folder_that_is_not_ours_is_said(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / PAGE).mkdir(parents=True)
    done = gen(tmp_path, *arguments)
    assert done.exit_code == 1  # main() makes 2 of it, with the text
    assert str(done.exception).startswith("--out: cannot read ")


def test_a_file_where_a_folder_should_be_is_what_stands_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "exporters").write_text("ours\n")
    said = str(gen(tmp_path).exception)
    assert said.endswith(f"{tmp_path / 'exporters'} is no folder; move it out of the way")


def test_a_file_beside_ours_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    beside = tmp_path / "exporters" / "broken.md"
    beside.parent.mkdir()
    beside.symlink_to("/proc/self/mem")  # not even root reads its beginning
    assert str(gen(tmp_path).exception).startswith(f"--out: cannot read {beside}: ")
