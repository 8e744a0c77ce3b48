"""Which signal a name of Airflow's stream belongs to, and what its legacy spelling says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from string import Formatter

from airflow_obs.catalog.emitted import SIGNALS
from airflow_obs.model import Emission, Signal

MAX_DAGS = 20_000
"""DAG ids remembered; beyond it a DAG id with dots is taken to end at its first one."""
MAX_ID = 250
"""Characters of the longest DAG or task id that Airflow takes."""
MAX_NAME = 4 * MAX_ID
"""Characters of a name; nothing that Airflow sends is longer."""
_MAX_QUEUE = 8
"""Dots that a queue's name may have."""
_KEY = 3
"""Characters of the shortest beginning of a legacy spelling, by which they are looked up."""
_CUT_LENGTHS = range(40, 64)
"""OpenTelemetry up to Airflow 3.2 cuts names at 63 characters, of which the prefix, unknown here, has its part."""

CUT = Signal(
    "{name of 63 characters}",
    Emission.TIMER,
    until="3.2",
    refused="cut by Airflow's OpenTelemetry, which leaves open what it was; the tagged name says it",
)


@dataclass(frozen=True, slots=True)
class Match:
    """What a name says: its signal; whether it is `signal.name` itself, whose labels travel as tags; else its placeholders' values.

    The values of a name that was cut short are missing.
    """

    signal: Signal
    tagged: bool
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Spelling:
    """A legacy spelling: head + placeholders joined by dots + tail."""

    signal: Signal
    head: str
    placeholders: tuple[str, ...]
    tail: str

    @property
    def rank(self) -> tuple[int, int]:
        """The more of it is fixed, the sooner it is tried."""
        return -len(self.head) - len(self.tail), -len(self.placeholders)

    @property
    def only_a_dag(self) -> bool:
        return self.placeholders == ("dag_id",)


class Matcher:
    """Names to signals, by the catalogue and by the DAG ids learned; for one thread, or under its owner's lock.

    DAG and task ids may contain dots, so "ti.finish.a.b.c.success" is ambiguous: the longest known DAG id that fits wins, else the
    DAG ends at the first dot. `revision` rises whenever a newly learned id may change what an earlier name meant.
    """

    def __init__(self, signals: Iterable[Signal] = SIGNALS) -> None:
        self.revision = 0
        signals = tuple(signals)
        self._tagged = {signal.name: Match(signal, tagged=True) for signal in signals if "{" not in signal.name}
        self._spellings = _by_beginning(sorted(_spellings(signals), key=lambda one: one.rank))
        self._learnt = 0
        self._most_segments = 1
        self._told: dict[str, str] = {}
        self._seen: dict[str, str] = {}

    def match(self, name: str) -> Match | None:
        """What this name says, None if nobody knows it; `name` is without Airflow's prefix."""
        if found := self._tagged.get(name):
            return found
        if len(name) > MAX_NAME:
            return None
        for spelling in self._beginning_as(name):
            if name.startswith(spelling.head) and name.endswith(spelling.tail):
                middle = name[len(spelling.head) : len(name) - len(spelling.tail)]
                if (values := self._values(spelling.placeholders, middle)) is not None:
                    if spelling.only_a_dag:
                        self._see(middle)
                    return Match(spelling.signal, tagged=False, values=values)
        return self._cut(name) if len(name) in _CUT_LENGTHS else None

    def learn(self, dag_id: str) -> None:
        """A DAG id as Airflow has it: names spell it in lower case over OpenTelemetry, and with __ for dots since 3.3."""
        if self._told.get(dag_id) == dag_id or self._learnt >= MAX_DAGS or len(dag_id) > MAX_ID:
            return
        self._learnt += 1
        self._most_segments = max(self._most_segments, dag_id.count(".") + 1)
        self._told[dag_id] = dag_id
        for spelt in (dag_id.lower(), dag_id.replace(".", "__"), dag_id.replace(".", "__").lower()):
            self._told.setdefault(spelt, dag_id)
        self.revision += "." in dag_id or dag_id != dag_id.lower()

    def _see(self, dag_id: str) -> None:
        if dag_id not in self._seen and len(self._seen) < MAX_DAGS and len(dag_id) <= MAX_ID:
            self._most_segments = max(self._most_segments, dag_id.count(".") + 1)
            self._seen[dag_id] = dag_id
            self.revision += "." in dag_id

    def _beginning_as(self, name: str) -> tuple[_Spelling, ...]:
        return self._spellings.get(name[:_KEY]) or self._spellings[""]

    def _known(self, spelt: str) -> str | None:
        return self._told.get(spelt) or self._seen.get(spelt)

    def _values(self, placeholders: tuple[str, ...], middle: str) -> Mapping[str, str] | None:
        """The value of each placeholder; None if there are too few segments, or empty ones."""
        if len(placeholders) == 1:
            (only,) = placeholders
            if not middle or (only == "job_name" and not middle.isidentifier()):
                return None
            return {only: (self._known(middle) or middle) if only == "dag_id" else middle}
        segments = middle.split(".")
        if len(segments) < len(placeholders) or not all(segments):
            return None
        if "dag_id" in placeholders:
            return self._around_the_dag(placeholders, segments)
        first = segments[: len(placeholders) - 1]
        return dict(zip(placeholders, (*first, ".".join(segments[len(first) :])), strict=True))

    def _around_the_dag(self, placeholders: tuple[str, ...], segments: list[str]) -> Mapping[str, str]:
        """What is before the DAG and after the task has one segment each, unless a known DAG shows where it is."""
        before = placeholders.index("dag_id")
        task, *after = placeholders[before + 1 :]
        last = len(segments) - len(after)
        start, end, dag_id = before, before + 1, segments[before]
        for here in range(before, min(last - 1, before + _MAX_QUEUE)) if before else (0,):
            if found := self._longest(segments, here, last - 1):
                start, (end, dag_id) = here, found
                break
        fronts = [*_widened(segments[:start], before), dag_id, ".".join(segments[end:last]), *segments[last:]]
        return dict(zip((*placeholders[:before], "dag_id", task, *after), fronts, strict=True))

    def _longest(self, segments: list[str], start: int, last: int) -> tuple[int, str] | None:
        """(end, id) of the longest known DAG that begins at `start` and leaves a task."""
        for end in range(min(last, start + self._most_segments), start, -1):
            if known := self._known(".".join(segments[start:end])):
                return end, known
        return None

    def _cut(self, name: str) -> Match | None:
        """What a name may have been before it was cut: a whole name, or a spelling that lost its end."""
        whole = [match for full, match in self._tagged.items() if full.startswith(name)]
        if len(whole) == 1:
            return whole[0]
        heads = [one for one in self._beginning_as(name) if one.head and name.startswith(one.head)]
        longest = max((len(one.head) for one in heads), default=0)
        signals = {one.signal.name: one.signal for one in heads if len(one.head) == longest}
        if not signals:
            return None
        return Match(signals.popitem()[1] if len(signals) == 1 else CUT, tagged=False)


def _widened(segments: list[str], count: int) -> list[str]:
    """`count` values, the first of which takes the segments that are too many."""
    extra = len(segments) - count
    return [".".join(segments[: extra + 1]), *segments[extra + 1 :]] if count else []


def _by_beginning(spellings: list[_Spelling]) -> dict[str, tuple[_Spelling, ...]]:
    """Spellings by their first characters, "" for those that begin with a placeholder, which are in all of them."""
    keys = {"", *(one.head[:_KEY] for one in spellings)}
    return {key: tuple(one for one in spellings if one.head[:_KEY] in {"", key}) for key in keys}


def _spellings(signals: Iterable[Signal]) -> Iterator[_Spelling]:
    for signal in signals:
        for text in (*signal.legacy, *((signal.name,) if "{" in signal.name else ())):
            literals, placeholders = [], []
            for literal, name, _, _ in Formatter().parse(text):
                literals.append(literal)
                placeholders += [name] if name is not None else []
            head, *between = literals
            tail = between.pop() if len(literals) > len(placeholders) else ""
            if any(literal != "." for literal in between):
                raise ValueError(f"signal {signal.name}: {text}: placeholders are to be joined by dots")
            yield _Spelling(signal, head, tuple(placeholders), tail)
