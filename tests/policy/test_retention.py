"""How long rows are kept, by table."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airflow_obs.policy import load, loads

Complaints = Callable[[str], list[str]]


def test_every_table_is_kept_as_long_as_the_others() -> None:
    retention = load().retention
    assert {retention.days_of(table) for table in ("log", "xcom", "dag_run", "no_such_table")} == {90}


def test_a_table_of_its_own() -> None:
    retention = loads("retention:\n  days: 30\n  tables:\n    log: {days: 7}\n    job:\n", "site.yaml").retention
    assert [retention.days_of(table) for table in ("log", "job", "xcom")] == [7, 30, 30]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{days: 0}", "site.yaml:1:19: retention.days: out of bounds: must be from 1 to 36500"),
        ("{days: 30d}", "site.yaml:1:19: retention.days: write a whole number from 1 to 36500"),
        ("{tables: {lgo: {days: 7}}}", "site.yaml:1:22: retention.tables: unknown key `lgo`: did you mean `log`?"),
        ("{tables: {log: 7}}", "site.yaml:1:27: retention.tables.log: write a mapping of days"),
        (
            "{tables: {dag_run: {days: 30}}}",
            (
                "site.yaml:1:22: retention.tables: `dag_run` does not belong here: `airflow db clean` keeps the last run and the "
                "used versions of each DAG however old they are, so this table is never judged by its oldest row: remove it; "
                "`retention.days` says when dag runs that never started count as left behind"
            ),
        ),
    ],
)
def test_mistakes(complaints: Complaints, text: str, said: str) -> None:
    assert complaints(f"retention: {text}") == [said]
