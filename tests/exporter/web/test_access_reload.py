"""Files that change while the exporter runs: what can be used is, what cannot changes nothing and is said, once."""

from __future__ import annotations

import http.client
import os
import ssl
from pathlib import Path

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.exporter.web.access import Access
from airflow_obs.exporter.web.refusals import REASONS
from airflow_obs.exporter.web.watch import SETTLED_SECONDS, Watch
from tests.certificates import Authority, Certificate
from tests.eventually import eventually
from tests.exporter.pages import Page
from tests.exporter.web.guarded import Guarded, basic, guarded, hashed, replace, trusting, with_tls, with_users

GONE = (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority.founded(tmp_path / "ours")


@pytest.fixture
def server(ours: Authority) -> Certificate:
    return ours.issue("server")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "web.yml"


def mutual(server: Certificate, ca: Path, *more: str) -> str:
    return with_tls(server, f"client_ca_file: {ca}", "client_auth_type: RequireAndVerifyClientCert", *more)


def serial(endpoint: Guarded) -> bytes | None:
    """The certificate that a new connection is shown."""
    connection = endpoint.connect(trusting(None))
    try:
        assert isinstance(connection.sock, ssl.SSLSocket)
        return connection.sock.getpeercert(binary_form=True)
    finally:
        connection.close()


def der(certificate: Certificate) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificate.pem.read_text())


def test_certificate_is_replaced_at_once(config: Path, ours: Authority, server: Certificate) -> None:
    config.write_text(with_tls(server))
    with guarded(config) as endpoint:
        assert serial(endpoint) == der(server)
        server.replace_by(ours.issue("renewed"))
        assert serial(endpoint) == der(server)
        assert endpoint.status(trusting(ours)) == 200
        assert endpoint.taken() == 1


def test_pair_is_replaced_one_after_the_other(
    config: Path, ours: Authority, server: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    config.write_text(with_tls(server))
    renewed, before = ours.issue("renewed"), der(server)
    with guarded(config) as endpoint:
        server.pem.write_text("")
        assert serial(endpoint) == before
        server.pem.write_text(renewed.pem.read_text()[:300])
        assert serial(endpoint) == before
        server.pem.write_text(renewed.pem.read_text())
        assert [serial(endpoint) for _ in range(3)] == [before] * 3
        assert endpoint.taken() == 0
        assert caplog.text.count("it is not the key of this certificate") == 1
        server.key.write_text(renewed.key.read_text())
        assert serial(endpoint) == der(renewed)
        assert endpoint.taken() == 1


def test_links_are_swapped_as_kubernetes_does(config: Path, tmp_path: Path, ours: Authority) -> None:
    pairs = {"1": ours.issue("first"), "2": ours.issue("second")}
    for name, pair in pairs.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "tls.crt").write_bytes(pair.pem.read_bytes())
        (tmp_path / name / "tls.key").write_bytes(pair.key.read_bytes())
    data = tmp_path / "..data"
    data.symlink_to("1")
    for file in ("tls.crt", "tls.key"):
        (tmp_path / file).symlink_to(f"..data/{file}")
    config.write_text(with_tls(Certificate(tmp_path / "tls.crt", tmp_path / "tls.key")))
    with guarded(config) as endpoint:
        assert serial(endpoint) == der(pairs["1"])
        (tmp_path / "..tmp").symlink_to("2")
        (tmp_path / "..tmp").replace(data)
        assert serial(endpoint) == der(pairs["2"])


def test_missing_file_keeps_what_was_until_it_is_back(config: Path, ours: Authority, server: Certificate) -> None:
    config.write_text(with_tls(server))
    with guarded(config) as endpoint:
        away = server.key.rename(server.key.with_suffix(".away"))
        assert endpoint.status(trusting(ours)) == 200
        assert endpoint.taken() == 0
        away.rename(server.key)
        assert endpoint.status(trusting(ours)) == 200
        assert endpoint.taken() == 1


def test_authority_that_is_removed_is_trusted_no_more(
    config: Path, tmp_path: Path, ours: Authority, server: Certificate
) -> None:
    theirs = Authority.founded(tmp_path / "theirs")
    old, new = trusting(ours, ours.issue("client")), trusting(ours, theirs.issue("client"))
    both = tmp_path / "clients.pem"
    both.write_bytes(ours.ca.read_bytes() + theirs.ca.read_bytes())
    config.write_text(mutual(server, both))
    with guarded(config) as endpoint:
        kept = endpoint.connect(old), endpoint.connect(new)
        assert [endpoint.ask(one).status for one in kept] == [200, 200]
        server.replace_by(ours.issue("renewed"))
        assert [endpoint.ask(one).status for one in kept] == [200, 200]
        replace(both, theirs.ca.read_text())
        for one in kept:  # also the one that may come again: its certificate was looked at by other rules
            with pytest.raises(GONE):
                endpoint.ask(one)
            one.close()
        eventually(lambda: endpoint.refused("certificate") == 2, "both are counted")
        with pytest.raises(GONE):
            endpoint.get(old)
        assert endpoint.status(new) == 200


def test_session_of_before_is_not_taken_up_again(
    config: Path, tmp_path: Path, ours: Authority, server: Certificate
) -> None:
    theirs = Authority.founded(tmp_path / "theirs")
    clients = tmp_path / "clients.pem"
    clients.write_bytes(ours.ca.read_bytes())
    config.write_text(mutual(server, clients, "max_version: TLS12"))
    client = trusting(ours, ours.issue("client"))
    with guarded(config) as endpoint:
        connection = endpoint.connect(client)
        assert endpoint.ask(connection).status == 200
        assert isinstance(connection.sock, ssl.SSLSocket)
        session = connection.sock.session
        connection.close()
        replace(clients, theirs.ca.read_text())
        with (
            endpoint.connect_raw() as raw,
            pytest.raises(GONE),
            client.wrap_socket(raw, server_hostname="localhost", session=session),
        ):
            pytest.fail("the server went on with a session of a client whom it no longer trusts")


def test_user_is_out_at_once_and_a_new_password_in(config: Path) -> None:
    config.write_text(with_users(alice=hashed("a"), bob=hashed("b")))
    with guarded(config) as endpoint:
        kept = endpoint.connect()
        assert endpoint.ask(kept, basic("bob", "b")).status == 200
        replace(config, with_users(alice=hashed("new")))
        assert endpoint.ask(kept, basic("bob", "b")).status == 401
        kept.close()
        assert endpoint.status(headers=basic("alice", "a")) == 401
        assert endpoint.status(headers=basic("alice", "new")) == 200


def test_broken_file_changes_nothing_until_it_is_mended(config: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = with_users(alice=hashed("a"))
    config.write_text(good)
    with guarded(config) as endpoint:
        taken = endpoint.account(metrics.CONFIG_LOADED, "web")
        replace(config, good + "basic_auth_user: {}\n")
        assert endpoint.status(headers=basic("alice", "a")) == 200
        config.touch()
        assert endpoint.status() == 401
        assert endpoint.taken() == 0
        assert endpoint.account(metrics.CONFIG_LOADED, "web") == taken
        assert caplog.text.count("basic_auth_user`: did you mean `basic_auth_users`?") == 1
        replace(config, good)
        endpoint.status()
        assert endpoint.taken() == 1
        assert endpoint.account(metrics.CONFIG_LOADED, "web") > taken


def test_page_tells_at_once_what_was_not_taken(config: Path, ours: Authority, server: Certificate) -> None:
    good = with_tls(server)
    config.write_text(good)
    with guarded(config) as endpoint:
        for text, taken in ((good, 1), (good + "oops: 1\n", 0), (good, 1)):
            replace(config, text)
            page = Page(endpoint.get(trusting(ours)).body.decode())
            assert page.value(metrics.CONFIG_RELOADED.name, config="web") == taken


@pytest.mark.parametrize("left", ["", "basic_auth_users:\n", "rate_limit: {interval: 1s, burst: 9}\n"])
def test_file_that_would_open_the_door_is_not_taken(config: Path, left: str, caplog: pytest.LogCaptureFixture) -> None:
    config.write_text(with_users(alice=hashed("a")))
    with guarded(config) as endpoint:
        config.write_text(left)
        assert endpoint.status() == 401
        assert endpoint.status(headers=basic("alice", "a")) == 200
        assert endpoint.taken() == 0
    assert "the passwords of all users cannot be taken away while the exporter runs: start it anew" in caplog.text


@pytest.mark.parametrize(
    ("after", "says"),
    [
        ("", "TLS cannot be taken away"),
        ("{tls}", "certificates of clients cannot be done without"),
        ("{optional}", "certificates of clients cannot be done without"),
        ("{system}", "clients' authorities cannot become all that the system trusts"),
        ("{mutual}", "the list of allowed names cannot be taken away"),
    ],
)
def test_tls_and_client_certificates_stay(
    config: Path, ours: Authority, server: Certificate, after: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    config.write_text(mutual(server, ours.ca, "client_allowed_sans: [localhost]"))
    optional = mutual(server, ours.ca, "client_allowed_sans: [localhost]").replace("RequireAndVerify", "Verify")
    texts = {"tls": with_tls(server), "mutual": mutual(server, ours.ca)}
    texts["system"] = mutual(server, Path()).replace("client_ca_file: .", "client_ca_file:")
    with guarded(config) as endpoint:
        replace(config, after.format(optional=optional.replace("ClientCert\n", "ClientCertIfGiven\n"), **texts))
        with pytest.raises(GONE):
            endpoint.get(trusting(ours))
        assert endpoint.status(trusting(ours, ours.issue("client"))) == 200
        assert endpoint.access.encrypted
        assert endpoint.taken() == 0
    assert says in caplog.text


def test_tls_is_not_added(config: Path, server: Certificate, caplog: pytest.LogCaptureFixture) -> None:
    config.write_text(with_users(alice=hashed("a")))
    with guarded(config) as endpoint:
        replace(config, with_tls(server))
        assert endpoint.status(headers=basic("alice", "a")) == 200
        assert not endpoint.access.encrypted
    assert "TLS cannot be added" in caplog.text


def test_protection_is_added(config: Path) -> None:
    config.write_text("http_server_config: {headers: {X-Frame-Options: deny}}\n")
    with guarded(config) as endpoint:
        assert endpoint.get().headers["x-frame-options"] == "deny"
        replace(config, with_users(alice=hashed("a")))
        assert endpoint.status() == 401
        assert "x-frame-options" not in endpoint.get(headers=basic("alice", "a")).headers


def test_certificates_are_asked_for_from_now_on(config: Path, ours: Authority, server: Certificate) -> None:
    config.write_text(with_tls(server))
    with guarded(config) as endpoint:
        kept = endpoint.connect(trusting(ours))
        assert endpoint.ask(kept).status == 200
        replace(config, mutual(server, ours.ca))
        for connection in (kept, endpoint.connect(trusting(ours))):
            with pytest.raises(GONE):
                endpoint.ask(connection)
            connection.close()
        assert endpoint.status(trusting(ours, ours.issue("client"))) == 200


def test_file_that_was_only_touched_is_not_taken_again(config: Path, caplog: pytest.LogCaptureFixture) -> None:
    config.write_text(with_users(alice=hashed("a")))
    caplog.set_level("INFO")
    with guarded(config) as endpoint:
        taken = endpoint.account(metrics.CONFIG_LOADED, "web")
        config.touch()
        assert endpoint.status(headers=basic("alice", "a")) == 200
        assert endpoint.account(metrics.CONFIG_LOADED, "web") == taken
    assert "read again" not in caplog.text


def test_change_that_leaves_no_trace_is_noticed_when_the_clock_has_ticked(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file system whose clock stands: what is written in its tick after we looked has the same times.
    then = 1_000 * 10**9
    frozen = os.stat_result((0o644, 1, 1, 1, 0, 0, 10, 0, 0, 0), {"st_mtime_ns": then, "st_ctime_ns": then})
    now = 1_000.5
    monkeypatch.setattr(Path, "stat", lambda _: frozen)
    looked = Watch(lambda: now)
    assert looked.changed([config])
    assert not looked.changed([config])
    now += SETTLED_SECONDS
    assert looked.changed([config])
    assert not looked.changed([config])


def test_no_secret_is_logged_or_answered(
    config: Path, ours: Authority, server: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    one = hashed("sesame")
    good = mutual(server, ours.ca) + with_users(alice=one)
    config.write_text(good)
    client = trusting(ours, ours.issue("client"))
    with guarded(config) as endpoint:
        endpoint.get(client, basic("alice", "sesame"))
        for broken in (good.replace("alice:", "alice"), good.replace(one, one[:-2]), good.replace("key_file", "key")):
            replace(config, broken)
            endpoint.get(client, basic("alice", "sesame"))
            endpoint.get(client, basic("alice", "open"))
        server.key.write_text(server.key.read_text()[:-60])
        replace(config, good)
        endpoint.get(client, basic("mallory", "sesame"))
        assert endpoint.taken() == 0
    said = caplog.text + "".join(endpoint.said)
    assert not any(
        secret in said for secret in ("sesame", one, one[30:50], basic("alice", "sesame")["Authorization"][8:])
    )
    assert not any(line in said for line in server.key.read_text().splitlines() if "-" not in line and line)


def test_every_reason_has_a_series_from_the_start(config: Path) -> None:
    [*counted] = Access().readings()
    assert {one.labels[0][1]: one.value for one in counted} == dict.fromkeys(REASONS, 0)  # type: ignore[union-attr]  # samples all
    config.write_text("")
    assert {one.metric for one in Access(config).readings()} == {
        metrics.WEB_REFUSED,
        metrics.CONFIG_RELOADED,
        metrics.CONFIG_LOADED,
    }
