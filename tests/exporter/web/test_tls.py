"""TLS as --web.config.file has it, against clients of OpenSSL: who gets in, who does not, and what is served all the same."""

from __future__ import annotations

import os
import socket
import ssl
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from airflow_obs.errors import PolicyError
from airflow_obs.exporter.web import access
from airflow_obs.exporter.web.access import Access
from tests.certificates import Authority, Certificate
from tests.eventually import eventually
from tests.exporter.web.guarded import Guarded, guarded, trusting, with_tls
from tests.exporter.web.serving import ANSWER_WITHIN, all_of

NO_ANSWER = (ssl.SSLError, ConnectionError)
"""http.client's own RemoteDisconnected is one of the latter."""


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.founded(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.founded(tmp_path_factory.mktemp("strangers"))


@pytest.fixture(scope="module")
def server(ours: Authority) -> Certificate:
    return ours.issue("server")


@pytest.fixture(scope="module")
def prometheus(ours: Authority) -> Certificate:
    return ours.issue(
        "prometheus", names="DNS:prometheus,IP:10.0.0.1,IP:fd00::1,email:ops@example.com,URI:spiffe://a/b"
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "web.yml"


def mutual(ours: Authority, server: Certificate, *more: str) -> str:
    """Nobody without a certificate of ours."""
    required = "client_auth_type: RequireAndVerifyClientCert"
    return with_tls(server, f"client_ca_file: {ours.ca}", required, *more)


def refused_by_handshake(endpoint: Guarded, client: ssl.SSLContext) -> None:
    """AssertionError if this client gets an answer; with TLS 1.3 it notices only when it reads."""
    before = endpoint.refused("handshake")
    with pytest.raises(NO_ANSWER):
        endpoint.get(client)
    eventually(lambda: endpoint.refused("handshake") == before + 1, "the handshake is counted")


def test_page_comes_over_tls(config: Path, ours: Authority, server: Certificate) -> None:
    config.write_text(with_tls(server))
    with guarded(config) as endpoint:
        assert endpoint.access.encrypted
        connection = endpoint.connect(trusting(ours))
        assert isinstance(connection.sock, ssl.SSLSocket)
        assert connection.sock.version() == "TLSv1.3"
        assert endpoint.ask(connection).status == 200
        connection.close()


def test_http_1_is_agreed_on(config: Path, ours: Authority, server: Certificate) -> None:
    config.write_text(with_tls(server))
    offers = trusting(ours)
    offers.set_alpn_protocols(["h2", "http/1.1"])
    with guarded(config) as endpoint:
        connection = endpoint.connect(offers)
        assert isinstance(connection.sock, ssl.SSLSocket)
        assert connection.sock.selected_alpn_protocol() == "http/1.1"
        connection.close()


def test_inline_certificates_and_relative_paths(config: Path, ours: Authority, server: Certificate) -> None:
    indented = server.pem.read_text().replace("\n", "\n    ")
    (config.parent / "beside.key").write_bytes(server.key.read_bytes())
    authority = ours.ca.read_text().replace("\n", "\n    ")
    config.write_text(
        f"tls_server_config:\n  cert: |\n    {indented}\n  key_file: beside.key\n"
        f"  client_auth_type: VerifyClientCertIfGiven\n  client_ca: |\n    {authority}\n"
    )
    with guarded(config) as endpoint:
        assert endpoint.status(trusting(ours)) == 200


def test_client_certificate_is_needed(
    config: Path, ours: Authority, strangers: Authority, server: Certificate, prometheus: Certificate
) -> None:
    config.write_text(mutual(ours, server))
    with guarded(config) as endpoint:
        assert endpoint.status(trusting(ours, prometheus)) == 200
        refused_by_handshake(endpoint, trusting(ours))
        refused_by_handshake(endpoint, trusting(ours, strangers.issue("prometheus")))
        refused_by_handshake(endpoint, trusting(ours, ours.issue("late", days=-1)))
        assert endpoint.status(trusting(ours, prometheus)) == 200


def test_client_certificate_may_be_left_out(
    config: Path, ours: Authority, strangers: Authority, server: Certificate, prometheus: Certificate
) -> None:
    config.write_text(with_tls(server, f"client_ca_file: {ours.ca}", "client_auth_type: VerifyClientCertIfGiven"))
    with guarded(config) as endpoint:
        assert endpoint.status(trusting(ours)) == 200
        assert endpoint.status(trusting(ours, prometheus)) == 200
        refused_by_handshake(endpoint, trusting(ours, strangers.issue("prometheus")))


def test_authority_need_not_be_at_the_root(
    config: Path, ours: Authority, server: Certificate, prometheus: Certificate
) -> None:
    config.write_text(mutual(ours, server).replace(str(ours.ca), str(prometheus.pem)))
    with guarded(config) as endpoint:
        assert endpoint.status(trusting(ours, prometheus)) == 200
        refused_by_handshake(endpoint, trusting(ours, ours.issue("another")))


@pytest.mark.parametrize("name", ["prometheus", "10.0.0.1", "fd00::1", "ops@example.com", "spiffe://a/b"])
def test_each_kind_of_name_is_allowed(
    config: Path, ours: Authority, server: Certificate, prometheus: Certificate, name: str
) -> None:
    config.write_text(mutual(ours, server, f'client_allowed_sans: ["other", "{name}"]'))
    with guarded(config) as endpoint:
        assert endpoint.status(trusting(ours, prometheus)) == 200


@pytest.mark.parametrize("name", ["prometheu", "Prometheus", "*", "10.0.0.10", "example.com", "spiffe://a"])
def test_any_other_name_is_refused(
    config: Path, ours: Authority, server: Certificate, prometheus: Certificate, name: str
) -> None:
    config.write_text(mutual(ours, server, f'client_allowed_sans: ["{name}"]'))
    with guarded(config) as endpoint:
        answer = endpoint.get(trusting(ours, prometheus))
        assert (answer.status, answer.body) == (403, b"403 Forbidden\n")
        assert endpoint.refused("certificate") == 1


def test_allowed_names_want_a_certificate(
    config: Path, ours: Authority, server: Certificate, prometheus: Certificate
) -> None:
    optional = (f"client_ca_file: {ours.ca}", "client_auth_type: VerifyClientCertIfGiven")
    config.write_text(with_tls(server, *optional, "client_allowed_sans: [prometheus]"))
    with guarded(config) as endpoint:
        assert endpoint.status(trusting(ours)) == 403
        assert endpoint.status(trusting(ours, prometheus)) == 200


def test_tls_1_1_is_not_spoken(config: Path, ours: Authority, server: Certificate) -> None:
    config.write_text(with_tls(server))
    old = trusting(ours)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # which is the point
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with guarded(config) as endpoint:
        refused_by_handshake(endpoint, old)


@pytest.mark.parametrize(
    ("lines", "version", "suite"),
    [
        (["max_version: TLS12"], "TLSv1.2", None),
        (["min_version: TLS13"], "TLSv1.3", None),
        (
            ["max_version: TLS12", "cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]"],
            "TLSv1.2",
            "ECDHE-ECDSA-CHACHA20-POLY1305",
        ),
        (
            ["max_version: TLS12", "cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA]"],
            "TLSv1.2",
            "ECDHE-ECDSA-AES256-SHA",
        ),
        (["curve_preferences: [CurveP521]"], "TLSv1.3", None),
    ],
)
def test_handshake_is_as_chosen(
    config: Path, ours: Authority, server: Certificate, lines: list[str], version: str, suite: str | None
) -> None:
    config.write_text(with_tls(server, *lines))
    with guarded(config) as endpoint:
        client = trusting(ours)
        client.set_ciphers("ECDHE+AES:ECDHE+CHACHA20")
        connection = endpoint.connect(client)
        assert isinstance(connection.sock, ssl.SSLSocket)
        assert connection.sock.version() == version
        found = connection.sock.cipher()
        assert found is not None
        assert suite in (None, found[0])
        connection.close()


def test_suites_of_tls_1_3_alone_leave_nothing_older(config: Path, ours: Authority, server: Certificate) -> None:
    config.write_text(with_tls(server, "cipher_suites: [TLS_AES_128_GCM_SHA256]"))
    old = trusting(ours)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with guarded(config) as endpoint:
        assert endpoint.status(trusting(ours)) == 200
        refused_by_handshake(endpoint, old)


def test_other_curve_is_refused(config: Path, ours: Authority, server: Certificate) -> None:
    config.write_text(with_tls(server, "curve_preferences: [X25519]"))
    other = trusting(ours)
    other.set_ecdh_curve("secp384r1")
    with guarded(config) as endpoint:
        assert endpoint.status(trusting(ours)) == 200
        refused_by_handshake(endpoint, other)


def test_plain_http_gets_no_page(config: Path, server: Certificate) -> None:
    config.write_text(with_tls(server))
    with guarded(config) as endpoint, socket.create_connection(("127.0.0.1", endpoint.port), ANSWER_WITHIN) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: exporter\r\n\r\n")
        assert b"200" not in all_of(client).partition(b"\r\n")[0]


def test_expired_certificate_is_served_with_a_warning(
    config: Path, ours: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    config.write_text(with_tls(ours.issue("expired", days=-1)))
    with guarded(config) as endpoint:
        assert endpoint.status(trusting(None)) == 200
    assert "valid from" in caplog.text


def test_no_ticket_is_given_to_come_back_with(config: Path, ours: Authority, server: Certificate) -> None:
    for version in ("TLS12", "TLS13"):
        config.write_text(with_tls(server, f"min_version: {version}", f"max_version: {version}"))
        with guarded(config) as endpoint:
            connection = endpoint.connect(trusting(ours))
            assert endpoint.ask(connection).status == 200
            assert isinstance(connection.sock, ssl.SSLSocket)
            session = connection.sock.session
            assert session is None or not session.has_ticket
            connection.close()


def test_certificate_that_has_expired_lets_in_no_more(
    config: Path, ours: Authority, server: Certificate, prometheus: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(mutual(ours, server, "max_version: TLS12"))
    short = trusting(ours, ours.issue("short", days=1))
    with guarded(config) as endpoint:
        kept, other = endpoint.connect(short), endpoint.connect(trusting(ours, prometheus))
        assert [endpoint.ask(one).status for one in (kept, other)] == [200, 200]
        assert isinstance(kept.sock, ssl.SSLSocket)
        tomorrow = time.time() + 86_500
        monkeypatch.setattr(access, "time", SimpleNamespace(time=lambda: tomorrow))
        # Of TLS 1.2 OpenSSL keeps sessions, which Python cannot turn off; it thinks that it is today.
        again = endpoint.connect(short, kept.sock.session)
        assert isinstance(again.sock, ssl.SSLSocket)
        assert again.sock.session_reused
        for connection in (kept, again):
            with pytest.raises(NO_ANSWER):
                endpoint.ask(connection)
            connection.close()
        eventually(lambda: endpoint.refused("certificate") == 2, "both are counted")
        assert endpoint.ask(other).status == 200
        other.close()


def test_authorities_of_the_system_are_warned_of(
    config: Path, server: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    config.write_text(with_tls(server, "client_auth_type: RequireAndVerifyClientCert"))
    Access(config)
    assert "client_ca_file" in caplog.text


@pytest.mark.parametrize(
    ("at", "file", "says"),
    [
        ("3:13", "missing.key", "cannot be read (no such file or directory)"),
        ("3:13", ".", "cannot be read (not a regular file)"),
        ("3:13", "/dev/zero", "cannot be read (not a regular file)"),
        ("3:13", "server.pem", "holds no private key in PEM format"),
        ("3:13", "other.key", "it is not the key of this certificate"),
        ("3:13", "weak.key", "it is not the key of this certificate"),
        ("3:13", "server.encrypted.key", "it is behind a passphrase"),
        ("2:14", "server.key", "holds no certificate in PEM format"),
        ("2:14", "empty.pem", "holds no certificate in PEM format"),
        ("2:14", "weak.pem", "too weak"),
        ("4:19", "server.key", "holds no certificate in PEM format"),
        ("4:19", "large.pem", "larger than"),
    ],
)
def test_file_that_cannot_be_used_is_said_at_its_line(tmp_path: Path, at: str, file: str, says: str) -> None:
    authority = Authority.founded(tmp_path)
    authority.issue("server")
    authority.issue("other")
    authority.issue("weak", key="rsa:1024")
    authority.encrypt("server", "sesame")
    (tmp_path / "empty.pem").touch()
    (tmp_path / "large.pem").write_bytes(b"#" * 2_000_000)
    named = {"2": "server.pem", "3": "weak.key" if file == "weak.pem" else "server.key", "4": "ca.pem", at[0]: file}
    config = tmp_path / "web.yml"
    config.write_text(
        f"tls_server_config:\n  cert_file: {named['2']}\n  key_file: {named['3']}\n  client_ca_file: {named['4']}\n"
        "  client_auth_type: RequireAndVerifyClientCert\n"
    )
    with pytest.raises(PolicyError) as error:
        Access(config)
    [problem] = error.value.problems
    assert str(problem).startswith(f"{config}:{at}: tls_server_config.")
    assert says in problem.text


@pytest.mark.parametrize("file", ["tls.crt", "tls.key"])
def test_pipe_is_not_waited_for(config: Path, ours: Authority, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    issued = ours.issue("piped")
    (config.parent / "tls.crt").write_bytes(issued.pem.read_bytes())
    (config.parent / "tls.key").write_bytes(issued.key.read_bytes())
    (config.parent / file).unlink()
    os.mkfifo(config.parent / file)
    config.write_text("tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n")
    with pytest.raises(PolicyError, match="not a regular file"):
        Access(config)
    monkeypatch.setattr(Path, "is_file", lambda _: True)  # it becomes one after we have looked
    with pytest.raises(PolicyError, match="not a regular file"):
        Access(config)


@pytest.mark.parametrize(("kind", "suites"), [("rsa:2048", "ECDSA"), (None, "RSA")])
def test_suites_for_another_kind_of_certificate_are_refused(
    config: Path, ours: Authority, kind: str | None, suites: str
) -> None:
    chosen = f"cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_ECDHE_{suites}_WITH_AES_128_GCM_SHA256]"
    issued = ours.issue(f"for-{suites}", key=kind)
    config.write_text(with_tls(issued, chosen, "max_version: TLS12"))
    with pytest.raises(PolicyError, match=r":4:18: tls_server_config.cipher_suites: none is for this certificate"):
        Access(config)
    config.write_text(with_tls(issued, chosen))  # TLS 1.3 is left
    with guarded(config) as endpoint:
        assert endpoint.status(trusting(ours)) == 200


def test_everything_wrong_with_the_files_is_said_at_once(config: Path) -> None:
    config.write_text(
        "tls_server_config: {cert_file: a, key_file: b, client_ca_file: c, client_auth_type: VerifyClientCertIfGiven}"
    )
    with pytest.raises(PolicyError) as error:
        Access(config)
    assert len(error.value.problems) == 3
