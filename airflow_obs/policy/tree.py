"""YAML text as a tree in which every key and value knows its file, line and column; and one tree laid over another."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, DocumentStartEvent, MappingStartEvent, ScalarEvent, SequenceStartEvent
from ruamel.yaml.events import CollectionEndEvent as End

from airflow_obs.errors import Problem

MAX_DEPTH = 40
"""A policy nests seven deep; what nests deeper than this was made to hurt."""

_SNIPPET = re.compile(r"'[^'<]{3,}'")
"""A quoted piece of the file in the parser's words: it may be a password."""

_PRINTABLE = ((0x9, 0xA), (0xD, 0xD), (0x20, 0x7E), (0x85, 0x85), (0xA0, 0xD7FF), (0xE000, 0xFFFD), (0x10000, 0x10FFFF))
"""What may stand in YAML (https://yaml.org/spec/1.2.2/#51-character-set). As a pattern it would take longer to make than to use."""


@dataclass(frozen=True)
class Place:
    """Where something stands: line and column count from 1."""

    file: str
    line: int
    column: int

    def problem(self, text: str) -> Problem:
        """The problem `text` at this place."""
        return Problem(self.file, self.line, self.column, text)


@dataclass(frozen=True)
class Scalar:
    """A value, read as YAML 1.2's core schema says."""

    place: Place
    value: str | int | float | bool | None


@dataclass(frozen=True)
class Sequence:
    """A list."""

    place: Place
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Mapping:
    """Keys, each with the place of the key itself and its value."""

    place: Place
    entries: dict[str, tuple[Place, Node]] = field(default_factory=dict)


Node = Scalar | Sequence | Mapping


class _TooDeepError(Exception):
    """Raised to leave the recursion; its problem is already noted."""


def compose(
    text: str, file: str, what: str = "policy", key: str = "deployments"
) -> tuple[Mapping | None, list[Problem]]:
    """The tree of the one document in `text`, and what is wrong with it; None when there is no tree to speak of.

    `what` the document is, and a `key` that may stand in it, are for the messages.

    An empty document is an empty mapping. Anchors, aliases, merge keys and tags are refused, so that the tree is never
    larger than its text; what follows a mistake in the syntax itself is not seen.
    """
    start = Place(file, 1, 1)
    refused = [one for one in set(text) if not any(low <= ord(one) <= high for low, high in _PRINTABLE)]
    if refused:
        at = min(map(text.index, refused))
        place = Place(file, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))
        return None, [place.problem(f"character U+{ord(text[at]):04X} cannot stand in YAML: remove it")]
    composer = _Composer(file, what)
    try:
        node = composer.document(YAML(typ="safe", pure=True).parse(text))
    except _TooDeepError:
        return None, composer.problems
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else composer.last
        return None, [*composer.problems, place.problem(_syntax(str(error.problem)))]
    except (YAMLError, ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError):
        # ruamel.yaml trips over some texts (an escape beyond Unicode, say) without saying where
        return None, [*composer.problems, composer.last.problem("not valid YAML: what follows here cannot be read")]
    if node is None or (isinstance(node, Scalar) and node.value is None):
        return Mapping(start), composer.problems
    if not isinstance(node, Mapping):
        composer.problems.append(node.place.problem(f"a {what} is a mapping: write keys, such as `{key}:`"))
        return None, composer.problems
    return node, composer.problems


def overlay(below: Mapping, above: Mapping) -> Mapping:
    """`above` laid over `below`: mappings merge key by key (nothing over a mapping leaves it), all else replaces."""
    entries = dict(below.entries)
    for key, (place, node) in above.entries.items():
        under = below.entries[key][1] if key in below.entries else None
        if isinstance(under, Mapping) and isinstance(node, Mapping):
            entries[key] = (place, overlay(under, node))
        elif isinstance(under, Mapping) and isinstance(node, Scalar) and node.value is None:
            entries[key] = (place, under)
        else:
            entries[key] = (place, node)
    return Mapping(above.place, entries)


def _syntax(problem: str) -> str:
    if "'\\t'" in problem:
        return "not valid YAML: a tab stands where only spaces may: indent with spaces"
    if "mapping values are not allowed" in problem:
        return "not valid YAML: no `:` may stand here: check the indentation, and quote a text that contains `: `"
    return f"not valid YAML: {_SNIPPET.sub('…', problem)}"


class _Composer:
    """Makes nodes of the parser's events and notes what is wrong on the way."""

    def __init__(self, file: str, what: str) -> None:
        self.problems: list[Problem] = []
        self._what = what
        self.last = Place(file, 1, 1)

    def document(self, events: Iterator[Any]) -> Node | None:
        root, documents = None, 0
        for event in events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._wrong(
                        event, f"a second YAML document begins: a {self._what} is one document, remove this `---`"
                    )
                    return root
                root = self._node(next(events), events, 1)
        return root

    def _at(self, event: Any) -> Place:
        self.last = Place(self.last.file, event.start_mark.line + 1, event.start_mark.column + 1)
        return self.last

    def _wrong(self, event: Any, text: str) -> None:
        self.problems.append(self._at(event).problem(text))

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> Node | None:
        """The node that `event` begins; None for one that had to be refused as a whole."""
        place = self._at(event)
        if depth > MAX_DEPTH:
            self._wrong(event, f"nested more than {MAX_DEPTH} deep: no {self._what} needs that")
            raise _TooDeepError
        if isinstance(event, AliasEvent):
            self._wrong(event, f"aliases (`*`) are not supported in a {self._what}: write the value out")
            return None
        tagged = event.ctag is not None
        if tagged:
            self._wrong(event, f"tags (`!`) are not supported in a {self._what}: remove it")
        if event.anchor is not None:
            self._wrong(
                event,
                f"anchors (`&`) are not supported in a {self._what}: remove it, and write the value out where it is used",
            )
        node: Node
        if isinstance(event, MappingStartEvent):
            node = self._mapping(place, events, depth)
        elif isinstance(event, SequenceStartEvent):
            node = self._sequence(place, events, depth)
        else:
            node = Scalar(place, resolve(event.value) if event.implicit[0] else event.value)
        return None if tagged else node

    def _sequence(self, place: Place, events: Iterator[Any], depth: int) -> Sequence:
        items = []
        while not isinstance(event := next(events), End):
            item = self._node(event, events, depth + 1)
            if item is not None:
                items.append(item)
        return Sequence(place, tuple(items))

    def _mapping(self, place: Place, events: Iterator[Any], depth: int) -> Mapping:
        entries: dict[str, tuple[Place, Node]] = {}
        while not isinstance(event := next(events), End):
            key = self._node(event, events, depth + 1)
            key_place = Place(place.file, event.start_mark.line + 1, event.start_mark.column + 1)
            value = self._node(next(events), events, depth + 1)
            if not isinstance(event, ScalarEvent) or key is None:
                if key is not None:
                    self._wrong(event, "a key must be a plain text: write `key: value`")
                continue
            # half a surrogate pair (from an escape) would break whoever prints the key
            name = str(event.value).encode("utf-8", "replace").decode()
            if name == "<<" and event.implicit[0]:
                self._wrong(event, f"merge keys (`<<`) are not supported in a {self._what}: write the keys out")
            elif name in entries:
                line = entries[name][0].line
                self._wrong(event, f"{shown(name) or 'this key'} is given twice, first on line {line}: remove one")
            elif value is not None:
                unwritten = isinstance(value, Scalar) and value.value is None
                entries[name] = (key_place, Scalar(key_place, None) if unwritten else value)
        return Mapping(place, entries)


def shown(key: str) -> str:
    """`key` as messages show it; nothing when it does not look like a key, since it may be a misplaced secret."""
    return f"`{key}`" if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}", key) else ""


def resolve(text: str) -> str | int | float | bool | None:
    """A plain scalar's value by YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema)."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text.lower() == "true"
    if re.fullmatch("[-+]?[0-9]{1,18}", text):
        return int(text)
    if re.fullmatch("0o[0-7]{1,18}|0x[0-9a-fA-F]{1,15}", text):
        return int(text, 0)
    if re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", text):
        return float(text)
    if re.fullmatch(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", text):
        return float(text.replace(".", ""))
    return text
