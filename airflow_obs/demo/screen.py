"""Shows the figures: a table that stays in place on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import click

from airflow_obs.demo.figures import Figure


class Screen(Protocol):
    """Something that can show figures; `every` is the seconds between two shows."""

    every: float

    def show(self, title: str, figures: Sequence[Figure]) -> None:
        """Show them in place of those before."""


class Lines:
    """One line per show, for files, pipes and CI; what looks sick has a `!` before it."""

    every = 3.0

    def show(self, title: str, figures: Sequence[Figure]) -> None:
        """Write the line."""
        shown = (f"{'!' if figure.sick else ''}{figure.name}: {figure.text}" for figure in figures)
        click.echo(f"{title} | {' | '.join(shown)}")


@contextmanager
def screen() -> Iterator[Screen]:
    """The screen that fits where standard output goes; https://no-color.org is respected."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        yield Lines()
        return
    from rich.live import Live
    from rich.table import Table

    class Terminal:
        every = 1.0

        def show(self, title: str, figures: Sequence[Figure]) -> None:
            table = Table(title=title, show_header=False, title_justify="left")
            for figure in figures:
                table.add_row(
                    figure.name, figure.text, "sick" if figure.sick else "", style="bold red" if figure.sick else ""
                )
            live.update(table, refresh=True)

    with Live(auto_refresh=False) as live:
        yield Terminal()
