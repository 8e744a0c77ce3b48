"""What statsd_exporter would make of a line by a mapping: its rules, and what stands for those that no rule is for."""

from __future__ import annotations

import collections.abc
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from airflow_obs.exporter.ingest.accounts import Reason
from airflow_obs.exporter.ingest.foreign.families import Drop, StatsdType, Target, escaped, labelled, taken
from airflow_obs.exporter.ingest.foreign.match import Globs, Pattern, of_glob, of_regex
from airflow_obs.exporter.ingest.foreign.summary import Objectives, Window
from airflow_obs.model import Foreign, Kind

Tags = collections.abc.Mapping[str, str]

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Where nothing is said: those of Prometheus' client for Go."""

TYPES: tuple[StatsdType, ...] = ("counter", "gauge", "observer")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a line's series is like, whatever its name: how timers are told, when it ends (as in `Target`), what HELP says."""

    observer: Kind = Kind.SUMMARY
    buckets: tuple[float, ...] = BUCKETS
    objectives: Objectives = field(default_factory=Objectives)
    ttl: float | None = None
    scale: float = 1.0
    help: str = "Received over StatsD."


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of a mapping: which lines it is for (by a glob, unless there is a `pattern`) and what they become."""

    match: str
    name: str
    labels: tuple[tuple[str, str], ...] = ()
    pattern: Pattern | None = None
    only: StatsdType | None = None
    drop: bool = False
    honor_labels: bool = False
    shape: Shape = field(default_factory=Shape)


class Mapping:
    """Rules in the order of their file, and the shape of what none is for.

    Globs come before regular expressions, wherever they stand; `ordered` as in `Globs`. With `names_the_rest` dashboards rely on
    what lines without a rule are called, too, as they do where statsd_exporter was. `text` is what it was made of: of equal ones
    one will do.
    """

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        otherwise: Shape | None = None,
        *,
        ordered: bool = True,
        names_the_rest: bool = False,
        text: str = "",
    ) -> None:
        self.names_the_rest = names_the_rest
        self.text = text
        self._globs = Globs(
            [(rule.match, (rule.only,) if rule.only else TYPES, rule) for rule in rules if not rule.pattern],
            ordered=ordered,
        )
        self._patterns = [(rule.pattern, rule) for rule in rules if rule.pattern]
        self._otherwise = otherwise or Shape()

    def match(self, name: str, type_: StatsdType, tags: Tags) -> Target | Drop | None:
        """What a line of that name, type and tags becomes; None if no rule is for it."""
        if found := self._globs.find(name, type_):
            rule, captured = found
            return _made(rule, type_, tags, partial(of_glob, name=name, captured=captured))
        for pattern, rule in self._patterns:
            if rule.only in (None, type_) and (match := pattern.search(name)):
                return _made(rule, type_, tags, partial(of_regex, match=match))
        return None

    def unmapped(self, name: str, type_: StatsdType, tags: Tags) -> Target | Drop:
        """What a line becomes that no rule is for: its name made fit for Prometheus, its tags as labels."""
        return _target(escaped(name), type_, tags, (), self._otherwise, honor_labels=False, unknown=True)


def _made(rule: Rule, type_: StatsdType, tags: Tags, filled: collections.abc.Callable[[str], str]) -> Target | Drop:
    if rule.drop:
        return Drop(Reason.MAPPING_DROPS)
    labels = [(label, filled(value)) for label, value in rule.labels]
    return _target(escaped(filled(rule.name)), type_, tags, labels, rule.shape, honor_labels=rule.honor_labels)


def _target(
    name: str,
    type_: StatsdType,
    tags: Tags,
    labels: Sequence[tuple[str, str]],
    shape: Shape,
    *,
    honor_labels: bool,
    unknown: bool = False,
) -> Target | Drop:
    if not name:
        return Drop(Reason.EMPTY_NAME)
    if taken(name):
        return Drop(Reason.NAME_TAKEN)
    all_labels = {escaped(tag): value for tag, value in tags.items()}
    all_labels |= {label: value for label, value in labels if not (honor_labels and label in all_labels)}
    kind = {"counter": Kind.COUNTER, "gauge": Kind.GAUGE, "observer": shape.observer}[type_]
    family = Foreign(
        name,
        kind,
        shape.help,
        buckets=shape.buckets if kind is Kind.HISTOGRAM else (),
        quantiles=tuple(quantile for quantile, _ in shape.objectives.quantiles) if kind is Kind.SUMMARY else (),
        unknown=unknown,
    )
    return Target(family, labelled(all_labels, kind), partial(Window, shape.objectives), shape.ttl, shape.scale)
