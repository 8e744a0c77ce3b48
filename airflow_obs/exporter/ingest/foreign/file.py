"""Reads a mapping file of statsd_exporter, or one that comes with the toolkit, and reports everything wrong with it at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from airflow_obs.errors import PolicyError, Problem
from airflow_obs.exporter.ingest.foreign.families import taken
from airflow_obs.exporter.ingest.foreign.fields import Defaults, Entry, MappingFile, Options
from airflow_obs.exporter.ingest.foreign.mapping import BUCKETS, Mapping, Rule, Shape
from airflow_obs.exporter.ingest.foreign.match import GLOB, Pattern, compiled
from airflow_obs.exporter.ingest.foreign.summary import Objectives
from airflow_obs.model import Kind
from airflow_obs.policy import explain, loader, tree
from airflow_obs.policy.ingest import PRESETS

_WHAT = "mapping file"
_NAME = re.compile(r"([a-zA-Z_]|\$\{?\d+\}?)([a-zA-Z0-9_]|\$\{?\d+\}?)*", re.ASCII)


def load(name: str) -> Mapping:
    """The mapping in the file `name`, or the one that comes with the toolkit under this name. Raises PolicyError."""
    if name in PRESETS:
        text = (
            resources.files("airflow_obs.exporter.ingest.foreign")
            .joinpath("presets", f"{name}.yaml")
            .read_text("utf-8")
        )
        return loads(text, f"airflow_obs/exporter/ingest/foreign/presets/{name}.yaml", names_the_rest=False)
    return loads(loader.read(Path(name), _WHAT, f", or {' or '.join(PRESETS)}"), name)


def loads(text: str, file: str, *, names_the_rest: bool = True) -> Mapping:
    """The mapping in `text`; `file` is what problems call it, `names_the_rest` as in `Mapping`. Raises PolicyError."""
    root, found = tree.compose(text, file, _WHAT, "mappings")
    if root is None:
        raise PolicyError(found)
    try:
        fields = MappingFile.model_validate(explain.plain(root, MappingFile))
    except ValidationError as error:
        raise PolicyError([*found, *explain.problems(error, root, MappingFile, file)]) from None
    rules: list[Rule] = []
    for index, entry in enumerate(fields.mappings):
        pattern: Pattern | None = None
        wrong = dict(_wrong(entry, fields.defaults))
        if (entry.match_type or fields.defaults.match_type) == "regex":
            try:
                pattern = compiled(entry.match)
            except ValueError as error:
                wrong["match"] = f"not a regular expression that statsd_exporter takes: {error}"
        elif not GLOB.fullmatch(entry.match):
            wrong["match"] = (
                "not a glob: write words (letters, digits, `_`, `-`) or `*` with dots between them, or add `match_type: regex`"
            )
        found.extend(_problem(root, index, key, text) for key, text in wrong.items())
        rules.append(_rule(entry, fields.defaults, pattern))
    if found:
        raise PolicyError(found)
    return Mapping(
        rules,
        _shape(fields.defaults, Entry(match="", name="")),
        ordered=not fields.defaults.glob_disable_ordering,
        names_the_rest=names_the_rest,
        text=text,
    )


def _problem(root: tree.Mapping, index: int, key: str, text: str) -> Problem:
    """`text` at the key of the mapping with that index, or where that mapping begins."""
    mappings = root.entries["mappings"][1]
    assert isinstance(mappings, tree.Sequence)  # noqa: S101 (pydantic has seen to it)
    entry = mappings.items[index]
    assert isinstance(entry, tree.Mapping)  # noqa: S101 (likewise)
    place = entry.entries[key][1].place if key in entry.entries else entry.place
    return place.problem(f"mappings[{index}].{key}: {text}")


def _wrong(entry: Entry, defaults: Defaults) -> Iterator[tuple[str, str]]:
    """(key, what is wrong with it) that no field shows on its own."""
    if not _NAME.fullmatch(entry.name):
        yield (
            "name",
            "not a name of Prometheus: write letters, digits and `_`, and $1 or ${1} for what a `*` or group stood for",
        )
    elif taken(entry.name) and entry.action != "drop":
        yield "name", "the exporter itself has this name: choose another"
    kind = _observer(entry, defaults)
    if kind == "histogram" and entry.summary_options:
        yield "summary_options", "this is a histogram: remove them, or write `observer_type: summary`"
    if kind == "summary" and entry.histogram_options:
        yield "histogram_options", "this is a summary: remove them, or write `observer_type: histogram`"
    if entry.quantiles and entry.summary_options and entry.summary_options.quantiles:
        yield "quantiles", "they are in summary_options as well: remove these"
    if entry.buckets and entry.histogram_options and entry.histogram_options.buckets:
        yield "buckets", "they are in histogram_options as well: remove these"


def _observer(entry: Entry, defaults: Defaults) -> str | None:
    return entry.observer_type or entry.timer_type or defaults.observer_type or defaults.timer_type


def _rule(entry: Entry, defaults: Defaults, pattern: Pattern | None) -> Rule:
    return Rule(
        entry.match,
        entry.name,
        tuple(entry.labels.items()),
        pattern,
        only=entry.match_metric_type,
        drop=entry.action == "drop",
        honor_labels=entry.honor_labels,
        shape=_shape(defaults, entry),
    )


def _shape(defaults: Defaults, entry: Entry) -> Shape:
    observer = _observer(entry, defaults)
    shape = Shape(
        Kind.HISTOGRAM if observer == "histogram" else Kind.SUMMARY,
        _buckets(entry) or _buckets(defaults) or BUCKETS,
        _objectives(defaults, entry, explicit=observer == "summary"),
        # An entry's 0 is as good as nothing where the defaults have one.
        entry.ttl or (entry.ttl if defaults.ttl is None else defaults.ttl),
        entry.scale,
    )
    return shape if entry.help is None else replace(shape, help=entry.help)


def _buckets(options: Options) -> tuple[float, ...]:
    return options.buckets or (options.histogram_options.buckets if options.histogram_options else ())


def _objectives(defaults: Defaults, entry: Entry, *, explicit: bool) -> Objectives:
    """What an entry says of quantiles, then the defaults; of the time, these only count if it is `explicit`ly a summary."""
    own, others, standard = entry.summary_options, defaults.summary_options, Objectives()
    quantiles = (
        (entry.quantiles if explicit else ())
        or (own.quantiles if own else ())
        or (others.quantiles if others else ())
        or defaults.quantiles
    )
    fallback = others if explicit or not own else None
    return Objectives(
        tuple(sorted({one.quantile: one.error for one in quantiles}.items())) or standard.quantiles,
        (own.max_age if own else 0) or (fallback.max_age if fallback else 0) or standard.max_age,
        (own.age_buckets if own else 0) or (fallback.age_buckets if fallback else 0) or standard.age_buckets,
    )
