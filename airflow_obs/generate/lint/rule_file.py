"""Reads rule files as sites have them: Prometheus' own, Mimir's, the operator's PrometheusRule and VictoriaMetrics' VMRule."""

from __future__ import annotations

from collections.abc import Iterator

from ruamel.yaml import YAML
from ruamel.yaml.composer import MaxDepthExceededError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from airflow_obs.errors import PolicyError, Problem, meant
from airflow_obs.generate.lint.finding import Placed
from airflow_obs.policy.tree import shown

MAX_DEPTH = 40
"""A rule in a list of objects nests ten deep."""

_KINDS = ("PrometheusRule", "VMRule")
_KEYS = (
    "alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations",
    "debug", "update_entries_limit",
)  # fmt: skip
"""Of a rule; the last two are VictoriaMetrics'."""


def placed(text: str, file: str) -> list[Placed]:
    """The rules in `text`, in its order; `file` is how findings call it.

    Documents of other kinds of Kubernetes are passed over. Raises PolicyError, with all its problems, for what is no YAML, has no
    groups of rules at all, or rules without a name or an expression.
    """
    groups = [group for document in _documents(text, file) for group in _groups(document)]
    if not groups:
        raise PolicyError(
            [Problem(file, 1, 1, "no rules: a rule file has `groups:`, or is a PrometheusRule or VMRule")]
        )
    rules = [_rule(rule, file) for group in groups for rule in _items(_entry(group, "rules"))]
    if problems := [rule for rule in rules if isinstance(rule, Problem)]:
        raise PolicyError(problems)
    return [rule for rule in rules if isinstance(rule, Placed)]


def _documents(text: str, file: str) -> list[Node]:
    reader = YAML(typ="safe", pure=True)
    reader.max_depth = MAX_DEPTH
    try:
        return [node for node in reader.compose_all(text) if node is not None]
    except (MaxDepthExceededError, RecursionError):
        raise PolicyError([Problem(file, 1, 1, f"nested more than {MAX_DEPTH} deep, which no rule is")]) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise PolicyError([Problem(file, line, column, f"not valid YAML: {error.problem}: mend it")]) from None
    except (YAMLError, ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError):
        # ruamel.yaml trips over some texts without saying where
        raise PolicyError([Problem(file, 1, 1, "not valid YAML: it cannot be read")]) from None


def _groups(document: Node) -> list[Node]:
    kind = _text(_entry(document, "kind"))
    objects = _items(_entry(document, "items")) if kind == "List" else [document]
    return [group for one in objects for group in _own_groups(one, _text(_entry(one, "kind")))]


def _own_groups(document: Node, kind: str) -> Iterator[Node]:
    if not kind or kind in _KINDS:
        yield from _items(_entry(_entry(document, "spec") if kind else document, "groups"))


def _rule(node: Node, file: str) -> Placed | Problem:
    line, column = node.start_mark.line + 1, node.start_mark.column + 1
    alert, record, expr = (_text(_entry(node, key)) for key in ("alert", "record", "expr"))
    if bool(alert) == bool(record):
        return Problem(file, line, column, "a rule has either `alert` or `record`: give it its name")
    if not expr:
        return Problem(file, line, column, f"{alert or record}: no `expr`: write one")
    for name, _ in node.value:
        if (key := _text(name)) not in _KEYS:
            at = name.start_mark
            near = meant(key, _KEYS)
            remedy = f"did you mean `{near}`?" if near else f"a rule has {', '.join(_KEYS)}"
            return Problem(file, at.line + 1, at.column + 1, f"{alert or record}: unknown key {shown(key)}: {remedy}")
    return Placed(
        file, line, expr, alert, record, _text(_entry(node, "for")),
        _texts(_entry(node, "labels")), _texts(_entry(node, "annotations")),
    )  # fmt: skip


def _entry(node: Node | None, key: str) -> Node | None:
    pairs = node.value if isinstance(node, MappingNode) else ()
    return next((value for name, value in pairs if name.value == key), None)


def _items(node: Node | None) -> Iterator[Node]:
    yield from node.value if isinstance(node, SequenceNode) else ()


def _text(node: Node | None) -> str:
    return str(node.value) if isinstance(node, ScalarNode) else ""


def _texts(node: Node | None) -> dict[str, str]:
    pairs = node.value if isinstance(node, MappingNode) else ()
    return {str(name.value): _text(value) for name, value in pairs}
