"""A receiver of OTLP on free ports of 127.0.0.1, and what it made of what it got."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_obs.exporter.ingest.accounts import Accounts
from airflow_obs.exporter.ingest.otlp.mapper import OtlpMapper
from airflow_obs.exporter.ingest.otlp.receiver import Otlp
from airflow_obs.exporter.ingest.store import Store
from airflow_obs.model import Metric, Sample
from airflow_obs.policy.dags import DagsPolicy

HERE = ("127.0.0.1", 0)


class Receiver:
    """What a test asks of it; `otlp` is the receiver itself."""

    def __init__(self, *, http: bool = True, grpc: bool = False) -> None:
        self.store = Store(max_series=100, max_total=10_000, ttl=600)
        self.accounts = Accounts()
        mapper = OtlpMapper(self.store, prefix="airflow", release=lambda: None, dags=DagsPolicy())
        self.otlp = Otlp(HERE if http else None, HERE if grpc else None, mapper, self.accounts)

    @property
    def http_port(self) -> int:
        assert self.otlp.http
        return self.otlp.http.port

    @property
    def grpc_port(self) -> int:
        assert self.otlp.grpc
        return self.otlp.grpc.port

    def shows(self, metric: Metric, *labels: str) -> float:
        """The sum over the family's series that have these label values."""
        readings = [*self.store.readings(), *self.accounts.readings(), *self.otlp.readings()]
        return sum(
            one.value
            for one in readings
            if one.metric == metric and isinstance(one, Sample) and {*labels} <= {value for _, value in one.labels}
        )


@contextmanager
def receiving(*, http: bool = True, grpc: bool = False) -> Iterator[Receiver]:
    receiver = Receiver(http=http, grpc=grpc)
    receiver.otlp.start()
    try:
        yield receiver
    finally:
        receiver.otlp.stop()
