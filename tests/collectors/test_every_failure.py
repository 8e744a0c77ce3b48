"""Each failure mode that the database can show is provoked in a real schema and seen, then cured and gone."""

from __future__ import annotations

from contextlib import closing

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.collectors import source_of
from airflow_obs.catalog.failures import FAILURES
from airflow_obs.model import Failure, Metric
from tests.airflow_schemas import MARIADB_SCHEMAS, POSTGRESQL_SCHEMAS, Kind
from tests.collectors.conftest import Ago, AllSeeing
from tests.conftest import NewDatabase
from tests.embedded_postgres import EmbeddedPostgres
from tests.eventually import eventually
from tests.failures.scene import NOT_SHARP, Case, Scene, Seen, Series
from tests.failures.table import STANDING_STILL, TABLE

SEEN = [failure for failure in FAILURES if "database" in failure.seen_in]
SCHEMAS = {(schema.kind, schema.release.version): schema for schema in [*POSTGRESQL_SCHEMAS, *MARIADB_SCHEMAS]}

Value = float | None


def by_id(failure: Failure) -> str:
    return failure.id


@pytest.mark.parametrize("failure", SEEN, ids=by_id)
def test_it_is_seen_while_it_lasts(
    failure: Failure, new_database: NewDatabase, postgres_server: EmbeddedPostgres, all_seeing: AllSeeing, ago: Ago
) -> None:
    for case in TABLE[failure.id]:
        db = new_database(SCHEMAS[case.kind, case.release])
        if case.kind is Kind.POSTGRESQL:
            all_seeing(db)
        play(case, Scene(db, postgres_server, ago))


@pytest.mark.parametrize("failure", SEEN, ids=by_id)
def test_every_metric_that_shows_it_moves(failure: Failure) -> None:
    shows = {
        metric
        for metric in metrics.ALL
        if failure.id in metric.shows and source_of(metric.collector) in {"database", "exporter"}
    }
    moved = {metric for case in TABLE[failure.id] for metric in case.moves}
    assert moved <= shows
    assert {metric.name for metric in shows - moved - STANDING_STILL.keys()} == set()


def test_the_table_names_failures_that_there_are() -> None:
    assert TABLE.keys() == {failure.id for failure in SEEN}
    assert not STANDING_STILL.keys() & {metric for cases in TABLE.values() for case in cases for metric in case.moves}


def play(case: Case, scene: Scene) -> None:
    """Every metric of the case moves when it fails, and is back when it is cured (a counter: moves no more)."""
    with closing(case.story(scene)) as story:
        next(story)
        healthy = case.look(scene)
        next(story)
        ill = moved(case, scene, healthy)
        assert next(story, "cured") == "cured"
    await_cure(case, scene, healthy, ill)
    once, twice = (case.look(scene) for _ in range(2))
    for metric in case.moves:
        if metric.cumulates:
            assert once[metric] == twice[metric], f"{metric.name} goes on after {case.story.__name__}"


def moved(case: Case, scene: Scene, healthy: Seen) -> dict[Metric, dict[Series, Value]]:
    """Await that some series of each metric have changed, a counter's only upwards; returns them."""
    now = case.look(scene)

    def changes(metric: Metric, seen: Seen) -> dict[Series, Value]:
        before, after = healthy[metric], seen[metric]
        if metric.cumulates:
            return {series: value for series, value in after.items() if value > before.get(series, 0.0)}
        either = before.keys() | after.keys()
        return {
            series: after.get(series) for series in either if differs(metric, after.get(series), before.get(series))
        }

    def await_changes(metric: Metric) -> dict[Series, Value]:
        what = f"{metric.name} moves in {case.story.__name__}, from {healthy[metric]}"
        return eventually(lambda: changes(metric, case.look(scene)), what)

    return {metric: changes(metric, now) or await_changes(metric) for metric in case.moves}


def await_cure(case: Case, scene: Scene, healthy: Seen, ill: dict[Metric, dict[Series, Value]]) -> None:
    """Await that what has moved is where it was, or beyond."""
    now = case.look(scene)

    def cured(metric: Metric, seen: Seen) -> bool:
        before, after = healthy[metric], seen[metric]
        series = ill[metric].items()
        return metric.cumulates or all(is_back(metric, before.get(one), value, after.get(one)) for one, value in series)

    def await_cured(metric: Metric) -> bool:
        what = f"{metric.name} is back after {case.story.__name__}, from {ill[metric]} to {healthy[metric]}"
        return eventually(lambda: cured(metric, case.look(scene)), what)

    assert all(cured(metric, now) or await_cured(metric) for metric in case.moves)


def is_back(metric: Metric, healthy: Value, ill: Value, now: Value) -> bool:
    if healthy is None:
        return not now
    if ill is None or now is None:
        return now == healthy
    near = NOT_SHARP.get(metric, 0.0)
    return now <= healthy + near if ill > healthy else now >= healthy - near


def differs(metric: Metric, one: Value, other: Value) -> bool:
    if one is None or other is None:
        return one != other
    return abs(one - other) > NOT_SHARP.get(metric, 0.0)
