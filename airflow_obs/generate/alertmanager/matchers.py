"""What alerts a route or an inhibition is for, as each reader of it wants it written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from airflow_obs.generate.yaml_text import Value

Operator = Literal["=", "!=", "=~", "!~"]


@dataclass(frozen=True)
class Matcher:
    """One condition on a label; one that an alert has not is the empty text. A pattern must fit as a whole."""

    name: str
    operator: Operator
    value: str

    @property
    def text(self) -> str:
        """As `matchers` of alertmanager.yml have it: in quotes always, which every version reads alike."""
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{self.operator}"{escaped}"'

    @property
    def custom(self) -> dict[str, Value]:
        """As an AlertmanagerConfig has it."""
        return {"name": self.name, "value": self.value, "matchType": self.operator}

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert with these labels is meant. The patterns that we write are read alike by Go and Python."""
        value = labels.get(self.name, "")
        found = re.fullmatch(self.value, value) is not None if "~" in self.operator else value == self.value
        return found != self.operator.startswith("!")


def equal(name: str, value: str) -> Matcher:
    """The label has this value."""
    return Matcher(name, "=", value)


def one_of(name: str, values: Iterable[str]) -> Matcher:
    """The label has one of these values, in the order given."""
    values = list(values)
    return equal(name, values[0]) if len(values) == 1 else Matcher(name, "=~", "|".join(map(_literally, values)))


def matching(name: str, pattern: str) -> Matcher:
    """The label fits the pattern, which may be a plain word."""
    return equal(name, pattern) if re.fullmatch(r"\w+", pattern) else Matcher(name, "=~", pattern)


def _literally(value: str) -> str:
    """As a pattern; a hyphen means nothing outside of brackets, and would only be harder to read."""
    return re.escape(value).replace(r"\-", "-")


@dataclass(frozen=True)
class Inhibition:
    """While an alert fires that all of `source` fit, nobody is told of those that all of `target` fit and whose `equal` labels
    are the same."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]
