"""Runs the collector of objectives time and again at moments of a test's choice, and looks up what it says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from airflow_obs.catalog import metrics
from airflow_obs.collectors.slos import Slos
from airflow_obs.policy import loads
from airflow_obs.sources.database import Database
from tests.airflow_database import AirflowDatabase
from tests.collectors.collected import BUDGET, Collected, source
from tests.states import a_finished_dag_run

BY_SEVEN = 'name: by-seven, kind: dag_deadline, dag_id: sales, deadline: "07:00", lead: 2h'
FRESH = "name: fresh, kind: dag_freshness, dag_id: sales, threshold: 1h"


def at(clock: str, day: int = 10) -> datetime:
    """That time of a day in March 2026, the 10th of which is a Tuesday."""
    return datetime.fromisoformat(f"2026-03-{day:02} {clock}").replace(tzinfo=UTC)


def succeed(db: AirflowDatabase, ended: datetime, dag_id: str = "sales", state: str = "success") -> str:
    """A run of a minute."""
    return a_finished_dag_run(db, dag_id, started=ended - timedelta(minutes=1), ended=ended, state=state)


def date_of_runs(db: AirflowDatabase) -> str:
    """The column of a run's date."""
    return next(name for name in ("logical_date", "execution_date") if name in db.tables["dag_run"].columns)


@dataclass
class SloWatch:
    """One exporter's life under these objectives, each of them the inside of a YAML flow map."""

    db: AirflowDatabase
    slos: tuple[str, ...]
    database: Database = field(init=False)
    collector: Slos = field(init=False)
    newest: Collected = field(init=False)

    def __post_init__(self) -> None:
        self.database = source(self.db.exporter_url)
        self.restart()

    def restart(self) -> None:
        """Forget everything."""
        text = "\n".join(f"- {{objective: 99%, {slo}}}" for slo in self.slos)
        self.collector = Slos(loads(f"slos:\n{text}", "test.yaml").slos)

    def at(self, now: datetime) -> Collected:
        """What it says `now`."""
        with self.database.session(BUDGET) as session:
            seen = self.collector.read(replace(session, now=now))
        self.newest = Collected(tuple(self.collector.samples(seen)))
        return self.newest

    def deadline(self, now: datetime, dag_id: str = "sales") -> str | None:
        """What it says of a DAG under a deadline `now`; None if nothing."""
        seen = self.at(now)
        (slo,) = {slo for (slo,) in seen.all(metrics.SLO_DEADLINE)}
        good, overdue = (seen.one(metric, slo, dag_id) for metric in (metrics.SLO_DAG_GOOD, metrics.SLO_DAG_OVERDUE))
        return _WORDS[good, overdue]


_WORDS: dict[tuple[float | None, float | None], str | None] = {
    (None, None): None,
    (1, 0): "in time",
    (0, 0): "made up",
    (0, 1): "overdue",
}


@contextmanager
def watching(db: AirflowDatabase, *slos: str) -> Iterator[SloWatch]:
    """One that has not looked yet; its connection is closed at the end."""
    watch = SloWatch(db, slos)
    try:
        yield watch
    finally:
        watch.database.close()
