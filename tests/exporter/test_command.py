"""The command line as a user meets it: help, bad flags, bad policies, and --once with its exit codes."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from airflow_obs.catalog import metrics
from airflow_obs.cli import cli
from airflow_obs.errors import UsageError
from airflow_obs.exporter import run
from airflow_obs.policy.loader import load
from tests.airflow_schemas import SQLITE_SCHEMAS
from tests.conftest import NewDatabase
from tests.exporter.pages import Page
from tests.exporter_process import COLLECTORS, airflow_obs

HELP_OF_THE_EXPORTER = """\
Usage: airflow-obs exporter [OPTIONS]

  Serve the metrics of one Airflow for Prometheus.

  The metadata database is found in the first of these that is set:
    AIRFLOW_OBS_DB_URL_FILE, AIRFLOW_OBS_DB_URL,
    AIRFLOW_OBS_DB_HOST with _PORT, _USER, _PASSWORD or _PASSWORD_FILE, _NAME,
    _SCHEME (postgresql, mysql, mariadb),
    _SSLMODE, _SSLROOTCERT, _SSLCERT, _SSLKEY,
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN, AIRFLOW__CORE__SQL_ALCHEMY_CONN,
    $AIRFLOW_HOME/airflow.cfg
  and so is Celery's broker:
    AIRFLOW_OBS_BROKER_URL_FILE, AIRFLOW_OBS_BROKER_URL,
    AIRFLOW_OBS_BROKER_HOST with _PORT, _USER, _PASSWORD or _PASSWORD_FILE,
    _NAME, _SCHEME,
    AIRFLOW__CELERY__BROKER_URL, $AIRFLOW_HOME/airflow.cfg
  What Airflow sends as StatsD or OTLP is taken where the policy or the flags say.

  Paths: /metrics, /-/healthy, /-/ready (every collector tried once), / (a page),
    /-/reload (POST; with --web.enable-lifecycle)

Options:
"""
TWO = """\
deployments:
  - name: blue
  - name: green
"""
ONLY_POOLS_AND_HEALTH = "collectors:\n" + "".join(
    f"  {name}: {{enabled: false}}\n" for name in COLLECTORS if name not in {"pools", "health"}
)


def test_help_of_the_exporter(tmp_path: Path) -> None:
    done = airflow_obs(tmp_path, "exporter", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(HELP_OF_THE_EXPORTER)


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_every_command_and_option_has_help(tmp_path: Path, command: str) -> None:
    done = airflow_obs(tmp_path, command, "-h")
    assert done.returncode == 0
    summary = cli.commands[command].get_short_help_str().removesuffix("...")
    assert f"  {command}" in (every := airflow_obs(tmp_path, "--help").stdout)
    assert summary in every
    for parameter in cli.commands[command].params:
        if isinstance(parameter, click.Option):
            assert parameter.help
            assert parameter.opts[0] in done.stdout
    if isinstance(group := cli.commands[command], click.Group):
        assert all(one.help and name in done.stdout for name, one in group.commands.items())


def test_version(tmp_path: Path) -> None:
    assert airflow_obs(tmp_path, "--version").stdout.startswith("airflow-obs, version ")


@pytest.mark.parametrize("address", ["10912", "localhost", "localhost:", ":65536", ":-1", "::1:80", "[::1", "h:http"])
def test_bad_listen_address(address: str) -> None:
    done = CliRunner().invoke(cli, ["exporter", "--web.listen-address", address])
    assert done.exit_code == 2
    assert (
        f"{address!r} is not HOST:PORT; write it like :10912, 127.0.0.1:10912 or [::1]:10912, or like "
        "unix:/run/airflow-obs/metrics.sock" in done.stderr
    )


def test_relative_path_of_a_socket() -> None:
    done = CliRunner().invoke(cli, ["exporter", "--web.listen-address", "unix:run/x.sock"])
    assert done.exit_code == 2
    assert (
        "'unix:run/x.sock': write the whole path of the socket, like unix:/run/airflow-obs/metrics.sock" in done.stderr
    )


def test_push_is_for_once() -> None:
    with pytest.raises(UsageError, match=r"^--push: only with --once"):
        CliRunner().invoke(cli, ["exporter", "--push"], catch_exceptions=False)


def test_textfile_whose_name_nobody_reads() -> None:
    with pytest.raises(UsageError, match=r"^--textfile: must be the path of a file whose name ends in \.prom"):
        CliRunner().invoke(cli, ["exporter", "--once", "--textfile", "/tmp/x.txt"], catch_exceptions=False)


def test_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = airflow_obs(tmp_path, "exporter", "--web.listen-address", f"127.0.0.1:{port}")
    assert done.returncode == 2
    assert done.stderr == (
        f"airflow-obs: --web.listen-address 127.0.0.1:{port}: cannot listen there: Address already in use; is another "
        "exporter running? choose another address or port\n"
    )


@pytest.mark.parametrize("host", ["no.such.host.invalid", "..", "x" * 300])
def test_host_that_cannot_be_listened_on(host: str) -> None:
    with pytest.raises(UsageError, match=f"^--web.listen-address {re.escape(host)}:0: cannot listen there: "):
        CliRunner().invoke(cli, ["exporter", "--web.listen-address", f"{host}:0"], catch_exceptions=False)


@pytest.mark.parametrize(
    "arguments", [["exporter", "--web.listen-adress", ":1"], ["exportr"], ["exporter", "--log.level", "x"]]
)
def test_unknown_option_command_or_value(arguments: list[str]) -> None:
    done = CliRunner().invoke(cli, arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Error: " in done.stderr


def test_policy_with_typos_names_each_place(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("collectors:\n  job: {interval: 5s}\n  pools: {interval: 5 parsecs}\n")
    done = airflow_obs(tmp_path, "exporter", "--policy", "site.yaml")
    first, second = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert first.startswith("site.yaml:2:3: ")
    assert "did you mean `jobs`?" in first
    assert second.startswith("site.yaml:3:21: ")


def test_missing_policy(tmp_path: Path) -> None:
    done = airflow_obs(tmp_path, "exporter", "--policy", "nowhere.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("nowhere.yaml:1:1: cannot be read (no such file or directory)")


def test_deployment_must_be_one_of_the_policy(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(TWO)
    unknown = airflow_obs(tmp_path, "exporter", "--policy", "site.yaml", "--deployment", "red")
    assert unknown.returncode == 2
    assert unknown.stderr == "airflow-obs: --deployment: the policy has no deployment of that name, only blue, green\n"
    unsaid = airflow_obs(tmp_path, "exporter", "--policy", "site.yaml")
    assert unsaid.returncode == 2
    assert "choose one with --deployment (blue, green)" in unsaid.stderr


def test_once_prints_the_chosen_deployment_and_exits_0_if_all_is_well(
    tmp_path: Path, new_database: NewDatabase
) -> None:
    db = new_database(SQLITE_SCHEMAS[-1])
    (tmp_path / "site.yaml").write_text(TWO)
    arguments = ("exporter", "--once", "--policy", "site.yaml", "--deployment", "green")
    done = airflow_obs(tmp_path, *arguments, AIRFLOW_OBS_DB_URL=db.url)
    assert done.returncode == 0, done.stderr
    page = Page(done.stdout)
    assert {sample.labels["airflow"] for sample in page.samples} == {"green"}
    assert page.value(metrics.POOL_SLOTS.name, pool="default_pool") == 128
    assert "using the URL of AIRFLOW_OBS_DB_URL" in done.stderr


def test_once_exits_1_with_what_worked_if_a_collector_failed(tmp_path: Path, new_database: NewDatabase) -> None:
    db = new_database(SQLITE_SCHEMAS[-1])
    db.execute("DROP TABLE slot_pool")
    done = airflow_obs(tmp_path, "exporter", "--once", AIRFLOW_OBS_DB_URL=db.url)
    assert done.returncode == 1, done.stderr
    page = Page(done.stdout)
    assert page.value(metrics.COLLECTOR_SUCCESS.name, collector="pools") == 0
    assert page.value(metrics.DAGS.name, state="active") == 0
    assert "collector pools: failed: database: it has no table slot_pool" in done.stderr


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "no setting says where Airflow's metadata database is; set AIRFLOW_OBS_DB_URL"),
        ({"AIRFLOW_OBS_DB_URL": "sqlite:////nowhere/airflow.db"}, "unable to open database file"),
        ({"AIRFLOW_OBS_DB_URL": "not a url"}, "AIRFLOW_OBS_DB_URL is not a database URL"),
        (
            {"AIRFLOW_OBS_DB_URL": "oracle://u:hunter2@db/x"},
            "is a oracle URL; this release reads PostgreSQL, MySQL, MariaDB and SQLite",
        ),
        ({"AIRFLOW_OBS_DB_URL": "postgresql://u:hunter2@127.0.0.1:1/x"}, "Connection refused"),
        ({"AIRFLOW_OBS_DB_URL": "postgresql://u:hunter2@no.such.host.invalid/x"}, "could not translate host name"),
        ({"AIRFLOW_OBS_DB_URL": "postgresql://u:p@hunter2@no.such.host/x"}, "percent-encoded"),
        ({"AIRFLOW_OBS_DB_URL": "postgresql://u:p@s/hunter2@no.such.host/x"}, "percent-encoded"),
        ({"AIRFLOW_OBS_DB_URL": "postgresql://u@127.0.0.1:1/x?password=hunter2&no_such_option=1"}, "no_such_option"),
        ({"AIRFLOW_OBS_DB_URL_FILE": "nowhere"}, "AIRFLOW_OBS_DB_URL_FILE: nowhere: No such file or directory"),
        ({"AIRFLOW_OBS_DB_HOST": "db", "AIRFLOW_OBS_DB_PORT": "many"}, "AIRFLOW_OBS_DB_PORT is 'many'"),
    ],
)
def test_once_exits_2_and_says_why_if_nothing_could_be_read(
    variables: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"HOME": str(tmp_path), **variables}.items():
        monkeypatch.setenv(name, value)
    policy = load(None)
    assert run.once(policy, policy.deployment()) == 2
    shown = capsys.readouterr().out
    assert said in caplog.text
    assert "hunter2" not in shown + caplog.text
    assert Page(shown).value(metrics.COLLECTOR_SUCCESS.name, collector="pools") == 0


def test_once_exits_2_on_the_command_line_too(tmp_path: Path) -> None:
    done = airflow_obs(tmp_path, "exporter", "--once", AIRFLOW_OBS_DB_URL="postgresql://u:hunter2@127.0.0.1:1/x")
    assert done.returncode == 2
    assert "database: cannot be reached (127.0.0.1:1, by AIRFLOW_OBS_DB_URL)" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_once_runs_only_what_is_enabled(tmp_path: Path, new_database: NewDatabase) -> None:
    (tmp_path / "site.yaml").write_text(ONLY_POOLS_AND_HEALTH)
    url = new_database(SQLITE_SCHEMAS[-1]).url
    done = airflow_obs(tmp_path, "exporter", "--once", "--policy", "site.yaml", AIRFLOW_OBS_DB_URL=url)
    shown = [
        sample.labels["collector"]
        for sample in Page(done.stdout).samples
        if sample.name == metrics.COLLECTOR_SUCCESS.name
    ]
    assert shown == ["pools", "health"]


def test_policy_that_switches_everything_off_is_refused(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(
        "collectors: {health: {enabled: false}}\ndeployments: [{sources: {health: {}}}]\n"
    )
    done = airflow_obs(tmp_path, "exporter", "--once", "--policy", "site.yaml")
    assert done.returncode == 2
    assert "airflow-obs: policy: deployment airflow has no enabled collector" in done.stderr


def test_socket_is_taken_away_when_the_exporter_does_not_come_up(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("push: {otlp: {ca_file: nowhere.pem, endpoint: 'https://localhost:1'}}\n")
    path = tmp_path / "metrics.sock"
    done = airflow_obs(tmp_path, "exporter", "--policy", "site.yaml", "--web.listen-address", f"unix:{path}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nowhere.pem" in done.stderr
    assert not path.exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--once", "--web.enable-lifecycle"], "--web.enable-lifecycle: not with --once"),
        (["--once", "--web.config.file", "web.yml"], "--web.config.file: not with --once"),
        (["--once", "--statsd.listen-udp", ":1"], "--statsd.listen-udp: not with --once"),
        (["--web.systemd-socket", "--web.listen-address", ":1"], "--web.systemd-socket: not with --web.listen-address"),
    ],
)
def test_flags_that_mean_nothing_beside_each_other(flags: list[str], said: str, tmp_path: Path) -> None:
    done = airflow_obs(tmp_path, "exporter", *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"airflow-obs: {said}")
