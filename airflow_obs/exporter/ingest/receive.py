"""Puts the ingest together: what the policy says to listen for, and the series that come of it, as a source and its collector."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airflow_obs.catalog import metrics
from airflow_obs.exporter.ingest.accounts import Accounts
from airflow_obs.exporter.ingest.foreign.mapping import Mapping
from airflow_obs.exporter.ingest.otlp.mapper import OtlpMapper
from airflow_obs.exporter.ingest.otlp.receiver import Otlp
from airflow_obs.exporter.ingest.otlp.streams import Streams
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
    """Listens for what Airflow sends, from `start` to `close`; as a source it gives what has come of it.

    Listens from its making on, so that an address that cannot be had is a UsageError at once. `mapping` is that of the StatsD
    source. One `before`, which has been closed, hands over what it has counted to one that gives the same names to what it takes.
    """

    name = "ingest"
    known = True

    def __init__(
        self,
        sources: Sources,
        policy: IngestPolicy,
        dags: DagsPolicy,
        release: Release,
        mapping: Mapping | None = None,
        before: Ingest | None = None,
    ) -> None:
        statsd, otlp = sources.statsd, sources.otlp
        self._naming = (
            statsd and (statsd.prefix, statsd.tags, statsd.unmapped), otlp and otlp.prefix, dags, mapping and mapping.text
        )  # fmt: skip
        unknown = statsd.max_unmapped if statsd else 0
        limits = (policy.max_series, policy.max_total, policy.forget)
        known = before if before and before._naming == self._naming else None
        self.accounts: Accounts = known.accounts if known else Accounts()
        self.store: Store = known.store if known else Store(*limits)
        self.store.limit(*limits, unknown, policy.forget_counters)
        self._streams: Streams = known._streams if known else Streams()
        self._dags = dags
        self._release = release
        self._mapping = mapping
        self._listeners: list[Statsd | Otlp] = []
        try:
            if statsd:
                self._listeners.append(self._statsd(statsd))
            if otlp:
                self._listeners.append(self._otlp(otlp))
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """Begin to take what comes."""
        for listener in self._listeners:
            listener.start()
            log.info("taking %s", listener.where)

    @contextmanager
    def session(self, _budget: float) -> Iterator[Ingest]:
        """As sources have it; there is nothing to wait for."""
        yield self

    def close(self) -> None:
        """Listen no more."""
        for listener in self._listeners:
            listener.stop()

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
            mapping=self._mapping,
            keep_unmapped=source.unmapped == "keep",
        )
        relay = Relay(addresses.parse(source.relay), self.accounts) if source.relay else None
        return Statsd(_address(source.listen_udp), _address(source.listen_tcp), mapper, self.accounts, relay)

    def _otlp(self, source: OtlpSource) -> Otlp:
        mapper = OtlpMapper(
            self.store, prefix=source.prefix, release=self._release, dags=self._dags, streams=self._streams
        )
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
