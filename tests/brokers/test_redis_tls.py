"""A Redis behind TLS, as a managed one is, with certificates on both sides."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.errors import SourceUnreachable
from tests.brokers.conftest import ReadAs
from tests.certificates import Authority
from tests.redis_server import SECRETS, RedisServer


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A folder with ca.pem, and a certificate of it for localhost in certificate.pem and certificate.key."""
    Authority.founded(tmp_path).issue("certificate")
    return tmp_path


@contextmanager
def tls_in_front_of(port: int, certificates: Path) -> Iterator[int]:
    """A port that speaks TLS, asks for a certificate of the CA, and passes everything on to `port` (the wheel has no TLS)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "certificate.pem", certificates / "certificate.key")
    context.load_verify_locations(certificates / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    threads: list[threading.Thread] = []

    def serve(client: socket.socket) -> None:
        with (
            suppress(OSError),
            client,
            socket.create_connection(("127.0.0.1", port)) as server,
            context.wrap_socket(client, server_side=True) as inner,
        ):
            back = threading.Thread(target=pass_on, args=(server, inner))
            threads.append(back)
            back.start()
            pass_on(inner, server)

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threads.append(threading.Thread(target=serve, args=(client,)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        acceptor = threading.Thread(target=accept, args=(listener,))
        acceptor.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
    for thread in [acceptor, *threads]:
        thread.join()


def pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)


def test_tls(server: RedisServer, reader: ReadAs, certificates: Path) -> None:
    ca, certificate, key = (str(certificates / name) for name in ("ca.pem", "certificate.pem", "certificate.key"))
    files = f"ssl_ca_certs={ca}&ssl_certfile={certificate}&ssl_keyfile={key}"
    with tls_in_front_of(server.port, certificates) as port:
        there = f":{SECRETS[1]}@localhost:{port}/0"
        by_address = there.replace("localhost", "127.0.0.1")
        ours = {"SSL_ACTIVE": "True", "SSL_CACERT": ca, "SSL_CERT": certificate, "SSL_KEY": key}
        celery = {f"AIRFLOW__CELERY__{name}": value for name, value in ours.items()}
        for way in (
            {"AIRFLOW_OBS_BROKER_URL": f"rediss://{there}?ssl_cert_reqs=CERT_REQUIRED&{files}"},
            {"AIRFLOW_OBS_BROKER_URL": f"redis://{there}?{files}"},
            {"AIRFLOW_OBS_BROKER_URL": f"rediss://{by_address}?ssl_check_hostname=false&{files}"},
            {"AIRFLOW_OBS_BROKER_URL": f"rediss://{by_address}?ssl_cert_reqs=none&{files}"},
            {"AIRFLOW__CELERY__BROKER_URL": f"redis://{there}", **celery},
        ):
            one = reader(**way)
            assert one.read().one(metrics.BROKER_UNACKED) == 0, way
            one.source.close()
        for url, said in (
            (f"rediss://{there}", "certificate verify failed"),
            (f"rediss://{by_address}?{files}", "certificate verify failed"),
            (f"rediss://{there}?ssl_ca_certs=/no/such.pem", "No such file"),
        ):
            one = reader(AIRFLOW_OBS_BROKER_URL=url)
            with pytest.raises(SourceUnreachable, match=said):
                one.read(2.0)
            one.source.close()
