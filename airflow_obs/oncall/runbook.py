"""The runbook of an alert, with what is known of this deployment and of what fired set into its commands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from importlib import resources

from airflow_obs.catalog.alerts.named import named
from airflow_obs.oncall.chart_names import as_called

_FENCE = re.compile(r"^ *```")
_SPAN = re.compile(r"`[^`\n]+`")
_PLACEHOLDER = re.compile(r"<([a-z_]+)>")
_SAFE = re.compile(r"[\w.:/@%+,-]+")
"""Text that a shell, SQL and PromQL take for nothing but text, within quotes and without."""


def runbook(alert: str, known: Mapping[str, str], chart: str = "none", executor: str = "auto") -> str:
    """The Markdown of an alert's runbook, with each <placeholder> in code that is `known` replaced.

    Containers and workloads are called as the chart calls them under this executor. Values that a shell would act upon are left
    out: what is printed is typed in. Raises UsageError for an alert that there is not.
    """
    safe = {name: value for name, value in known.items() if is_safe(value)}

    def filled(code: str) -> str:
        return _PLACEHOLDER.sub(lambda found: safe.get(found[1], found[0]), as_called(code, chart, executor))

    return "".join(_filled(_text(alert), filled))


def without_place(alert: str, names: Iterable[str]) -> list[str]:
    """Those of these names for which the runbook of an alert has no <placeholder>. Raises UsageError likewise."""
    places = set(_PLACEHOLDER.findall(_text(alert)))
    return [name for name in names if name not in places]


def _text(alert: str) -> str:
    return resources.files("airflow_obs.oncall").joinpath("runbooks", f"{named(alert).name}.md").read_text("utf-8")


def is_safe(value: str) -> bool:
    """Whether a value may stand in a command that somebody types in."""
    return bool(_SAFE.fullmatch(value)) and not value.startswith("-")


def _filled(text: str, filled: Callable[[str], str]) -> Iterable[str]:
    """The text's lines, with what is code in them filled in."""
    fenced = False
    for line in text.splitlines(keepends=True):
        if _FENCE.match(line):
            fenced = not fenced
            yield line
        elif fenced:
            yield filled(line)
        else:
            yield _SPAN.sub(lambda span: filled(span[0]), line)
