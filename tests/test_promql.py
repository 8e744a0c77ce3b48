"""Expressions say what they were built to say, on lines that people can read, and refuse what cannot be meant."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import promql_parser as ast
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_obs import promql
from airflow_obs.catalog import metrics
from airflow_obs.catalog import recording as rec
from airflow_obs.model import External, Kind
from airflow_obs.promql import Expr, Match, max_by, min_by, select, sum_by

PODS = External("pods", Kind.GAUGE, "kube_state_metrics", ("namespace", "pod"), "https://example.org")
JOBS = select(metrics.JOBS_ALIVE, {"airflow": "a"})
FINISHED = select(metrics.TASKS_FINISHED, {"airflow": "a"})
LOOP = select(metrics.SCHEDULER_LOOP, {"airflow": "a"}, "_bucket")
ALIVE = max_by(JOBS, "airflow")
BY_TYPE = max_by(JOBS, "airflow", "job_type")
POD = max_by(select(PODS, {}), "pod")
BOTH = max_by(select(PODS, {}), "namespace", "pod")

REFUSED: tuple[tuple[Callable[[], object], str], ...] = (
    (lambda: select(metrics.JOBS_ALIVE, {"job": "a"}), "has no label job"),
    (lambda: select(metrics.JOBS_ALIVE, {}, "_count"), "has no parts"),
    (lambda: select(metrics.SCHEDULER_LOOP, {}), "say which part of the histogram"),
    (lambda: select(metrics.SCHEDULER_LOOP, {"le": "1"}, "_count"), "has no label le"),
    (lambda: select(PODS, {"airflow": "a"}), "has no label airflow"),
    (lambda: max_by(JOBS, "queue"), "max by: no label queue"),
    (lambda: sum_by(JOBS, "airflow"), "two exporters|take max by its own labels first"),
    (lambda: promql.count_by(JOBS, "airflow"), "take max by its own labels first"),
    (lambda: promql.aggregate("avg", ["airflow"], JOBS), "take max by its own labels first"),
    (lambda: promql.avg_by(JOBS, "airflow"), "take max by its own labels first"),
    (lambda: select(rec.ERRORS, {"queue": "a"}), "has no label queue"),
    (lambda: promql.risen(JOBS, 60, 3600, JOBS), "rise of what is no counter"),
    (lambda: promql.rate(JOBS, 60), "rate of what is no counter"),
    (lambda: promql.increase(JOBS, 60), "increase of what is no counter"),
    (lambda: promql.over_time("max", FINISHED, 60), "is a counter: take its rate or increase"),
    (lambda: promql.rate(select(metrics.TASK_QUEUE_WAIT, {}, "_count"), 60), "rate of what is no counter"),
    (lambda: ALIVE + BY_TYPE, "their labels differ"),
    (lambda: ALIVE > BY_TYPE, "their labels differ"),
    (lambda: BY_TYPE.on("queue").and_(BY_TYPE), "left: no label queue"),
    (lambda: BY_TYPE.on("job_type").and_(ALIVE), "right: no label job_type"),
    (lambda: BY_TYPE.on("airflow").group_left("queue").times(ALIVE), "group_left: no label queue"),
    (lambda: promql.now().on("airflow").and_(ALIVE), "a scalar on the left"),
    (lambda: ALIVE.on("airflow").and_(promql.now()), "a scalar on the right"),
    (lambda: promql.now() > 5, "compares two numbers"),
    (lambda: promql.histogram_quantile(Decimal("0.9"), ALIVE), "histogram_quantile: no label le"),
    (lambda: promql.labelled(ALIVE, "to", "$1", "queue", "(.*)"), "label_replace: no label queue"),
    (lambda: promql.span(0), "no duration"),
    (lambda: promql.span(Decimal("0.0009")), "no duration"),
    (lambda: promql.rate(FINISHED, -5), "no duration"),
)  # fmt: skip


@pytest.mark.parametrize(("build", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_what_cannot_be_meant_is_refused_where_it_is_written(build: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build()


WRITTEN: tuple[tuple[Expr, str, set[str] | None], ...] = (
    (JOBS, f'{metrics.JOBS_ALIVE.name}{{airflow="a"}}', {"airflow", "job_type", "instance", "job"}),
    (select(PODS, {}), "pods", {"namespace", "pod", "instance", "job"}),
    (select(PODS, {"pod": Match("=~", 'a"\\d\n')}), r'pods{pod=~"a\"\\d\n"}', {"namespace", "pod", "instance", "job"}),
    ((POD + 1) * 2, "(max by (pod) (pods) + 1) * 2", {"pod"}),
    (POD - (POD - 1), "max by (pod) (pods) - (max by (pod) (pods) - 1)", {"pod"}),
    (POD - 1 - 1, "max by (pod) (pods) - 1 - 1", {"pod"}),
    (BOTH.on("pod").and_(POD), "max by (namespace, pod) (pods) and on (pod) max by (pod) (pods)", {"namespace", "pod"}),
    (BOTH.on("pod").unless(POD), "max by (namespace, pod) (pods) unless on (pod) max by (pod) (pods)", {"namespace", "pod"}),
    (
        BOTH.on("pod").group_left().times(POD) > 1,
        "max by (namespace, pod) (pods) * on (pod) group_left () max by (pod) (pods) > 1",
        {"namespace", "pod"},
    ),
    (
        (POD > 1).or_(POD < 0).on("pod").and_(POD),
        "(max by (pod) (pods) > 1 or max by (pod) (pods) < 0) and on (pod) max by (pod) (pods)",
        {"pod"},
    ),
    (promql.absent(JOBS, "airflow"), f"absent({JOBS.text})", {"airflow"}),
    (promql.now(), "time()", None),
    (promql.now() - ALIVE, f"time() - {ALIVE.text}", {"airflow"}),
    (promql.rate(FINISHED, 90), f"rate({FINISHED.text}[1m30s])", {"airflow", "state", "queue", "instance", "job"}),
    (JOBS.offset(60), f"{JOBS.text} offset 1m", {"airflow", "job_type", "instance", "job"}),
    (
        promql.histogram_quantile(Decimal("0.90"), max_by(LOOP, "airflow", "le")),
        f"histogram_quantile(0.9,\n  max by (airflow, le) ({LOOP.text})\n)",
        {"airflow"},
    ),
    (promql.labelled(ALIVE, "to", "x"), f'label_replace({ALIVE.text}, "to", "x", "", "")', {"airflow", "to"}),
    (promql.vector(1), "vector(1)", set()),
    (6 / (ALIVE / 2), f"6 / ({ALIVE.text} / 2)", {"airflow"}),
    (promql.at_least(ALIVE, Decimal("0.10")), f"clamp_min({ALIVE.text}, 0.1)", {"airflow"}),
    (1 - (1 - ALIVE), f"1 - (1 - {ALIVE.text})", {"airflow"}),
    (promql.avg_by(JOBS, "airflow", "job_type"), f"avg by (airflow, job_type) ({JOBS.text})", {"airflow", "job_type"}),
    (select(rec.ERRORS, {"slo": "a"}), 'airflow_obs:slo_errors:ratio{slo="a"}', {"airflow", "slo", "team"}),
)  # fmt: skip


@pytest.mark.parametrize(("expr", "text", "labels"), WRITTEN, ids=[text for _, text, _ in WRITTEN])
def test_an_expression_has_this_text_and_these_labels(expr: Expr, text: str, labels: set[str] | None) -> None:
    assert expr.text == text
    assert expr.labels == labels
    ast.parse(expr.text)


@pytest.mark.parametrize("compare", ["above", "below", "times", "over", "minus"])
def test_of_series_matched_one_to_one_only_the_labels_that_matched_are_left(compare: str) -> None:
    """As Prometheus has it, of comparisons too: tests/catalog/test_alerts.py has it judge every alert's labels."""
    assert getattr(BY_TYPE.on("airflow"), compare)(ALIVE).labels == {"airflow"}
    assert getattr(BY_TYPE.on("airflow").group_left(), compare)(ALIVE).labels == {"airflow", "job_type"}


def test_families_are_those_of_every_part() -> None:
    expr = (
        ALIVE.on("airflow").unless(max_by(promql.happened(FINISHED, 60, JOBS), "airflow")).or_(max_by(LOOP, "airflow"))
    )
    assert expr.families == {metrics.JOBS_ALIVE, metrics.TASKS_FINISHED, metrics.SCHEDULER_LOOP}


def test_a_rise_is_from_what_was_last_seen_before_or_from_nothing() -> None:
    assert promql.risen(FINISHED, 60, 3600, JOBS).text == (
        f"{FINISHED.text}\n"
        f"- last_over_time({FINISHED.text}[1h] offset 1m) >= 0\n"
        f"or {FINISHED.text}\n"
        f"and on (airflow, instance, job) last_over_time({JOBS.text}[1h] offset 1m)"
    )  # fmt: skip


def test_the_first_event_counts_where_the_exporter_was_there_before() -> None:
    expr = promql.happened(FINISHED, 60, JOBS)
    assert expr.text == (
        f"{FINISHED.text}\n"
        f"unless {FINISHED.text} offset 1m\n"
        f"and on (airflow, instance, job) {JOBS.text} offset 1m\n"
        f"or increase({FINISHED.text}[1m])"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (100, "100"), (-5, "-5"), (Decimal("0.80"), "0.8"), (Decimal("1E+3"), "1000"), (Decimal("0.1") * 3, "0.3"),
        (Decimal("100.00"), "100"), (Decimal("1E-9"), "0.000000001"), (53687091200, "53687091200"),
    ],
)  # fmt: skip
def test_a_number_is_exact(value: int | Decimal, text: str) -> None:
    assert promql.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "1s"), (60, "1m"), (90, "1m30s"), (5400, "1h30m"), (86400, "1d"), (Decimal("0.5"), "500ms"),
        (Decimal("1.25"), "1s250ms"), (90061, "1d1h1m1s"), (Decimal("600.0"), "10m"),
    ],
)  # fmt: skip
def test_a_span_is_as_promql_writes_it(seconds: int | Decimal, text: str) -> None:
    assert promql.span(seconds) == text


@given(st.integers(1, 10**10))
def test_a_span_is_read_back_to_the_millisecond(milliseconds: int) -> None:
    text = promql.span(Decimal(milliseconds) / 1000)
    assert ast.parse_duration(text).total_seconds() * 1000 == pytest.approx(milliseconds)


@given(st.text())
def test_a_text_is_read_back_as_it_was(text: str) -> None:
    assert ast.parse(promql.quoted(text)).val == text  # type: ignore[attr-defined]  # a StringLiteral


Recipe = tuple[object, ...] | str
OPERATORS = (
    "__add__",
    "__sub__",
    "__mul__",
    "__truediv__",
    "__gt__",
    "__ge__",
    "__lt__",
    "__le__",
    "equals",
    "or_",
)
MATCHING = ("and_", "unless", "times", "over", "minus", "above", "below")
LEAVES = {
    "gauge": ALIVE,
    "rise": max_by(promql.rate(FINISHED, 300), "airflow"),
    "absence": promql.absent(JOBS, "airflow"),
    "age": max_by(promql.now() - select(metrics.NEXT_RUN_DUE, {"airflow": "a"}), "airflow"),
    "first": max_by(promql.happened(FINISHED, 300, JOBS), "airflow"),
    "ahead": min_by(
        promql.predict_linear(select(metrics.DB_CONNECTIONS_FREE, {"airflow": "a"}), 3600, 86400), "airflow"
    ),
}


def recipes(inner: st.SearchStrategy[Recipe]) -> st.SearchStrategy[Recipe]:
    """Each thing that one or two expressions can be made into, which again has the label airflow and no other."""
    numbers = st.decimals(-1000, 1000, places=2)
    return st.one_of(
        st.tuples(st.just("binary"), st.sampled_from(OPERATORS), inner, inner),
        st.tuples(st.just("number"), st.sampled_from(OPERATORS[:-1]), inner, numbers),
        st.tuples(st.just("matched"), st.sampled_from(MATCHING), inner, inner),
        st.tuples(st.just("grouped"), st.sampled_from(MATCHING), inner, inner),
        st.tuples(st.just("aggregated"), st.sampled_from(("max", "min", "sum", "count", "avg")), inner),
        st.tuples(st.just("labelled"), inner),
        st.tuples(st.just("from now"), inner),
    )


def built(recipe: Recipe, around: Callable[[Expr], Expr]) -> Expr:
    """The expression; `around` is applied to each operand."""
    if isinstance(recipe, str):
        return LEAVES[recipe]
    kind, *parts = recipe
    name = str(parts[0])
    one, *others = (around(built(part, around)) for part in parts if isinstance(part, tuple) or part in LEAVES)
    if kind == "aggregated":
        return promql.aggregate(name, ["airflow"], one)  # type: ignore[arg-type]  # one of the names
    if kind == "labelled":
        return max_by(promql.labelled(one, "to", "$1", "airflow", "(.*)"), "airflow")
    if kind == "from now":
        return promql.now() - one
    if kind == "number":
        made = getattr(one, name)(parts[2])
    elif kind == "binary":
        made = getattr(one, name)(others[0])
    elif kind == "grouped" and name not in ("and_", "unless"):
        made = getattr(one.on("airflow").group_left(), name)(others[0])
    else:
        made = getattr(one.on("airflow"), name)(others[0])
    assert isinstance(made, Expr)
    return made


def bracketed(expr: Expr) -> Expr:
    return Expr(f"({expr.text})", expr.labels, expr.families)


def shape(node: object) -> object:
    """What an expression means, without its brackets."""
    if isinstance(node, ast.ParenExpr):
        return shape(node.expr)
    if isinstance(node, ast.BinaryExpr):
        modifier = node.modifier
        matched = modifier and (str(modifier.card), modifier.matching and tuple(modifier.matching.labels))
        return str(node.op), matched, shape(node.lhs), shape(node.rhs)
    if isinstance(node, ast.AggregateExpr):
        return str(node.op), node.modifier and tuple(node.modifier.labels), shape(node.expr)
    if isinstance(node, ast.Call):
        return node.func.name, *map(shape, node.args)
    assert isinstance(node, ast.Expr)
    return node.prettify()


@given(st.recursive(st.sampled_from(sorted(LEAVES)), recipes, max_leaves=8))
def test_brackets_stand_where_they_are_needed_and_lines_stay_short(recipe: Recipe) -> None:
    expr = built(recipe, lambda operand: operand)
    assert shape(ast.parse(expr.text)) == shape(ast.parse(built(recipe, bracketed).text))
    assert expr.labels == frozenset({"airflow"})
    assert max(len(line.lstrip()) for line in expr.text.split("\n")) <= 120


def test_a_long_expression_takes_a_line_for_each_side_and_indents_what_is_inside() -> None:
    assert max_by((ALIVE > 1).or_(ALIVE > 2), "airflow").text == (
        "max by (airflow) (\n"
        f"  {ALIVE.text} > 1\n"
        f"  or {ALIVE.text} > 2\n"
        ")"
    )  # fmt: skip
