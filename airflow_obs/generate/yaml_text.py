"""Writes plain values as YAML that people read and diff: blocks for text of several lines, quotes only where they are needed.

A general emitter would take most of the time that a policy with 50 deployments may take.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

Value: TypeAlias = "str | int | bool | Sequence[Value] | Mapping[str, Value] | None"

_PLAIN = re.compile(r"(?:[0-9]+(?:ms|[smhd]))+|[A-Za-z_/][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./()$<>=*+-]+)*")
_OTHERWISE = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
"""Plain words that some reader of YAML takes for something else than text."""
_BLOCK = re.compile(r"(?=[^\s])[ -~\n]*(?<=[^\s])")
"""Text that a block says as it is, whatever a reader makes of line breaks: one that neither begins nor ends with space."""
_ESCAPED = re.compile(r'[\\"]|[^ -~]')
_PRINTED = ((0xA1, 0x167F), (0x1681, 0x1FFF), (0x2010, 0x2027), (0x2030, 0x205E), (0x2070, 0x2FFF), (0x3001, 0xD7FF))
"""Beyond ASCII, what stands as it is. Not in the pattern: to make a set of it takes longer than to write a file."""
_SHORT = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}


def text_of(value: Value) -> str:
    """`value` as one YAML document, without its marker."""
    lines: list[str] = []
    _write(value, "", "", lines)
    return "\n".join(lines) + "\n"


def indented(text: str) -> str:
    """A document's text as it stands below a key."""
    moved = "  " + text.removesuffix("\n").replace("\n", "\n  ") + "\n"
    # Of lines in a row without text every other one is found at a time.
    return moved.replace("\n  \n", "\n\n").replace("\n  \n", "\n\n")


def _write(value: Value, first: str, indent: str, lines: list[str]) -> None:
    """Add the lines of a value: `first` is what the first begins with, `indent` what the others do."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            _write_entry(f"{first}{quoted_if_needed(key)}:", inner, indent, lines)
            first = indent
    elif isinstance(value, Sequence) and value and not isinstance(value, str):
        deeper = f"{indent}  "
        for item in value:
            _write(item, f"{first}- ", deeper, lines)
            first = indent
    else:
        lines.append(first + _scalar(value))


def _write_entry(key: str, value: Value, indent: str, lines: list[str]) -> None:
    if isinstance(value, str):
        if ("\n" in value or '"' in value) and _BLOCK.fullmatch(value):
            lines.append(f"{key} |-")
            lines.extend([f"{indent}  {line}" if line else "" for line in value.split("\n")])
        else:
            lines.append(f"{key} {quoted_if_needed(value)}")
    elif value and isinstance(value, Mapping | Sequence):
        lines.append(key)
        deeper = f"{indent}  "
        _write(value, deeper, deeper, lines)
    else:
        lines.append(f"{key} {_scalar(value)}")


def _scalar(value: Value) -> str:
    match value:
        case str():
            return quoted_if_needed(value)
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
    return "{}" if isinstance(value, Mapping) else "[]"


@lru_cache(4096)
def quoted_if_needed(value: str) -> str:
    """A text in one line, in double quotes if it needs any."""
    if _PLAIN.fullmatch(value) and value.lower() not in _OTHERWISE:
        return value
    return f'"{_ESCAPED.sub(_escape, value)}"'


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if short := _SHORT.get(character):
        return short
    if any(low <= ord(character) <= high for low, high in _PRINTED):
        return character
    return f"\\u{ord(character):04x}" if ord(character) <= 0xFFFF else f"\\U{ord(character):08x}"
