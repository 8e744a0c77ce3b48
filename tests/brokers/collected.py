"""Runs the broker's collector against a broker and looks up what it said."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_obs.catalog import metrics
from airflow_obs.collectors.broker import Broker as BrokerCollector
from airflow_obs.collectors.queues import QueueNames
from airflow_obs.policy import BrokerSource
from airflow_obs.sources.broker import Broker
from airflow_obs.sources.broker_url import broker_address
from tests.collectors.collected import Collected
from tests.exporter.fakes import Clock

BUDGET = 5.0


class BrokerReader:
    """The broker that these settings of the environment name, and its collector; both live from run to run."""

    def __init__(self, settings: Mapping[str, str], site: BrokerSource | None = None) -> None:
        self.source = Broker(lambda: broker_address("CeleryExecutor", {"HOME": "/nonexistent", **settings}))
        self.clock = Clock()
        self.names = QueueNames(clock=self.clock)
        self.collector = BrokerCollector(site or BrokerSource(), self.names)

    def read(self, budget: float = BUDGET) -> Collected:
        """One run."""
        with self.source.session(budget) as session:
            return Collected(tuple(self.collector.samples(self.collector.read(session))))

    def queues(self) -> dict[str, float]:
        """Messages per queue, from one run."""
        return {labels[0]: value for labels, value in self.read().all(metrics.BROKER_MESSAGES).items()}
