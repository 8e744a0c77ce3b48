"""Expressions as lint looks at them: the parser's tree without its brackets, taken apart once, for each look at it is a copy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import promql_parser as ast

MAX_LENGTH = 16 << 10
"""Characters of an expression; the longest of ours has a quarter of this."""
MAX_DEPTH = 100
"""Operators and brackets within each other. What the parser does with more takes minutes, and memory without end."""

_STEP = re.compile(
    r"(?P<skipped>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`|#[^\n]*)"
    r"|(?P<opened>[(\[{])|(?P<closed>[)\]}])"
    r"|(?P<operator>[-+*/%^]|==|!=|>=|<=|>|<|\b(?:and|or|unless|atan2)\b)",
    re.IGNORECASE | re.DOTALL,
)

Leaf = ast.VectorSelector | ast.MatrixSelector | ast.NumberLiteral | ast.StringLiteral


@dataclass(frozen=True)
class Unary:
    """A sign before an expression."""

    expr: Node


@dataclass(frozen=True)
class Subquery:
    """An expression over a time."""

    expr: Node


@dataclass(frozen=True)
class Aggregate:
    """`op` over an expression; `modifier` says by or without which labels."""

    op: str
    expr: Node
    param: Node | None
    modifier: ast.AggModifier | None


@dataclass(frozen=True)
class Binary:
    """Two sides with an operator between them, and how their series are matched."""

    op: str
    lhs: Node
    rhs: Node
    modifier: ast.BinModifier | None


@dataclass(frozen=True)
class Call:
    """A function of arguments."""

    name: str
    args: tuple[Node, ...]


Node = Leaf | Unary | Subquery | Aggregate | Binary | Call


def parsed(text: str) -> Node:
    """The tree of an expression. Raises ValueError for one that is none, or too large to be judged."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"an expression of more than {MAX_LENGTH} characters is not judged")
    if _depth(text) > MAX_DEPTH:
        raise ValueError(f"an expression that nests more than {MAX_DEPTH} deep is not judged")
    return _bare(ast.parse(text))


def parts(node: Node) -> Iterator[Node]:
    """The expression and everything below it."""
    yield node
    match node:
        case Unary() | Subquery():
            yield from parts(node.expr)
        case Aggregate():
            yield from parts(node.expr)
            yield from parts(node.param) if node.param is not None else ()
        case Binary():
            yield from parts(node.lhs)
            yield from parts(node.rhs)
        case Call():
            for argument in node.args:
                yield from parts(argument)
        case ast.MatrixSelector():
            yield node.vector_selector


def text_in(node: Node | None) -> str:
    """The text that an argument is; empty for one that is none."""
    return node.val if isinstance(node, ast.StringLiteral) else ""


def _bare(node: ast.Expr) -> Node:
    match node:
        case ast.ParenExpr():
            return _bare(node.expr)
        case ast.UnaryExpr():
            return Unary(_bare(node.expr))
        case ast.SubqueryExpr():
            return Subquery(_bare(node.expr))
        case ast.AggregateExpr():
            param = node.param
            return Aggregate(str(node.op), _bare(node.expr), None if param is None else _bare(param), node.modifier)
        case ast.BinaryExpr():
            return Binary(str(node.op), _bare(node.lhs), _bare(node.rhs), node.modifier)
        case ast.Call():
            return Call(node.func.name, tuple(map(_bare, node.args)))
        case ast.VectorSelector() | ast.MatrixSelector() | ast.NumberLiteral() | ast.StringLiteral():
            return node
    raise ValueError(f"{type(node).__name__} is not judged")


def _depth(text: str) -> int:
    """How deep the tree of the text is at most: each operator may hold all that stands before it."""
    around, deepest = [0], 0
    for found in _STEP.finditer(text):
        if found["opened"]:
            around.append(0)
        elif found["closed"]:
            around = around[:-1] or [0]
        elif found["operator"]:
            around[-1] += 1
        deepest = max(deepest, sum(around) + len(around))
        if deepest > MAX_DEPTH:
            break
    return deepest
