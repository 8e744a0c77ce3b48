"""StatsD out: what an agent has taken equals the page, over UDP and TCP, with tags and without."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Iterator

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.exporter.push.statsd import Statsd
from airflow_obs.exporter.push.statsd_clients import BURST, LARGEST
from airflow_obs.model import Foreign, Kind, Metric, Quantiles, Reading
from airflow_obs.policy.push import StatsdPush
from tests.eventually import eventually
from tests.exporter.push.sending import HERE, Scene, agent, values
from tests.tools import lacking

WAIT, DURATION = metrics.TASK_QUEUE_WAIT, metrics.TASK_DURATION
SUMMARY = Foreign("airflow_other", Kind.SUMMARY, "Another.", quantiles=(0.5, 0.99))
FEEDING = ("pools", "database", "outcomes", "task_instances", "ingest")
TAGGED = {"template": "{metric}", "tags": "datadog"}
SENT = "sent_"
"""Before names that our own listener is to take: it refuses those that are ours already."""


def of(metric: Metric, each: float, total: float, **labels: str) -> Reading:
    return metric.distribution([each] * (len(metric.buckets) + 1), total, **labels)


def everything(times: int) -> list[Reading]:
    """Some of every kind; what counts has counted so many times as much."""
    return [
        metrics.POOL_SLOTS.sample(128, pool="default_pool"),
        metrics.POOL_SLOTS.sample(-1, pool="no limit"),
        metrics.DB_STATS_RESET.sample(1763836800.123456),
        metrics.DB_CLOCK_OFFSET.sample(-1.5e-7),
        metrics.DB_SIZE.sample(2**60),
        metrics.TASKS_FINISHED.sample(7 * times, state="success", queue="default"),
        metrics.DB_ROW_LOCK_WAIT_SECONDS.sample(0.125 * times),
        of(DURATION, times, 12.5 * times, state="failed", queue="default"),
        of(WAIT, 3, 99.5, queue="default"),
        Quantiles(SUMMARY, (("of", "it"),), ((0.5, 2.5), (0.99, math.nan)), 10.0 * times, 4.5 * times),
    ]


@pytest.fixture
def line_by_line() -> Iterator[socket.socket]:
    """An agent of which a test reads what came."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind((HERE, 0))
        yield listening


def sent(listening: socket.socket) -> list[bytes]:
    """The datagrams that came."""
    listening.settimeout(0)
    found: list[bytes] = []
    try:
        while True:
            found.append(listening.recv(65_535))
    except BlockingIOError:
        return found


def to(where: str, transport: str = "udp", **policy: str) -> Statsd:
    return Statsd(StatsdPush.model_validate({"address": where, "transport": transport, **policy}), "prod")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_what_an_agent_has_equals_the_page(transport: str) -> None:
    scene = Scene(*FEEDING)
    with agent("datadog") as taking:
        destination = to(
            taking.udp if transport == "udp" else taking.tcp, transport, template=f"{SENT}{{metric}}", tags="datadog"
        )
        # What was counted before the first snapshot is nobody's, so that of the second all is news.
        destination.send(scene.says(*everything(0)))
        snapshot = scene.says(*everything(1))
        destination.send(snapshot)
        wanted = {
            (f"{SENT}{name}", labels): value
            for (name, labels), value in values(snapshot).items()
            # Nobody can be sent what is no number; nothing is said of a count that is 0; and process_… may be any program's.
            if math.isfinite(value) and value and not name.startswith("process_")
        }
        assert len(wanted) > 20
        eventually(lambda: wanted.items() <= taking.series().items(), "all has arrived")
        assert not [name for name, _ in taking.series() if name.startswith(f"{SENT}process_")]
        destination.close()


def test_names_without_tags() -> None:
    scene = Scene(*FEEDING)
    with agent() as taking:
        destination = to(taking.udp, template=f"{SENT}{{metric}}.{{deployment}}.{{labels}}")
        destination.send(scene.says(*everything(0)))
        destination.send(scene.says(*everything(1)))

        def found(name: str, value: float) -> None:
            eventually(lambda: taking.named(name) == value, f"{name} is {value}: {sorted(taking.series())}")

        # As the listener has it, a dot is an underscore.
        found("sent_airflow_obs_pool_slots_prod_default_pool", 128)
        found("sent_airflow_obs_pool_slots_prod_no_limit", -1)
        found("sent_airflow_obs_task_instances_finished_total_prod_success_default", 7)
        found("sent_airflow_obs_task_duration_seconds_count_prod_failed_default", len(DURATION.buckets) + 1)
        found("sent_airflow_obs_task_duration_seconds_sum_prod_failed_default", 12.5)
        found("sent_airflow_obs_task_queue_wait_seconds_gsum_prod_default", 99.5)
        found("sent_airflow_other_prod_it_0_5", 2.5)
        names = {name for name, _ in taking.series()}
        assert "sent_airflow_other_prod_it_0_99" not in names, "NaN is no number to an agent"
        assert not [name for name in names if "build_info" in name], "an info says nothing without its labels"
        assert not [name for name in names if "bucket" in name]


def test_lines_as_the_protocol_has_them(line_by_line: socket.socket) -> None:
    scene = Scene(*FEEDING)
    where = f"{HERE}:{line_by_line.getsockname()[1]}"
    plain, tagged = to(where), to(where, **TAGGED)
    plain.send(scene.says(*everything(0)))
    first = b"\n".join(sent(line_by_line)).split(b"\n")
    assert b"airflow_obs_pool_slots.prod.default_pool:128|g" in first
    assert b"airflow_obs_pool_slots.prod.no_limit:0|g\nairflow_obs_pool_slots.prod.no_limit:-1|g" in b"\n".join(first)
    assert b"airflow_obs_db_statistics_reset_timestamp_seconds.prod:1763836800.123456|g" in first
    assert not [line for line in first if line.endswith(b"|c")]
    plain.send(scene.says(*everything(1)))
    second = b"\n".join(sent(line_by_line)).split(b"\n")
    assert b"airflow_obs_task_instances_finished_total.prod.success.default:7|c" in second
    assert b"airflow_obs_db_row_lock_wait_seconds_total.prod:0.125|c" in second
    tagged.send(scene.says(metrics.POOL_SLOTS.sample(-1, pool="ä|b,c#d\ne:f"), metrics.DB_SIZE.sample(1)))
    third = b"\n".join(sent(line_by_line))
    pool = "|#airflow:prod,pool:ä_b_c_d_e:f".encode()
    assert b"airflow_obs_pool_slots:0|g" + pool + b"\nairflow_obs_pool_slots:-1|g" + pool in third
    assert b"airflow_obs_db_size_bytes:1|g|#airflow:prod" in third
    assert b"airflow_obs_build_info:1|g|#airflow:prod,version:" in third


@pytest.mark.parametrize("of_what", ["x", "ü"])
def test_datagrams_fit_a_frame(line_by_line: socket.socket, of_what: str) -> None:
    pools = [metrics.POOL_SLOTS.sample(number, pool=f"{of_what * 40}{number}") for number in range(300)]
    to(f"{HERE}:{line_by_line.getsockname()[1]}", **TAGGED).send(Scene("pools").says(*pools))
    datagrams = sent(line_by_line)
    lines = b"\n".join(datagrams).split(b"\n")
    assert len([line for line in lines if b"pool_slots" in line]) == 300
    assert max(map(len, datagrams)) <= LARGEST
    assert len(datagrams) < len(lines) / 5, "lines share datagrams"


def test_an_agent_is_given_time_to_read(line_by_line: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page of a large site is far more than the kernel keeps for a receiver."""
    bursts: list[list[bytes]] = []
    monkeypatch.setattr(time, "sleep", lambda _: bursts.append(sent(line_by_line)))
    pools = [metrics.POOL_SLOTS.sample(number, pool=f"pool-{number}") for number in range(30_000)]
    to(f"{HERE}:{line_by_line.getsockname()[1]}", **TAGGED).send(Scene("pools").says(*pools))
    bursts.append(sent(line_by_line))
    assert max(map(len, bursts)) <= BURST
    lines = b"\n".join(b"\n".join(burst) for burst in bursts)
    assert lines.count(b"airflow_obs_pool_slots:") == 30_000


def test_an_agent_that_has_only_ipv6() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as listening:
        try:
            listening.bind(("::1", 0))
        except OSError:
            lacking("this machine has no IPv6")
        to(f"[::1]:{listening.getsockname()[1]}").send(Scene("pools").says())
        assert sent(listening)
