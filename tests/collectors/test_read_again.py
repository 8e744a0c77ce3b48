"""A collector whose read is ended half way, by a standby, and begun again counts what it would have counted undisturbed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_obs.collectors.collector import AnyCollector
from airflow_obs.errors import SourceConflict
from airflow_obs.exporter.scrape import Job, run
from airflow_obs.model import Metric, Reading
from airflow_obs.sources.database import Database, Session
from tests.airflow_database import AirflowDatabase
from tests.airflow_schemas import DEMO_VERSION, POSTGRESQL_SCHEMAS
from tests.collectors.collected import Collected, every_collector, source
from tests.conftest import NewDatabase
from tests.exporter import fakes
from tests.states import a_log_row
from tests.states.lives import Lives

NEWEST = next(schema for schema in POSTGRESQL_SCHEMAS if schema.release.version == DEMO_VERSION)
NAMES = [one.name for one in every_collector()]


@dataclass
class Countdown:
    """How many statements are left until one is ended; None: none is."""

    left: int | None = None
    ended: bool = False

    def statement(self) -> None:
        if self.left is None:
            return
        self.left -= 1
        if self.left < 0:
            self.left, self.ended = None, True
            raise SourceConflict("database: canceling statement due to conflict with recovery")


class EndedSession(Session):
    """A session in which the countdown ends a statement."""

    countdown: Countdown

    def rows(self, statement: sa.Executable, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        self.countdown.statement()
        return super().rows(statement, values)

    def one(self, statement: sa.Executable) -> Any:
        self.countdown.statement()
        return super().one(statement)


@dataclass
class EndedSource:
    """A database in whose sessions the countdown ends a statement."""

    database: Database
    countdown: Countdown
    name: str = "database"
    known: bool = True

    @contextmanager
    def session(self, budget: float) -> Iterator[Session]:
        with self.database.session(budget) as session:
            ended = EndedSession(**{each.name: getattr(session, each.name) for each in fields(session)})
            object.__setattr__(ended, "countdown", self.countdown)
            yield ended

    def close(self) -> None:
        self.database.close()


def collector(name: str) -> AnyCollector:
    return next(one for one in every_collector() if one.name == name)


def counted(readings: Sequence[Reading]) -> dict[str, dict[tuple[str, ...], float]]:
    """What counts, by family and labels."""
    said = Collected(tuple(readings))
    metrics = {each.metric for each in readings if isinstance(each.metric, Metric) and each.metric.cumulates}
    return {metric.name: said.all(metric) for metric in metrics}


def something_happens(db: AirflowDatabase, lives: Lives) -> None:
    """A run goes from its beginning to its end, another begins, and the log grows."""
    moment = datetime.now(UTC)
    done, open_one = lives.create(moment, tasks=2), lives.create(moment, tasks=1)
    for each in (done, open_one):
        lives.start(each, moment)
    for task in done.tasks:
        lives.through(task, datetime.now(UTC), retries=1)
    lives.finish(done, datetime.now(UTC))
    a_log_row(db, dttm=moment)


@pytest.mark.parametrize("name", NAMES)
def test_whichever_statement_is_ended_nothing_is_lost_or_counted_twice(new_database: NewDatabase, name: str) -> None:
    db = new_database(NEWEST)
    lives = Lives(db)
    something_happens(db, lives)
    countdown = Countdown()
    disturbed, calm = collector(name), collector(name)
    with ExitStack() as stack:
        database = stack.enter_context(closing(source(db.exporter_url)))
        jobs = [
            Job(disturbed, fakes.policy(10_000), EndedSource(database, countdown)),
            Job(calm, fakes.policy(10_000), database),
        ]
        assert [run(job).error for job in jobs] == [None, None]
        for number in count():
            something_happens(db, lives)
            countdown.left, countdown.ended = number, False
            one, other = (run(job) for job in jobs)
            assert (one.error, other.error) == (None, None)
            assert counted(one.readings) == counted(other.readings)
            assert one.families == other.families
            if not countdown.ended:
                break
        assert number > 0 or not one.readings
