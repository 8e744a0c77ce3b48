"""PromQL built from metric objects: a label that does not exist, or a counter without rate, raises where it is written."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from airflow_obs.model import External, Kind, Metric, Recorded

Family = Metric | External | Recorded
Number = int | Decimal
Part = Literal["", "_bucket", "_count", "_sum"]
Aggregation = Literal["max", "min", "sum", "count", "avg"]

TARGET = frozenset({"instance", "job"})
"""Labels that Prometheus gives each target: while a vector has them, a second exporter of the same Airflow doubles it."""

_EXPORTER = ", ".join(("airflow", *sorted(TARGET)))
_WIDTH = 90
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))
_ATOM, _MULTIPLY, _ADD, _COMPARE, _AND, _OR = range(9, 3, -1)
_BINDS = {"*": _MULTIPLY, "/": _MULTIPLY, "+": _ADD, "-": _ADD, "and": _AND, "unless": _AND, "or": _OR}


@dataclass(frozen=True)
class Match:
    """How a label is matched other than by being equal: `operator` is one of !=, =~ and !~."""

    operator: Literal["!=", "=~", "!~"]
    value: str


@dataclass(frozen=True)
class Expr:
    """An expression: its text, in lines; the labels that its series may have (None: a scalar); the families that it reads.

    `binds` is how tightly its outermost operator binds. Operators with numbers and other expressions are Python's own; those
    that match series by other than all their labels are methods. Raises ValueError, at import of the catalogue, where labels of
    two sides differ and nothing says which to match by.
    """

    text: str
    labels: frozenset[str] | None
    families: frozenset[Family] = frozenset()
    binds: int = _ATOM

    def __add__(self, other: Expr | Number) -> Expr:
        return _binary(self, "+", other)

    def __sub__(self, other: Expr | Number) -> Expr:
        return _binary(self, "-", other)

    def __rsub__(self, other: Number) -> Expr:
        return _binary(Expr(number(other), None), "-", self)

    def __mul__(self, other: Expr | Number) -> Expr:
        return _binary(self, "*", other)

    def __truediv__(self, other: Expr | Number) -> Expr:
        return _binary(self, "/", other)

    def __rtruediv__(self, other: Number) -> Expr:
        return _binary(Expr(number(other), None), "/", self)

    def __gt__(self, other: Expr | Number) -> Expr:
        return _binary(self, ">", other)

    def __ge__(self, other: Expr | Number) -> Expr:
        return _binary(self, ">=", other)

    def __lt__(self, other: Expr | Number) -> Expr:
        return _binary(self, "<", other)

    def __le__(self, other: Expr | Number) -> Expr:
        return _binary(self, "<=", other)

    def equals(self, other: Expr | Number) -> Expr:
        """`==`, which Python wants for itself."""
        return _binary(self, "==", other)

    def on(self, *labels: str) -> Matching:
        """The left side of an operator that matches series by these labels alone."""
        return Matching(self, labels)

    def or_(self, other: Expr) -> Expr:
        """The series of this one, and those of `other` whose labels are not among them."""
        labels = None if self.labels is None or other.labels is None else self.labels | other.labels
        return _joined(self, "or", other, labels)


@dataclass(frozen=True)
class Matching:
    """The left side of an operator, and the labels by which it matches; `group_left` keeps many series of it for one."""

    left: Expr
    by: tuple[str, ...]
    take: tuple[str, ...] | None = None

    def group_left(self, *labels: str) -> Matching:
        """Several series of the left side may match one of the right, from which they take these labels."""
        return Matching(self.left, self.by, labels)

    def and_(self, other: Expr) -> Expr:
        """Those on the left that have a match."""
        return self._make("and", other)

    def unless(self, other: Expr) -> Expr:
        """Those on the left that have none."""
        return self._make("unless", other)

    def or_(self, other: Expr) -> Expr:
        """Those on the left, and of the other those that have no match there."""
        labels = (self.left.labels or frozenset()) | (other.labels or frozenset())
        return replace(self._make("or", other), labels=labels)

    def times(self, other: Expr) -> Expr:
        """Their products."""
        return self._make("*", other)

    def over(self, other: Expr) -> Expr:
        """Their quotients."""
        return self._make("/", other)

    def minus(self, other: Expr) -> Expr:
        """Their differences."""
        return self._make("-", other)

    def above(self, other: Expr) -> Expr:
        """Those on the left that are greater."""
        return self._make(">", other)

    def below(self, other: Expr) -> Expr:
        """Those on the left that are less."""
        return self._make("<", other)

    def _make(self, operator: str, other: Expr) -> Expr:
        for side, what in ((self.left, "left"), (other, "right")):
            if side.labels is None:
                raise ValueError(f"promql: {operator} on ({', '.join(self.by)}) with a scalar on the {what}")
            _have(side, self.by, f"{operator} on (…), {what}")
        # A comparison is arithmetic here: matched one to one, only the labels that matched are left.
        keeps = operator in ("and", "unless") or self.take is not None
        labels = (self.left.labels or frozenset()) if keeps else frozenset(self.by)
        words = f"{operator} on ({', '.join(self.by)})"
        if self.take is not None:
            _have(other, self.take, "group_left")
            words += f" group_left ({', '.join(self.take)})" if self.take else " group_left ()"
            labels |= frozenset(self.take)
        return _joined(self.left, words, other, labels, binds=_BINDS.get(operator, _COMPARE))


@dataclass(frozen=True)
class Selector(Expr):
    """The newest values of the series of one family."""

    counts: bool = False
    """Whether it only rises, so that functions over its rises are allowed, and demanded."""

    def over(self, seconds: Number) -> str:
        """The same, of the last seconds."""
        return f"{self.text}[{span(seconds)}]"

    def offset(self, seconds: Number) -> Expr:
        """Its values of so long ago."""
        return Expr(f"{self.text} offset {span(seconds)}", self.labels, self.families)


def select(family: Family, matchers: dict[str, str | Match], part: Part = "") -> Selector:
    """The series of `family` whose labels match; `part` is which of a histogram's. Raises ValueError for a label it has not."""
    histogram = isinstance(family, Metric) and family.kind in {Kind.HISTOGRAM, Kind.GAUGE_HISTOGRAM}
    if histogram != bool(part):
        raise ValueError(f"promql: {family.name}: {'say which part of the histogram' if histogram else 'has no parts'}")
    own = {*family.labels, *(family.optional if isinstance(family, Metric) else ())}
    own |= {"airflow"} if isinstance(family, Metric | Recorded) else set()
    own |= {"le"} if part == "_bucket" else set()
    if unknown := matchers.keys() - own:
        raise ValueError(f"promql: {family.name} has no label {', '.join(sorted(unknown))}")
    inside = ",".join(f"{label}{_matched(matcher)}" for label, matcher in matchers.items())
    text = f"{family.name}{part}" + (f"{{{inside}}}" if inside else "")
    counts = family.kind is Kind.COUNTER or (histogram and family.kind is Kind.HISTOGRAM)
    added = frozenset[str]() if isinstance(family, Recorded) else TARGET
    return Selector(text, frozenset(own) | added, frozenset({family}), counts=counts)


def aggregate(how: Aggregation, by: Iterable[str], of: Expr) -> Expr:
    """One series for each combination of the labels `by`.

    Raises ValueError where `of` may not have one of them, and where two exporters of the same Airflow would count twice.
    """
    by = tuple(by)
    _have(of, by, f"{how} by")
    whole = how == "avg" and of.labels == TARGET | frozenset(by)
    if how in ("sum", "count", "avg") and of.labels and of.labels >= TARGET and not whole:
        raise ValueError(f"promql: {how} over what two exporters may tell: take max by its own labels first: {of.text}")
    return Expr(_framed(f"{how} by ({', '.join(by)}) (", of.text), frozenset(by), of.families)


def max_by(of: Expr, *by: str) -> Expr:
    """`max by (…)`, which makes one of what several exporters tell."""
    return aggregate("max", by, of)


def min_by(of: Expr, *by: str) -> Expr:
    """`min by (…)`."""
    return aggregate("min", by, of)


def avg_by(of: Expr, *by: str) -> Expr:
    """`avg by (…)`; by all labels but those of the exporter it makes one of what several tell that count the same."""
    return aggregate("avg", by, of)


def sum_by(of: Expr, *by: str) -> Expr:
    """`sum by (…)`, of what was made one before."""
    return aggregate("sum", by, of)


def count_by(of: Expr, *by: str) -> Expr:
    """`count by (…)`, of what was made one before."""
    return aggregate("count", by, of)


def rate(of: Selector, seconds: Number) -> Expr:
    """How much a counter rises in a second, over so many."""
    return _rises("rate", of, seconds)


def increase(of: Selector, seconds: Number) -> Expr:
    """How much a counter has risen within so many seconds; blind for a series that begins above 0: see `happened`."""
    return _rises("increase", of, seconds)


def happened(of: Selector, seconds: Number, watched: Selector) -> Expr:
    """How often within so many seconds, where the first time makes the series.

    A series that was not there before counts with its value, if `watched` (any family that is always there) was, of the same
    exporter: else it is the exporter that was not scraped then, not the series that is new.
    """
    lines = (
        of.text,
        f"unless {of.offset(seconds).text}",
        f"and on ({_EXPORTER}) {watched.offset(seconds).text}",
        f"or {increase(of, seconds).text}",
    )
    return Expr("\n".join(lines), of.labels, of.families | watched.families, _OR)


def risen(of: Selector, since: Number, remembered: Number, watched: Selector) -> Expr:
    """How much a counter has risen since so many seconds ago, exactly: a rule that is judged so often loses nothing.

    Then is the last that was seen within the `remembered` seconds before. One that is lower than it was began anew, and one that
    was not there counts with its value, if `watched` was, of the same exporter (see `happened`).
    """
    if not of.counts:
        raise ValueError(f"promql: rise of what is no counter: {of.text}")
    before, there = (f"last_over_time({one.over(remembered)} offset {span(since)})" for one in (of, watched))
    lines = (of.text, f"- {before} >= 0", f"or {of.text}", f"and on ({_EXPORTER}) {there}")
    return Expr("\n".join(lines), of.labels, of.families | watched.families, _OR)


def over_time(
    function: Literal["max", "min", "avg", "sum", "changes", "resets", "last"], of: Selector, seconds: Number
) -> Expr:
    """A gauge's `function` over the last seconds."""
    if of.counts:
        raise ValueError(f"promql: {of.text} is a counter: take its rate or increase")
    name = function if function in ("changes", "resets") else f"{function}_over_time"
    return Expr(f"{name}({of.over(seconds)})", of.labels, of.families)


def at_least(of: Expr, least: Number) -> Expr:
    """Its values, but no lower ones than `least`."""
    return Expr(_framed("clamp_min(", of.text, number(least)), of.labels, of.families)


def lowest(of: Expr, seconds: Number, step: Number, ago: Number) -> Expr:
    """The least that an expression was, looked at every `step`, in so many seconds that ended `ago` seconds ago."""
    return Expr(_framed("min_over_time(", _past(of, seconds, step, ago)), of.labels, of.families)


def quantile(share: Decimal, of: Expr, seconds: Number, step: Number, ago: Number) -> Expr:
    """What an expression was not above in that share of the looks, as for `lowest`."""
    text = f"{number(share)}, {_past(of, seconds, step, ago)}"
    return Expr(_framed("quantile_over_time(", text), of.labels, of.families)


def predict_linear(of: Selector, seconds: Number, ahead: Number) -> Expr:
    """What a gauge will be so many seconds ahead, by its last `seconds`."""
    return Expr(f"predict_linear({of.over(seconds)}, {number(ahead)})", of.labels, of.families)


def histogram_quantile(quantile: Decimal, buckets: Expr) -> Expr:
    """A quantile of a distribution, from its buckets with their label le."""
    _have(buckets, ("le",), "histogram_quantile")
    labels = (buckets.labels or frozenset()) - {"le"}
    return Expr(_framed(f"histogram_quantile({number(quantile)}, ", buckets.text), labels, buckets.families)


def absent(of: Selector, *labels: str) -> Expr:
    """1 where no series matches; `labels` are those that it takes from matchers that demand one value."""
    return Expr(f"absent({of.text})", frozenset(labels), of.families)


def now() -> Expr:
    """The moment of evaluation, in Unix seconds."""
    return Expr("time()", None)


def vector(value: Number) -> Expr:
    """One series without labels."""
    return Expr(f"vector({number(value)})", frozenset())


def labelled(of: Expr, label: str, value: str, source: str = "", pattern: str = "") -> Expr:
    """The same with a label set, on the series whose label `source` matches `pattern` as a whole (both empty: on all)."""
    if source:
        _have(of, (source,), "label_replace")
    words = ", ".join(map(quoted, (label, value, source, pattern)))
    return Expr(_framed("label_replace(", of.text, words), (of.labels or frozenset()) | {label}, of.families)


def number(value: Number) -> str:
    """Exactly `value`, without an exponent or needless zeros."""
    text = format(Decimal(value), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


@functools.lru_cache(1024)
def span(seconds: Number) -> str:
    """A duration as PromQL writes it: 5400 is 1h30m. Raises ValueError for one below a millisecond."""
    if (left := int(Decimal(seconds) * 1000)) <= 0:
        raise ValueError(f"promql: no duration: {seconds} s")
    parts = []
    for unit, scale in _UNITS:
        count, left = divmod(left, scale)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def quoted(text: str) -> str:
    """A string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _past(of: Expr, seconds: Number, step: Number, ago: Number) -> str:
    return f"({of.text})[{span(seconds)}:{span(step)}] offset {span(ago)}"


def _rises(function: str, of: Selector, seconds: Number) -> Expr:
    if not of.counts:
        raise ValueError(f"promql: {function} of what is no counter: {of.text}")
    return Expr(f"{function}({of.over(seconds)})", of.labels, of.families)


def _binary(left: Expr, operator: str, right: Expr | Number) -> Expr:
    other = right if isinstance(right, Expr) else Expr(number(right), None)
    if left.labels is None and other.labels is None and operator not in _BINDS:
        raise ValueError(f"promql: {left.text} {operator} {other.text}: compares two numbers, which selects nothing")
    if left.labels is not None and other.labels is not None and left.labels != other.labels:
        raise ValueError(f"promql: {left.text} {operator} {other.text}: their labels differ: say which to match on")
    labels = left.labels if left.labels is not None else other.labels
    return _joined(left, operator, other, labels, binds=_BINDS.get(operator, _COMPARE))


def _joined(left: Expr, words: str, right: Expr, labels: frozenset[str] | None, binds: int | None = None) -> Expr:
    binds = _BINDS[words] if binds is None else binds
    texts = _bracketed(left, left.binds < binds), _bracketed(right, right.binds <= binds)
    line = f"{texts[0]} {words} {texts[1]}"
    text = f"{texts[0]}\n{words} {texts[1]}" if "\n" in line or len(line) > _WIDTH else line
    return Expr(text, labels, left.families | right.families, binds)


def _bracketed(of: Expr, needed: bool) -> str:
    return _framed("(", of.text) if needed else of.text


def _framed(opening: str, text: str, more: str = "") -> str:
    """What stands between two brackets, and `more` arguments: on lines of its own where one does not take it all."""
    line = f"{opening}{text}{more and f', {more}'})"
    if "\n" not in line and len(line) <= _WIDTH:
        return line
    inner = f"{text},\n{more}" if more else text
    indented = "\n".join(f"  {one}" for one in inner.split("\n"))
    return f"{opening.rstrip()}\n{indented}\n)"


def _have(of: Expr, labels: Iterable[str], where: str) -> None:
    if missing := [label for label in labels if label not in (of.labels or frozenset())]:
        raise ValueError(f"promql: {where}: no label {', '.join(missing)} in {of.text}")


def _matched(matcher: str | Match) -> str:
    if isinstance(matcher, Match):
        return f"{matcher.operator}{quoted(matcher.value)}"
    return f"={quoted(matcher)}"
