"""What a message says, as Go templates that Alertmanager fills in: its own templates know neither our annotations nor any bound.

They stand in the receiver's fields, since an AlertmanagerConfig cannot bring files of templates, and use no function that
Alertmanager 0.25 lacks. Limits, in the units in which the services count them:

- Slack: https://api.slack.com/reference/messaging/attachments (a text is best below 3,000 characters, 40,000 are the end)
- PagerDuty: https://developer.pagerduty.com/docs/events-api-v2/trigger-events/ (a summary 1,024 characters, an event 512 KB)
- Opsgenie: https://docs.opsgenie.com/docs/alert-api (a message 130 characters, a description 15,000)
- Teams: https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook (28 KB, which
  count two bytes for a letter)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from jinja2 import Environment

State = Literal["firing", "resolved"]
BOTH: tuple[State, ...] = ("firing", "resolved")

_TEMPLATES = Path(__file__).with_name("templates")
_RUNES = "reReplaceAll `(?s).` `.`"
_BYTES = "js"
"""JavaScript's escapes are at least as long as JSON's."""


@dataclass(frozen=True)
class Style:
    """How a service wants text: formats for Go's printf, of a link's with the address first.

    `escapes` (of a line) and `in_links` (of an address) are patterns with what stands for them, replaced in this order.
    """

    name: str
    command: str
    link: str
    line: str = r"\n"
    escapes: tuple[tuple[str, str], ...] = ()
    in_links: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Limit:
    """How much one text may hold: at `most` so many alerts, of which the `full` newest at length, and no more than the first where
    the length of what Go's `measured` makes of it would be above `size`."""

    most: int
    size: int
    measured: str
    full: int = 3


PLAIN = Style("%s", "Command: %s", "%[2]s: %[1]s")
PAGED = Style("`%s`", "Command: %s", "%[2]s: %[1]s")
"""Newer Alertmanagers read a detail as YAML, and fill in what they find in it once more (template.DeepCopyWithTemplate), unless it
is none: with a backtick none begins."""
_ENTITIES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"))
SLACK = Style(
    "*%s*", "```%s```", "<%[1]s|%[2]s>", escapes=(*_ENTITIES, (r"\x60", "'")), in_links=(*_ENTITIES, (r"\|", "%7C"))
)
TEAMS = Style(
    "**%s**",
    "Command: %s",
    "[%[2]s](%[1]s)",
    line=r"\n\n",
    escapes=((r"[\\*_\[\]<>#~\x60]", r"\${0}"),),
    in_links=((r"\(", "%28"), (r"\)", "%29"), (r"\s", "%20"), ("<", "%3C"), (">", "%3E"), (r"\\", "%5C")),
)

IN_SLACK = Limit(30, 3_000, _RUNES)
IN_PAGERDUTY = Limit(50, 30_000, _BYTES)
IN_OPSGENIE = Limit(50, 14_000, _RUNES)
IN_TEAMS = Limit(30, 9_000, _BYTES)
IN_MAIL = Limit(50, 200_000, _BYTES)


@lru_cache
def listing(style: Style, limit: Limit, states: tuple[State, ...] = BOTH) -> str:
    """The group's alerts in these states: the newest at length (summary, impact, since when, where, command and links), the others
    by a line each."""
    return _filled("listing", style=style, limit=limit, states=states)


@lru_cache
def title(style: Style, runes: int, *, summary: bool = False) -> str:
    """One line on the group of at most so many characters (before they are escaped); with the `summary` if its alerts share it."""
    return _filled("title", style=style, runes=runes, summary=summary)


@lru_cache
def severity(critical: str, warning: str, info: str, others: str) -> str:
    """The group's severity as the receiver calls it; `others` for alerts that have none of the three."""
    return _filled("severity", names=(("critical", critical), ("warning", warning), ("info", info)), others=others)


def link(annotation: str, there: str, missing: str) -> str:
    """`there` (in which `{{ . }}` is the address) if the group's first alert has the annotation, else `missing`."""
    return _filled("link", annotation=annotation, there=there, missing=missing)


@lru_cache
def html() -> str:
    """A mail's body."""
    return _filled("mail.html", limit=IN_MAIL)


def _filled(name: str, **values: object) -> str:
    return _environment().get_template(f"{name}.j2").render(values)


@lru_cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        # Go's templates stand in ours as they are.
        block_start_string="[%", block_end_string="%]", variable_start_string="[[", variable_end_string="]]",
        comment_start_string="[#", comment_end_string="#]",
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 (makes Go templates, which escape what they are filled with)
    )  # fmt: skip
