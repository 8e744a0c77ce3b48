"""Mapping files that cannot be used: every mistake is named at once, at its place, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_obs.errors import PolicyError
from airflow_obs.exporter.ingest.foreign import file as mapping_file
from airflow_obs.exporter.ingest.foreign.families import Target
from airflow_obs.exporter.ingest.foreign.mapping import BUCKETS, Mapping
from airflow_obs.exporter.ingest.foreign.summary import Objectives
from airflow_obs.model import Kind

MISTAKES = {
    "unknown key": ("defaults: {match_tpe: glob}", "m.yml:1:12: defaults: unknown key `match_tpe`: did you mean `match_type`?"),
    "no name": ("mappings: [{match: a}]", "m.yml:1:12: mappings[0]: `name` is missing: add it"),
    "no match": ("mappings: [{name: a}]", "m.yml:1:12: mappings[0]: `match` is missing: add it"),
    "bad glob": ("mappings: [{match: a..b, name: a}]", "m.yml:1:20: mappings[0].match: not a glob"),
    "part of a glob": ("mappings: [{match: 'a.b*', name: a}]", "m.yml:1:20: mappings[0].match: not a glob"),
    "bad regex": (
        "mappings: [{match: '(', name: a, match_type: regex}]",
        "m.yml:1:20: mappings[0].match: not a regular expression that statsd_exporter takes: missing ): (",
    ),
    "look-ahead": (
        "defaults: {match_type: regex}\nmappings: [{match: 'a(?=b)', name: a}]",
        "m.yml:2:20: mappings[0].match: not a regular expression that statsd_exporter takes: invalid perl operator: (?=",
    ),
    "bad name": ("mappings: [{match: a, name: a-b}]", "m.yml:1:29: mappings[0].name: not a name of Prometheus"),
    "our name": ("mappings: [{match: a, name: airflow_obs_up}]", "m.yml:1:29: mappings[0].name: the exporter itself"),
    "name of the process": ("mappings: [{match: a, name: process_open_fds}]", "the exporter itself has this name"),
    "label": ("mappings: [{match: a, name: a, labels: {1a: x}}]", "m.yml:1:45: mappings[0].labels.1a: a label's name"),
    "number in a label": ("mappings: [{match: a, name: a, labels: {x: 1.10}}]", "put it in quotes"),
    "no labels": ("mappings: [{match: a, name: a, labels: [x]}]", "mappings[0].labels: write a mapping of label names"),
    "duration without unit": ("defaults: {ttl: 30}", "m.yml:1:17: defaults.ttl: write a duration with its unit"),
    "negative duration": ("defaults: {ttl: -1s}", "defaults.ttl: write a duration with its unit"),
    "action": ("mappings: [{match: a, name: a, action: dorp}]", "must be map or drop; did you mean drop?"),
    "type": ("mappings: [{match: a, name: a, match_metric_type: set}]", "must be counter, gauge or observer"),
    "buckets": ("defaults: {histogram_options: {buckets: [2, 1]}}", "bounds of buckets must ascend"),
    "not a number": ("mappings: [{match: a, name: a, scale: big}]", "mappings[0].scale: write a number"),
    "infinite": ("mappings: [{match: a, name: a, scale: .inf}]", "mappings[0].scale: write a finite number"),
    "quantile": ("defaults: {summary_options: {quantiles: [{quantile: 99}]}}", "write a number from 0 to 1"),
    "native": (
        "defaults: {histogram_options: {native_histogram_bucket_factor: 1.1}}",
        "`native_histogram_bucket_factor` does not belong here: histograms have the buckets listed here, native ones are not made",
    ),
    "histogram with quantiles": (
        "mappings: [{match: a, name: a, observer_type: histogram, summary_options: {max_age: 1m}}]",
        "m.yml:1:75: mappings[0].summary_options: this is a histogram",
    ),
    "summary with buckets": (
        "defaults: {observer_type: summary}\nmappings: [{match: a, name: a, histogram_options: {buckets: [1]}}]",
        "m.yml:2:51: mappings[0].histogram_options: this is a summary",
    ),
    "quantiles twice": (
        "mappings: [{match: a, name: a, quantiles: [{quantile: 0.5}], summary_options: {quantiles: [{quantile: 0.1}]}}]",
        "mappings[0].quantiles: they are in summary_options as well",
    ),
    "buckets twice": (
        "mappings: [{match: a, name: a, buckets: [1], histogram_options: {buckets: [2]}}]",
        "mappings[0].buckets: they are in histogram_options as well",
    ),
    "a list": ("- match: a", "m.yml:1:1: a mapping file is a mapping: write keys, such as `mappings:`"),
    "anchor": ("mappings: &x []", "m.yml:1:11: anchors (`&`) are not supported in a mapping file"),
    "tab": ("mappings:\n\t- match: a", "m.yml:2:1: not valid YAML: a tab stands where only spaces may"),
}  # fmt: skip


def _target(mapping: Mapping, name: str = "a") -> Target:
    target = mapping.match(name, "observer", {})
    assert isinstance(target, Target)
    return target


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistake(text: str, message: str) -> None:
    with pytest.raises(PolicyError) as raised:
        mapping_file.loads(text, "m.yml")
    assert len(raised.value.problems) == 1
    assert message in str(raised.value)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(PolicyError) as raised:
        mapping_file.loads("mappings:\n- {match: a..b, name: 9a}\n- {match: a, name: 'a b'}", "m.yml")
    assert [(problem.line, problem.column) for problem in raised.value.problems] == [(2, 11), (2, 23), (3, 20)]


@pytest.mark.parametrize("make", ["missing", "folder", "binary", "large"])
def test_file_that_is_none(tmp_path: Path, make: str) -> None:
    path = tmp_path / "m.yml"
    if make == "folder":
        path.mkdir()
    elif make != "missing":
        path.write_bytes(b"\xff" if make == "binary" else b"#" * (1 << 21))
    with pytest.raises(PolicyError, match=r"m\.yml:1:1: .*"):
        mapping_file.load(str(path))


@pytest.mark.parametrize("text", ["", "mappings: []", "defaults: {}\nmappings: []", "defaults:\n"])
def test_file_without_mappings_maps_nothing(text: str) -> None:
    assert mapping_file.loads(text, "m.yml").match("a", "counter", {}) is None


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("90s", 90),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("300ms", 0.3),
        ("250us", 0.00025),
        ("+.5m", 30),
    ],
)
def test_ttl(written: str, seconds: float) -> None:
    mapping = mapping_file.loads(f"mappings: [{{match: a, name: a, ttl: {written}}}]", "m.yml")
    assert _target(mapping).ttl == pytest.approx(seconds)


def test_ttl_is_left_to_the_store_where_nothing_says_it() -> None:
    assert _target(mapping_file.loads("mappings: [{match: a, name: a}]", "m.yml")).ttl is None


@pytest.mark.parametrize(("own", "ttl"), [("", 60), ("ttl: 0,", 60), ("ttl: 5s,", 5)])
def test_ttl_of_the_defaults(own: str, ttl: float) -> None:
    mapping = mapping_file.loads(f"defaults: {{ttl: 1m}}\nmappings: [{{match: a, {own} name: a}}]", "m.yml")
    assert _target(mapping).ttl == ttl
    unmapped = mapping.unmapped("b", "counter", {})
    assert isinstance(unmapped, Target)
    assert unmapped.ttl == 60


def test_what_nothing_is_said_of_is_as_in_prometheus_own_client() -> None:
    target = _target(mapping_file.loads("mappings: [{match: a, name: a}]", "m.yml"))
    assert target.family.kind is Kind.SUMMARY
    assert target.family.quantiles == (0.5, 0.9, 0.99)
    assert Objectives() == Objectives(((0.5, 0.05), (0.9, 0.01), (0.99, 0.001)), max_age=600, age_buckets=5)
    histogram = _target(mapping_file.loads("mappings: [{match: a, name: a, observer_type: histogram}]", "m.yml"))
    assert histogram.family.buckets == BUCKETS


def test_buckets_do_without_infinity_which_is_always_there() -> None:
    text = "mappings: [{match: a, name: a, observer_type: histogram, histogram_options: {buckets: [1, 2.5, .inf]}}]"
    assert _target(mapping_file.loads(text, "m.yml")).family.buckets == (1.0, 2.5)


def test_help_is_the_entrys() -> None:
    mapping = mapping_file.loads("mappings: [{match: a, name: a, help: 'What it is.'}]", "m.yml")
    assert _target(mapping).family.help == "What it is."
