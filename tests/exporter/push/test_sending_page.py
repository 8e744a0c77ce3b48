"""The page for users about sending figures out: what it tells one to write is taken as it stands."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import click
import pytest

from airflow_obs.catalog import metrics
from airflow_obs.cli import cli
from airflow_obs.model import PREFIX
from airflow_obs.policy import loads
from tests.airflow_schemas import ROOT, SQLITE_SCHEMAS
from tests.conftest import NewDatabase
from tests.tools import tool

PAGE = (ROOT / "exporters" / "sending-figures.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
[ALERT] = [text for kind, text in BLOCKS if kind == "yaml" and text.startswith("- alert:")]


def test_policy_is_taken() -> None:
    written = [text for kind, text in BLOCKS if kind == "yaml" and text.startswith("push:")]
    push, *_ = [loads(text, "site.yaml").push for text in written]
    assert push.otlp
    assert push.statsd
    assert push.textfile


def test_alert_fires_on_a_file_that_is_old_or_gone(tmp_path: Path) -> None:
    """Series in promtool's notation: one a minute, `_` for none."""
    name = "/var/lib/prometheus/node-exporter/airflow-production.prom"
    cases = {"well": ("0+60x20", 0), "old": ("0+0x20", 1), "gone": ("0+60x5 _x15", 1)}
    (tmp_path / "rules.yaml").write_text("groups:\n- name: textfile\n  rules:\n" + indent(ALERT, "  "))
    for case, (moments, firing) in cases.items():
        series = f"node_textfile_mtime_seconds{{file={json.dumps(name)}}}"
        alert = {"exp_labels": {"file": name}, "exp_annotations": {}}
        test = {
            "rule_files": ["rules.yaml"],
            "tests": [
                {
                    "interval": "1m",
                    "input_series": [{"series": series, "values": moments}],
                    "alert_rule_test": [
                        {"eval_time": "15m", "alertname": "AirflowTextfileOld", "exp_alerts": [alert] * firing}
                    ],
                }
            ],
        }
        (tmp_path / "test.yaml").write_text(json.dumps(test))
        tested = subprocess.run(
            [tool("promtool"), "test", "rules", str(tmp_path / "test.yaml")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert tested.returncode == 0, f"{case}: {tested.stderr}{tested.stdout}"


def test_line_for_cron_is_run_as_it_stands(tmp_path: Path, new_database: NewDatabase) -> None:
    """By sh, with no more than cron gives it; the file of settings, the venv and the folder are elsewhere here."""
    [crontab] = [text for _, text in BLOCKS if "* * * * *" in text]
    line = crontab.splitlines()[-1].removeprefix("* * * * * airflow-obs ")
    settings, written = tmp_path / "environment", tmp_path / "airflow.prom"
    settings.write_text(f"AIRFLOW_OBS_DB_URL='{new_database(SQLITE_SCHEMAS[-1]).url}'\nPYTHONPATH='{ROOT}'\n")
    elsewhere = {
        "/etc/airflow-obs/environment": settings,
        "/opt/airflow-obs/bin/airflow-obs": f"{sys.executable} -m airflow_obs",
        "/var/lib/prometheus/node-exporter/airflow.prom": written,
    }
    for there, here in elsewhere.items():
        assert there in line
        line = line.replace(there, str(here))
    few = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "SHELL": "/bin/sh", "LOGNAME": "airflow-obs"}
    done = subprocess.run(["/bin/sh", "-c", line], env=few, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert metrics.POOL_SLOTS.name in written.read_text()


def test_it_names_no_metric_that_there_is_not() -> None:
    named = set(re.findall(rf"\b{PREFIX}[a-z_]+\b", PAGE))
    unprefixed = {f"{PREFIX}{name}" for name in re.findall(r"`((?:push|collector)_[a-z_]+)\b", PAGE)}
    assert len(named) > 2
    assert named | unprefixed <= metrics.NAMES


COMMANDS = re.findall(r"airflow-obs exporter (.*)$", "".join(text for _, text in BLOCKS), re.MULTILINE)


@pytest.mark.parametrize("arguments", COMMANDS)
def test_command_is_one(arguments: str) -> None:
    exporter = cli.commands["exporter"]
    words = [word.replace("FILE", "file.prom") for word in shlex.split(arguments)]
    with click.Context(exporter) as context:
        assert not exporter.make_parser(context).parse_args(words)[1]
