"""`airflow-obs gen-rules` and `gen`: what they write, what they say of what is written, and what they leave alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from airflow_obs.catalog.alerts import ALL
from airflow_obs.cli import cli
from airflow_obs.generate.formats import FORMATS
from airflow_obs.generate.rules import rules
from airflow_obs.generate.tree import MARKER
from tests.airflow_schemas import ROOT
from tests.exporter_process import airflow_obs
from tests.generate.fleet import as_text, one, policy

SITE = Path("site.yaml")
"""What the policy's file is called, which stands in every file that is made of it."""


def few(name: str = "prod") -> dict[str, Any]:
    """A deployment with few alerts, which is quickly written."""
    return one(name, sources={"broker": {"control": False}})


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with a policy."""
    (tmp_path / "site.yaml").write_text(as_text(few()))
    return tmp_path


def gen_rules(folder: Path, *arguments: str) -> Result:
    """Run `airflow-obs gen-rules` with the policy of that folder, into its rules/."""
    where = ["--policy", str(folder / "site.yaml"), "--out", str(folder / "rules")]
    return CliRunner().invoke(cli, ["gen-rules", *where, *arguments])


def content(folder: Path) -> Mapping[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_the_committed_rules_are_those_of_the_default_policy() -> None:
    """If this fails, run `make gen` and commit what it writes."""
    done = airflow_obs(ROOT, "gen-rules", "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_writes_what_is_generated_and_says_what_changed(site: Path) -> None:
    wanted = rules(policy(few()), SITE)
    assert gen_rules(site).stdout.splitlines() == sorted(wanted)
    assert content(site / "rules") == wanted
    assert gen_rules(site).stdout == ""
    assert gen_rules(site, "--check").exit_code == 0


def test_check_shows_what_is_missing_stale_and_orphaned(site: Path) -> None:
    missing = gen_rules(site, "--check")
    assert missing.exit_code == 1
    assert "--- vmrule/prod.yaml (missing)\n+++ vmrule/prod.yaml\n" in missing.output
    assert not (site / "rules").exists()
    gen_rules(site)
    changed = {"AirflowBrokerMemoryHigh": {"threshold": "70%"}}
    (site / "site.yaml").write_text(as_text(few(), alerts=changed))
    stale = gen_rules(site, "--check", "--format", "prometheus")
    assert stale.exit_code == 1
    difference = [line for line in stale.output.splitlines() if line.startswith(("+ ", "- "))]
    assert {line[0] for line in difference} == {"+", "-"}
    assert any(line.startswith("-") and "> 0.8" in line for line in difference)
    assert any(line.startswith("+") and "> 0.7" in line for line in difference)
    (site / "site.yaml").write_text(as_text(few("new")))
    orphaned = gen_rules(site, "--check")
    assert "+++ mimir/prod.yaml (no longer generated)" in orphaned.output
    assert "+++ prometheus/prod.broker.yaml (no longer generated)" in orphaned.output
    assert content(site / "rules") == rules(policy(few()), SITE)


def test_one_changed_threshold_is_one_changed_line_in_each_place() -> None:
    before = rules(policy(few()), SITE)
    after = rules(policy(few(), alerts={"AirflowBrokerMemoryHigh": {"threshold": "70%"}}), SITE)
    path = "prometheus/prod.broker.yaml"
    old, new = before[path].splitlines(), after[path].splitlines()
    changed = [(was, now) for was, now in zip(old, new, strict=True) if was != now]
    assert len(changed) == 2, changed
    assert [now.split(":")[0].strip() for _, now in changed][1:] == ["summary"]


def test_what_is_no_longer_generated_goes_and_what_is_not_ours_stays(site: Path) -> None:
    gen_rules(site)
    own = site / "rules" / "prometheus" / "own.yaml"
    own.write_text("groups: []\n")
    copied = site / "rules" / "notes.md"
    copied.write_text(f"<!-- {MARKER} -->\n")
    (site / "site.yaml").write_text(as_text(few("new")))
    said = gen_rules(site).output.splitlines()
    assert "removed prometheus/prod.broker.yaml" in said
    assert "prometheus/new.broker.yaml" in said
    assert not any("own.yaml" in line for line in said)
    left = content(site / "rules")
    assert left == {
        **rules(policy(few("new")), SITE),
        "prometheus/own.yaml": "groups: []\n",
        "notes.md": copied.read_text(),
    }


def test_routes_that_are_no_longer_wanted_go(site: Path) -> None:
    webhook = {"name": "desk", "webhook": {"url": "http://desk.example.com/"}}
    (site / "site.yaml").write_text(as_text(few(), receivers=[webhook], alertmanager={"default": "desk"}))
    gen_rules(site)
    written = {
        "alertmanager/alertmanager.yml",
        "alertmanagerconfig/data.yaml",
        "alertmanager/README.md",
        "tests/routes.test.sh",
    }
    assert written <= content(site / "rules").keys()
    of_routes = {"| `alertmanager/` |", "| `alertmanagerconfig/` |", "sh tests/routes.test.sh"}
    assert all(words in content(site / "rules")["README.md"] for words in of_routes)
    (site / "site.yaml").write_text(as_text(few(), receivers=[webhook], output={"routes": []}))
    assert sorted(gen_rules(site).stdout.splitlines()) == [
        "README.md",
        *(f"removed {path}" for path in sorted(written)),
    ]
    assert not written & content(site / "rules").keys()
    assert not any(words in content(site / "rules")["README.md"] for words in of_routes)


def test_a_file_of_ones_own_is_never_overwritten(site: Path) -> None:
    readme = site / "rules" / "README.md"
    readme.parent.mkdir()
    readme.write_text("# Our rules\n")
    done = gen_rules(site)
    assert str(done.exception).endswith(
        "is not ours, as its first line does not say that it is generated: move it, or name another folder"
    )
    assert content(site / "rules") == {"README.md": "# Our rules\n"}


def test_a_format_leaves_the_others_alone(site: Path) -> None:
    gen_rules(site)
    (site / "site.yaml").write_text(as_text(few("new")))
    said = gen_rules(site, "--format", "mimir").output.splitlines()
    assert said == ["mimir/new.yaml", "removed mimir/prod.yaml"]
    assert (site / "rules" / "vmrule" / "prod.yaml").exists()
    wrong = gen_rules(site, "--format", "promethus")
    assert wrong.exit_code == 2
    assert "'promethus' is not one of 'prometheus'" in wrong.output


def test_a_format_is_current_by_itself_and_leaves_all_of_them_current(site: Path) -> None:
    gen_rules(site)
    for name in FORMATS:
        assert (gen_rules(site, "--check", "--format", name).exit_code, gen_rules(site, "--format", name).output) == (
            0,
            "",
        )
    assert gen_rules(site, "--check").exit_code == 0


def test_two_policies_in_one_folder_leave_each_other_be(site: Path) -> None:
    gen_rules(site)
    before = content(site / "rules")
    (site / "other.yaml").write_text(as_text(few("other")))
    where = ["--policy", str(site / "other.yaml"), "--out", str(site / "rules")]
    said = str(CliRunner().invoke(cli, ["gen-rules", *where]).exception)
    assert said == (
        f"--out: {site / 'rules' / 'README.md'} was made of another policy, site.yaml: "
        "name another folder, or remove what that one made"
    )
    assert content(site / "rules") == before
    done = CliRunner().invoke(cli, ["gen-rules", *where, "--format", "vmrule"])
    assert done.output == "vmrule/other.yaml\n"
    assert set(content(site / "rules")) == {*before, "vmrule/other.yaml"}
    assert gen_rules(site, "--check").exit_code == 0


def test_what_the_default_policy_wrote_gives_way_to_a_site(site: Path) -> None:
    without = ["gen-rules", "--out", str(site / "rules"), "--format", "vmrule"]
    assert CliRunner().invoke(cli, without).output == "vmrule/airflow.yaml\n"
    assert "removed vmrule/airflow.yaml" in gen_rules(site).output.splitlines()


def test_other_line_ends_are_no_longer_current(site: Path) -> None:
    gen_rules(site)
    file = site / "rules" / "vmrule" / "prod.yaml"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert gen_rules(site, "--check").exit_code == 1
    assert gen_rules(site).stdout == "vmrule/prod.yaml\n"


def test_no_alert_at_all_is_no_success(site: Path) -> None:
    off = {alert.name: {"enabled": False} for alert in ALL}
    (site / "site.yaml").write_text(as_text(few(), alerts=off))
    done = gen_rules(site)
    assert str(done.exception).endswith("no alert is left: switch some of them on")
    assert not (site / "rules").exists()


def test_gen_writes_rules_and_references(site: Path) -> None:
    arguments = ["gen", "--policy", str(site / "site.yaml"), "--out", str(site)]
    said = CliRunner().invoke(cli, arguments).output.splitlines()
    assert {"exporters/metrics.md", "rules/peers.md", "rules/README.md", "rules/prometheus/prod.broker.yaml"} <= set(
        said
    )
    assert CliRunner().invoke(cli, [*arguments, "--check"]).exit_code == 0


def test_the_bytes_are_the_same_whatever_the_locale_the_time_and_the_order_of_hashes(tmp_path: Path) -> None:
    told = {
        "name": "chat",
        "slack": {"channel": "#ä", "api_url_file": "/etc/chat", "api_url_secret": {"name": "a", "key": "b"}},
    }
    sections: dict[str, Any] = {
        "receivers": [told],
        "teams": [{"name": "t", "receiver": "chat"}, {"name": "u", "receivers": {"critical": "chat"}}],
        "silences": [{"name": "s", "weekdays": ["sunday"], "teams": ["u", "t"], "severities": ["info", "critical"]}],
        "alertmanager": {"default": "chat"},
    }
    (tmp_path / "site.yaml").write_text(as_text(one("Ä".encode().hex()), few("b"), **sections))
    surroundings: tuple[dict[str, Any], ...] = (
        {"PYTHONHASHSEED": "1", "LANG": "C", "TZ": "Pacific/Kiritimati"},
        {"PYTHONHASHSEED": "4294967295", "LC_ALL": "tr_TR.UTF-8", "PYTHONUTF8": "0", "TZ": "America/Adak"},
    )
    digests = []
    for number, variables in enumerate(surroundings):
        out = f"out{number}"
        done = airflow_obs(tmp_path, "gen-rules", "--policy", "site.yaml", "--out", out, **variables)
        assert (done.returncode, done.stderr) == (0, "")
        files = sorted((tmp_path / out).rglob("*.*"))
        digests.append(
            {file.relative_to(tmp_path / out): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
        )
    routes = ("alertmanager/alertmanager.yml", "alertmanagerconfig/data.yaml", "tests/routes.test.sh")
    assert set(map(Path, routes)) <= digests[0].keys()
    assert digests[0] == digests[1]


def test_two_policies_of_the_same_file_name_leave_each_other_be(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site)
    for team in ("a", "b"):
        (site / team).mkdir()
        (site / team / "site.yaml").write_text(as_text(few(team)))
    call = ["gen-rules", "--out", "rules", "--format", "vmrule", "--policy"]
    for team in ("a", "b"):
        assert CliRunner().invoke(cli, [*call, f"{team}/site.yaml"]).output == f"vmrule/{team}.yaml\n"
    assert set(content(site / "rules")) == {"vmrule/a.yaml", "vmrule/b.yaml"}


def test_lint_finds_nothing_wrong_with_the_rules() -> None:
    files = [str(path) for path in (ROOT / "rules").glob("*/*.yaml") if path.parent.name != "tests"]
    done = airflow_obs(ROOT, "lint", *files)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout
