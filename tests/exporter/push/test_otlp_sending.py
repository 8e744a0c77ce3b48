"""OTLP out, over HTTP and gRPC: what arrives, with which headers, over which TLS."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from airflow_obs.errors import PushFailed, UsageError
from airflow_obs.exporter.push.otlp.destination import Otlp
from airflow_obs.exporter.push.otlp.http import PROTOBUF
from airflow_obs.policy.push import OtlpPush
from tests.certificates import Authority
from tests.exporter.push.otlp_collector import Collector, Protocol, collecting, series_on, snapshot
from tests.exporter.push.test_otlp_data import COUNTER, GAUGE, HISTOGRAM

PROTOCOLS: tuple[Protocol, ...] = ("http", "grpc")
PAGE = snapshot(
    GAUGE.sample(1.5, place="here"),
    COUNTER.sample(7, place="größe"),
    HISTOGRAM.distribution([1, 2, 3, 0], 4.5, place="x"),
)
WHAT_WE_SAY = series_on(PAGE.text.decode())


def otlp(
    collector: Collector, environment: Mapping[str, str] | None = None, /, *, scheme: str = "http", **policy: Any
) -> Otlp:
    """What sends to it, under this policy and in this environment."""
    given = {"endpoint": f"{scheme}://localhost:{collector.port}", "protocol": collector.protocol, **policy}
    return Otlp(OtlpPush.model_validate(given), "blue", environment or {})


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> Protocol:
    chosen: Protocol = request.param
    return chosen


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_what_is_sent_is_what_the_page_shows(protocol: Protocol, compression: str) -> None:
    with collecting(protocol) as collector:
        otlp(collector, compression=compression).send(PAGE)
    assert collector.series == WHAT_WE_SAY
    (request,) = collector.requests
    if protocol == "http":
        assert request.path == "/v1/metrics"
        assert request.headers["content-type"] == PROTOBUF
        assert request.headers.get("content-encoding") == ("gzip" if compression == "gzip" else None)
    assert request.headers["user-agent"].startswith("airflow-obs/")


def test_several_requests_of_a_push_share_a_connection_but_need_not(
    monkeypatch: pytest.MonkeyPatch, protocol: Protocol
) -> None:
    monkeypatch.setattr("airflow_obs.exporter.push.otlp.data.POINTS", 1)
    with collecting(protocol) as collector:
        otlp(collector).send(PAGE)
        collector.closing = True
        otlp(collector).send(PAGE)
    assert len(collector.requests) == 6


def test_resource_says_who_sends_by_the_semantic_conventions(protocol: Protocol) -> None:
    environment = {"OTEL_RESOURCE_ATTRIBUTES": "service.namespace=data,deployment.environment.name=test,x=y"}
    with collecting(protocol) as collector, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        for _ in range(2):  # as after a restart
            otlp(collector, resource={"deployment.environment.name": "prod"}).send(PAGE)
    one, other = (request.resource for request in collector.requests)
    assert one == other
    assert one["service.name"] == "airflow-obs"
    assert {"service.version", "service.instance.id", "host.name", "telemetry.sdk.name"} <= one.keys()
    assert (one["service.namespace"], one["x"], one["deployment.environment.name"]) == ("data", "y", "prod")


def test_service_may_have_another_name(protocol: Protocol, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "figures")
    with collecting(protocol) as collector:
        otlp(collector).send(PAGE)
    assert collector.requests[0].resource["service.name"] == "figures"


def test_variables_of_others_do_not_change_what_the_policy_says(
    protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An Airflow's container may have them for its own figures."""
    with collecting(protocol) as collector:
        elsewhere = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:1",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "0.001",
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "DELTA",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere",
            "OTEL_SDK_DISABLED": "true",
            "http_proxy": "http://127.0.0.1:1",
            "grpc_proxy": "http://127.0.0.1:1",
        }
        for name, value in elsewhere.items():
            monkeypatch.setenv(name, value)
        otlp(collector, elsewhere).send(PAGE)
    assert collector.series == WHAT_WE_SAY


def test_headers_of_the_environment_and_of_the_file_are_sent(protocol: Protocol, tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text("Authorization=Bearer%20first\nx-tenant=blue\n")
    environment = {
        "OTEL_EXPORTER_OTLP_HEADERS": "x-other=1",
        "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "x-tenant=red,x-a=a%2Cb%3D",
        "AIRFLOW_OBS_OTLP_HEADERS_FILE": str(file),
    }
    with collecting(protocol) as collector:
        sending = otlp(collector, environment)
        sending.send(PAGE)
        file.write_text("authorization = Bearer second")
        sending.send(PAGE)
    first, second = (request.headers for request in collector.requests)
    assert (first["authorization"], first["x-tenant"], first["x-a"]) == ("Bearer first", "blue", "a,b=")
    assert (second["authorization"], second["x-tenant"]) == ("Bearer second", "red")
    assert "x-other" not in first


def test_headers_file_that_goes_is_said_and_costs_nothing(protocol: Protocol, tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text("a=b")
    with collecting(protocol) as collector:
        sending = otlp(collector, {"AIRFLOW_OBS_OTLP_HEADERS_FILE": str(file)})
        file.unlink()
        with pytest.raises(PushFailed, match=f"AIRFLOW_OBS_OTLP_HEADERS_FILE: {file}: No such file"):
            sending.send(PAGE)
        file.write_text("a=b")
        sending.send(snapshot(after=60))
    assert collector.series == WHAT_WE_SAY


def test_tls_with_a_certificate_of_ours_goes_on_when_all_are_replaced(protocol: Protocol, tmp_path: Path) -> None:
    one, other = Authority.founded(tmp_path / "one"), Authority.founded(tmp_path / "other")
    ours, ca = one.issue("client"), tmp_path / "ca.pem"
    ca.write_bytes(one.ca.read_bytes())
    files = {"ca_file": str(ca), "cert_file": str(ours.pem), "key_file": str(ours.key)}
    with collecting(protocol, one.issue("server"), str(one.ca)) as collector:
        sending = otlp(collector, scheme="https", **files)
        sending.send(PAGE)
    assert collector.series == WHAT_WE_SAY
    with collecting(protocol, other.issue("server"), str(other.ca), collector.port) as renewed:
        with pytest.raises(PushFailed):
            sending.send(PAGE)
        ca.write_bytes(other.ca.read_bytes())
        ours.replace_by(other.issue("client"))
        sending.send(snapshot(after=60))
    assert renewed.series == WHAT_WE_SAY


def test_receiver_that_cannot_be_trusted_gets_nothing(protocol: Protocol, tmp_path: Path) -> None:
    ours, theirs = Authority.founded(tmp_path / "ours"), Authority.founded(tmp_path / "theirs")
    with collecting(protocol, theirs.issue("server")) as collector:
        with pytest.raises(PushFailed, match=r"(?i)certificate.verify.failed|certificate cannot be trusted"):
            otlp(collector, scheme="https", ca_file=str(ours.ca)).send(PAGE)
        with pytest.raises(PushFailed, match=r"(?i)certificate.verify.failed|certificate cannot be trusted"):
            otlp(collector, scheme="https").send(PAGE)
    with collecting(protocol, ours.issue("other", host="elsewhere")) as collector, pytest.raises(PushFailed):
        otlp(collector, scheme="https", ca_file=str(ours.ca)).send(PAGE)
    assert not collector.requests


def test_receiver_that_wants_a_certificate_gets_nothing_without(protocol: Protocol, tmp_path: Path) -> None:
    authority = Authority.founded(tmp_path / "ca")
    with collecting(protocol, authority.issue("server"), str(authority.ca)) as collector:
        sending = otlp(collector, scheme="https", ca_file=str(authority.ca))
        with pytest.raises(PushFailed):
            sending.send(PAGE)
    assert sending.waiting == 1
    assert not collector.requests


def test_system_is_trusted_unless_told_otherwise(
    protocol: Protocol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority.founded(tmp_path / "ca")
    # What OpenSSL takes for the system's.
    monkeypatch.setenv(ssl.get_default_verify_paths().openssl_cafile_env, str(authority.ca))
    with collecting(protocol, authority.issue("server")) as collector:
        otlp(collector, scheme="https").send(PAGE)
    assert collector.series == WHAT_WE_SAY


@pytest.mark.parametrize("setting", ["ca_file", "cert_file"])
def test_file_that_cannot_be_used_is_refused_at_the_start(protocol: Protocol, setting: str, tmp_path: Path) -> None:
    file = tmp_path / "file.pem"
    policy = {setting: str(file)} | ({"key_file": str(file)} if setting == "cert_file" else {})
    for content in (None, "no certificate"):
        if content:
            file.write_text(content)
        with pytest.raises(UsageError, match=rf"push.otlp.*{setting}.*{file}"):
            otlp(Collector(protocol, 1), scheme="https", **policy)


def test_encrypted_key_is_refused_and_no_terminal_is_asked_for_its_password(tmp_path: Path) -> None:
    authority = Authority.founded(tmp_path / "ca")
    pem, key = authority.issue("client").pem, authority.encrypt("client", "hunter2")
    with pytest.raises(UsageError, match="encrypted"):
        otlp(Collector("http", 1), scheme="https", cert_file=str(pem), key_file=str(key))
