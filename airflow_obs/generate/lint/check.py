"""Runs every check over rules."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import promql_parser as ast
import re2

from airflow_obs.generate.lint import families, nodes, values
from airflow_obs.generate.lint.families import Known, is_ours, nearest
from airflow_obs.generate.lint.finding import Finding, Placed
from airflow_obs.generate.lint.flow import Flow, Labels
from airflow_obs.generate.lint.nodes import Call, Node
from airflow_obs.policy import durations

_TEMPLATE_LABEL = re.compile(r"\$labels\.([A-Za-z_]\w*)|\.Labels\.([A-Za-z_]\w*)|\$labels +\"([^\"]+)\"")
_VALUE = re.compile(r'(?<!__name__)="(?:[^"\\]|\\.)*"')
_QUIET = re2.Options()
_QUIET.log_errors = False


@dataclass(frozen=True)
class Terms:
    """What rules are judged by: `interval` in seconds between two scrapes.

    `generated`: the rules are ours, so that a metric must be in the catalogue whoever exports it. `added` are labels that the
    site's Prometheus adds to every series.
    """

    interval: float = 30
    generated: bool = False
    added: frozenset[str] = frozenset()


def findings(rules: Iterable[Placed], terms: Terms) -> list[Finding]:
    """Everything that is wrong, in the order of files and lines."""
    rules = list(rules)
    recorded = frozenset(rule.record for rule in rules if rule.record)
    found: set[Finding] = set()
    clean: set[object] = set()
    for rule in rules:
        if (likeness := _likeness(rule)) in clean:
            continue
        if here := _Rule(rule, terms, recorded).findings():
            found.update(here)
        else:
            clean.add(likeness)
    return sorted(found)


def _likeness(rule: Placed) -> object:
    """What rules share that differ only in values of labels, as those of fifty deployments do: one is as good as the other."""
    texts = "".join((*rule.labels.values(), *rule.annotations.values()))
    return (
        _VALUE.sub("", rule.expr),
        rule.wait,
        bool(rule.alert),
        rule.labels.get("severity"),
        *_TEMPLATE_LABEL.findall(texts),
    )


class _Rule:
    """The checks of one rule."""

    def __init__(self, rule: Placed, terms: Terms, recorded: frozenset[str]) -> None:
        self._rule = rule
        self._terms = terms
        self._recorded = recorded
        self._found: list[Finding] = []

    def findings(self) -> list[Finding]:
        try:
            tree = nodes.parsed(self._rule.expr)
        except ValueError as error:
            self._unparsed(str(error))
            return self._found
        parts = [*nodes.parts(tree)]
        selectors = [part for part in parts if isinstance(part, ast.VectorSelector)]
        for selector in selectors:
            self._name(selector)
        self._patterns(parts)
        labels = Labels(self._known, self._terms.added, self._report)
        flow = labels.of(tree)
        values.counters(tree, self._known, self._report)
        self._ranges(parts)
        self._one_airflow(selectors, flow)
        if self._rule.alert:
            self._alert(tree, labels, flow)
        return self._found

    def _alert(self, tree: Node, labels: Labels, flow: Flow | None) -> None:
        if not self._watchdog() and values.always_fires(tree):
            self._report("always-fires", "nothing in it can be false", "compare it with a threshold")
        if not self._watchdog():
            self._wait(tree)
        values.blind(tree, self._known, self._report)
        values.bounded(tree, self._known, self._report)
        for kind, texts in (("label", self._rule.labels), ("annotation", self._rule.annotations)):
            for key, text in texts.items():
                for names in _TEMPLATE_LABEL.findall(text):
                    labels.need(flow, "".join(names), f"the {kind} {key}")

    def _report(self, check: str, what: str, remedy: str) -> None:
        rule = self._rule
        self._found.append(Finding(rule.file, rule.line, rule.name, check, what, remedy))

    def _unparsed(self, why: str) -> None:
        if why.startswith("illegal regex"):
            self._report("regex", why, "write it as RE2 takes it: without look-around and back-references")
        else:
            self._report("parse", why, "mend the expression")

    def _known(self, selector: ast.VectorSelector) -> Known:
        name = _name_of(selector)
        known = families.known(name) or families.guessed(name)
        # Of others' metrics the catalogue has only the labels that our alerts use.
        return known if known.ours or self._terms.generated else replace(known, labels=None)

    def _name(self, selector: ast.VectorSelector) -> None:
        name = _name_of(selector)
        if not name or name in self._recorded or families.known(name) or not (self._terms.generated or is_ours(name)):
            return
        self._report("metric", f"no metric is called {name}", nearest(name, families.names()))

    def _patterns(self, parts: list[Node]) -> None:
        patterns = [
            one.value
            for part in parts
            if isinstance(part, ast.VectorSelector)
            for one in part.matchers.matchers
            if one.op in (ast.MatchOp.Re, ast.MatchOp.NotRe)
        ]
        patterns += [
            nodes.text_in(part.args[4]) for part in parts if isinstance(part, Call) and part.name == "label_replace"
        ]
        for pattern in patterns:
            try:
                re2.compile(pattern, options=_QUIET)
            except re2.error:
                self._report(
                    "regex", f"RE2 does not take {pattern!r}", "write it without what only other dialects have"
                )

    def _ranges(self, parts: list[Node]) -> None:
        for part in parts:
            if (
                isinstance(part, ast.MatrixSelector)
                and (seconds := part.range.total_seconds()) < 2 * self._terms.interval
            ):
                what = f"a range of {durations.text_of(seconds)} may hold a single sample"
                self._report("range", what, f"make it {self._least()} or more")

    def _wait(self, tree: Node) -> None:
        wait = _seconds(self._rule.wait)
        if wait is None:
            self._report("for", f"{self._rule.wait} is no duration", "write a number and a unit, such as 5m")
            return
        if wait >= 2 * self._terms.interval or (not wait and values.windowed(tree)):
            return
        what = (
            f"`for` is {durations.text_of(wait)}, less than two scrapes"
            if wait
            else "without `for` one sample is enough"
        )
        self._report("for", what, f"make it {self._least()} or more")

    def _one_airflow(self, selectors: list[ast.VectorSelector], flow: Flow | None) -> None:
        ours = [one for one in selectors if is_ours(_name_of(one))]
        matched = all(any(matcher.name == "airflow" for matcher in one.matchers.matchers) for one in ours)
        if ours and not matched and not (flow and "airflow" in flow.labels):
            self._report("airflow", "does not say of which Airflow", "aggregate by airflow, or match on it")

    def _watchdog(self) -> bool:
        return (
            self._rule.labels.get("severity") == "none" and re.fullmatch(r"vector\(\d+\)", self._rule.expr) is not None
        )

    def _least(self) -> str:
        return durations.text_of(2 * self._terms.interval)


def _name_of(selector: ast.VectorSelector) -> str:
    """The metric's name; empty where a pattern stands for it."""
    named = (one.value for one in selector.matchers.matchers if one.name == "__name__" and one.op == ast.MatchOp.Equal)
    return selector.name or next(named, "")


def _seconds(wait: str) -> float | None:
    """A `for` in seconds, 0 for none; None for what is no duration."""
    if re.fullmatch("(?:0(?:ms|[smhdwy])?)*", wait):
        return 0
    try:
        return ast.parse_duration(wait).total_seconds()
    except ValueError:
        return None
