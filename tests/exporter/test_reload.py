"""SIGHUP and /-/reload on the exporter as a process: a good policy is taken, a bad one is said and changes nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from airflow_obs.catalog import metrics
from airflow_obs.errors import PolicyError, UsageError
from airflow_obs.exporter.reload import Chosen, Reloader
from airflow_obs.model import Sample
from airflow_obs.policy import loads
from tests.airflow_schemas import SQLITE_SCHEMAS
from tests.conftest import NewDatabase
from tests.eventually import DEADLINE, eventually
from tests.exporter.pages import Page
from tests.exporter_process import COMMAND, Exporter, environment, started

GOOD = "deployments: [{name: prod, sources: {database: {}}}]\n"
BAD = "collectors: {pools: {intervall: 1s}, jobs: {timeout: 3 parsecs}}\n"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """The file that the exporter reads."""
    file = tmp_path / "site.yaml"
    file.write_text(GOOD)
    return file


@pytest.fixture
def exporter(tmp_path: Path, policy: Path, new_database: NewDatabase) -> Iterator[Exporter]:
    """One that may be told to reload over HTTP."""
    variables = {"AIRFLOW_OBS_DB_URL": new_database(SQLITE_SCHEMAS[-1]).url}
    with started(tmp_path, "--policy", str(policy), "--web.enable-lifecycle", variables=variables) as running:
        yield running


def reload(running: Exporter, method: str = "POST") -> requests.Response:
    """Ask for it; the answer."""
    answer = requests.request(method, f"http://127.0.0.1:{running.port}/-/reload", timeout=DEADLINE)
    running.pages.append(answer.text)
    return answer


def taken(page: Page) -> float:
    return page.value(metrics.CONFIG_RELOADED.name, config="policy")


def of(page: Page) -> set[str]:
    """The deployments that the page speaks of."""
    return {one.labels["airflow"] for one in page.samples}


def test_hangup_reads_the_policy_again(exporter: Exporter, policy: Path) -> None:
    page = exporter.page()
    assert (of(page), taken(page)) == ({"prod"}, 1)
    loaded = page.value(metrics.CONFIG_LOADED.name, config="policy")
    policy.write_text(GOOD.replace("prod", "blue"))
    exporter.process.send_signal(signal.SIGHUP)
    page = exporter.until(lambda page: of(page) == {"blue"}, "the policy is taken")
    assert page.value(metrics.CONFIG_LOADED.name, config="policy") > loaded
    exporter.until_said("policy: taken anew")


def test_bad_policy_keeps_the_one_before_and_is_said(exporter: Exporter, policy: Path) -> None:
    policy.write_text(GOOD + BAD)
    exporter.process.send_signal(signal.SIGHUP)
    page = exporter.until(lambda page: taken(page) == 0, "it is refused")
    assert of(page) == {"prod"}
    for problem in (":2:22: ", ":2:54: "):
        exporter.until_said(f"policy: not taken, the one before holds: {policy}{problem}")
    exporter.until_collected_again("pools")
    policy.unlink()
    exporter.process.send_signal(signal.SIGHUP)
    exporter.until_said("cannot be read (no such file or directory)")
    policy.write_text(GOOD)
    exporter.process.send_signal(signal.SIGHUP)
    exporter.until(lambda page: taken(page) == 1, "it is taken")


def test_reload_answers_when_it_is_done(exporter: Exporter, policy: Path) -> None:
    policy.write_text(GOOD.replace("prod", "blue"))
    answer = reload(exporter)
    assert (answer.status_code, answer.text) == (200, "the policy was taken\n")
    assert of(exporter.page()) == {"blue"}
    policy.write_text(GOOD + BAD)
    answer = reload(exporter, "PUT")
    assert answer.status_code == 500
    assert f"{policy}:2:22: " in answer.text
    assert "did you mean `interval`?" in answer.text
    page = exporter.page()
    assert (of(page), taken(page)) == ({"blue"}, 0)


def test_reload_is_forbidden_unless_a_flag_allows_it(tmp_path: Path, policy: Path) -> None:
    with started(tmp_path, "--policy", str(policy)) as running:
        policy.write_text(GOOD.replace("prod", "blue"))
        answer = reload(running)
        assert answer.status_code == 403
        assert "--web.enable-lifecycle" in answer.text
        assert of(running.page()) == {"prod"}


def test_what_the_flags_say_is_said_again(tmp_path: Path, policy: Path) -> None:
    textfile = tmp_path / "airflow.prom"
    with started(tmp_path, "--policy", str(policy), "--textfile", str(textfile)) as running:
        eventually(textfile.exists, "it is written")
        policy.write_text(GOOD.replace("prod", "blue"))
        running.process.send_signal(signal.SIGHUP)
        # Whoever wrote it under the old name takes it away.
        new = 'airflow="blue"'
        eventually(lambda: textfile.exists() and new in textfile.read_text(), "it is written under the new name")


def test_reloads_come_one_after_the_other_and_each_reads_anew() -> None:
    chosen = loads("", "site.yaml")
    outcomes: list[Chosen | Exception] = [
        (chosen, chosen.deployment()),
        UsageError("no such deployment"),
        PolicyError([]),
        ZeroDivisionError("a bug"),
        (chosen, chosen.deployment()),
    ]
    took: list[Chosen] = []

    def load() -> Chosen:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    reloader = Reloader(load, lambda policy, deployment: took.append((policy, deployment)))
    said, successful = zip(*((reloader.reload(), _successful(reloader)) for _ in range(5)), strict=True)
    assert said == (None, "no such deployment", "", "ZeroDivisionError: a bug", None)
    assert successful == (1, 0, 0, 0, 1)
    assert took == [(chosen, chosen.deployment())] * 2


def _successful(reloader: Reloader) -> float:
    [value] = [
        one.value for one in reloader.readings() if isinstance(one, Sample) and one.metric is metrics.CONFIG_RELOADED
    ]
    return value


def test_what_can_be_read_once_only_is_not_read_again(tmp_path: Path) -> None:
    """As of `--policy <(sed …)`: the second time it would say nothing, which is the default policy."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(GOOD,))
    writer.start()
    with started(tmp_path, "--policy", str(pipe), "--web.enable-lifecycle") as running:
        writer.join()
        answer = reload(running)
        assert (answer.status_code, taken(running.page())) == (500, 0)
        assert "cannot be read a second time" in answer.text


def test_hangup_before_it_serves_ends_nothing(tmp_path: Path, policy: Path) -> None:
    command = [*COMMAND, "exporter", "--policy", str(policy), "--web.listen-address", "127.0.0.1:0"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment(tmp_path), stdout=log, stderr=log)
    try:
        # What Linux says is ignored or caught: from then on it may be sent.
        eventually(lambda: _minds_no_hangup(process.pid), "it minds no hangup")
        process.send_signal(signal.SIGHUP)
        eventually(lambda: "serving prod" in (tmp_path / "log").read_text(), "it serves")
    finally:
        process.terminate()
        assert process.wait(DEADLINE) == 0


def _minds_no_hangup(pid: int) -> bool:
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return any(int(status[name], 16) >> (signal.SIGHUP - 1) & 1 for name in ("SigIgn", "SigCgt"))


def test_nothing_is_left_behind_by_many_reloads(exporter: Exporter, policy: Path, tmp_path: Path) -> None:
    """Every one of them replaces the worker of the database, listens elsewhere and writes another file."""
    statsd = (
        "deployments: [{name: prod, sources: {database: {}, statsd: {listen_udp: '127.0.0.1:0', listen_tcp: null}}}]\n"
    )
    held = None
    for number in range(12):
        policy.write_text(
            f"{statsd}collectors: {{pools: {{interval: {number + 5}s}}, ingest: {{interval: {number + 10}s}}}}\n"
            f"push: {{textfile: {{path: {tmp_path}/{number}.prom}}}}\n"
        )
        assert reload(exporter).status_code == 200
        exporter.until_well("pools")
        if number == 2:
            held = exporter.held()
    assert held
    eventually(lambda: not exporter.leaked_since(held), f"it holds no more than {held}")
