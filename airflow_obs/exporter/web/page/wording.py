"""How the status page writes quantities, and what others wrote: short, with units, and harmless."""

from __future__ import annotations

import math
import unicodedata

NAME = 100
"""Characters of a name that are shown; Airflow takes 250."""
ERROR = 2000
"""Characters of an error that are shown; the log has all of it."""
_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode's categories of what is not seen, or turns what is around it."""


def duration(seconds: float) -> str:
    """In its greatest unit, and in the next one where that says more: 40 ms, 12 s, 3 min, 2 h 5 min, 4 d."""
    if not math.isfinite(seconds):
        return "for ever"
    seconds = max(seconds, 0.0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    whole = round(seconds)
    greatest = next(at for at, (_, scale) in enumerate(_UNITS) if whole >= scale)
    (unit, scale), rest = _UNITS[greatest], ""
    if greatest < 2 and (left := whole % scale // _UNITS[greatest + 1][1]):
        rest = f" {left} {_UNITS[greatest + 1][0]}"
    return f"{whole // scale} {unit}{rest}"


def ago(seconds: float) -> str:
    """How long ago, or how far in the future by our clock."""
    if seconds < -1:
        return f"{duration(-seconds)} in the future"
    return f"{duration(round(max(seconds, 0)))} ago" if seconds >= 1 else "just now"


def count(value: float) -> str:
    """A whole number, in groups of three digits."""
    return f"{value:,.0f}" if math.isfinite(value) else "unlimited"


def size(value: float) -> str:
    """Bytes, in the unit of which there are fewest but one at least."""
    if not math.isfinite(value):
        return "unlimited"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if round(value) < 1024:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:,.1f} TiB"


def share(value: float) -> str:
    """A ratio of 1 in per cent; all and none only if it is so."""
    if 0 < value < 0.01 or 0.99 < value < 1:
        return "< 1%" if value < 0.01 else "> 99%"
    return f"{value:.0%}"


def legible(text: str, most: int = NAME) -> str:
    """At most so many characters of a text, with what is not seen, but for line ends, written as it is escaped in Python."""
    cut = text[:most]
    shown = "".join(
        one if one == "\n" or unicodedata.category(one) not in _HIDDEN else one.encode("unicode_escape").decode("ascii")
        for one in cut
    )
    return f"{shown}…" if len(text) > most else shown


def listed(names: list[str], most: int = 3) -> str:
    """The first of these names, and how many there are beside."""
    shown = ", ".join(map(legible, names[:most]))
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown
