"""The format of --web.config.file: what is taken as exporter-toolkit takes it, what is refused, where, and without secrets."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_obs.errors import PolicyError
from airflow_obs.exporter.web.access import Access
from airflow_obs.exporter.web.config import read, reads
from airflow_obs.exporter.web.fields import SUITES, TlsServer, WebConfig
from tests.airflow_schemas import ROOT
from tests.exporter_process import airflow_obs
from tests.tools import tool

FILE = Path("site/web.yml")
HASH = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"
PAIR = "tls_server_config:\n  cert_file: a.pem\n  key_file: a.key\n"
MANGLING = ["", " ", "\n", "\t", "'", '"', "{", "[", "- ", "|", "&", "*", "!", "\\x"]
KEY = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgZ0FyYmFnZUdhcmJh"


def wrong(text: str) -> list[str]:
    """What is said of this text, without the file's name."""
    with pytest.raises(PolicyError) as error:
        reads(text, FILE)
    return [str(problem).removeprefix(f"{FILE}:") for problem in error.value.problems]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        PAIR,
        "tls_server_config: {cert: x, key: y}",
        PAIR + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n  client_allowed_sans: [a]\n",
        PAIR + '  client_auth_type: ""\n  client_ca_file: ""\n  cipher_suites:\n  client_allowed_sans:\n',
        PAIR + "  client_auth_type: NoClientCert\n  prefer_server_cipher_suites: false\n  min_version: TLS13\n",
        PAIR + f"  cipher_suites: [{', '.join(SUITES)}]\n  curve_preferences: [X25519]\n",
        "http_server_config: {http2: false}",
        "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    X-XSS-Protection: 1\n    Content-Security-Policy:\n",
        f"basic_auth_users:\n  alice: {HASH}\n  5: {HASH.replace('$2y', '$2a')}\n  bob@a.example: {HASH.replace('$2y', '$2b')}\n",
        "basic_auth_users:\nrate_limit:\nhttp_server_config:\n",
        "rate_limit: {interval: 0, burst: 0}",
        "rate_limit: {interval: 1.5s, burst: 20}",
    ],
)
def test_what_exporter_toolkit_takes_is_taken(text: str) -> None:
    reads(text, FILE)


def test_files_are_beside_the_configuration(tmp_path: Path) -> None:
    written = reads(PAIR.replace("a.key", "/etc/a.key"), FILE)
    assert written.file("cert_file") == Path("site/a.pem")
    assert written.file("key_file") == Path("/etc/a.key")
    assert written.file("client_ca_file") is None
    (tmp_path / "web.yml").write_bytes(b"\xef\xbb\xbf" + PAIR.encode())
    assert read(tmp_path / "web.yml").file("cert_file") == tmp_path / "a.pem"


def test_headers_are_those_that_were_given(tmp_path: Path) -> None:
    config = tmp_path / "web.yml"
    config.write_text(
        'http_server_config: {headers: {X-XSS-Protection: 1, X-Frame-Options: deny, Strict-Transport-Security: ""}}'
    )
    assert Access(config).headers == {"X-XSS-Protection": "1", "X-Frame-Options": "deny"}
    assert Access().headers == {}


def test_interval_is_a_duration_of_go() -> None:
    assert reads("rate_limit: {interval: 1m0.5s, burst: 1}", FILE).said.rate_limit.interval == 60.5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tls_config: {}", "1:1: unknown key `tls_config`: did you mean `tls_server_config`?"),
        ("tls_server_config: {cert_fil: a}", "1:21: tls_server_config: unknown key `cert_fil`: did you mean `cert_file`?"),
        ("tls_server_config:", "1:1: tls_server_config.cert_file: TLS needs `cert_file` or `cert`"),
        ("tls_server_config: {min_version: TLS12}", "1:20: tls_server_config.key_file: TLS needs `key_file` or `key`"),
        (PAIR + "  cert: x", "4:9: tls_server_config.cert: `cert_file` is given as well"),
        (PAIR + "  key_file: b.key", "4:3: `key_file` is given twice, first on line 3"),
        (PAIR + "  min_version: TLS11", "4:16: tls_server_config.min_version: TLS 1.0 and 1.1 are not spoken any more"),
        (PAIR + "  min_version: TLS13\n  max_version: TLS12", "4:16: tls_server_config.min_version: newer than max_version"),
        (PAIR + "  client_ca_file: a", "4:19: tls_server_config.client_ca_file: no client is asked for a certificate"),
        (PAIR + "  client_allowed_sans: [a]", "4:24: tls_server_config.client_allowed_sans: no client is asked"),
        (PAIR + "  client_allowed_sans: []", "4:24: tls_server_config.client_allowed_sans: the list is empty"),
        (PAIR + "  client_auth_type: RequireAnyClientCert", "4:21: tls_server_config.client_auth_type: a certificate that"),
        (PAIR + "  client_auth_type: RequestClientCert", "write RequireAndVerifyClientCert or VerifyClientCertIfGiven"),
        (PAIR + "  client_auth_type: Require", "4:21: tls_server_config.client_auth_type: must be RequireAndVerifyClientCert,"),
        (PAIR + "  cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]", "4:19: tls_server_config.cipher_suites[0]: must be a cipher suite"),
        (PAIR + "  cipher_suites: [TLS_AES_128_GCM_SHA256]\n  max_version: TLS12", "none of these is of TLS 1.2"),
        (PAIR + "  curve_preferences: [X25519, CurveP256]", "4:22: tls_server_config.curve_preferences: Python's ssl can be told"),
        ("http_server_config: {http2: yes}", "1:29: http_server_config.http2: write true or false"),
        ("http_server_config: {headers: {Content-Type: a}}", "http_server_config.headers: unknown key `Content-Type`"),
        ("http_server_config: {headers: {X-Frame-Options: foo}}", "1:49: http_server_config.headers.X-Frame-Options: must be"),
        ('http_server_config: {headers: {X-XSS-Protection: "1\\r\\nA: b"}}', "must be printable ASCII on one line"),
        ("basic_auth_users: [alice]", "1:19: basic_auth_users: write a mapping"),
        ("basic_auth_users: {alice: doe}", "1:27: basic_auth_users: not a bcrypt hash"),
        ("basic_auth_users: {alice: }", "1:20: basic_auth_users: not a bcrypt hash"),
        (f'basic_auth_users: {{"a:b": "{HASH}"}}', "1:20: basic_auth_users: nobody can log in by a name with `:`"),
        ("rate_limit: {interval: 5, burst: 1}", "1:24: rate_limit.interval: write a duration with its unit"),
        ("rate_limit: {interval: 1s}", "1:13: rate_limit.burst: a burst of 0 would refuse every request"),
        ("rate_limit: {interval: 1s, burst: many}", "1:35: rate_limit.burst: write a whole number"),
        ("a: b: c", "not valid YAML"),
        ("just text", "1:1: a web configuration is a mapping: write keys, such as `tls_server_config:`"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(text: str, says: str) -> None:
    assert says in "\n".join(wrong(text))


def test_everything_wrong_is_said_at_once() -> None:
    text = (
        "tls_server_config: {cert_fil: a}\nbasic_auth_users: {alice: doe, bob: roe}\nrate_limit: {burst: -1}\nmore: 1\n"
    )
    assert [one.split(":")[0] for one in wrong(text)] == ["1", "2", "2", "3", "4"]


@pytest.mark.parametrize(
    "not_a_hash",
    [
        "secret",
        HASH[:-1],
        HASH + "x",
        HASH.replace("$2y", "$2"),
        HASH.replace("$10$", "$03$"),
        HASH.replace("$10$", "$32$"),
        HASH[:28] + "z" + HASH[29:],  # bits beyond the salt
        HASH[:20] + "!" + HASH[21:],
    ],
)
def test_what_is_no_bcrypt_hash_is_refused_without_being_said(not_a_hash: str) -> None:
    [problem] = wrong(f'basic_auth_users: {{alice: "{not_a_hash}"}}')
    assert "htpasswd -nBC 10" in problem
    assert not_a_hash not in problem


def test_password_where_a_name_should_be_is_not_said() -> None:
    for text in ("basic_auth_users: {sesame: alice}", "basic_auth_users: {'sesame:': 1}", "basic_auth_users: sesame"):
        assert "sesame" not in "".join(wrong(text))


@given(st.lists(st.tuples(st.integers(0), st.integers(0, 6), st.sampled_from(MANGLING)), min_size=1, max_size=4))
def test_no_secret_of_a_mangled_file_is_said(edits: list[tuple[int, int, str]]) -> None:
    text = f"{PAIR.replace('key_file: a.key', 'key: |')}    -----BEGIN PRIVATE KEY-----\n    {KEY}\n    {KEY[::-1]}\n"
    text += f"basic_auth_users:\n  alice: {HASH}\n  bob: hunter2 is mine\n"
    for where, removed, inserted in edits:
        at = where % len(text)
        text = text[:at] + inserted + text[at + removed :]
    try:
        reads(text, FILE)
    except PolicyError as error:
        said = str(error)
        assert not any(secret in said for secret in (KEY[10:40], KEY[::-1][10:40], HASH[30:50], "hunter2"))


def test_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        Access(tmp_path / "web.yml")


def test_file_that_says_nothing_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "web.yml").write_text("# to do\n")
    assert not Access(tmp_path / "web.yml").encrypted
    assert "everybody gets in" in caplog.text


def test_exporter_does_not_start_with_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "web.yml").write_text(PAIR + "basic_auth_user: {alice: sesame}\n")
    ended = airflow_obs(tmp_path, "exporter", "--web.config.file", "web.yml", "--web.listen-address", "127.0.0.1:0")
    assert ended.returncode == 2
    assert "web.yml:4:1: unknown key `basic_auth_user`: did you mean `basic_auth_users`?" in ended.stderr
    assert "sesame" not in ended.stdout + ended.stderr


def test_examples_of_the_documentation_are_taken(tmp_path: Path) -> None:
    page = (ROOT / "exporters" / "web-config.md").read_text()
    example, scrape_config = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[:2]
    said = reads(example, FILE).said
    assert said.tls_server_config is not None
    assert said.tls_server_config.requires
    assert all(one in page for model in (WebConfig, TlsServer) for one in model.model_fields)
    (tmp_path / "prometheus.yml").write_text(scrape_config)
    command = [tool("promtool"), "check", "config", "--syntax-only", "prometheus.yml"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_file_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "web.yml")
    with pytest.raises(PolicyError, match=r"web\.yml:1:1: is no file"):
        read(tmp_path / "web.yml")
