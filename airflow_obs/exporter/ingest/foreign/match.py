"""Finds the rule of a mapping that a StatsD name is for, among globs as among regular expressions, as statsd_exporter does."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

import re2

Result = TypeVar("Result")
Captured = tuple[str, ...]

GLOB = re.compile(r"(\*|[a-zA-Z_][a-zA-Z0-9_-]*)(\.\*|\.[a-zA-Z0-9_][a-zA-Z0-9_-]*)*")
"""What a glob may be: parts between dots, each a word or a `*` that stands for any one part."""

_IN_GLOB = re.compile(r"\$\{?([a-zA-Z0-9_$]+)\}?")
_NUMBER = re.compile("[0-9]{1,9}")
_IN_REGEX = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))")

_QUIET = re2.Options()
_QUIET.log_errors = False


class Match(Protocol):
    """Where a regular expression matched (of re2, which has no types)."""

    @property
    def re(self) -> Pattern: ...

    def group(self, index: int, /) -> str: ...

    def groups(self) -> tuple[str | None, ...]: ...


class Pattern(Protocol):
    """A regular expression (of re2)."""

    @property
    def groupindex(self) -> Mapping[str, int]: ...

    def search(self, text: str, /) -> Match | None: ...


def compiled(pattern: str) -> Pattern:
    """A regular expression in the dialect of statsd_exporter, RE2, which takes linear time whatever a name may be.

    Raises ValueError if it is none.
    """
    try:
        found: Pattern = re2.compile(pattern, options=_QUIET)
    except re2.error as error:
        why = error.args[0]
        raise ValueError(why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)) from None
    return found


def of_glob(template: str, name: str, captured: Captured) -> str:
    """`template` with `$1` or `${1}` for what the first `*` stood for, and so on, and `$0` for the name.

    What else follows a `$` is nothing: `$1_x` asks for a part called `1_x`, so write `${1}_x`.
    """

    def told(reference: re.Match[str]) -> str:
        number = int(reference[1]) if _NUMBER.fullmatch(reference[1]) else len(captured) + 1
        return (name, *captured)[number] if number <= len(captured) else ""

    return _IN_GLOB.sub(told, template)


def of_regex(template: str, match: Match) -> str:
    """`template` with `$1`, `${1}` or `${group}` for what the groups hold, and `$0` for the whole match; `$$` is a `$`."""
    groups: tuple[str | None, ...] = (match.group(0), *match.groups())
    names = match.re.groupindex

    def told(reference: re.Match[str]) -> str:
        if reference[1]:
            return "$"
        asked = reference[2] or reference[3]
        numbered = _NUMBER.fullmatch(asked) and (asked == "0" or not asked.startswith("0"))
        number = int(asked) if numbered else names.get(asked, len(groups))
        return (groups[number] or "") if number < len(groups) else ""

    return _IN_REGEX.sub(told, template)


class _Node(Generic[Result]):
    """Where the parts read so far lead to; `low` and `high` are how many more the globs beyond it have."""

    __slots__ = ("children", "high", "low", "priority", "result")

    def __init__(self, left: int) -> None:
        self.low = self.high = left
        self.children: dict[str, _Node[Result]] = {}
        self.result: Result | None = None
        self.priority = 0


class Globs(Generic[Result]):
    """Globs in the order of their file, each for lines of some types; of those that match, the first counts.

    With `ordered` false, it is the one whose first parts are words rather than `*`. What looks strange is what
    statsd_exporter does, so that a line has the name here that it had there:

    - a glob that begins another before it (`a.*` after `a.*.b`) never matches;
    - of two equal ones the first is taken, with the place in the order of the second;
    - without order, a part that a word matches is not tried with `*` unless the globs overlap in a certain way.
    """

    def __init__(self, globs: Sequence[tuple[str, Collection[str], Result]], *, ordered: bool = True) -> None:
        self._ordered = ordered
        self._every_way = ordered or _overlap([glob.split(".") for glob, _, _ in globs])
        self._roots: dict[str, _Node[Result]] = {}
        for priority, (glob, types, result) in enumerate(globs):
            for type_ in types:
                _add(self._roots.setdefault(type_, _Node(0)), glob.split("."), priority, result)

    def find(self, name: str, type_: str) -> tuple[Result, Captured] | None:
        """The result of the glob that matches a name of that type, and what its `*` stand for."""
        if not (root := self._roots.get(type_)):
            return None
        found = self._leaves(root, name.split("."), 0, ())
        best = min(found, key=lambda leaf: leaf[0], default=None) if self._ordered else next(found, None)
        return best[1:] if best else None

    def _leaves(
        self, node: _Node[Result], parts: Sequence[str], at: int, captured: Captured
    ) -> Iterator[tuple[int, Result, Captured]]:
        left = len(parts) - at - 1
        ways = [
            (child, kept)
            for child, kept in (
                (node.children.get(parts[at]), captured),
                (node.children.get("*"), (*captured, parts[at])),
            )
            if child and child.low <= left <= child.high
        ]
        for child, kept in ways if self._every_way else ways[:1]:
            if left:
                yield from self._leaves(child, parts, at + 1, kept)
            elif child.result is not None:
                yield child.priority, child.result, kept


def _add(root: _Node[Result], parts: Sequence[str], priority: int, result: Result) -> None:
    node = root
    for left, part in zip(range(len(parts) - 1, -1, -1), parts, strict=True):
        child = node.children.get(part)
        if child is None:
            child = node.children[part] = _Node(left)
            child.result = None if left else result
        child.low, child.high = min(child.low, left), max(child.high, left)
        node = child
    node.priority = priority


def _overlap(globs: Sequence[Sequence[str]]) -> bool:
    """Whether statsd_exporter would go back and try `*` where it took a word, when it is not to keep the order."""
    return any(
        any(
            other[:at] == glob[:at]
            for index, other in enumerate(globs)
            if index != place and len(other) == len(glob)
            for at, part in enumerate(glob)
            if part == "*"
        )
        and not any(
            _covers(glob, other) or _covers(other, glob)
            for index, other in enumerate(globs)
            if index != place and len(other) == len(glob)
        )
        for place, glob in enumerate(globs)
    )


def _covers(glob: Sequence[str], other: Sequence[str]) -> bool:
    return all(part in ("*", theirs) for part, theirs in zip(glob, other, strict=True))
