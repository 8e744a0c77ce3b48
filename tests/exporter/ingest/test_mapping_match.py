"""Finding the rule for a name: the first glob that matches, hostile names, and what stands for `$1`."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_obs.exporter.ingest.accounts import Reason
from airflow_obs.exporter.ingest.foreign.families import Drop, Target
from airflow_obs.exporter.ingest.foreign.mapping import TYPES, Mapping, Rule
from airflow_obs.exporter.ingest.foreign.match import Globs, compiled, of_glob, of_regex

PARTS = st.sampled_from(["a", "b", "*"])
GLOBS = st.lists(st.lists(PARTS, min_size=1, max_size=3).map(".".join), max_size=6, unique=True)
NAMES = st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=4).map(".".join)


def _first(globs: list[str], name: str) -> tuple[str, tuple[str, ...]] | None:
    """By regular expressions, one after the other: the first that matches and does not begin another before it."""
    for index, glob in enumerate(globs):
        pattern = re.escape(glob).replace(r"\*", r"([^.]*)")
        if any(other.startswith(f"{glob}.") for other in globs[:index]):
            continue
        if match := re.fullmatch(pattern, name):
            return glob, match.groups()
    return None


@given(GLOBS, NAMES)
def test_first_glob_counts(globs: list[str], name: str) -> None:
    found = Globs([(glob, TYPES, glob) for glob in globs]).find(name, "counter")
    assert found == _first(globs, name)


@given(GLOBS, NAMES)
def test_without_order_it_is_some_glob_that_matches(globs: list[str], name: str) -> None:
    found = Globs([(glob, TYPES, glob) for glob in globs], ordered=False).find(name, "gauge")
    if found:
        assert _first([found[0]], name) == found


def test_glob_is_for_its_types_only() -> None:
    globs = Globs([("a.*", ("counter",), "counted"), ("a.*", ("gauge", "observer"), "else")])
    assert globs.find("a.b", "counter") == ("counted", ("b",))
    assert globs.find("a.b", "observer") == ("else", ("b",))
    assert globs.find("a.b", "other") is None


def test_globs_come_before_regular_expressions() -> None:
    mapping = Mapping([Rule("a.*", "regex", pattern=compiled("a.*")), Rule("a.b", "glob")])
    names = [
        target.family.name for name in ("a.b", "a.c") if isinstance(target := mapping.match(name, "gauge", {}), Target)
    ]
    assert names == ["glob", "regex"]


def test_name_made_to_hurt_is_matched_all_the_same() -> None:
    # By going back and forth this would take longer than the universe lasts.
    mapping = Mapping(
        [Rule("", "r", pattern=compiled(r"^(a+)+$")), Rule("", "s", pattern=compiled(r"(.*)\.(.*)\.(.*)\.(.*)=$"))]
    )
    assert mapping.match("a" * 4_000 + "b", "counter", {}) is None
    assert mapping.match("." * 4_000, "counter", {}) is None
    many = Mapping([Rule(".".join(["*"] * n), f"m{n}") for n in range(1, 30)])
    assert many.match("a." * 60_000, "counter", {}) is None


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("plain", "plain"), ("$1", "one"), ("${1}_${2}", "one_two"), ("$1-$2", "one-two"), ("$0", "n.one.two"), ("$3", ""),
        ("$1_x", ""), ("$1$2", ""), ("${name}", ""), ("100%", "100%"), ("$1%s", "one%s"), ("$", "$"), ("$01", "one"),
        ("$" + "9" * 5_000, ""),
    ],
)  # fmt: skip
def test_template_of_a_glob(template: str, made: str) -> None:
    assert of_glob(template, "n.one.two", ("one", "two")) == made


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("plain", "plain"), ("$1", "one"), ("${1}_$2", "one_"), ("$1x", ""), ("$name", "two"), ("${name}", "two"), ("$$1", "$1"),
        ("$0", "one.two"), ("$01", ""), ("$9", ""), ("${", "${"), ("$-", "$-"), ("cost $", "cost $"),
        ("$" + "9" * 5_000, ""), ("$\u0661", ""),
    ],
)  # fmt: skip
def test_template_of_a_regular_expression(template: str, made: str) -> None:
    match = compiled(r"(one)(x)?\.(?P<name>two)").search("n.one.two.n")
    assert match
    assert of_regex(template, match) == made


@pytest.mark.parametrize(
    ("name", "reason"),
    [("$1", Reason.EMPTY_NAME), ("airflow_obs_$1", Reason.NAME_TAKEN), ("process_${1}open_fds", Reason.NAME_TAKEN)],
)
def test_name_that_only_the_line_shows_to_be_impossible(name: str, reason: Reason) -> None:
    assert Mapping([Rule("a.*", name)]).match("a.", "counter", {}) == Drop(reason)


def test_line_that_calls_itself_one_of_ours_is_refused() -> None:
    assert Mapping().unmapped("airflow.obs.build.info", "gauge", {}) == Drop(Reason.NAME_TAKEN)
    assert Mapping().unmapped("process.open_fds", "gauge", {}) == Drop(Reason.NAME_TAKEN)


@given(st.text(), st.dictionaries(st.text(min_size=1), st.text(), max_size=3))
def test_any_line_becomes_something_prometheus_takes(name: str, tags: dict[str, str]) -> None:
    found = Mapping([Rule("a.*", "a_$1")]).match(f"a.{name}", "observer", tags) or Mapping().unmapped(
        name, "observer", tags
    )
    if isinstance(found, Target):
        assert re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", found.family.name)
        assert all(re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", label) for label, _ in found.labels)
        assert not {"airflow", "quantile"} & {label for label, _ in found.labels}
