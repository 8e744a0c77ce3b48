"""Lines that Airflow sent, and lines that nobody would send: each is accounted for once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_obs.catalog import metrics
from airflow_obs.exporter.ingest.accounts import Outcome, Reason
from airflow_obs.exporter.ingest.foreign.mapping import Mapping, Rule
from airflow_obs.exporter.ingest.statsd.lines import parse
from tests.exporter.ingest.ingesting import Ingesting

SENT = Path(__file__).parents[2] / "emitted" / "sent"
Capture = tuple[str, Literal["plain", "influxdb", "datadog"]]
CAPTURES: list[Capture] = [
    (release, style) for release in ("2.10.5", "3.3.2") for style in ("plain", "influxdb", "datadog")
]


def lines_of(capture: Capture) -> list[bytes]:
    return (SENT / "{}-{}.txt".format(*capture)).read_bytes().splitlines()


@pytest.mark.parametrize("capture", CAPTURES, ids=" ".join)
def test_everything_that_airflow_sent_is_accounted_for(capture: Capture) -> None:
    release, style = capture
    lines = lines_of(capture)
    ingesting = Ingesting(release=lambda: (int(release[0]), int(release.split(".")[1])))
    for batch in (lines, list(reversed(lines)), lines):
        ingesting.take(*batch)
    ingesting.mapper.finish()
    assert ingesting.mapper.style == style
    assert sum(ingesting.outcomes().values()) == 3 * len(lines)
    assert set(ingesting.outcomes()) == {Outcome.MAPPED, Outcome.DROPPED}, "nothing is unknown or cannot be read"
    assert set(ingesting.refused()) <= {
        Reason.TWIN_SAYS_IT, Reason.LEGACY_SAYS_IT, Reason.LOST_TAGS, Reason.REFUSED, Reason.NO_TASKS,
        Reason.CLIENT,
    }  # fmt: skip


@pytest.mark.parametrize("style", ["plain", "influxdb", "datadog"])
@pytest.mark.parametrize("release", ["2.10.5", "3.3.2"])
def test_all_styles_say_the_same(release: str, style: Literal["plain", "influxdb", "datadog"]) -> None:
    """Pools and parse times, which every capture has, come out alike, and durations are of tasks that took seconds."""
    ingesting = Ingesting(release=lambda: (int(release[0]), int(release.split(".")[1])))
    ingesting.take(*lines_of((release, style)))
    ingesting.mapper.finish()
    assert ingesting.values(metrics.POOL_OPEN)
    assert all(0.03 < seconds < 10 for seconds in ingesting.values(metrics.PARSE_DURATION).values())
    assert {labels[0] for labels in ingesting.values(metrics.PARSE_DURATION)}
    assert 0.001 < ingesting.total(metrics.SCHEDULER_LOOP) < 20


_LINE = st.one_of(
    st.binary(max_size=80),
    st.sampled_from([line for capture in CAPTURES for line in lines_of(capture)]),
    st.builds(
        lambda name, value, tail: f"{name}:{value}|{tail}".encode(),
        st.sampled_from(["airflow.pool.open_slots", "airflow.ti.start.a.b", "airflow.ti.start,dag_id=a,task_id=b",
                         "airflow.job_start", "x"]),
        st.sampled_from(["1", "-1", "+2", "1.5", "nan", "1e5", "", "1:2"]),
        st.sampled_from(["c", "g", "ms", "d", "c|@0.1", "g|#pool_name:p", "s", "c|T17", "x", "ms|#dag_id:a,task_id:b"]),
    ),
)  # fmt: skip


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(st.lists(_LINE.filter(lambda line: b"\n" not in line), max_size=8), st.floats(0, 8)), max_size=12
    ),
    st.sampled_from(["auto", "none", "influxdb", "datadog"]),
    st.booleans(),
    st.booleans(),
)
def test_every_sample_is_accounted_for_once(
    packets: list[tuple[list[bytes], float]],
    style: Literal["auto", "none", "influxdb", "datadog"],
    mapped: bool,
    keep: bool,
) -> None:
    rules = Mapping([Rule("airflow.ti.start.*.*", "starts"), Rule("airflow.job_*", "", drop=True)]) if mapped else None
    ingesting = Ingesting(max_series=20, ttl=5, style=style, mapping=rules, keep_unmapped=keep)
    expected: Counter[bool] = Counter()
    for lines, pause in packets:
        ingesting.mapper.take([b"\n".join(lines)])
        for line in lines:
            if line and line != b"\r":
                expected.update(isinstance(sample, Reason) for sample in parse(line.removesuffix(b"\r")))
        ingesting.clock.now += pause
        ingesting.mapper.tick()
        ingesting.store.expire()
    ingesting.mapper.finish()
    outcomes = ingesting.outcomes()
    assert sum(outcomes.values()) == sum(expected.values())
    assert outcomes.get(Outcome.INVALID, 0) >= expected[True]
    assert sum(ingesting.refused().values()) == sum(outcomes.values()) - outcomes.get(Outcome.MAPPED, 0)
    assert len(ingesting.readings()) <= ingesting.store.size
