"""The fixtures: which names each release of Airflow has (names.tsv), and lines that two of them sent (sent/)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
RELEASES = ("2.4", "2.5", "2.6", "2.7", "2.8", "2.9", "2.10", "2.11", "3.0", "3.1", "3.2", "3.3", "3.4")
VALUES = {"dag_id": "etl", "task_id": "load", "state": "success", "job_name": "schedulerjob", "return_code": "-9"}
"""What is filled in for a placeholder; for any other its own name in capitals."""


@dataclass(frozen=True)
class Name:
    """A name as it stands in Airflow's sources, and the releases that have it."""

    type: str
    text: str
    releases: frozenset[str]

    @property
    def placeholders(self) -> list[str]:
        return re.findall(r"\{(\w+)\}", self.text)

    def filled(self) -> str:
        """The name of a sample."""
        return re.sub(r"\{(\w+)\}", lambda found: value_of(found[1]), self.text)


@dataclass(frozen=True)
class Line:
    """A sample: its name without prefix, its StatsD type or OTLP kind, and its tags, whose values OTLP's fixture leaves out."""

    name: str
    type: str
    tags: dict[str, str]


def value_of(placeholder: str) -> str:
    """What `Name.filled` fills in."""
    return VALUES.get(placeholder, placeholder.upper())


def names() -> list[Name]:
    """Every name of Airflow 2.4 to 3.4."""
    rows = [line.split("\t") for line in (HERE / "names.tsv").read_text().splitlines()[1:]]
    return [Name(kind, text, frozenset(_releases(releases))) for kind, text, releases in rows]


def sent(release: str, style: str) -> list[Line]:
    """Lines that Airflow sent over StatsD in one of the styles plain, influxdb and datadog, by name."""
    return [_line(text) for text in (HERE / "sent" / f"{release}-{style}.txt").read_text().splitlines()]


def sent_over_otlp(release: str) -> list[Line]:
    """Points that Airflow sent over OTLP."""
    rows = [line.split("\t") for line in (HERE / "sent" / f"{release}-otlp.tsv").read_text().splitlines()]
    return [
        Line(name.removeprefix("airflow."), kind, dict.fromkeys("".join(more[2:]).split(","), "") if more[2:] else {})
        for name, kind, *more in rows
    ]


def _line(text: str) -> Line:
    head, _, rest = text.partition(":")
    name, *tags = head.split(",")
    fields = rest.split("|")
    tagged = [tag.split("=", 1) for tag in tags]
    tagged += [tag.split(":", 1) for field in fields if field.startswith("#") for tag in field[1:].split(",")]
    return Line(name.removeprefix("airflow."), fields[1], dict(tagged))


def _releases(text: str) -> Iterator[str]:
    for span in text.split():
        first, _, last = span.partition("-")
        yield from RELEASES[RELEASES.index(first) : RELEASES.index(last or first) + 1]
