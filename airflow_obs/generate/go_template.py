"""What Prometheus makes of an alert's annotations, for the few functions that they use; promtool proves each.

Sources: prometheus/prometheus template/template.go, and Go's strconv.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from urllib.parse import quote_plus

import re2

_LABEL = r"\$labels\.(?P<{}>[A-Za-z_][A-Za-z0-9_]*)"
_TEXT = r'"(?P<{}>(?:[^"\\]|\\\\)*)"'
_ACTION = re.compile(
    r"\{\{ *(?:"
    rf"reReplaceAll +{_TEXT.format('pattern')} +{_TEXT.format('by')} +{_LABEL.format('replaced')}"
    rf"|(?:\$value|{_LABEL.format('label')})(?: *\| *(?P<function>[a-zA-Z0-9]+))?"
    r") *\}\}"
)

_LONGEST = 2.0**63


def expanded(text: str, labels: Mapping[str, str], number: Decimal) -> str:
    """`text` with its actions replaced. Raises ValueError for one that is not known here."""
    if "{{" not in text:
        return text

    def replace(found: re.Match[str]) -> str:
        label, function = found["label"], found["function"]
        if found["replaced"]:
            pattern, by = (found[name].replace("\\\\", "\\") for name in ("pattern", "by"))
            return str(re2.sub(pattern, by, labels.get(found["replaced"], "")))
        if label:
            if function not in (None, "urlquery"):
                raise ValueError(f"template: {function} of a label is not among those that are proven: {text}")
            value = labels.get(label, "")
            return quote_plus(value) if function else value
        if function and function not in _FUNCTIONS:
            raise ValueError(f"template: {function} is not among those that are proven: {text}")
        return _FUNCTIONS[function](float(number)) if function else _shortest(float(number))

    if "{{" in _ACTION.sub("", text):
        raise ValueError(f"template: not among those that are proven: {text}")
    return _ACTION.sub(replace, text)


def _shortest(value: float) -> str:
    """As Go prints a float64 with %v: the fewest digits that say it, with an exponent from a million on and below 0.0001."""
    if not math.isfinite(value):
        return {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")
    exact = Decimal(repr(value)).normalize()
    if value == 0 or -4 <= exact.adjusted() < 6:
        return format(exact, "f")
    digits = "".join(map(str, exact.as_tuple().digits))
    mantissa = f"{digits[0]}.{digits[1:]}".removesuffix(".")
    return f"{'-' if value < 0 else ''}{mantissa}e{exact.adjusted():+03d}"


def _four(value: float) -> str:
    """As Go prints it with %.4g."""
    return f"{value:.4g}" if math.isfinite(value) else _shortest(value)


def _humanize(value: float) -> str:
    if value == 0 or not math.isfinite(value):
        return _four(value)
    prefix = ""
    if abs(value) >= 1:
        for larger in ("k", "M", "G", "T", "P", "E", "Z", "Y"):
            if abs(value) < 1000:
                break
            prefix = larger
            value /= 1000
        return f"{_four(value)}{prefix}"
    for smaller in ("m", "u", "n", "p", "f", "a", "z", "y"):
        if abs(value) >= 1:
            break
        prefix = smaller
        value *= 1000
    return f"{_four(value)}{prefix}"


def _humanize1024(value: float) -> str:
    if abs(value) <= 1 or not math.isfinite(value):
        return _four(value)
    prefix = ""
    for larger in ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"):
        if abs(value) < 1024:
            break
        prefix = larger
        value /= 1024
    return f"{_four(value)}{prefix}"


def _humanize_duration(value: float) -> str:
    if not math.isfinite(value):
        return _four(value)
    if abs(value) >= _LONGEST:
        raise ValueError(
            f"template: {value} s is more than Go can turn into a duration, and what it says differs by processor"
        )
    if value == 0:
        return f"{_four(value)}s"
    if abs(value) >= 1:
        sign, value = ("-", -value) if value < 0 else ("", value)
        seconds, minutes = int(value) % 60, int(value) // 60 % 60
        hours, days = int(value) // 3600 % 24, int(value) // 86400
        if days:
            return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
        if hours:
            return f"{sign}{hours}h {minutes}m {seconds}s"
        if minutes:
            return f"{sign}{minutes}m {seconds}s"
        return f"{sign}{_four(value)}s"
    prefix = ""
    for smaller in ("m", "u", "n", "p", "f", "a", "z", "y"):
        if abs(value) >= 1:
            break
        prefix = smaller
        value *= 1000
    return f"{_four(value)}{prefix}s"


def _percentage(value: float) -> str:
    return f"{_four(value * 100)}%"


_FUNCTIONS: Mapping[str, Callable[[float], str]] = {
    "humanize": _humanize,
    "humanize1024": _humanize1024,
    "humanizeDuration": _humanize_duration,
    "humanizePercentage": _percentage,
}
