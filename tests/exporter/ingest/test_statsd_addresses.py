"""Where the StatsD listener listens, and what it says of an address that it cannot have."""

from __future__ import annotations

import socket

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.errors import UsageError
from airflow_obs.exporter.ingest.statsd.listener import Statsd
from tests.eventually import eventually
from tests.exporter.ingest.ingesting import Ingesting

HERE = "127.0.0.1"


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_address_in_use_is_said_at_once(kind: str) -> None:
    ingesting = Ingesting()
    first = Statsd((HERE, 0), (HERE, 0), ingesting.mapper, ingesting.accounts)
    try:
        taken = (HERE, (first.udp_port if kind == "udp" else first.tcp_port) or 0)
        udp, tcp = (taken, None) if kind == "udp" else ((HERE, 0), taken)
        with pytest.raises(UsageError, match=rf"statsd.listen-{kind} 127.0.0.1:\d+: cannot listen there: .+ in use"):
            Statsd(udp, tcp, ingesting.mapper, ingesting.accounts)
    finally:
        first.stop()


def test_unknown_host_is_said_at_once() -> None:
    ingesting = Ingesting()
    with pytest.raises(UsageError, match=r"statsd.listen-udp no.such.host.invalid:8125: cannot listen there"):
        Statsd(("no.such.host.invalid", 8125), None, ingesting.mapper, ingesting.accounts)


def test_every_interface_is_listened_on() -> None:
    ingesting = Ingesting(style="none")
    listener = Statsd(("", 0), None, ingesting.mapper, ingesting.accounts)
    listener.start()
    try:
        families = [(socket.AF_INET, HERE)]
        if socket.has_ipv6:
            families.append((socket.AF_INET6, "::1"))
        reached = 0
        for family, host in families:
            try:
                with socket.socket(family, socket.SOCK_DGRAM) as sender:
                    sender.sendto(b"airflow.ti.start.etl.load:1|c", (host, listener.udp_port or 0))
                    reached += 1
            except OSError:
                continue  # a machine without IPv6
        eventually(
            lambda: sum(ingesting.values(metrics.TRIES_STARTED).values()) == reached, f"{reached} datagrams came"
        )
    finally:
        listener.stop()
