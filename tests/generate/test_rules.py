"""Rule files hold the same rules in every format, and each program that takes them would take them."""

from __future__ import annotations

import io
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
from ruamel.yaml import YAML

from airflow_obs.generate.formats import object_name
from airflow_obs.generate.rules import MOST_RULES, rules
from airflow_obs.generate.tree import MARKER
from airflow_obs.policy import load
from tests.e2e.processes import answers, free_port
from tests.eventually import eventually
from tests.generate.fleet import ODD_NAMES, odd_fleet, one, policy
from tests.tools import tool

Schema = Mapping[str, Any] | type | tuple[Any, ...] | list[Any] | re.Pattern[str]

LABEL = re.compile(r"(?:[a-z0-9][-.a-z0-9]{0,252}/)?[A-Za-z0-9](?:[-._A-Za-z0-9]{0,61}[A-Za-z0-9])?")
LABEL_VALUE = re.compile("(?:[A-Za-z0-9](?:[-._A-Za-z0-9]{0,61}[A-Za-z0-9])?)?")
OBJECT_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,251}[a-z0-9])?")
DURATION = re.compile(r"(?:\d+(?:ms|[smhdwy]))+")
RULE: Schema = {
    "alert": re.compile("Airflow[A-Za-z0-9]+"),
    "expr": str,
    "for?": DURATION,
    "labels": {re.compile("[a-zA-Z_][a-zA-Z0-9_]*"): str},
    "annotations": {re.compile("[a-z_]+"): str},
}
GROUPS: Schema = [{"name": str, "interval?": DURATION, "rules": [RULE]}]


def an_object(version: str, kind: str) -> Schema:
    """A Kubernetes object of rules, closed: a field that is not here is one that an API server would drop without a word."""
    return {
        "apiVersion": re.compile(re.escape(version)),
        "kind": re.compile(kind),
        "metadata": {"name": OBJECT_NAME, "namespace?": OBJECT_NAME, "labels": {LABEL: LABEL_VALUE}},
        "spec": {"groups": GROUPS},
    }


SCHEMAS: Mapping[str, Schema] = {
    "prometheus": {"groups": GROUPS},
    "mimir": {"namespace": str, "groups": GROUPS},
    "prometheusrule": an_object("monitoring.coreos.com/v1", "PrometheusRule"),
    "vmrule": an_object("operator.victoriametrics.com/v1beta1", "VMRule"),
}


def wrong(value: Any, schema: Any, at: str = "") -> Iterator[str]:
    """Where a value is not as the schema has it: keys that end in ? may lack, patterns match keys and texts as a whole."""
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            yield f"{at}: no mapping"
            return
        keys = {str(key).rstrip("?"): inner for key, inner in schema.items() if isinstance(key, str)}
        patterns = [(key, inner) for key, inner in schema.items() if isinstance(key, re.Pattern)]
        yield from (
            f"{at}: {key} is missing" for key in schema if isinstance(key, str) and key[-1] != "?" and key not in value
        )
        for key, inner in value.items():
            fitting = [keys[key]] if key in keys else [one for pattern, one in patterns if pattern.fullmatch(str(key))]
            yield from wrong(inner, fitting[0], f"{at}.{key}") if fitting else [f"{at}: {key} is unknown"]
    elif isinstance(schema, list):
        if not isinstance(value, list) or not value:
            yield f"{at}: no list with anything in it"
            return
        for index, item in enumerate(value):
            yield from wrong(item, schema[0], f"{at}[{index}]")
    elif isinstance(schema, re.Pattern):
        if not isinstance(value, str) or not schema.fullmatch(value):
            yield f"{at}: {value!r}"
    elif not isinstance(value, schema):
        yield f"{at}: {value!r}"


def parsed(text: str) -> Any:
    """As a reader of YAML 1.1 has it: the Go programs read much as that does."""
    reader = YAML(typ="safe", pure=True)
    reader.version = (1, 1)
    return reader.load(io.BytesIO(text.encode()))


@pytest.fixture(scope="module")
def tree() -> Mapping[str, str]:
    return rules(odd_fleet())


@pytest.fixture(scope="module")
def written(tree: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rules")
    for path, text in tree.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


@pytest.fixture(scope="module")
def files() -> Mapping[str, Any]:
    """Of few alerts: a reader in Python takes seconds for all."""
    tree = rules(
        odd_fleet(
            ("1.5", "true"), sources={"health": {}, "kubernetes": {"cadvisor": False, "kube_state_metrics": False}}
        )
    )
    return {path: parsed(text) for path, text in tree.items() if path.split("/")[0] in SCHEMAS}


def test_every_file_is_marked(tree: Mapping[str, str]) -> None:
    assert [path for path, text in tree.items() if MARKER not in text.splitlines()[0]] == []


def test_every_file_has_the_fields_of_its_kind_and_no_others(files: Mapping[str, Any]) -> None:
    assert [found for path, value in files.items() for found in wrong(value, SCHEMAS[path.split("/")[0]], path)] == []


def test_a_field_of_another_kind_would_be_found() -> None:
    groups = [{"name": "a", "rules": [{"alert": "AirflowA", "expr": 1, "labels": {}, "annotation": {}, "for": "soon"}]}]
    assert list(wrong({"groups": groups}, SCHEMAS["prometheus"])) == [
        ".groups[0].rules[0]: annotations is missing",
        ".groups[0].rules[0].expr: 1",
        ".groups[0].rules[0]: annotation is unknown",
        ".groups[0].rules[0].for: 'soon'",
    ]


@pytest.mark.parametrize("name", ["1.5", "true"])
def test_every_format_holds_the_same_groups(files: Mapping[str, Any], name: str) -> None:
    raw = [
        group
        for path, file in files.items()
        if path.startswith(f"prometheus/{name}.")
        for group in file["groups"]
    ]  # fmt: skip
    assert raw
    assert {group["name"].split("/")[1] for group in raw} == {name}
    assert files[f"mimir/{name}.yaml"] == {"namespace": f"airflow-obs-{name}", "groups": raw}
    for kind in ("prometheusrule", "vmrule"):
        of_kind = files[f"{kind}/{name}.yaml"]
        assert of_kind["spec"] == {"groups": raw}
        assert of_kind["metadata"]["namespace"] == "monitoring"
        assert of_kind["metadata"]["labels"] == {
            "release": "1.5", "example.org/part": "", "app.kubernetes.io/managed-by": "airflow-obs",
        }  # fmt: skip


def test_labels_are_those_of_the_policy(files: Mapping[str, Any]) -> None:
    for file in files.values():
        for group in file.get("groups", []):
            for rule in group["rules"]:
                labels = rule["labels"]
                assert (labels["stage"], labels["cost_center"]) == ("yes", "007")
                assert labels["note"] == 'it\'s "quoted": # all\\ of it'
                assert labels["namespace"] == "data"


def test_no_two_objects_have_one_name_and_each_is_one_for_kubernetes() -> None:
    names = [object_name(name) for name in (*ODD_NAMES, "prod.a", "prod_a", "PROD-A", "__", "prod-a-")]
    assert len(set(names)) == len(names)
    assert all(OBJECT_NAME.fullmatch(name) for name in names)
    assert object_name("prod-a") == "airflow-obs-prod-a"


def test_groups_are_named_after_deployment_and_subject_and_stay_small() -> None:
    tree = rules(policy(one()))
    for path, text in tree.items():
        if path.startswith("prometheus/"):
            subject = Path(path).stem.removeprefix("prod.")
            names = re.findall(r"^  - name: (.*)$", text, re.MULTILINE)
            assert names[0] == f"airflow-obs/prod/{subject}"
            assert len(set(names)) == len(names)
            assert max(text.split("- name: ")[1:], key=len).count("- alert: ") <= MOST_RULES


def test_only_the_formats_that_are_wanted_are_written() -> None:
    folders = {path.split("/")[0] for path in rules(load(), formats=["vmrule"])}
    assert folders == {"vmrule"}
    without = policy(one(), output={"formats": ["mimir", "prometheus"], "tests": False})
    assert {path.split("/")[0] for path in rules(without)} == {"prometheus", "mimir", "alertmanager", "README.md"}


def test_there_are_tests_whatever_the_format(tmp_path: Path) -> None:
    """promtool takes raw files only: they lie below the tests where the site wants none."""
    chosen = policy(one(sources={"health": {}}), output={"formats": ["prometheusrule"]})
    made = rules(chosen)
    assert {path.split("/")[0] for path in made} == {"prometheusrule", "tests", "alertmanager", "README.md"}
    for path, text in made.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    tests = sorted(map(str, tmp_path.glob("tests/*.test.yaml")))
    done = subprocess.run([tool("promtool"), "test", "rules", *tests], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "promtool check rules tests/rules/*.yaml" in made["README.md"]
    tested = [made[path] for path in made if path.startswith("tests/rules/")]
    raw = rules(chosen, formats=["prometheus"])
    assert sorted(tested) == sorted(raw.values())


def test_promtool_takes_every_raw_file(written: Path) -> None:
    files = sorted(map(str, (written / "prometheus").rglob("*.yaml")))
    done = subprocess.run([tool("promtool"), "check", "rules", *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("SUCCESS") == len(files)


def test_a_real_prometheus_loads_every_raw_file_and_judges_each_rule(written: Path, tmp_path: Path) -> None:
    configuration = tmp_path / "prometheus.yml"
    configuration.write_text(json.dumps({"rule_files": [str(written / "prometheus" / "*.yaml")]}))
    url = f"http://127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [
            tool("prometheus"), f"--config.file={configuration}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address={url.removeprefix('http://')}", "--log.level=error",
        ],
        cwd=tmp_path,
    )  # fmt: skip
    try:
        eventually(lambda: answers(f"{url}/-/ready"), "Prometheus is ready")

        def health() -> set[str]:
            groups = requests.get(f"{url}/api/v1/rules", timeout=30).json()["data"]["groups"]
            loaded = {group["name"] for group in groups}
            assert loaded == {
                name
                for file in (written / "prometheus").rglob("*.yaml")
                for name in re.findall(r"- name: \"?([^\"\n]*)", file.read_text())
            }
            return {rule["health"] + rule.get("lastError", "") for group in groups for rule in group["rules"]}

        eventually(lambda: health() == {"ok"}, "every rule has been judged without an error")
    finally:
        process.terminate()
        process.wait()
