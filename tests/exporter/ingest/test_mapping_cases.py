"""Mapping files: what becomes of lines is what statsd_exporter made of them, series by series and bound by bound."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_obs.exporter.exposition import render
from airflow_obs.exporter.ingest.accounts import Reason
from airflow_obs.exporter.ingest.foreign import file as mapping_file
from airflow_obs.exporter.ingest.statsd.foreign_feed import ForeignFeeds
from airflow_obs.exporter.ingest.statsd.lines import parse
from airflow_obs.exporter.ingest.store import Store

FOLDER = Path(__file__).with_name("mappings")
CASES = sorted(path.stem for path in FOLDER.glob("*.page"))


def _page(case: str) -> str:
    store = Store(max_series=10_000, max_total=10_000, ttl=0)
    feeds = ForeignFeeds(store, mapping_file.load(str(FOLDER / f"{case}.yml")), keep_unmapped=True)
    for line in (FOLDER / f"{case}.lines").read_bytes().splitlines():
        for sample in parse(line):
            assert not isinstance(sample, Reason) or line.startswith((b":", b"\xff")), (line, sample)
            if isinstance(sample, Reason):
                continue
            feed = feeds.feed(sample) or feeds.own_name(sample)
            if callable(feed):
                feed(sample.value)
    return render(store.readings(), "a").text.decode()


def _series(page: str) -> dict[str, float]:
    """Values by what stands before them; labels in the order of the page, bounds as they are written."""
    lines = (line.rsplit(" ", 1) for line in page.splitlines() if line and not line.startswith("#"))
    return {series.replace('airflow="a",', "").replace('{airflow="a"}', ""): float(value) for series, value in lines}


def _types(page: str) -> set[str]:
    return {line for line in page.splitlines() if line.startswith("# TYPE ")}


def test_there_are_cases() -> None:
    assert {"rules", "old_keys", "unmapped"} <= set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_page_is_that_of_statsd_exporter(case: str) -> None:
    page, theirs = _page(case), (FOLDER / f"{case}.page").read_text()
    assert _series(page) == pytest.approx(_series(theirs))
    assert _types(page) == _types(theirs)
