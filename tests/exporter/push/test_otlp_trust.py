"""Whom we trust to be the receiver of OTLP, over HTTP and gRPC alike; and who may read the headers on the way."""

from __future__ import annotations

import logging
import ssl
import subprocess
from pathlib import Path

import pytest

from airflow_obs.errors import PushFailed, UsageError
from airflow_obs.exporter.push.otlp import tls
from airflow_obs.exporter.push.otlp.settings import Place
from airflow_obs.policy.push import OtlpPush
from tests.certificates import Authority, Certificate
from tests.exporter.push.otlp_collector import Collector, Protocol, collecting
from tests.exporter.push.test_otlp_failures import fails, free_port
from tests.exporter.push.test_otlp_sending import PAGE, WHAT_WE_SAY, otlp, protocol
from tests.tools import tool

__all__ = ["protocol"]

UNTRUSTED = "its certificate cannot be trusted: .*check"
PATHS = ssl.get_default_verify_paths()


def self_signed(folder: Path, may_sign: str) -> Certificate:
    """A certificate that answers for itself alone."""
    folder.mkdir()
    pem, key = folder / "self.pem", folder / "self.key"
    command = (
        f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {key} -out {pem} -subj /CN=localhost -days 2 "
        f"-addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:{may_sign}"
    )
    subprocess.run([tool("openssl"), *command.split()], check=True, capture_output=True)
    return Certificate(pem, key)


@pytest.mark.parametrize("may_sign", ["FALSE", "TRUE"])
def test_receiver_whose_own_certificate_is_the_ca_file_is_trusted_and_nobody_else(
    protocol: Protocol, tmp_path: Path, may_sign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned, other = self_signed(tmp_path / "pinned", may_sign), self_signed(tmp_path / "other", may_sign)
    public = Authority.founded(tmp_path / "public")
    # Whom the system trusts, and whom gRPC would if nobody said.
    monkeypatch.setenv(PATHS.openssl_cafile_env, str(public.ca))
    monkeypatch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(public.ca))
    with collecting(protocol, pinned) as collector:
        otlp(collector, scheme="https", ca_file=str(pinned.pem)).send(PAGE)
        assert collector.series == WHAT_WE_SAY
    for stranger in (other, public.issue("server")):
        with collecting(protocol, stranger) as collector, pytest.raises(PushFailed, match=UNTRUSTED):
            otlp(collector, scheme="https", ca_file=str(pinned.pem)).send(PAGE)
        assert not collector.requests


def test_certificate_that_an_authority_issued_can_be_pinned_too(protocol: Protocol, tmp_path: Path) -> None:
    authority = Authority.founded(tmp_path / "ca")
    pinned = authority.issue("pinned")
    with collecting(protocol, pinned) as collector:
        otlp(collector, scheme="https", ca_file=str(pinned.pem)).send(PAGE)
    assert collector.series == WHAT_WE_SAY
    with collecting(protocol, authority.issue("other")) as collector, pytest.raises(PushFailed, match=UNTRUSTED):
        otlp(collector, scheme="https", ca_file=str(pinned.pem)).send(PAGE)


def test_folder_that_the_system_trusts_is_trusted(
    protocol: Protocol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = Authority.founded(tmp_path / "one"), Authority.founded(tmp_path / "other")
    folder = tmp_path / "certs"
    folder.mkdir()
    hashed = subprocess.run(
        [tool("openssl"), "x509", "-hash", "-noout", "-in", str(one.ca)], capture_output=True, text=True, check=True
    )
    (folder / f"{hashed.stdout.strip()}.0").write_bytes(one.ca.read_bytes())
    (folder / "unhashed.pem").write_bytes(other.ca.read_bytes())
    monkeypatch.setenv(PATHS.openssl_cafile_env, str(tmp_path / "nothing"))
    monkeypatch.setenv(PATHS.openssl_capath_env, f"{tmp_path / 'no'}:{folder}")
    with collecting(protocol, one.issue("server")) as collector:
        otlp(collector, scheme="https").send(PAGE)
    assert collector.series == WHAT_WE_SAY
    with collecting(protocol, other.issue("server")) as collector, pytest.raises(PushFailed, match=UNTRUSTED):
        otlp(collector, scheme="https").send(PAGE)


def test_nobody_is_trusted_where_the_system_trusts_nobody(
    protocol: Protocol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority.founded(tmp_path / "ca")
    monkeypatch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(authority.ca))
    for variable in (PATHS.openssl_cafile_env, PATHS.openssl_capath_env):
        monkeypatch.setenv(variable, str(tmp_path / "nothing"))
    with collecting(protocol, authority.issue("server")) as collector, pytest.raises(PushFailed, match=UNTRUSTED):
        otlp(collector, scheme="https").send(PAGE)
    assert not collector.requests


def test_file_that_goes_while_it_is_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "context", lambda _: None)
    with pytest.raises(UsageError, match=r"push\.otlp\.ca_file: .*No such file"):
        tls.credentials(OtlpPush(ca_file=str(tmp_path / "gone")))


@pytest.mark.parametrize(("host", "stays"), [
    ("localhost", True), ("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("collector", False), ("10.0.0.1", False),
])  # fmt: skip
def test_place_is_on_this_machine_or_not(host: str, stays: bool) -> None:
    assert Place(encrypted=False, host=host, port=4318, path="").is_loopback is stays


def test_headers_that_everybody_may_read_are_warned_of_once(
    protocol: Protocol, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer hunter2"}
    nobody = Collector(protocol, free_port())
    elsewhere = f"http://0.0.0.0:{nobody.port}"
    with caplog.at_level(logging.WARNING):
        for sending in (
            otlp(nobody, headers),  # localhost
            otlp(nobody, headers, endpoint=elsewhere.replace("http", "https")),
            otlp(nobody, endpoint=elsewhere),
        ):
            fails(sending)
        assert not caplog.records
        sending = otlp(nobody, headers, endpoint=elsewhere)
        fails(sending)
        fails(sending)
    (said,) = caplog.messages
    assert "the headers go there unencrypted" in said
    assert "hunter2" not in said
