"""Every failure mode that a source of ours can show has a metric, and every metric shows what its source can."""

from __future__ import annotations

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.collectors import source_of
from airflow_obs.catalog.failures import FAILURES, LOOK_FIRST
from airflow_obs.collectors.registry import collectors
from airflow_obs.model import Failure
from airflow_obs.policy import load
from tests.airflow_releases import RELEASES

SOURCES = {"database", "broker", "workers", "health", "ingest", "exporter"}


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.id)
def test_what_a_source_can_show_it_shows(failure: Failure) -> None:
    assert set(failure.seen_in) <= SOURCES
    showing = {source_of(metric.collector) for metric in metrics.ALL if failure.id in metric.shows}
    # That a source does not answer is the exporter's to tell.
    assert showing - {"exporter"} == set(failure.seen_in) - {"exporter"}
    assert showing >= set(failure.seen_in)


def test_metrics_name_failure_modes_that_there_are() -> None:
    ids = [failure.id for failure in FAILURES]
    assert len(set(ids)) == len(ids)
    assert {shown for metric in metrics.ALL for shown in metric.shows} <= set(ids)
    assert not [metric.name for metric in metrics.ALL if len(set(metric.shows)) != len(metric.shows)]


def test_where_several_metrics_show_it_one_is_to_be_looked_at_first() -> None:
    showing = {one.id: [metric for metric in metrics.ALL if one.id in metric.shows] for one in FAILURES}
    assert set(LOOK_FIRST) == {key for key, several in showing.items() if len(several) > 1}
    assert not [key for key, metric in LOOK_FIRST.items() if metric not in showing[key]]


def test_since_names_a_release() -> None:
    known = {version.rpartition(".")[0] for version in RELEASES} | {"2.5", "2.6", "2.8", "2.9"}
    assert {metric.since for metric in metrics.ALL} - {None} <= known


def test_the_catalogue_knows_what_each_collector_reads() -> None:
    every = {one.name: one.source for one in collectors(load().collectors)}
    assert {name: source_of(name) for name in every} == every
