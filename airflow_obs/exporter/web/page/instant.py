"""Asks an expression of ours of one moment's series, as Prometheus would; what looks back in time cannot be asked so."""

from __future__ import annotations

import math
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import promql_parser as ast
import re2

from airflow_obs.model import Metric
from airflow_obs.promql import Expr

Labels = Mapping[str, str]
"""A label that is not there is as good as an empty one. That of the deployment is on no series: all are of one."""
Vector = Sequence[tuple[Labels, float]]


@dataclass(frozen=True)
class Moment:
    """What there is at one moment: the series of a family by its name, and the time in Unix seconds."""

    series: Callable[[str], Iterable[tuple[Labels, float]]]
    now: float


class NotAtOnce(Exception):
    """The expression needs more than the series of one moment that are the exporter's own."""


class Ambiguous(Exception):
    """At this moment several series match where one may: Prometheus refuses to answer."""


Query = Callable[[Moment], Vector]
_Ask = Callable[[Moment], "float | Vector"]

_OURS = "airflow"
_GROUP = re.compile(r"\$(\d)(?!\w)", re.ASCII)
"""A group as label_replace takes it, of the ways that there are to write one."""
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": lambda one, other: _quotient(one, other),
}  # fmt: skip
_AGGREGATE: Mapping[str, Callable[[list[float]], float]] = {
    "max": max, "min": min, "sum": math.fsum,
    "count": lambda values: float(len(values)), "avg": lambda values: math.fsum(values) / len(values),
}  # fmt: skip


def at_once(expr: Expr) -> Query:
    """The question that an expression is. Raises NotAtOnce for one that a single moment of the exporter does not answer."""
    if not all(isinstance(family, Metric) for family in expr.families):
        raise NotAtOnce(f"it reads what others measure or record: {expr.text}")
    ask = _question(ast.parse(expr.text), frozenset(family.name for family in expr.families))
    return lambda moment: _vector(ask(moment))


def _question(node: ast.Expr, families: frozenset[str]) -> _Ask:
    match node:
        case ast.ParenExpr():
            return _question(node.expr, families)
        case ast.NumberLiteral():
            value = node.val
            return lambda _: value
        case ast.VectorSelector() if node.offset is None and node.at is None and node.name in families:
            return _selected(node.name, node.matchers.matchers)
        case ast.AggregateExpr(modifier=ast.AggModifier() as modifier) if (
            str(node.op) in _AGGREGATE and modifier.type == ast.AggModifierType.By
        ):
            return _aggregated(str(node.op), tuple(modifier.labels), _question(node.expr, families))
        case ast.BinaryExpr():
            return _joined(node, _question(node.lhs, families), _question(node.rhs, families))
        case ast.Call():
            return _called(node.func.name, node.args, families)
    raise NotAtOnce(node.prettify())


def _selected(name: str, matchers: Iterable[ast.Matcher]) -> _Ask:
    wanted = [(one.name, _match(one)) for one in matchers if one.name != _OURS]
    return lambda moment: [
        (labels, value) for labels, value in moment.series(name) if all(fits(labels.get(of, "")) for of, fits in wanted)
    ]


def _match(matcher: ast.Matcher) -> Callable[[str], bool]:
    value, how = matcher.value, matcher.op
    if how in (ast.MatchOp.Equal, ast.MatchOp.NotEqual):
        return lambda text: (text == value) is (how == ast.MatchOp.Equal)
    pattern = re2.compile(value)
    return lambda text: (pattern.fullmatch(text) is not None) is (how == ast.MatchOp.Re)


def _aggregated(how: str, by: tuple[str, ...], of: _Ask) -> _Ask:
    function = _AGGREGATE[how]

    def ask(moment: Moment) -> Vector:
        groups: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
        for labels, value in _vector(of(moment)):
            groups[_key(labels, by)].append(value)
        return [(dict(zip(by, key, strict=True)), function(values)) for key, values in groups.items()]

    return ask


def _joined(node: ast.BinaryExpr, left: _Ask, right: _Ask) -> _Ask:
    how, modifier = str(node.op), node.modifier
    by = None
    if modifier is not None:
        one_by_one = modifier.card in (ast.VectorMatchCardinality.OneToOne, ast.VectorMatchCardinality.ManyToMany)
        if not one_by_one or modifier.return_bool:
            raise NotAtOnce(node.prettify())
        if modifier.matching is not None:
            if modifier.matching.type != ast.LabelModifierType.Include:
                raise NotAtOnce(node.prettify())
            by = tuple(modifier.matching.labels)
    if how in ("and", "or", "unless"):
        return lambda moment: _of_sets(how, _vector(left(moment)), _vector(right(moment)), by)
    if how not in _COMPARE and how not in _ARITHMETIC:
        raise NotAtOnce(node.prettify())
    return lambda moment: _matched(how, left(moment), right(moment), by)


def _of_sets(how: str, left: Vector, right: Vector, by: tuple[str, ...] | None) -> Vector:
    if how == "or":
        there = {_key(labels, by) for labels, _ in left}
        return [*left, *(one for one in right if _key(one[0], by) not in there)]
    there = {_key(labels, by) for labels, _ in right}
    return [one for one in left if (_key(one[0], by) in there) is (how == "and")]


def _matched(how: str, left: float | Vector, right: float | Vector, by: tuple[str, ...] | None) -> float | Vector:
    if isinstance(left, float) and isinstance(right, float):
        return _ARITHMETIC[how](left, right)
    if isinstance(right, float):
        pairs = [(labels, value, right, value) for labels, value in _vector(left)]
    elif isinstance(left, float):
        pairs = [(labels, left, value, value) for labels, value in right]
    else:
        others = {_key(labels, by): value for labels, value in right}
        if left and len(others) < len(right):
            raise Ambiguous
        pairs = [
            (labels if by is None else dict(zip(by, key, strict=True)), value, others[key], value)
            for labels, value in left
            if (key := _key(labels, by)) in others
        ]
    if how in _COMPARE:
        found = [(labels, kept) for labels, one, other, kept in pairs if _COMPARE[how](one, other)]
    else:
        found = [(labels, _ARITHMETIC[how](one, other)) for labels, one, other, _ in pairs]
    if by is not None and len({_key(labels, by) for labels, _ in found}) < len(found):
        raise Ambiguous
    return found


def _called(name: str, arguments: Sequence[ast.Expr], families: frozenset[str]) -> _Ask:
    if name == "time":
        return lambda moment: float(moment.now)
    if name not in ("vector", "clamp_min", "label_replace"):
        raise NotAtOnce(name)
    of = _question(arguments[0], families)
    match name, arguments[1:]:
        case "vector", []:
            return of
        case "clamp_min", [ast.NumberLiteral() as least]:
            lowest = least.val
            return lambda moment: [(labels, max(value, lowest)) for labels, value in _vector(of(moment))]
        case "label_replace", [*texts] if all(isinstance(one, ast.StringLiteral) for one in texts):
            label, value, source, pattern = (one.val for one in texts if isinstance(one, ast.StringLiteral))
            if "$" in _GROUP.sub("", value):
                raise NotAtOnce(f"label_replace with {value}")
            return lambda moment: [
                (_replaced(labels, label, value, source, pattern), number) for labels, number in _vector(of(moment))
            ]
    raise NotAtOnce(name)


def _replaced(labels: Labels, label: str, value: str, source: str, pattern: str) -> Labels:
    found = re2.fullmatch(pattern, labels.get(source, ""))
    if found is None:
        return labels
    return {**labels, label: _GROUP.sub(lambda group: found.group(int(group[1])) or "", value)}


def _key(labels: Labels, by: tuple[str, ...] | None) -> tuple[str, ...]:
    """By what two series match; by all that they have, without labels that say nothing, where `by` is None."""
    if by is not None:
        return tuple(labels.get(label, "") for label in by)
    return tuple(f"{label}={value}" for label, value in sorted(labels.items()) if value)


def _vector(value: float | Vector) -> Vector:
    return [({}, value)] if isinstance(value, float) else value


def _quotient(one: float, other: float) -> float:
    """As floating point has it, which Python refuses for 0."""
    if other:
        return one / other
    return math.nan if not one or math.isnan(one) else math.copysign(math.inf, one)
