"""How PostgreSQL runs the statements that the collectors sent: what each reads of the tables that grow with history."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg2

from bench.cost import Cost
from bench.figures import Figure, Note, Result
from bench.history import Filled
from tests.embedded_postgres import EmbeddedPostgres

GROWING = (
    "task_instance", "task_instance_history", "task_reschedule", "task_fail", "dag_run", "log", "job", "xcom", "celery_taskmeta",
    "sla_miss", "dataset_event", "asset_event", "dag_version", "deadline", "callback",
)  # fmt: skip
LARGE = 50_000
"""Rows from which on a table is not read as a whole, and as many rows not by one statement; below, it is the planner's choice."""
PAGES = 10_000
"""Pages from which on a statement is a finding: what an index is searched through for is not told by the rows."""
_LIMITS = "SET TRANSACTION READ ONLY; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off"


def explained(server: EmbeddedPostgres, filled: Filled, cost: Cost) -> Iterator[Result]:
    """Per statement its time and the pages it touched; under them each read of a growing table, full ones loudly."""
    table = f"plans, {filled} (EXPLAIN ANALYZE, which adds to the time)"
    notes: list[Note] = []
    connection = psycopg2.connect(host=str(server.socket_folder), user="postgres", dbname=filled.name)
    try:
        for name, queries in _queries(cost).items():
            for number, sql in enumerate(queries, 1):
                with connection, connection.cursor() as cursor:
                    cursor.execute(_LIMITS)
                    cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}")
                    (plan,) = _plans(cursor.fetchall())
                row = f"{name} {number}"
                yield Figure(table, row, "planning", plan["Planning Time"], "ms")
                yield Figure(table, row, "execution", plan["Execution Time"], "ms")
                pages = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
                yield Figure(table, row, "pages", pages)
                if pages >= PAGES:
                    notes.append(Note(table, f"{row}: touches {pages:,} pages", loud=True))
                notes += [Note(table, f"{row}: {text}", loud) for text, loud in _scans(plan["Plan"], filled)]
    finally:
        connection.close()
    yield from notes
    if not any(note.loud for note in notes):
        yield Note(table, "no full read of " + ", ".join(name for name in GROWING if name in filled.rows))


def _queries(cost: Cost) -> dict[str, list[str]]:
    """What each collector asked in its last run, and what only its first run asked."""
    found = {name: [one.sql for one in ones[-1].statements] for name, ones in {**cost.warm, **cost.beside}.items()}
    usual = {name: {_shape(one.sql) for run in ones for one in run.statements} for name, ones in cost.warm.items()}
    for name, first in cost.first.items():
        if name in usual:
            found[f"{name}, first run"] = [one.sql for one in first.statements if _shape(one.sql) not in usual[name]]
    return {name: [sql for sql in queries if _reads(sql)] for name, queries in found.items()}


def _shape(sql: str) -> str:
    return re.sub(r"(\?, )+", "?, ", re.sub(r"'[^']*'|\d+", "?", sql))


def _reads(sql: str) -> bool:
    return sql.lstrip().startswith(("SELECT", "WITH")) and " FROM " in " ".join(sql.split())


def _plans(rows: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rows[0][0]
    return found


def _scans(node: dict[str, Any], filled: Filled) -> Iterator[tuple[str, bool]]:
    """(what a node reads of a growing table, whether that is too much) for it and the nodes under it."""
    if (name := node.get("Relation Name")) in GROWING:
        loops = node["Actual Loops"]
        kept = node["Actual Rows"] * loops
        dropped = (node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)) * loops
        read = kept + dropped
        loud = filled.rows[name] >= LARGE and (node["Node Type"] == "Seq Scan" or read >= LARGE)
        through = f" through {node['Index Name']}" if "Index Name" in node else ""
        yield f"{node['Node Type']} on {name}{through}: {read:,.0f} rows read of {filled.rows[name]:,}", loud
    for child in node.get("Plans", ()):
        yield from _scans(child, filled)
