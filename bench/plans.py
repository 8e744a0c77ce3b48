"""How a server runs the statements that the collectors sent: what each reads of the tables that grow with history."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.airflow_schemas import Kind

GROWING = (
    "task_instance", "task_instance_history", "task_reschedule", "task_fail", "dag_run", "log", "job", "xcom", "celery_taskmeta",
    "sla_miss", "dataset_event", "asset_event", "dag_version", "deadline", "callback",
)  # fmt: skip
_HANDLER_READS = "SHOW SESSION STATUS LIKE 'Handler_read%'"
_PREPARE = {
    Kind.POSTGRESQL: ("SET max_parallel_workers_per_gather = 0", "SET jit = off"),
    # What InnoDB itself sorts out by a part of the index is not told.
    Kind.MARIADB: (
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET SESSION optimizer_switch = 'index_condition_pushdown=off'",
    ),
}


@dataclass(frozen=True)
class Read:
    """What one node of a plan reads of a table: how, through which index, and how many rows altogether, kept or not.

    `whole`: it goes through the table from the first row on, and not through an index.
    """

    table: str
    how: str
    index: str | None
    rows: float
    whole: bool

    def __str__(self) -> str:
        through = f" through {self.index}" if self.index else ""
        return f"{self.how} on {self.table}{through}: {self.rows:,.0f} rows read"


@dataclass(frozen=True)
class Explained:
    """A statement as the server ran it: milliseconds, what it touched of all tables and indexes, in `unit`, and its reads.

    On MariaDB temporary tables are among what it touched.
    """

    planning_ms: float | None
    execution_ms: float
    touched: float
    unit: str
    reads: Sequence[Read]


def asks(sql: str) -> bool:
    """Whether the statement reads tables, so that it has a plan."""
    return sql.lstrip().startswith(("SELECT", "WITH", "(SELECT")) and " FROM " in " ".join(sql.split())


def prepare(cursor: Any, kind: Kind) -> None:
    """Have the server run statements in this session as those of the exporter, and so that every row it reads is told."""
    for statement in _PREPARE[kind]:
        cursor.execute(statement)


def explain(cursor: Any, kind: Kind, sql: str, parameters: Any = None) -> Explained:
    """Run the statement through this cursor of the driver's; what it costs to look on is in its time."""
    return _EXPLAIN[kind](cursor, sql, parameters)


def _on_postgresql(cursor: Any, sql: str, parameters: Any) -> Explained:
    cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", parameters)
    (plan,) = cursor.fetchall()[0][0]
    pages = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
    return Explained(plan["Planning Time"], plan["Execution Time"], pages, "pages", list(_scans(plan["Plan"])))


def _scans(node: Mapping[str, Any]) -> Iterator[Read]:
    if "Relation Name" in node:
        dropped = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        rows = (node["Actual Rows"] + dropped) * node["Actual Loops"]
        how = node["Node Type"]
        yield Read(node["Relation Name"], how, node.get("Index Name"), rows, how == "Seq Scan")
    for child in node.get("Plans", ()):
        yield from _scans(child)


def _on_mariadb(cursor: Any, sql: str, parameters: Any) -> Explained:
    before = _handler_reads(cursor)
    cursor.execute(f"ANALYZE FORMAT=JSON {sql}", parameters)
    plan = json.loads(cursor.fetchall()[0][0])
    touched = _handler_reads(cursor) - before
    planning = plan.get("query_optimization", {}).get("r_total_time_ms")
    return Explained(planning, _took(plan["query_block"]), touched, "rows", list(_tables(plan)))


def _handler_reads(cursor: Any) -> int:
    cursor.execute(_HANDLER_READS)
    return sum(int(value) for _, value in cursor.fetchall())


def _tables(node: Any) -> Iterator[Read]:
    """Every table of the plan, wherever it stands."""
    if isinstance(node, list):
        for one in node:
            yield from _tables(one)
    if not isinstance(node, dict):
        return
    if "access_type" in node and node.get("r_loops"):
        how, rows = node["access_type"], (node.get("r_rows") or 0) * node["r_loops"]
        yield Read(node["table_name"], how, node.get("key"), rows, how == "ALL")
    for child in node.values():
        yield from _tables(child)


def _took(block: Mapping[str, Any]) -> float:
    """Milliseconds of a query, or of the parts of a union, or of the subqueries that it is made of."""
    if block.get("r_total_time_ms"):
        return float(block["r_total_time_ms"])
    parts = [*block.get("union_result", {}).get("query_specifications", ()), *block.get("subqueries", ())]
    return sum(_took(part["query_block"]) for part in parts if "query_block" in part)


_EXPLAIN = {Kind.POSTGRESQL: _on_postgresql, Kind.MARIADB: _on_mariadb}


def shape(sql: str) -> str:
    """The statement without its values, as often as they may be repeated."""
    return re.sub(r"(\?, )+", "?, ", re.sub(r"'[^']*'|\d+", "?", sql))
