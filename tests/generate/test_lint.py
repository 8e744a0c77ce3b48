"""Lint finds each mistake once, at its line, and nothing where there is none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings

from airflow_obs.catalog import metrics
from airflow_obs.cli import cli
from airflow_obs.errors import PolicyError
from airflow_obs.generate.lint import CHECKS, Placed, Terms, findings, placed
from airflow_obs.promql import max_by, select

JOBS = f'{metrics.JOBS_ALIVE.name}{{airflow="a"}}'
FAILED = f'{metrics.TASKS_FINISHED.name}{{airflow="a",state="failed"}}'
RISEN = f"{FAILED} - last_over_time({FAILED}[1h] offset 1m) >= 0"
OLDEST = metrics.TASK_INSTANCES_OLDEST.name
LOOP = metrics.SCHEDULER_LOOP.name


def found(expr: str, terms: Terms | None = None, *, wait: str = "5m", summary: str = "") -> list[str]:
    """What is found in an alert of this expression: "check: what: remedy", for each."""
    rule = Placed("f.yaml", 1, expr, alert="A", wait=wait, annotations={"summary": summary})
    return [f"{one.check}: {one.what}: {one.remedy}" for one in findings([rule], terms or Terms())]


WRONG = (
    ("up >", "parse: invalid promql query: mend the expression"),
    (
        'max by (airflow) (airflow_obs_job_alive{airflow="a"}) == 0',
        f"metric: no metric is called airflow_obs_job_alive: did you mean {metrics.JOBS_ALIVE.name}?",
    ),
    (
        f'max by (airflow) ({metrics.JOBS_ALIVE.name}{{airflow="a",jobtype="x"}}) == 0',
        f"label: a matcher of {metrics.JOBS_ALIVE.name} uses jobtype, which no series has: did you mean job_type?",
    ),
    (
        f"max by (airflow, qeue) ({JOBS}) == 0",
        "label: max by (…) uses qeue, which no series has: it is one of airflow, job_type",
    ),
    (
        f"max by (airflow) ({JOBS}) == on (airflow, job_type) max by (airflow, job_type) ({JOBS})",
        "label-lost: == on (…) uses job_type, which was aggregated away: keep it in the aggregation, or do not use it",
    ),
    (
        f"max by (airflow) ({JOBS}) * on (airflow) group_left (owner) max by (airflow) ({JOBS}) > 1",
        "label: group_left uses owner, which no series has: it is one of airflow",
    ),
    (
        f"max by (airflow) ({FAILED}) > 3",
        f"counter: {metrics.TASKS_FINISHED.name} only rises: its value says nothing: take its rate() or increase()",
    ),
    (
        f"max by (airflow) (max_over_time({FAILED}[5m])) > 3",
        f"counter: max_over_time() of the counter {metrics.TASKS_FINISHED.name}: take its rate() or increase()",
    ),
    (
        f'max by (airflow) ({RISEN} or {metrics.TASKS_FINISHED.name}{{airflow="a"}} and on (instance) up) > 3',
        f"counter: {metrics.TASKS_FINISHED.name} only rises: ",
    ),
    (
        "max by (airflow) (airflow_obs:slo_error:ratio) > 3",
        "metric: no metric is called airflow_obs:slo_error:ratio: did you mean airflow_obs:slo_errors:ratio?",
    ),
    ("sum by (x) (some_requests_total) > 3", "counter: some_requests_total only rises: its value says nothing: "),
    (f"max by (airflow) (rate({JOBS}[5m])) > 3", f"rate: rate() of {metrics.JOBS_ALIVE.name}, which is no counter: "),
    (
        f'max by (airflow) (increase({metrics.TASK_QUEUE_WAIT.name}_count{{airflow="a"}}[5m])) > 3',
        f"rate: increase() of {metrics.TASK_QUEUE_WAIT.name}_count, which is no counter: ",
    ),
    (
        f"max by (airflow) (rate({FAILED}[30s])) > 3",
        "range: a range of 30s may hold a single sample: make it 1m or more",
    ),
    (f"max by (airflow) ({JOBS})", "always-fires: nothing in it can be false: compare it with a threshold"),
    (f"max by (airflow) ({JOBS}) > bool 3", "always-fires: "),
    ("vector(2) > 1", "always-fires: "),
    ("up == 0 or vector(1)", "always-fires: "),
    (f"max by (airflow) ({JOBS}) >= 0", "always-fires: what is compared is never negative: >= 0 is always true: "),
    (f"-1 != sum by (airflow) (max by (airflow, job_type) ({JOBS}))", "always-fires: what is compared is never negative: != -1 "),
    (f"max by (airflow) (increase({FAILED}[5m])) < (0)", "never-fires: what is compared is never negative: < 0 is never true: "),
    (f"max by (airflow) ({JOBS}) == -1", "never-fires: "),
    ('label_replace(up == 0, "a", "$1", ("job"), ("(a)\\\\1"))', "regex: RE2 does not take "),
    (f"(({JOBS})) == 0 or count_values((\"job_type\"), {FAILED}) > 3", "counter: "),
    (f"time() - max by (state) ({OLDEST}) > 3", "airflow: does not say of which Airflow: "),
    (f"sum by (airflow) ({JOBS}) > 3", "double: sum adds up what each exporter of one Airflow tells: "),
    (f"count by (airflow) (max without (instance) ({JOBS})) > 3", "double: count adds up "),
    (f'max by (airflow) ({metrics.JOBS_ALIVE.name}{{airflow=~"a{{1001}}"}}) == 0', "regex: RE2 does not take 'a{1001}': "),
    ('up{job=~"(?!a)b"} == 0', "regex: illegal regex for (?!a)b: "),
    ('label_replace(up == 0, "a", "$1", "job", "(a)\\\\1")', "regex: RE2 does not take "),
)  # fmt: skip


@pytest.mark.parametrize(
    ("expr", "expected"), WRONG, ids=[text.split(":")[0] + f"-{index}" for index, (_, text) in enumerate(WRONG)]
)
def test_a_mistake_is_found_once(expr: str, expected: str) -> None:
    [finding] = [one for one in found(expr) if one.startswith(expected.split(":")[0] + ":")]
    assert finding.startswith(expected)
    assert {one.split(":")[0] for one in found(expr)} <= {expected.split(":")[0], "airflow"}


RIGHT = (
    f"max by (airflow) ({RISEN} or {FAILED} and on (instance) up) > 3",
    "max by (airflow, slo, team) (airflow_obs:slo_error_budget_remaining:ratio) < 0",
    max_by(select(metrics.JOBS_ALIVE, {"airflow": "a"}), "airflow").equals(0).text,
    f"max by (airflow, queue) (increase({FAILED}[5m])) > 3",
    f"max by (airflow) (histogram_quantile(0.9, rate({LOOP}_bucket[5m]))) > 3",
    f"absent({metrics.BUILD_INFO.name}{{airflow=\"a\"}})",
    f"max by (airflow) ({JOBS}) == 0 unless on (airflow) max by (airflow) ({FAILED})",
    f"count by (airflow) (max by (airflow, job_type) ({JOBS})) > 2",
    f"max by (airflow) ({FAILED} unless {FAILED} offset 5m or increase({FAILED}[5m])) > 0",
    f"max by (airflow) (time() - timestamp({FAILED})) > 300",
    f"max by (airflow) (resets({FAILED}[1h])) > 3",
    "sum(rate(http_requests_total[5m])) by (code) > 3",
    'label_replace(some_gauge > 3, "to", "$1", "from", "(.*)")',
    f'label_replace(max by (airflow) ({JOBS}) == 0, "to", "$1", ("airflow"), ("(.*)"))',
    f'label_join(max by (airflow) ({JOBS}) == 0, ("to"), "-", ("airflow"), "airflow")',
    "max by (airflow) (airflow_obs_build_info) <= 0",
    "some_gauge < 0",
    "some_gauge > on (a) group_left (c) other_gauge",
    "rate(airflow_ti_failures[5m]) > 0.5",
    'max by (uid) (kube_pod_info{host_ip!=""}) > 0',
)  # fmt: skip


@pytest.mark.parametrize("expr", RIGHT)
def test_what_is_right_is_left_alone(expr: str) -> None:
    assert found(expr) == []


@pytest.mark.parametrize(
    ("expr", "wait", "expected"),
    [
        (f"max by (airflow) ({JOBS}) == 0", "", "for: without `for` one sample is enough: make it 1m or more"),
        (f"max by (airflow) ({JOBS}) == 0", "30s", "for: `for` is 30s, less than two scrapes: make it 1m or more"),
        (f"max by (airflow) (increase({FAILED}[5m])) > 3", "30s", "for: `for` is 30s, less than two scrapes: "),
        (f"max by (airflow) (increase({FAILED}[5m])) > 3", "0s", ""),
        ('absent(up{job="a"})', "", ""),
        (f"max by (airflow) ({JOBS}) == 0", "5x", "for: 5x is no duration: write a number and a unit, such as 5m"),
        (f"max by (airflow) ({JOBS}) == 0", "1m", ""),
    ],
)
def test_a_wait_spans_two_scrapes_unless_the_expression_looks_back(expr: str, wait: str, expected: str) -> None:
    text = "".join(found(expr, wait=wait))
    assert text.startswith(expected)
    assert bool(text) == bool(expected)
    assert wait == "5x" or found(expr, Terms(interval=0.5), wait=wait or "1s") == []


def test_a_template_uses_only_labels_that_are_left() -> None:
    expr = f"max by (airflow) ({JOBS}) == 0"
    lost = found(expr, summary="{{ $labels.airflow }} {{ $labels.job_type }}")
    assert [one.split(":")[0] for one in lost] == ["label-lost"]
    assert "the annotation summary uses job_type" in lost[0]
    [unknown] = found(expr, summary='{{ index $labels "airfow" }}')
    assert unknown == "label: the annotation summary uses airfow, which no series has: did you mean airflow?"
    # Prometheus gives templates the labels of the series, not those that the rule adds.
    rule = Placed(
        "f", 1, expr, alert="A", wait="5m", labels={"severity": "x"}, annotations={"s": "{{ $labels.severity }}"}
    )
    assert [one.check for one in findings([rule], Terms())] == ["label"]


def test_a_label_that_the_site_adds_is_known() -> None:
    expr = f'max by (airflow) ({metrics.JOBS_ALIVE.name}{{airflow="a",stage="prod"}}) == 0'
    assert [one.split(":")[0] for one in found(expr)] == ["label"]
    assert found(expr, Terms(added=frozenset({"stage"}))) == []


def test_of_our_own_rules_every_metric_must_be_in_the_catalogue() -> None:
    [unknown] = found("kube_pod_status_fase > 3", Terms(generated=True))
    assert unknown.startswith("metric: no metric is called kube_pod_status_fase")
    assert found("kube_pod_status_fase > 3") == []


def test_what_another_rule_records_is_a_metric() -> None:
    rules = [
        Placed("f", 1, f"max by (airflow) ({JOBS})", record="airflow:jobs:max"),
        Placed("f", 5, "airflow:jobs:max == 0", alert="A", wait="5m"),
    ]
    assert findings(rules, Terms(generated=True)) == []
    assert [one.check for one in findings([replace(rules[1])], Terms(generated=True))] == ["metric"]


def test_a_watchdog_may_always_fire() -> None:
    rule = Placed("f", 1, "vector(1)", alert="Watchdog", labels={"severity": "none"})
    assert findings([rule], Terms()) == []
    assert {one.check for one in findings([replace(rule, labels={})], Terms())} == {"always-fires", "for"}


PEERS = (
    # The first failed run of a DAG makes the series.
    ('increase(airflow_dagrun_duration_failed_count{job="statsd"}[5m]) > 0', "first-event"),
    # Of no master there is nothing to add up.
    ('sum by (namespace) (redis_instance_info{role="master"}) < 1', "silence"),
    # The heartbeats' series goes with what sends it.
    ("rate(airflow_scheduler_heartbeat[1m]) == 0", "silence"),
)
"""Conditions of published rules that cannot become true in the failure they are named after."""


@pytest.mark.parametrize(("expr", "check"), PEERS)
def test_published_rules_that_never_fire_are_found(expr: str, check: str) -> None:
    assert [one.split(":")[0] for one in found(expr)] == [check]
    assert found(f"{expr} or absent(up)") == []


def test_every_check_is_shown() -> None:
    shown = {text.split(":")[0] for _, text in WRONG} | {check for _, check in PEERS} | {"for"}
    assert shown == set(CHECKS)


RULES = """\
groups:
  - name: g
    rules:
      - alert: First
        expr: up == 0
        for: 5m
      # the next is wrong
      - alert: Second
        expr: |
          up ==
            1 1
        for: 5m
"""


def indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.splitlines())


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (RULES, 8),
        ("namespace: mimir\n" + RULES, 9),
        ("apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nspec:\n" + indented(RULES), 11),
        ("apiVersion: v1\nkind: Service\n---\nkind: VMRule\nspec:\n" + indented(RULES), 13),
    ],
    ids=["prometheus", "mimir", "PrometheusRule", "VMRule"],
)
def test_findings_stand_at_the_line_of_their_rule(text: str, line: int) -> None:
    [finding] = findings(placed(text, "f.yaml"), Terms())
    assert str(finding).startswith(f"f.yaml:{line}: Second: ")
    assert str(finding).endswith(" [parse]")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "f.yaml:1:1: no rules: "),
        ("kind: Service\n", "f.yaml:1:1: no rules: "),
        ("groups: [", "f.yaml:1:10: not valid YAML: "),
        ("groups: [{rules: [{expr: up}]}]", "f.yaml:1:19: a rule has either `alert` or `record`"),
        ("groups: [{rules: [{alert: A}, {record: b}]}]", "f.yaml:1:19: A: no `expr`: write one\nf.yaml:1:31: b: no `expr`"),
        ('a: "\\UFFFFFFFF"', "f.yaml:1:1: not valid YAML"),
        ("groups: " + "[" * 5000 + "]" * 5000, "f.yaml:1:1: nested more than 40 deep, which no rule is"),
        ("&a {kind: List, items: [*a]}", "f.yaml:1:1: no rules: "),
        ("groups: [{rules: [{alert: A, expr: up, lables: {}}]}]", "f.yaml:1:40: A: unknown key `lables`: did you mean `labels`?"),
    ],
)  # fmt: skip
def test_what_is_no_rule_file_is_said(text: str, said: str) -> None:
    with pytest.raises(PolicyError) as raised:
        placed(text, "f.yaml")
    assert str(raised.value).startswith(said)


def lint(*arguments: str) -> Result:
    """Run `airflow-obs lint`."""
    return CliRunner().invoke(cli, ["lint", *arguments])


def test_the_command_prints_what_is_wrong_at_its_place(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(RULES.replace("1 1", "1"))
    bad.write_text(RULES)
    assert (lint(str(good)).exit_code, lint(str(good)).output) == (0, "")
    done = lint(str(good), str(bad))
    assert done.exit_code == 1
    assert done.output.startswith(f"{bad}:8: Second: ")
    assert len(done.output.splitlines()) == 1


def test_the_command_knows_the_policy_and_the_labels_of_the_site(tmp_path: Path) -> None:
    rules, policy = tmp_path / "rules.yaml", tmp_path / "policy.yaml"
    expr = f'max by (airflow) ({metrics.JOBS_ALIVE.name}{{airflow="a",stage="x"}}) == 0'
    rules.write_text(f"groups: [{{rules: [{{alert: A, for: 1m, expr: {json.dumps(expr)}}}]}}]\n")
    policy.write_text("output: {scrape_interval: 45s}\n")
    done = lint(str(rules), "--policy", str(policy))
    assert [line.rsplit("[")[-1] for line in done.output.splitlines()] == ["for]", "label]"]
    assert "make it 1m30s or more" in done.output
    assert lint(str(rules), "--label", "stage").exit_code == 0


def test_files_that_cannot_be_read_are_all_said(tmp_path: Path) -> None:
    missing, empty = tmp_path / "missing.yaml", tmp_path / "empty.yaml"
    empty.write_text("")
    done = lint(str(missing), str(empty))
    assert isinstance(done.exception, PolicyError)  # main() makes 2 of it, with the text
    assert [line.split(":")[0] for line in str(done.exception).splitlines()] == sorted(map(str, (empty, missing)))


def test_gen_rules_refuses_numbers_with_which_an_alert_could_not_work(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("alerts: {AirflowSchedulerDown: {for: 45s}}\noutput: {scrape_interval: 30s}\n")
    done = CliRunner().invoke(cli, ["gen-rules", "--policy", str(policy), "--out", str(tmp_path / "rules")])
    assert isinstance(done.exception, PolicyError)  # main() makes 2 of it, with the text
    assert str(done.exception) == (
        f"{policy}:1:38: alerts.AirflowSchedulerDown.for: `for` is 45s, less than two scrapes: make it 1m or more"
    )
    assert not (tmp_path / "rules").exists()
    policy.write_text("alerts: {AirflowSchedulerDown: {for: 45s}}\noutput: {scrape_interval: 15s}\n")
    assert (
        CliRunner().invoke(cli, ["gen-rules", "--policy", str(policy), "--out", str(tmp_path / "rules")]).exit_code == 0
    )


def test_gen_rules_refuses_a_label_that_alerts_take_from_their_series(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("output:\n  labels: {cluster: blue, pool: a}\n")
    done = CliRunner().invoke(cli, ["gen-rules", "--policy", str(policy), "--out", str(tmp_path / "rules")])
    assert isinstance(done.exception, PolicyError)
    assert str(done.exception) == (
        f"{policy}:2:33: output.labels.pool: AirflowPoolExhausted takes a label pool from its series: choose another name"
    )
    assert not (tmp_path / "rules").exists()


def test_rules_alike_but_for_the_deployment_are_judged_once_yet_each_mistake_is_told() -> None:
    good = [Placed("f", at, f'absent({metrics.BUILD_INFO.name}{{airflow="{at}"}})', alert="A") for at in (1, 2)]
    bad = [Placed("f", at, f'absent(airflow_obs_nothing{{airflow="{at}"}})', alert="B") for at in (3, 4)]
    assert [one.line for one in findings([*good, *bad], Terms())] == [3, 4]
    named = [
        Placed("f", at, f'absent({{__name__="{name}"}})', alert="C") for at, name in ((5, "up"), (6, "airflow_obs_x"))
    ]
    assert {one.line for one in findings(named, Terms())} == {6}


TEXTS = st.sampled_from(['"a"', '("job")', '"(.*)"', '("($")', "''", '"$1"'])
NUMBERS = st.sampled_from(["0", "-1", "(3)", "1e9", "-(2)", "Inf"])
LEAVES = st.sampled_from(
    [JOBS, FAILED, f"{LOOP}_bucket", "up", '{__name__=~"a.*"}', "up offset 5m", "vector(1)", "time()"]
)
RANGES = st.sampled_from([f"{FAILED}[5m]", f"({JOBS})[1h:1m]", "up[30s]", f"(rate({FAILED}[5m]))[1h:]"])


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Expressions around others, sound or not."""
    return st.one_of(
        st.builds("({})".format, inner),
        st.builds("-{}".format, inner),
        st.builds("{}({})".format, st.sampled_from(["rate", "increase", "max_over_time", "resets"]), RANGES),
        st.builds("{}({})".format, st.sampled_from(["absent", "scalar", "abs", "timestamp", "vector"]), inner),
        st.builds("{} by ({}) ({})".format, st.sampled_from(["max", "sum", "count"]), st.sampled_from(["", "airflow", "x"]), inner),
        st.builds("count_values({}, {})".format, TEXTS, inner),
        st.builds("topk({}, {})".format, NUMBERS, inner),
        st.builds("histogram_quantile({}, {})".format, NUMBERS, inner),
        st.builds("label_replace({}, {}, {}, {}, {})".format, inner, TEXTS, TEXTS, TEXTS, TEXTS),
        st.builds("label_join({}, {}, {}, {})".format, inner, TEXTS, TEXTS, TEXTS),
        st.builds("{} {} {}".format, inner, st.sampled_from([">", "== bool", "and", "or", "unless", "+", "< on (x)"]), inner),
        st.builds("{} >= {}".format, inner, NUMBERS),
        st.builds("{} * on (airflow) group_left (x) {}".format, inner, inner),
    )  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(expr=st.recursive(LEAVES, grown, max_leaves=12))
def test_no_expression_trips_it(expr: str) -> None:
    """And what brackets are around is as it was without them."""
    once, twice = found(expr), found(f"(({expr}))")
    assert [one.split(":")[0] for one in once] == [one.split(":")[0] for one in twice]


@pytest.mark.parametrize(
    ("expr", "said"),
    [
        ("(" * 5000 + "up" + ")" * 5000, "nests more than 100 deep is not judged"),
        (" or ".join(["up"] * 2000), "nests more than 100 deep is not judged"),
        ("-" * 5000 + "up", "nests more than 100 deep is not judged"),
        ('up{a="' + "x" * 20_000 + '"}', "more than 16384 characters is not judged"),
    ],
    ids=["brackets", "operators", "signs", "length"],
)
def test_an_expression_that_was_made_to_hurt_is_refused_before_it_does(expr: str, said: str) -> None:
    [finding] = found(expr)
    assert finding.startswith("parse: ")
    assert said in finding


def test_brackets_and_operators_in_texts_are_none() -> None:
    assert found('up{job=~"' + "(a|b-c)" * 60 + '"} == 0') == []
