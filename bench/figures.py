"""What was measured, as values, and how it is shown: a table for each subject, or JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """One number: the table it stands in, its row and its column, its unit ("" for a count or a ratio), and what is aimed at."""

    table: str
    row: str
    column: str
    value: float
    unit: str = ""
    aim: str = ""


@dataclass(frozen=True)
class Note:
    """A sentence under a table; a loud one is a finding."""

    table: str
    text: str
    loud: bool = False


Result = Figure | Note


def as_text(results: Sequence[Result]) -> str:
    """Every table, in the order in which they were measured."""
    return "\n\n".join("\n".join(_lines(table, results)) for table in dict.fromkeys(result.table for result in results))


def as_json(results: Sequence[Result]) -> list[dict[str, object]]:
    """One object per figure or note."""
    return [asdict(result) for result in results]


def _lines(table: str, results: Sequence[Result]) -> Iterator[str]:
    figures = [result for result in results if isinstance(result, Figure) and result.table == table]
    yield f"== {table}"
    if figures:
        yield from _aligned(figures)
    for note in results:
        if isinstance(note, Note) and note.table == table:
            yield f"{'!!! ' if note.loud else '    '}{note.text}"


def _aligned(figures: Sequence[Figure]) -> Iterator[str]:
    columns = list(dict.fromkeys((figure.column, figure.unit) for figure in figures))
    cells = {(figure.row, figure.column): _shown(figure) for figure in figures}
    head = ["", *(f"{name}, {unit}" if unit else name for name, unit in columns)]
    rows = [
        [row, *(cells.get((row, column), "") for column, _ in columns)]
        for row in dict.fromkeys(figure.row for figure in figures)
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        first, *others = (
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join((first, *others)).rstrip()


def _shown(figure: Figure) -> str:
    value = figure.value
    digits = 0 if value == int(value) or abs(value) >= 1000 else 1 if abs(value) >= 100 else 2
    text = f"{value:,.{digits}f}"
    return f"{text} (aim {figure.aim})" if figure.aim else text
