"""The likeliest mistakes in a policy, each with the words and the place that its author reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_obs.errors import PolicyError, Problem
from airflow_obs.policy import load, loads

Complaints = Callable[[str], list[str]]

DURATION = "not a duration: write a number and a unit (ms, s, m, h, d), such as 30s, 5m or 1h30m"

MISTAKES = {
    "names that differ only in case": (
        "deployments:\n- name: Prod\n- name: prod",
        (
            "3:9: deployments[1].name: an earlier deployment is called Prod as well, but for the case of letters, "
            "by which not all tell files apart: give each its own name"
        ),
    ),
    "no format": (
        "output: {formats: []}",
        "1:19: output.formats: nothing would be written: name at least one, or remove the key",
    ),
    "window in which a page is due while the budget is kept": (
        "slos: [{name: a, kind: dag_success, objective: 99%, window: 49h}]",
        "1:61: slos[0].window: out of bounds: must be from 7d to 90d",
    ),
    "range of days that are no days": (
        "silences: [{name: a, weekdays: [monday:fridy]}]",
        (
            "1:33: silences[0].weekdays[0]: must be a day such as saturday, or a range such as monday:friday; "
            "the week begins on sunday; did you mean monday:friday?"
        ),
    ),
    "alert that is like the others in nothing but how all begin": (
        "silences: [{name: a, weekdays: [monday], alerts: [AirflowDeadMansSwitch]}]",
        "1:51: silences[0].alerts[0]: there is no alert of that name: `airflow-obs policy explain alerts` lists them",
    ),
    "receiver that is called what tells nobody": (
        "receivers: [{name: nobody, webhook: {url: http://h:1/x}}]",
        "1:20: receivers[0].name: so is called what tells nobody: choose another name",
    ),
    "silence for what shows that alerts arrive": (
        "silences: [{name: a, weekdays: [monday], alerts: [AirflowWatchdog]}]",
        "1:51: silences[0].alerts[0]: it always fires, to show that alerts arrive, and no silence is for it: remove it",
    ),
    "repeated before anybody looks": (
        "alertmanager: {group_interval: 2h, repeat_interval: 1h}",
        (
            "1:15: alertmanager: nothing is repeated before group_interval, and repeat_interval is less: "
            "raise the one or lower the other"
        ),
    ),
    "looked at so seldom that nothing is repeated in time": (
        "alertmanager: {group_interval: 6h}",
        (
            "1:15: alertmanager: nothing is repeated before group_interval, and repeat_interval is less: "
            "raise the one or lower the other"
        ),
    ),
    "repeated when nobody knows any more": (
        "alertmanager: {repeat_interval_others: 7d}",
        "1:40: alertmanager.repeat_interval_others: out of bounds: must be from 1m to 5d",
    ),
    "kind of routes that there is not": (
        "output: {routes: [alertmanagerconfigs]}",
        (
            "1:19: output.routes[0]: must be alertmanager or alertmanagerconfig; did you mean alertmanagerconfig?"
        ),
    ),
    "misspelt section": (
        "colectors: {}",
        "1:1: unknown key `colectors`: did you mean `collectors`?",
    ),
    "misspelt knob": (
        "collectors:\n  jobs:\n    intervall: 30s",
        "3:5: collectors.jobs: unknown key `intervall`: did you mean `interval`?",
    ),
    "key that is nowhere near": (
        "deployments:\n- colour: red",
        "2:3: deployments[0]: unknown key `colour`: known here are airflow, alerts, name, replicas, sources, team",
    ),
    "number without a unit": (
        "collectors:\n  tables: {interval: 30}",
        "2:22: collectors.tables.interval: a number without a unit: write a duration, such as 30s, 5m or 1h30m",
    ),
    "unit of another tool": ("collectors: {jobs: {forget: 1 hour}}", f"1:29: collectors.jobs.forget: {DURATION}"),
    "out of bounds": (
        "collectors: {pools: {interval: 2h}}",
        "1:32: collectors.pools.interval: out of bounds: must be from 1s to 1h",
    ),
    "too many": (
        "deployments: [{replicas: {triggerer: 101}}]",
        "1:38: deployments[0].replicas.triggerer: out of bounds: must be from 0 to 100",
    ),
    "number in quotes": (
        "collectors: {pools: {max_series: '10'}}",
        "1:34: collectors.pools.max_series: write a whole number from 1 to 1000000",
    ),
    "yes is a text in YAML 1.2": (
        "%YAML 1.1\n---\ncollectors: {health: {enabled: no}}",
        "3:32: collectors.health.enabled: write true or false",
    ),
    "version that YAML takes for a number": (
        "deployments:\n- airflow: {version: 2.10}",
        (
            "2:22: deployments[0].airflow.version: YAML reads this as a number: put it in quotes; "
            'must be auto or like "2.10.5"'
        ),
    ),
    "unknown chart": (
        "deployments: [{airflow: {chart: oficial}}]",
        "1:33: deployments[0].airflow.chart: must be official, community or none; did you mean official?",
    ),
    "name unfit for a label": (
        "deployments: [{name: prod airflow}]",
        (
            "1:22: deployments[0].name: must be 1 to 63 letters, digits, `_`, `.` or `-`: "
            "it becomes a label of every series"
        ),
    ),
    "two of a name": (
        "deployments:\n- name: a\n- name: b\n- name: a",
        "4:9: deployments[2].name: an earlier deployment is called a as well: give each its own name",
    ),
    "two without a name": (
        "deployments:\n- replicas: {}\n- replicas: {}",
        "3:3: deployments[1].name: an earlier deployment is called airflow as well: give each its own name",
    ),
    "one instead of a list": ("deployments:\n  name: a", "2:3: deployments: write a list: each item begins with `- `"),
    "empty list": (
        "deployments: []",
        "1:14: deployments: the list is empty: write at least one item, or remove the key",
    ),
    "list left out": ("deployments:\n# - name: a", "1:1: deployments: write a list: each item begins with `- `"),
    "timeout above the default interval": (
        "collectors: {pools: {timeout: 20s}}",
        (
            "1:31: collectors.pools.timeout: the timeout (20s) is longer than the interval (15s): "
            "lower the timeout or raise the interval"
        ),
    ),
    "interval below the default timeout": (
        "collectors: {pools: {interval: 2s}}",
        (
            "1:32: collectors.pools.interval: the timeout (5s) is longer than the interval (2s): "
            "lower the timeout or raise the interval"
        ),
    ),
    "more DAGs than the default max_series": (
        "dags: {top: 5001}",
        (
            "1:13: dags.top: 5001 DAGs (dags.top) have up to 10002 series of one metric, and "
            "collectors.dags.max_series is 10000: lower the one or raise the other"
        ),
    ),
    "max_series below the default number of DAGs": (
        "collectors: {dags: {max_series: 999}}",
        (
            "1:33: collectors.dags.max_series: 500 DAGs (dags.top) have up to 1000 series of one metric, and "
            "collectors.dags.max_series is 999: lower the one or raise the other"
        ),
    ),
    "value left out": (
        "collectors:\n  jobs:\n    timeout:\n    interval: 15s",
        "3:5: collectors.jobs.timeout: write a duration from 100ms to 5m, such as 30s",
    ),
    "key given twice": (
        "collectors:\n  jobs: {}\n  pools: {}\n  jobs: {}",
        "4:3: `jobs` is given twice, first on line 2: remove one",
    ),
    "tab": ("collectors:\n\tjobs: {}", "2:1: not valid YAML: a tab stands where only spaces may: indent with spaces"),
    "wrong indentation": (
        "collectors:\n  jobs: {}\n   pools: {}",
        "3:4: not valid YAML: expected <block end>, but found '<block mapping start>'",
    ),
    "colon in a text": (
        "deployments: a: b",
        "1:15: not valid YAML: no `:` may stand here: check the indentation, and quote a text that contains `: `",
    ),
    "several documents": (
        "collectors: {}\n---\ncollectors: {}",
        "2:1: a second YAML document begins: a policy is one document, remove this `---`",
    ),
    "not a mapping": ("- deployments", "1:1: a policy is a mapping: write keys, such as `deployments:`"),
    "alias": ("collectors: *x", "1:13: aliases (`*`) are not supported in a policy: write the value out"),
    "tag": ("collectors: !!python/name:os.system {}", "1:13: tags (`!`) are not supported in a policy: remove it"),
    "control character": ("collectors: {}\n# \x07", "2:3: character U+0007 cannot stand in YAML: remove it"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), MISTAKES.values(), ids=MISTAKES)
def test_words(complaints: Complaints, text: str, words: str) -> None:
    assert complaints(text) == [f"site.yaml:{words}"]


def test_all_at_once_in_the_order_of_the_file(complaints: Complaints) -> None:
    text = """\
    deployments:
    - name: a b
      airflow: {exectuor: LocalExecutor, executor: LocalExecuter}
    - name: c
    - name: c
    collectors:
      jobs: {interval: 5, interval: 6s}
      dag_runs: &x {overdue_after: 2d}
      pools: *x
    """
    assert [line.split(": ")[0] for line in complaints(text)] == [
        "site.yaml:2:9", "site.yaml:3:13", "site.yaml:3:48", "site.yaml:5:9", "site.yaml:7:20", "site.yaml:7:23",
        "site.yaml:8:13", "site.yaml:8:32", "site.yaml:9:10",
    ]  # fmt: skip


def test_a_bomb_of_aliases_is_refused_at_once(complaints: Complaints) -> None:
    rows = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40))]
    assert "anchors (`&`) are not supported" in complaints("\n".join(rows))[1]


@pytest.mark.parametrize("text", ["[" * 5000, "a: " * 1 + "{a: " * 5000, "- " * 5000, "? " * 5000])
def test_depth_is_bounded(complaints: Complaints, text: str) -> None:
    assert complaints(text)[-1].endswith("nested more than 40 deep: no policy needs that")


@pytest.mark.parametrize(("content", "words"), [
    (b"collectors:\n  \xc3\xa4 \xff: {}", "2:5: not UTF-8 text: save the file as UTF-8"),
    ("collectors: {}".encode("utf-16"), "1:1: not UTF-8 text: save the file as UTF-8"),
    (b"#" * (1 << 20) + b"\n", "1:1: larger than 1048576 bytes: no policy is, give the path of a policy"),
])  # fmt: skip
def test_files_that_are_no_text(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes(content)
    with pytest.raises(PolicyError) as caught:
        load(path)
    assert str(caught.value) == f"{path}:{words}"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    paths = {tmp_path / "none.yaml": "no such file or directory", tmp_path: "is a directory", Path("\0"): "not a path"}
    for path, why in paths.items():
        with pytest.raises(PolicyError) as caught:
            load(path)
        text = f"cannot be read ({why}): give the path of a policy, or none to use the default"
        assert caught.value.problems == (Problem(str(path), 1, 1, text),)


def test_escapes_beyond_unicode(complaints: Complaints) -> None:
    assert complaints('deployments: "\\UFFFFFFFF"') == [
        "site.yaml:1:1: not valid YAML: what follows here cannot be read"
    ]
    with pytest.raises(
        PolicyError, match=r"1:1: unknown key: known here are alertmanager, .*, retention, silences, slos, teams$"
    ):
        loads('"\\ud800": 1', "site.yaml")
