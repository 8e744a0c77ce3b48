"""Which DAGs have series of their own: patterns are checked while the file is read."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from airflow_obs.policy import DagsPolicy, Policy, json_schema

GOOD = [
    "*", "payments.*", "team_[ab].load", "team_[!x]*", "a[]]b", "x?", "Ünïcode", "a-b.c_d", "[a-c]*", "[a-a]", "[-z]", "[z-]",
    "[!z-]", "[a-c-b]", "z-a", "[ab]-[a]",
]  # fmt: skip
BAD = {
    "[]": "a pattern of DAG ids has 1 to 250 characters",
    "^pay.*$": "a glob, not a regular expression",
    "a|b": "a glob, not a regular expression",
    "(a)": "a glob, not a regular expression",
    "a+": "a glob, not a regular expression",
    "a{2}": "a glob, not a regular expression",
    r"a\.b": "a glob, not a regular expression",
    "a, b": "make each pattern an item of its own",
    "team_[ab": "`[` without `]`",
    "[ab]_[c": "`[` without `]`",
    "team_[].x": "`[` without `]`",
    "team_[!]": "`[` without `]`",
    "[z-a]x": "a range between `[` and `]` runs backwards",
    "x[!0-9z-a]": "a range between `[` and `]` runs backwards",
    "[]-A]": "a range between `[` and `]` runs backwards",
    "a" * 251: "a pattern of DAG ids has 1 to 250 characters",
}


def test_the_default_takes_all(site: Callable[[str], Policy]) -> None:
    assert site("").dags == DagsPolicy(include=("*",), exclude=(), top=500, task_level=False)


@pytest.mark.parametrize("pattern", GOOD)
def test_globs(site: Callable[[str], Policy], pattern: str) -> None:
    assert site(f"dags: {{include: ['{pattern}'], top: 10}}").dags == DagsPolicy(include=(pattern,), top=10)


@pytest.mark.parametrize(("pattern", "said"), BAD.items())
def test_what_is_no_glob_is_explained(complaints: Callable[[str], list[str]], pattern: str, said: str) -> None:
    written = "" if pattern == "[]" else pattern
    (complaint,) = complaints(f"dags:\n  exclude: [tmp_*, '{written}']\n")
    assert complaint.startswith("site.yaml:2:20: dags.exclude[1]: ")
    assert said in complaint


def test_a_pattern_is_a_text_and_patterns_are_a_list(complaints: Callable[[str], list[str]]) -> None:
    assert complaints("dags: {include: [12], exclude: tmp_*, top: -1, task_level: some}") == [
        'site.yaml:1:18: dags.include[0]: write a pattern of DAG ids, in quotes, such as "payments.*"',
        "site.yaml:1:32: dags.exclude: write a list: each item begins with `- `",
        "site.yaml:1:44: dags.top: out of bounds: must be from 0 to 100000",
        "site.yaml:1:60: dags.task_level: write true or false",
    ]


def test_editors_refuse_what_the_loader_refuses() -> None:
    pattern = json_schema()["$defs"]["DagsPolicy"]["properties"]["include"]["items"]["pattern"]
    assert all(re.search(pattern, glob) for glob in GOOD)
    # Brackets are for the loader alone.
    assert not any(re.search(pattern, "" if glob == "[]" else glob) for glob in BAD if "`[`" not in BAD[glob])
