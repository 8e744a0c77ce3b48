"""How PostgreSQL runs the statements that the collectors sent: what each reads of the tables that grow with history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg2

from bench.cost import Cost
from bench.figures import Figure, Note, Result
from bench.history import Filled
from tests.embedded_postgres import EmbeddedPostgres

GROWING = ("task_instance", "dag_run", "log", "job", "xcom")
LARGE = 50_000
"""Rows from which on reading a whole table is a finding; below, it is the planner's good choice."""
_LIMITS = "SET TRANSACTION READ ONLY; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off"


def explained(server: EmbeddedPostgres, filled: Filled, cost: Cost) -> Iterator[Result]:
    """Per statement its time and the pages it touched; under them each read of a growing table, full ones loudly."""
    table = f"plans, {filled.size.task_instances:,} task instances (EXPLAIN ANALYZE, which adds to the time)"
    notes: list[Note] = []
    connection = psycopg2.connect(host=str(server.socket_folder), user="postgres", dbname=filled.name)
    try:
        for name, ones in cost.warm.items():
            queries = [statement.sql for statement in ones[-1].statements if _reads(statement.sql)]
            for number, sql in enumerate(queries, 1):
                with connection, connection.cursor() as cursor:
                    cursor.execute(_LIMITS)
                    cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}")
                    (plan,) = _plans(cursor.fetchall())
                row = f"{name} {number}"
                yield Figure(table, row, "planning", plan["Planning Time"], "ms")
                yield Figure(table, row, "execution", plan["Execution Time"], "ms")
                yield Figure(
                    table, row, "pages", plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
                )
                notes += [Note(table, f"{row}: {text}", loud) for text, loud in _scans(plan["Plan"], filled)]
    finally:
        connection.close()
    yield from notes
    if not any(note.loud for note in notes):
        yield Note(table, "no full read of " + ", ".join(GROWING))


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
        loud = filled.rows[name] >= LARGE and (node["Node Type"] == "Seq Scan" or read > filled.rows[name] / 2)
        through = f" through {node['Index Name']}" if "Index Name" in node else ""
        yield f"{node['Node Type']} on {name}{through}: {read:,.0f} rows read of {filled.rows[name]:,}", loud
    for child in node.get("Plans", ()):
        yield from _scans(child, filled)
