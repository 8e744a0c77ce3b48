"""The catalogue of signals against Airflow: every name of every release has its place, and no other."""

from __future__ import annotations

from collections import Counter

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.emitted import SIGNALS
from airflow_obs.catalog.emitted.match import Matcher
from airflow_obs.model import Emission, Kind, Metric, Signal
from tests.emitted.names import RELEASES, Name, names, sent, sent_over_otlp, value_of

NAMES = names()
OF_PROVIDERS = (
    "celery.", "kubernetes_executor.", "batch_executor.", "ecs_executor.", "lambda_executor.", "edge_", "ol.", "common_ai.",
    "managed_agent.", "datadog.",
)  # fmt: skip
"""They come with a provider, to whichever Airflow: their release is not that of Airflow, whose list of them begins with 3.2."""
SAMPLES = [
    *((release, style) for release in ("2.10.5", "3.3.2") for style in ("plain", "influxdb", "datadog")),
]
TYPES = {"c": Emission.COUNTER, "g": Emission.GAUGE, "ms": Emission.TIMER}
KINDS = {
    Emission.COUNTER: {Kind.COUNTER},
    Emission.GAUGE: {Kind.GAUGE},
    Emission.TIMER: {Kind.HISTOGRAM, Kind.GAUGE},
}


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name.text)
def test_every_name_of_airflow_is_fed_or_refused(name: Name) -> None:
    found = Matcher().match(name.filled())
    assert found, "nobody knows it"
    assert found.signal.kind == name.type
    expected = {one: value_of(one) for one in name.placeholders}
    assert sorted(found.values.values()) == sorted(expected.values())
    assert {found.values.get(one, value) for one, value in expected.items()} == set(expected.values())


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.name)
def test_a_signal_has_the_releases_of_its_names(signal: Signal) -> None:
    matcher = Matcher()
    having: set[str] = set()
    for name in NAMES:
        found = matcher.match(name.filled())
        if found and found.signal is signal:
            having |= name.releases
    if signal.name.startswith(OF_PROVIDERS):
        assert (signal.since, signal.until) == (None, None)
        return
    first, last = RELEASES.index(signal.since or RELEASES[0]), RELEASES.index(signal.until or RELEASES[-1])
    in_order = [release for release in RELEASES if release in having]
    assert (in_order[0], in_order[-1]) == (RELEASES[first], RELEASES[last])


def test_no_two_signals_share_a_spelling() -> None:
    spellings = Counter(text for signal in SIGNALS for text in (signal.name, *signal.legacy))
    assert [text for text, times in spellings.items() if times > 1] == []


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.name)
def test_a_family_takes_what_the_signal_is(signal: Signal) -> None:
    if signal.to is None:
        assert signal.refused
        return
    assert signal.to.kind in KINDS[signal.kind]
    assert "ingest" in {signal.to.collector, signal.to.also}
    assert signal.ago == signal.to.name.endswith("_timestamp_seconds")
    assert (signal.factor != 1) == signal.to.name.endswith("_ratio")
    if signal.falls:
        assert (signal.falls.kind, signal.falls.labels) == (signal.to.kind, signal.to.labels)


@pytest.mark.parametrize("metric", [one for one in metrics.ALL if one.also], ids=lambda one: one.name)
def test_what_the_database_feeds_too_has_a_signal(metric: Metric) -> None:
    assert any(signal.to is metric for signal in SIGNALS)


def test_a_family_has_since_and_until_of_its_signals() -> None:
    for metric in metrics.ALL:
        feeding = [signal for signal in SIGNALS if metric in {signal.to, signal.falls}]
        if feeding and metric.collector == "ingest":
            firsts = {RELEASES.index(signal.since or RELEASES[0]) for signal in feeding}
            lasts = {RELEASES.index(signal.until or RELEASES[-1]) for signal in feeding}
            assert RELEASES[min(firsts)] == (metric.since or RELEASES[0]), metric.name
            assert RELEASES[max(lasts)] == (metric.until or RELEASES[-1]), metric.name


@pytest.mark.parametrize(("release", "style"), SAMPLES)
def test_every_line_that_was_sent_has_its_place(release: str, style: str) -> None:
    matcher = Matcher()
    for line in sent(release, style):
        found = matcher.match(line.name)
        assert found, line
        assert found.signal.kind is TYPES[line.type], line
        if found.signal.to is None or (style == "plain" and found.tagged):
            continue
        told = {label for label, sources in found.signal.labels if {*line.tags, *found.values} & set(sources)}
        told |= {label for label, _ in found.signal.constants}
        assert set(found.signal.to.labels) <= told, line


@pytest.mark.parametrize("release", ["2.10.5", "3.3.2"])
def test_every_point_that_was_sent_over_otlp_has_its_place(release: str) -> None:
    matcher = Matcher()
    for line in sent_over_otlp(release):
        found = matcher.match(line.name)
        assert found, line
        if found.tagged and found.signal.to:
            told = {label for label, sources in found.signal.labels if set(line.tags) & set(sources)}
            assert set(found.signal.to.labels) <= told | {label for label, _ in found.signal.constants}, line


def test_tags_are_taken_to_the_labels_that_they_say() -> None:
    """Each tag that was seen is a label of the family, or known to say nothing more."""
    said = {"status", "action", "file_path", "bundle_name", "file_name", "client", "client_version", "client_transport"}
    for release, style in SAMPLES:
        matcher = Matcher()
        for line in sent(release, style):
            found = matcher.match(line.name)
            assert found
            if found.tagged and found.signal.to:
                taken = {source for _, sources in found.signal.labels for source in sources}
                assert set(line.tags) <= taken | said, line
