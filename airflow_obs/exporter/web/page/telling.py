"""An alert's own sentence with the numbers of this moment, as Prometheus would send it."""

from __future__ import annotations

import re

from airflow_obs.exporter.web.page.judgement import Holding
from airflow_obs.exporter.web.page.wording import count, duration, legible, share, size

_VALUE = re.compile(r"\{\{ \$value(?: \| (\w+))? \}\}B?")
_LABEL = re.compile(r"\{\{ \$labels\.(\w+) \}\}")
_WORDED = {
    "humanizeDuration": duration, "humanizePercentage": share, "humanize1024": size,
    "duration": duration, "ratio": share, "bytes": size,
}  # fmt: skip
"""How a value is written that a template sends through one of these functions, or a knob of one of these units."""


def sentence(of: Holding) -> str:
    """What the alert says of one of the series for which it holds, and how many there are beside."""
    judged = of.judged
    text = _VALUE.sub(lambda found: _WORDED.get(found[1], _number)(of.value), judged.alert.summary)
    for knob in judged.alert.knobs:
        worded = _WORDED.get(knob.unit, _number)(float(judged.at.knobs[knob.name]))
        text = text.replace(f"<{knob.name}>", worded)
    # Last: what others named may look like anything.
    text = _LABEL.sub(lambda found: legible(of.labels.get(found[1], "")), text)
    return text if of.number == 1 else f"{text}; {count(of.number - 1)} more alike"


def _number(value: float) -> str:
    return count(value) if value.is_integer() else f"{value:,.3g}"
