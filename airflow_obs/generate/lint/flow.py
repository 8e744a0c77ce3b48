"""Follows labels through an expression: which its series have, which were aggregated away, which never were there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import promql_parser as ast

from airflow_obs.generate.lint.families import ADDED, Known, nearest
from airflow_obs.generate.lint.nodes import Aggregate, Binary, Call, Node, Subquery, Unary, text_in

Report = Callable[[str, str, str], None]
"""Takes a check's id, what is wrong and what to do."""

_KEEPING = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
_ADDING = frozenset({"sum", "count"})
_ANY: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Flow:
    """The labels that the series of an expression may have; `open`: any other as well.

    `once` and `once_open` are the same of the series that it began with. `per_exporter` are those labels by which two exporters of
    one Airflow still differ.
    """

    labels: frozenset[str]
    open: bool
    once: frozenset[str]
    once_open: bool
    per_exporter: frozenset[str] = _ANY

    def has(self, label: str) -> bool:
        """Whether a series may have it."""
        return self.open or label in self.labels

    def had(self, label: str) -> bool:
        """Whether a series had it before it was aggregated away."""
        return self.once_open or label in self.once

    def only(self, labels: Iterable[str]) -> Flow:
        """What `by` and `on` leave."""
        kept = frozenset(label for label in labels if self.has(label))
        return replace(self, labels=kept, open=False, per_exporter=self.per_exporter & kept)

    def less(self, labels: Iterable[str]) -> Flow:
        """What `without` and `ignoring` leave; of an open one only a name is lost that nobody knew."""
        gone = frozenset(labels)
        return replace(self, labels=self.labels - gone, per_exporter=self.per_exporter - gone)

    def more(self, labels: Iterable[str]) -> Flow:
        """With labels that are added."""
        added = frozenset(labels)
        return replace(self, labels=self.labels | added, once=self.once | added)

    def or_(self, other: Flow) -> Flow:
        """The series of both."""
        return Flow(
            self.labels | other.labels, self.open or other.open, self.once | other.once, self.once_open or other.once_open,
            self.per_exporter | other.per_exporter,
        )  # fmt: skip


class Labels:
    """Makes the flow of each part of an expression, and reports labels that cannot be there and sums that double."""

    def __init__(self, look_up: Callable[[ast.VectorSelector], Known], added: frozenset[str], report: Report) -> None:
        """`look_up` gives what is known of a selector; `added` are labels that the site's Prometheus adds to all series."""
        self._look_up = look_up
        self._added = added
        self._report = report

    def of(self, node: Node) -> Flow | None:
        """The flow of a part; None for a scalar or a text."""
        if isinstance(node, Unary | Subquery):
            return self.of(node.expr)
        if isinstance(node, ast.MatrixSelector):
            return self._selector(node.vector_selector)
        if isinstance(node, ast.VectorSelector):
            return self._selector(node)
        if isinstance(node, Aggregate):
            return self._aggregate(node)
        if isinstance(node, Binary):
            return self._binary(node)
        if isinstance(node, Call):
            return self._call(node)
        return None

    def need(self, flow: Flow | None, label: str, where: str) -> None:
        """Report a label that is used `where` but cannot be there."""
        if flow is None or flow.has(label):
            return
        if flow.had(label):
            remedy = "keep it in the aggregation, or do not use it"
            self._report("label-lost", f"{where} uses {label}, which was aggregated away", remedy)
        else:
            choices = flow.labels - ADDED or flow.once - ADDED
            self._report("label", f"{where} uses {label}, which no series has", nearest(label, choices))

    def _selector(self, node: ast.VectorSelector) -> Flow:
        known = self._look_up(node)
        asked = {one.name for one in node.matchers.matchers} - {"__name__"}
        if known.labels is None:
            return Flow(frozenset(asked), open=True, once=frozenset(asked), once_open=True)
        labels = known.labels | self._added
        flow = Flow(labels, open=False, once=labels, once_open=False, per_exporter=known.per_exporter)
        for label in sorted(asked):
            self.need(flow, label, f"a matcher of {known.name}")
        return flow

    def _aggregate(self, node: Aggregate) -> Flow | None:
        below = self.of(node.expr)
        op, modifier = node.op, node.modifier
        if below is None:
            return None
        named = tuple(modifier.labels) if modifier else ()
        words = "without" if modifier and modifier.type == ast.AggModifierType.Without else "by"
        for label in named:
            self.need(below, label, f"{op} {words} (…)")
        if op in _ADDING and below.per_exporter:
            what = f"{op} adds up what each exporter of one Airflow tells"
            self._report("double", what, "take max by (airflow, and its own labels) first")
        if op in _KEEPING:
            return below
        above = below.less(named) if words == "without" else below.only(named)
        return above.more([text_in(node.param)]) if op == "count_values" else above

    def _binary(self, node: Binary) -> Flow | None:
        left, right = self.of(node.lhs), self.of(node.rhs)
        if left is None or right is None:
            return left or right
        op, modifier = node.op, node.modifier
        matching = modifier.matching if modifier else None
        on = matching is not None and matching.type == ast.LabelModifierType.Include
        named = tuple(matching.labels) if matching else ()
        if on:
            for side in (left, right):
                for label in named:
                    self.need(side, label, f"{op} on (…)")
        if op == "or":
            return left.or_(right)
        if op in ("and", "unless"):
            return left
        if modifier and modifier.card in (ast.VectorMatchCardinality.ManyToOne, ast.VectorMatchCardinality.OneToMany):
            to_left = modifier.card == ast.VectorMatchCardinality.ManyToOne
            many, one = (left, right) if to_left else (right, left)
            taken = tuple(modifier.group_labels or ())
            for label in taken:
                self.need(one, label, f"group_{'left' if to_left else 'right'}")
            return many.more(taken)
        if on:
            return left.only(named)
        return left.less(named)

    def _call(self, node: Call) -> Flow | None:
        flows = [self.of(argument) for argument in node.args]
        below = next((flow for flow in flows if flow is not None), None)
        name, texts = node.name, [*map(text_in, node.args)]
        if name == "vector":
            return Flow(_ANY, open=False, once=_ANY, once_open=False)
        if below is None or name == "scalar":
            return None
        if name in ("absent", "absent_over_time"):
            return below.only(_demanded(node.args[0]))
        if name == "histogram_quantile":
            self.need(below, "le", name)
            return below.less(["le"])
        if name == "label_replace":
            _, to, _, label, _ = texts
            if label:
                self.need(below, label, name)
            return below.more([to])
        if name == "label_join":
            _, to, _, *others = texts
            for label in filter(None, others):
                self.need(below, label, name)
            return below.more([to])
        return below


def _demanded(node: Node) -> list[str]:
    """The labels that absent() takes from matchers which demand one value."""
    selector = node.vector_selector if isinstance(node, ast.MatrixSelector) else node
    if not isinstance(selector, ast.VectorSelector):
        return []
    return [one.name for one in selector.matchers.matchers if one.op == ast.MatchOp.Equal and one.name != "__name__"]
