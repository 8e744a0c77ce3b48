"""What is written as YAML is read back as it was, by a reader of YAML 1.2 and by one of 1.1."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from airflow_obs.generate.yaml_text import Value, indented, text_of

bounded = settings(
    max_examples=80, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
ODD = st.sampled_from([
    "yes", "No", "ON", "y", "null", "~", "true", "1", "1.5", "1e3", "0x1F", "0o17", "0777", "1_000", "1:30", "5m", "1h30m", ".inf",
    "-", "- a", "a: b", "a #b", "#", "&a", "*a", "!a", "|", ">", "%", "@", "`", "'", '"', "\\", "{}", "[]", "?", "=", "<<", "",
    " ", " a", "a ", "\n", "a\n", "\na", "a\n\nb", "a\n b", " a\nb", "a\nb ", "a\n \nb", "a\tb", "a\t\nb",
    "a\r\nb", "\x85", "\u2028",
    "\ufeff", "\x00", "\x7f", "\ud7ff", "\ue000", "\U0001f600", "é", "2026-11-22", "---", "...", 'a "b"\nc', 'a "b" c',
])  # fmt: skip
TEXTS = ODD | st.text(max_size=12) | st.text(alphabet="ab \n\"':#-", max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def read(text: str, version: tuple[int, int]) -> Any:
    # From bytes, so that line breaks are the reader's affair and not Python's.
    reader = YAML(typ="safe", pure=True)
    reader.version = version
    return reader.load(io.BytesIO(text.encode()))


@pytest.mark.parametrize("version", [(1, 1), (1, 2)])
@bounded
@given(value=VALUES)
def test_whatever_is_written_is_read_back(version: tuple[int, int], value: Value) -> None:
    assert read(text_of(value), version) == value
    assert read(f"below:\n{indented(text_of(value))}", version) == {"below": value}


def test_what_people_read_stays_readable() -> None:
    written = text_of(
        {
            "for": "1h30m",
            "expr": 'max by (queue) (up{job="a"})\n> 5',
            "one": 'up{job="a"} == 0',
            "labels": {"severity": "critical", "shadow": "true"},
            "list": ["a b", {"c": 1, "d": []}],
            "empty": {},
            "text": "It says: é.",
        }
    )
    assert written == (
        "for: 1h30m\n"
        'expr: |-\n  max by (queue) (up{job="a"})\n  > 5\n'
        'one: |-\n  up{job="a"} == 0\n'
        'labels:\n  severity: critical\n  shadow: "true"\n'
        "list:\n  - a b\n  - c: 1\n    d: []\n"
        "empty: {}\n"
        'text: "It says: é."\n'
    )
