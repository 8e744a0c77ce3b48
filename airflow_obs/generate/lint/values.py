"""Follows values through an expression: counters without their rise, conditions that cannot be false or never become true."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import promql_parser as ast

from airflow_obs.generate.lint.families import Known
from airflow_obs.generate.lint.flow import Report
from airflow_obs.generate.lint.nodes import Aggregate, Binary, Call, Node, Subquery, Unary, parts
from airflow_obs.model import Kind

LookUp = Callable[[ast.VectorSelector], Known]

_RISES = frozenset({"rate", "irate", "increase"})
_OF_COUNTERS = _RISES | {"resets", "changes"}
_EXISTENCE = frozenset(
    {"absent", "absent_over_time", "present_over_time", "count_over_time", "timestamp", "ts_of_last_over_time"}
)
_COUNTING = frozenset({"count", "group"})
_KEEPING_SIGN = frozenset({"sum", "min", "max", "avg", "count", "group", "quantile", "topk", "bottomk"})
_TURNED = {">": "<", "<": ">", ">=": "<=", "<=": ">="}
_COMPARE = "compare it with a number that it may pass"
_COMPARING = frozenset({"==", "!=", ">", "<", ">=", "<="})


def counters(node: Node, look_up: LookUp, report: Report) -> None:
    """Report counters whose value matters, and rises of what is no counter."""
    if isinstance(node, ast.VectorSelector):
        known = look_up(node)
        if known.counts:
            report("counter", f"{known.name} only rises: its value says nothing", "take its rate() or increase()")
    elif isinstance(node, Aggregate):
        if node.op not in _COUNTING:
            counters(node.expr, look_up, report)
    elif isinstance(node, Unary | Subquery):
        counters(node.expr, look_up, report)
    elif isinstance(node, Binary) and not _risen(node):
        # Of the right side of `and` and `unless`, and of a series that was not there before, only that it exists matters.
        op = node.op
        if not (op == "unless" and _was_not_there(node)):
            counters(node.lhs, look_up, report)
        if op not in ("and", "unless") and not _began_anew(node):
            counters(node.rhs, look_up, report)
    elif isinstance(node, Call):
        _call(node, look_up, report)


def _call(node: Call, look_up: LookUp, report: Report) -> None:
    name = node.name
    for argument in node.args:
        if isinstance(argument, ast.MatrixSelector):
            known = look_up(argument.vector_selector)
            if name in _RISES and known.kind not in (None, Kind.COUNTER, Kind.HISTOGRAM, Kind.SUMMARY):
                report("rate", f"{name}() of {known.name}, which is no counter", "use its value, or delta() of a gauge")
            elif known.counts and name not in _OF_COUNTERS | _EXISTENCE:
                report("counter", f"{name}() of the counter {known.name}", "take its rate() or increase()")
        elif isinstance(argument, Subquery) and name in _OF_COUNTERS:
            inner = argument.expr
            if not isinstance(inner, ast.VectorSelector):
                counters(inner, look_up, report)
        elif name not in _EXISTENCE:
            counters(argument, look_up, report)


def _was_not_there(node: Binary) -> bool:
    return _of_before(node.lhs, node.rhs)


def _of_before(now: Node, before: Node) -> bool:
    """Whether the second is the same series as the first, some time ago."""
    return (
        isinstance(now, ast.VectorSelector)
        and isinstance(before, ast.VectorSelector)
        and before.offset is not None
        and before.prettify().rpartition(" offset ")[0] == now.prettify()
    )


def _risen(node: Binary) -> bool:
    """Whether it is a counter's value less the one that it had before."""
    before = node.rhs
    if node.op != "-" or not (isinstance(before, Call) and before.name == "last_over_time"):
        return False
    last = before.args[0]
    return isinstance(last, ast.MatrixSelector) and _of_before(node.lhs, last.vector_selector)


def _began_anew(node: Binary) -> bool:
    """Whether the right side of this `or` is what a counter has counted where it has not risen, as it began since then."""
    anew = node.rhs.lhs if node.op == "or" and isinstance(node.rhs, Binary) and node.rhs.op == "and" else None
    return isinstance(anew, ast.VectorSelector) and any(
        isinstance(part, Binary)
        and _risen(part)
        and isinstance(part.lhs, ast.VectorSelector)
        and part.lhs.prettify() == anew.prettify()
        for part in parts(node.lhs)
    )


def always_fires(node: Node) -> bool:
    """Whether nothing in the expression can be false: no comparison, no absence, or one of constants only."""
    if isinstance(node, Binary):
        op = node.op
        if op in _COMPARING and not (node.modifier and node.modifier.return_bool):
            return _constant(node.lhs) and _constant(node.rhs)
        if op == "unless":
            return False
        if op == "or":
            return always_fires(node.lhs) or always_fires(node.rhs)
        return always_fires(node.lhs) and always_fires(node.rhs)
    if isinstance(node, Aggregate | Unary | Subquery):
        return always_fires(node.expr)
    if isinstance(node, Call):
        if node.name in ("absent", "absent_over_time"):
            return False
        return all(always_fires(argument) for argument in node.args)
    return True


def bounded(node: Node, look_up: LookUp, report: Report) -> None:
    """Report comparisons that are decided beforehand, since counts, seconds and bytes are never negative."""
    for part in parts(node):
        if not isinstance(part, Binary) or (part.modifier and part.modifier.return_bool):
            continue
        for side, other, op in ((part.lhs, part.rhs, part.op), (part.rhs, part.lhs, _TURNED.get(part.op, part.op))):
            limit = _number(other)
            if limit is None or limit > 0 or not _never_negative(side, look_up):
                continue
            if op == ">=" or (op in (">", "!=") and limit < 0):
                report("always-fires", f"what is compared is never negative: {op} {limit:g} is always true", _COMPARE)
            if op == "<" or (op in ("<=", "==") and limit < 0):
                report("never-fires", f"what is compared is never negative: {op} {limit:g} is never true", _COMPARE)


def _number(node: Node) -> float | None:
    if isinstance(node, Unary):
        number = _number(node.expr)
        return None if number is None else -number
    return node.val if isinstance(node, ast.NumberLiteral) else None


def _never_negative(node: Node, look_up: LookUp) -> bool:
    """Whether the values of an expression are known not to be negative: of our own metrics only those of differences may be."""
    if isinstance(node, ast.VectorSelector | ast.MatrixSelector):
        known = look_up(node if isinstance(node, ast.VectorSelector) else node.vector_selector)
        return known.ours and not known.signed
    if isinstance(node, Aggregate):
        return node.op in _KEEPING_SIGN and _never_negative(node.expr, look_up)
    if isinstance(node, Call):
        return (node.name in _RISES or node.name.endswith("_over_time")) and all(
            _never_negative(one, look_up) for one in node.args if not isinstance(one, ast.NumberLiteral)
        )
    return False


def _constant(node: Node) -> bool:
    return not any(isinstance(part, ast.VectorSelector) for part in parts(node))


def windowed(node: Node) -> bool:
    """Whether the expression looks over a time, back, or for an absence, so that it holds by itself."""
    return any(
        isinstance(part, ast.MatrixSelector | Subquery)
        or (isinstance(part, ast.VectorSelector) and part.offset is not None)
        or (isinstance(part, Call) and part.name.startswith("absent"))
        for part in parts(node)
    )


def blind(node: Node, look_up: LookUp, report: Report) -> None:
    """Report comparisons that no failure can make true: a first event without a rise, or series that are gone.

    An expression that says `or`, or looks for an absence, has thought of it.
    """
    all_parts = [*parts(node)]
    if any(isinstance(part, Binary) and part.op in ("or", "unless") for part in all_parts):
        return
    if any(isinstance(part, Call) and part.name.startswith("absent") for part in all_parts):
        return
    for part in all_parts:
        if isinstance(part, Binary) and isinstance(limit := part.rhs, ast.NumberLiteral):
            op, value = part.op, limit.val
            if (op, value) in ((">", 0), ("!=", 0)) or (op == ">=" and 0 < value <= 1):
                _first_event(part.lhs, look_up, report)
            if op in ("<", "<=") or (op, value) == ("==", 0):
                _silence(part.lhs, look_up, report)


def _first_event(node: Node, look_up: LookUp, report: Report) -> None:
    for selector in _rising(node):
        known = look_up(selector)
        if known.begins_late:
            what = f"the first event makes the series {known.name}, which then has not risen"
            report("first-event", what, "add those that were not there before: `or (x unless x offset 5m)`")


def _silence(node: Node, look_up: LookUp, report: Report) -> None:
    for selector in _rising(node):
        known = look_up(selector)
        if not known.ours:
            report(
                "silence",
                f"without {known.name or 'its series'} nothing is compared, and all is silent",
                "add `or absent(…)`",
            )
    if isinstance(node, Aggregate) and isinstance(counted := node.expr, ast.VectorSelector):
        known = look_up(counted)
        of_ones = known.kind is Kind.INFO and node.op == "sum"
        if (node.op in _COUNTING or of_ones) and not known.ours:
            what = f"{node.op} is never 0: where no series is left, there is none to compare"
            report("silence", what, "add `or absent(…)`")


def _rising(node: Node) -> Iterator[ast.VectorSelector]:
    """What rises, where an expression is nothing but a rise and aggregations of it, or quotients of such."""
    if isinstance(node, Aggregate):
        yield from _rising(node.expr)
    elif isinstance(node, Call) and node.name in _RISES and isinstance(node.args[0], ast.MatrixSelector):
        yield node.args[0].vector_selector
