"""RabbitMQ, and the workers behind either broker, through TLS with certificates on both sides."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from airflow_obs.errors import SourceUnreachable
from airflow_obs.sources.broker_url import BrokerAddress, broker_address
from airflow_obs.sources.control import Workers
from airflow_obs.sources.rabbitmq import RabbitBroker
from tests.brokers.test_redis_tls import certificates as certificates
from tests.brokers.test_redis_tls import tls_in_front_of
from tests.celery_workers import celery_worker
from tests.rabbitmq_server import rabbitmq_server
from tests.redis_server import redis_server


def through_tls(url: str, port: int, tls: int, certificates: Path, ca: str = "ca.pem") -> BrokerAddress:
    """The address of that broker, as Airflow's settings say it, with the TLS at another port."""
    found = broker_address(None, {
        "AIRFLOW_OBS_BROKER_URL": url.replace(f"127.0.0.1:{port}", f"localhost:{tls}"),
        "AIRFLOW__CELERY__SSL_ACTIVE": "True",
        "AIRFLOW__CELERY__SSL_CACERT": str(certificates / ca),
        "AIRFLOW__CELERY__SSL_CERT": str(certificates / "certificate.pem"),
        "AIRFLOW__CELERY__SSL_KEY": str(certificates / "certificate.key"),
    })  # fmt: skip
    assert found is not None
    return found


def names(address: BrokerAddress) -> list[str]:
    with Workers(lambda: address).session(10.0) as session:
        assert session is not None
        return [worker.name for worker in session.workers()]


def test_rabbitmq_and_its_workers(tmp_path: Path, certificates: Path) -> None:
    with (
        rabbitmq_server() as server,
        celery_worker(server.url(), "celery@alone", tmp_path),
        tls_in_front_of(server.port, certificates) as port,
    ):
        address = through_tls(server.url(), server.port, port, certificates)
        with closing(RabbitBroker(address)) as broker, broker.session(5.0) as session:
            [queue] = session.queues(["default"])
            assert (queue.consumers, queue.exists) == (1, True)
        assert names(address) == ["celery@alone"]

        stranger = through_tls(server.url(), server.port, port, certificates, ca="certificate.pem")
        with closing(RabbitBroker(stranger)) as broker, pytest.raises(SourceUnreachable, match="ssl_cacert"):  # noqa: SIM117 (three are too long)
            with broker.session(5.0):
                pass
        with pytest.raises(SourceUnreachable, match="ssl_cacert"):
            names(stranger)


def test_workers_behind_redis(tmp_path: Path, certificates: Path) -> None:
    with (
        redis_server() as server,
        celery_worker(server.url(), "celery@alone", tmp_path),
        tls_in_front_of(server.port, certificates) as port,
    ):
        assert names(through_tls(server.url(), server.port, port, certificates)) == ["celery@alone"]
        with pytest.raises(SourceUnreachable, match="certificate"):
            names(through_tls(server.url(), server.port, port, certificates, ca="certificate.pem"))
