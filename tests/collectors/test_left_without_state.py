"""What ended runs left without a state is history: however much it is, the collectors that poll by state read none of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from tests.airflow_database import AirflowDatabase
from tests.collectors.collected import collector, read
from tests.states.many import many_task_instances

LEFT = 2_000
RUNS = 8
LIVE = 30


@contextmanager
def recorded() -> Iterator[list[str]]:
    """The statements that are sent, with their values."""
    statements: list[str] = []

    def record(_: Any, cursor: Any, statement: str, values: Any, *__: Any) -> None:
        statements.append(cursor.mogrify(statement, dict(values)).decode())

    sa.event.listen(sa.Engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", record)


def most_read(node: dict[str, Any], table: str = "task_instance") -> float:
    """Rows of a table that one node of the plan took up, those filtered out among them."""
    dropped = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    rows = (node["Actual Rows"] + dropped) * node["Actual Loops"]
    of_table = node.get("Relation Name") == table or node["Node Type"] == "Bitmap Index Scan"
    return max([float(rows * of_table), *(most_read(each, table) for each in node.get("Plans", []))])


@pytest.mark.parametrize("statistics", ["none", "before they were left", "new"])
@pytest.mark.parametrize("name", ["task_instances", "outcomes"])
def test_it_is_not_read(postgresql_db: AirflowDatabase, name: str, statistics: str) -> None:
    now = datetime.now(UTC)
    for number in range(RUNS):
        many_task_instances(
            postgresql_db, LEFT // RUNS, run_id=f"done_{number}", state="success", ended=now, run_state="success"
        )
    many_task_instances(postgresql_db, LIVE, run_id="live", state=None)
    many_task_instances(postgresql_db, LIVE, run_id="live", state="queued")
    if statistics == "before they were left":
        postgresql_db.execute("ANALYZE")
    for number in range(RUNS):
        many_task_instances(postgresql_db, LEFT // RUNS, run_id=f"left_{number}", state=None, run_state="failed")
    if statistics == "new":
        postgresql_db.execute("ANALYZE")
    one, _ = collector(name), postgresql_db.exporter_url
    for _ in range(2):
        with recorded() as statements:
            read(postgresql_db, one)
        asked = [each for each in statements if "task_instance" in each and "pg_" not in each]
        assert asked
        for statement in asked:
            explain = "EXPLAIN (ANALYZE, FORMAT JSON) " + statement.replace(":", "\\:")
            plan = postgresql_db.execute(explain)[0][0][0]["Plan"]
            assert most_read(plan) <= 4 * LIVE, statement
