"""What the plans of the statements that were measured come to: a row for each, and a note for each read of a growing table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace

from bench.cost import Cost
from bench.figures import Figure, Note, Result
from bench.history import Filled
from bench.plans import GROWING, Read, asks, explain, prepare, shape
from tests.airflow_database import engine_for

LARGE = 50_000
"""Rows from which on a table is not read as a whole, and as many rows not by one statement; below, it is the planner's choice."""
TOUCHED: Mapping[str, int] = {"pages": 10_000, "rows": 100_000}
"""From so many on a statement is a finding: what an index is searched through for is not told by the rows."""


def explained(filled: Filled, cost: Cost) -> Iterator[Result]:
    """Per statement its time and what it touched; under them each read of a growing table, full ones loudly."""
    table = f"plans, {filled} (run once more under ANALYZE, which adds to the time)"
    notes: list[Note] = []
    engine = engine_for(filled.owner_url)
    with closing(engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
        prepare(cursor, filled.kind)
        for name, queries in _queries(cost).items():
            for number, sql in enumerate(queries, 1):
                plan = explain(cursor, filled.kind, sql)
                row = f"{name} {number}"
                if plan.planning_ms is not None:
                    yield Figure(table, row, "planning", plan.planning_ms, "ms")
                yield Figure(table, row, "execution", plan.execution_ms, "ms")
                yield Figure(table, row, plan.unit, plan.touched)
                if plan.touched >= TOUCHED[plan.unit]:
                    notes.append(Note(table, f"{row}: touches {plan.touched:,.0f} {plan.unit}", loud=True))
                for read in _merged(plan.reads):
                    if read.table in GROWING:
                        has = filled.rows[read.table]
                        loud = has >= LARGE and (read.whole or read.rows >= LARGE)
                        notes.append(Note(table, f"{row}: {read} of {has:,}", loud))
    engine.dispose()
    yield from notes
    if not any(note.loud for note in notes):
        yield Note(table, "no full read of " + ", ".join(name for name in GROWING if name in filled.rows))


def _merged(reads: Iterable[Read]) -> list[Read]:
    """What is done many times in one statement, as one."""
    merged: dict[tuple[str, str, str | None], Read] = {}
    for read in reads:
        key = (read.table, read.how, read.index)
        merged[key] = replace(read, rows=read.rows + (merged[key].rows if key in merged else 0))
    return list(merged.values())


def _queries(cost: Cost) -> dict[str, list[str]]:
    """What each collector asked in its last run, and what only its first run asked."""
    found = {name: [one.sql for one in ones[-1].statements] for name, ones in {**cost.warm, **cost.beside}.items()}
    usual = {name: {shape(one.sql) for run in ones for one in run.statements} for name, ones in cost.warm.items()}
    for name, first in cost.first.items():
        if name in usual:
            only = {shape(one.sql): one.sql for one in first.statements if shape(one.sql) not in usual[name]}
            found[f"{name}, first run"] = list(only.values())
    return {name: [sql for sql in queries if asks(sql)] for name, queries in found.items()}
