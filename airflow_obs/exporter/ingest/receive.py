"""Puts the ingest together: what the policy says to listen for, and the series that come of it, as a source and its collector."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airflow_obs.catalog import metrics
from airflow_obs.exporter.ingest.accounts import Accounts
from airflow_obs.exporter.ingest.foreign import file as mapping_file
from airflow_obs.exporter.ingest.otlp.mapper import OtlpMapper
from airflow_obs.exporter.ingest.otlp.receiver import Otlp
from airflow_obs.exporter.ingest.statsd.listener import Statsd
from airflow_obs.exporter.ingest.statsd.mapper import Mapper
from airflow_obs.exporter.ingest.statsd.relay import Relay
from airflow_obs.exporter.ingest.store import Store
from airflow_obs.model import Reading
from airflow_obs.policy import IngestPolicy, Sources, addresses
from airflow_obs.policy.dags import DagsPolicy
from airflow_obs.policy.ingest import OtlpSource, StatsdSource

log = logging.getLogger(__name__)

Release = Callable[[], tuple[int, int] | None]
"""Asked for Airflow's (major, minor) release, as far as anybody knows."""


class Ingest:
    """Listens for what Airflow sends, from `start` to `stop`; as a source it gives what has come of it.

    Listens from its making on, so that an address that cannot be had is a UsageError at once, as is a mapping that is wrong.
    """

    name = "ingest"
    known = True

    def __init__(self, sources: Sources, policy: IngestPolicy, dags: DagsPolicy, release: Release) -> None:
        self.accounts = Accounts()
        unknown = sources.statsd.max_unmapped if sources.statsd else 0
        self.store = Store(
            policy.max_series,
            policy.max_total,
            policy.forget,
            ttl_of_counts=policy.forget_counters,
            max_unknown=unknown,
        )
        self._dags = dags
        self._release = release
        self._listeners: list[Statsd | Otlp] = []
        try:
            if sources.statsd:
                self._listeners.append(self._statsd(sources.statsd))
            if sources.otlp:
                self._listeners.append(self._otlp(sources.otlp))
        except BaseException:
            self.stop()
            raise

    def start(self) -> None:
        """Begin to take what comes."""
        for listener in self._listeners:
            listener.start()
            log.info("taking %s", listener.where)

    def stop(self) -> None:
        """Listen no more."""
        for listener in self._listeners:
            listener.stop()

    @contextmanager
    def session(self, _budget: float) -> Iterator[Ingest]:
        """As sources have it; there is nothing to wait for."""
        yield self

    def close(self) -> None:
        """As sources have it; `stop` is what ends it."""

    def readings(self) -> Iterator[Reading]:
        """What came of all that was sent, and the accounts of it."""
        self.store.expire()
        yield from self.accounts.readings()
        yield metrics.INGEST_SERIES.sample(self.store.size)
        for listener in self._listeners:
            yield from listener.readings()
        yield from self.store.readings()

    def _statsd(self, source: StatsdSource) -> Statsd:
        mapper = Mapper(
            self.store,
            self.accounts,
            prefix=source.prefix,
            style=source.tags,
            release=self._release,
            dags=self._dags,
            mapping=mapping_file.load(source.mapping) if source.mapping else None,
            keep_unmapped=source.unmapped == "keep",
        )
        relay = Relay(addresses.parse(source.relay), self.accounts) if source.relay else None
        return Statsd(_address(source.listen_udp), _address(source.listen_tcp), mapper, self.accounts, relay)

    def _otlp(self, source: OtlpSource) -> Otlp:
        mapper = OtlpMapper(self.store, prefix=source.prefix, release=self._release, dags=self._dags)
        return Otlp(_address(source.listen_http), _address(source.listen_grpc), mapper, self.accounts)


class Received:
    """The collector of what was sent: the families of `Ingest`."""

    name = "ingest"
    source = "ingest"

    def read(self, ingest: Ingest) -> list[Reading]:
        return list(ingest.readings())

    def samples(self, readings: list[Reading]) -> Iterator[Reading]:
        yield from readings


def _address(text: str | None) -> tuple[str, int] | None:
    return addresses.parse(text) if text else None
