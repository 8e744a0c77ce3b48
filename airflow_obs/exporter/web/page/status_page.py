"""The page at /: whether all is well, for somebody with no more than a browser, or curl and less."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader, StrictUndefined

from airflow_obs import __version__
from airflow_obs.exporter.board import Snapshot
from airflow_obs.exporter.web.page.condition import configs, overdue, refused, sent, sources
from airflow_obs.exporter.web.page.faults import faults, old
from airflow_obs.exporter.web.page.figures import topics
from airflow_obs.exporter.web.page.figures.figure import Seen
from airflow_obs.exporter.web.page.judgement import Judgement
from airflow_obs.exporter.web.page.verdict import verdict
from airflow_obs.exporter.web.page.wording import ago, legible

FRESH_SECONDS = 1.0
"""For which a page is shown again."""
MOST_FAULTS = 12
"""Faults that are listed at once; the others unfold."""

_environment = Environment(
    loader=PackageLoader("airflow_obs.exporter.web.page"), autoescape=True, trim_blocks=True, lstrip_blocks=True,
    undefined=StrictUndefined,
)  # fmt: skip
_style = _environment.get_template("status.css").render()
_page = _environment.get_template("status.html.j2")

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; img-src data:; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_style.encode()).digest()).decode()}'"
)
"""What a browser may load for the page: its own style, and nothing else."""


class Pages:
    """Renders the page in a thread, for with thousands of DAGs it takes longer than a scrape may wait; one at a time, and each
    once a second at most, however many ask.
    """

    def __init__(self, render: Callable[[Snapshot], str]) -> None:
        self._render = render
        self._turn = asyncio.Lock()
        self._newest: tuple[Snapshot, float, bytes] | None = None

    async def of(self, snapshot: Snapshot) -> bytes:
        """The page of a snapshot, as it is sent."""
        async with self._turn:
            if self._newest:
                shown, made, page = self._newest
                if shown is snapshot and time.monotonic() - made < FRESH_SECONDS:
                    return page
            page = (await asyncio.to_thread(self._render, snapshot)).encode("utf-8", "backslashreplace")
            self._newest = snapshot, time.monotonic(), page
            return page


def status_page(
    snapshot: Snapshot,
    judgement: Judgement | None = None,
    *,
    show_versions: bool = True,
    now: float | None = None,
) -> str:
    """The page as HTML, from what is in memory. Errors are shown as the log has them, without passwords.

    `judgement` says which figures look wrong; without it none does. `now` in Unix seconds.
    """
    judgement, now = judgement or Judgement(), time.time() if now is None else now
    seen = Seen(snapshot.readings, judgement, now)
    of_sources, figures = sources(snapshot.statuses, seen, now), topics(seen)
    going_out, read_again = list(sent(seen)), list(configs(seen))
    wrong = faults(of_sources, seen.holding, figures, going_out, read_again)
    age = ago(now - snapshot.made)
    if expected := overdue(snapshot.statuses, snapshot.made, now):
        wrong.insert(0, old(age, expected))
    return _page.render(
        deployment=legible(snapshot.deployment),
        as_of=datetime.fromtimestamp(snapshot.made, UTC),
        age=age,
        wrong=wrong,
        verdict=verdict(wrong, of_sources, judgement, seen.ambiguous),
        most_faults=MOST_FAULTS,
        sources=of_sources,
        topics=figures,
        sent=going_out,
        configs=read_again,
        refused=refused(seen),
        judgement=judgement,
        version=__version__ if show_versions else "",
    )
