"""URLs of MySQL for whichever driver: what they become for ours, what of TLS they mean, and which are refused."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

import pytest

from airflow_obs.errors import SourceNotConfigured
from airflow_obs.sources.discovery import Found, database_url
from tests.certificates import Authority

SECRET = "p@ss:w/rd%ö"
ENCODED = "p%40ss%3Aw%2Frd%25%C3%B6"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With ca.pem, and ours.pem and ours.key."""
    folder = tmp_path_factory.mktemp("certificates")
    Authority.founded(folder).issue("ours")
    return folder


def found(url: str, folder: Path | None = None) -> Found:
    """What is made of a URL, in which CA, CERT and KEY stand for the paths of those."""
    for word, name in (("CA", "ca.pem"), ("CERT", "ours.pem"), ("KEY", "ours.key")) if folder else ():
        url = url.replace(f"={word}", f"={folder}/{name}")
    return database_url({"AIRFLOW_OBS_DB_URL": url})


@pytest.mark.parametrize(
    "scheme",
    [
        "mysql", "mysql+mysqldb", "mysql+pymysql", "mysql+mysqlconnector", "mysql+aiomysql", "mysql+asyncmy",
        "mysql+mariadbconnector",
        "mariadb", "mariadb+mysqldb", "mariadb+pymysql", "mariadb+mariadbconnector",
    ],
)  # fmt: skip
def test_every_driver(scheme: str) -> None:
    one = found(
        f"{scheme}://u:{ENCODED}@h:3307/db?charset=latin1&connect_timeout=5&read_timeout=9&local_infile=1&use_pure=True"
    )
    assert str(one.url) == "mysql+pymysql://u:***@h:3307/db?charset=utf8mb4"
    assert one.url.password == SECRET
    # As MySQL's own client sends it; PyMySQL alone would send another, or fail.
    assert one.connect_args == {"password": SECRET.encode()}
    assert SECRET not in repr(one)


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("mysql://h/db", "mysql+pymysql://h/db?charset=utf8mb4"),
        (
            "mysql://u@/db?unix_socket=/run/my.sock",
            "mysql+pymysql://u@/db?charset=utf8mb4&unix_socket=%2Frun%2Fmy.sock",
        ),
        ("mysql:///db", "mysql+pymysql://localhost/db?charset=utf8mb4"),
        ("mysql://?host=h&port=3307&user=u&passwd=s&db=d", "mysql+pymysql://u:***@h:3307/d?charset=utf8mb4"),
        ("mysql://u@h/db?user=other&host=other", "mysql+pymysql://u@h/db?charset=utf8mb4"),
    ],
)
def test_places(url: str, normal: str) -> None:
    assert str(found(url).url) == normal


FULL, CA_ONLY, ENCRYPTED = (ssl.CERT_REQUIRED, True), (ssl.CERT_REQUIRED, False), (ssl.CERT_NONE, False)


@pytest.mark.parametrize(
    ("url", "verifies"),
    [
        ("mysql+mysqldb://h/db?ssl_mode=REQUIRED", ENCRYPTED),
        ("mysql+mysqldb://h/db?ssl_mode=required&ssl_cert=CERT&ssl_key=KEY", ENCRYPTED),
        ("mysql+mysqldb://h/db?ssl_mode=VERIFY_CA&ssl_ca=CA", CA_ONLY),
        ("mysql+mysqldb://h/db?ssl_mode=VERIFY_IDENTITY&ssl_ca=CA", FULL),
        ("mysql+mysqldb://h/db?ssl_mode=VERIFY_IDENTITY", FULL),
        ("mysql+mysqldb://h/db?ssl_ca=CA", CA_ONLY),
        ("mysql+mysqldb://h/db?ssl=true", ENCRYPTED),
        ("mysql+pymysql://h/db?ssl_ca=CA", FULL),
        ("mysql+pymysql://h/db?ssl_ca=CA&ssl_check_hostname=false", CA_ONLY),
        ("mysql+pymysql://h/db?ssl_verify_identity=true", FULL),
        ("mysql+pymysql://h/db?ssl_ca=CA&ssl_verify_cert=true&ssl_verify_identity=true", FULL),
        ("mysql+pymysql://h/db?ssl_cert=CERT&ssl_key=KEY", ENCRYPTED),
        ("mysql+asyncmy://h/db?ssl_ca=CA", FULL),
        ("mysql+mysqlconnector://h/db?ssl_ca=CA&ssl_verify_cert=true", CA_ONLY),
        ("mysql+mysqlconnector://h/db?ssl_ca=CA&ssl_verify_cert=true&ssl_verify_identity=true", FULL),
        ("mysql+mysqlconnector://h/db?ssl_ca=CA&ssl_verify_cert=false", ENCRYPTED),
        ("mariadb+mariadbconnector://h/db?ssl_ca=CA&ssl_verify_cert=true", FULL),
        ("mysql://h/db?ssl-capath=/etc/ssl/certs", CA_ONLY),
        ("mysql://h/db?ssl_cipher=ECDHE-ECDSA-AES256-GCM-SHA384&tls_version=TLSv1.2", ENCRYPTED),
    ],
)  # fmt: skip
def test_tls(folder: Path, url: str, verifies: tuple[object, bool]) -> None:
    context = found(url, folder).connect_args["ssl"]
    assert (context.verify_mode, context.check_hostname) == verifies


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ("", {}),
        ("?ssl_mode=PREFERRED", {}),
        ("?ssl_disabled=false", {}),
        ("?ssl_mode=DISABLED&ssl_ca=CA", {"ssl_disabled": True}),
        ("?ssl_disabled=True", {"ssl_disabled": True}),
        ("?ssl=false", {"ssl_disabled": True}),
    ],
)
def test_no_tls_or_as_the_server_likes(folder: Path, options: str, arguments: dict[str, object]) -> None:
    assert found(f"mysql://h/db{options}", folder).connect_args == arguments


def test_an_authority_that_verifies_nothing_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found("mysql://h/db?ssl_mode=PREFERRED&ssl_ca=CA", folder)
    assert "with ssl_mode=PREFERRED its ssl_ca verifies nothing; write VERIFY_IDENTITY" in caplog.text


def test_an_option_file(tmp_path: Path, folder: Path) -> None:
    file = tmp_path / "my.cnf"
    file.write_text(
        f"!includedir /etc/mysql/conf.d/\n[client]\nuser = me\npassword = '{SECRET}'\nport=3307\nhost = file\nloose-x\n"
        f"ssl-ca = {folder}/ca.pem\nskip-auto-rehash\n[mysqld]\nuser = mysql\n[airflow]\ndatabase = meta\nssl-verify-server-cert\n"
    )
    one = found(f"mysql+mysqldb://h?read_default_file={file}&read_default_group=airflow")
    assert (str(one.url), one.url.password) == ("mysql+pymysql://me:***@h:3307/meta?charset=utf8mb4", SECRET)
    assert one.connect_args["ssl"].check_hostname
    one = found(f"mysql+mysqldb://h/db?read_default_file={file}")
    assert (one.connect_args["ssl"].verify_mode, one.connect_args["ssl"].check_hostname) == CA_ONLY


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("?ssl_mode=FULL", "ssl_mode is none of DISABLED, PREFERRED, REQUIRED, VERIFY_CA, VERIFY_IDENTITY"),
        ("?ssl_mode=VERIFY_CA", "VERIFY_CA needs ssl_ca"),
        ("?ssl_verify_cert=true", "VERIFY_CA needs ssl_ca"),
        ("?ssl_ca=/no/ca.pem", "ssl_ca: /no/ca.pem: No such file or directory"),
        ("?ssl_ca=KEY", "no certificate in PEM form is there"),
        ("?ssl_cert=CA&ssl_key=KEY", "ssl_cert and ssl_key are no certificate and its key in PEM form"),
        ("?ssl_key=KEY", "ssl_key is set, but ssl_cert is not"),
        ("?ssl_cipher=ROT13", "ssl_cipher names no cipher"),
        ("?ssl_crl=/etc/crl.pem", "ssl_crl is no option of TLS that we can keep"),
        ("?ssl_modus=REQUIRED", "ssl_modus is no option of TLS that we can keep"),
        ("?ssl_disabled=perhaps", "ssl_disabled is neither true nor false"),
        ('?ssl={"ca":"/etc/ca.pem"}', "ssl is neither true nor false (files go in ssl_ca, ssl_cert and ssl_key)"),
        ("?port=x", "port is 'x', not a number"),
        ("?read_default_file=/no/my.cnf", "read_default_file: /no/my.cnf: No such file"),
        ("?read_default_file=CERT", "cannot be read as an option file of MySQL"),
    ],
)  # fmt: skip
def test_mistakes_are_said_without_the_password(folder: Path, options: str, said: str) -> None:
    with pytest.raises(SourceNotConfigured) as caught:
        found(f"mysql://u:{ENCODED}@h/db{options}", folder)
    assert said in str(caught.value)
    assert "AIRFLOW_OBS_DB_URL" in str(caught.value)
    assert not {SECRET, ENCODED} & set(str(caught.value).split())


def test_an_option_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "my.cnf"
    file.write_bytes(b"[client]\npassword=sesame\xff\n")
    with pytest.raises(SourceNotConfigured, match=r"cannot be read as an option file of MySQL \(UnicodeDecodeError\)"):
        found(f"mysql://h/db?read_default_file={file}")


def test_a_key_that_wants_a_password(folder: Path) -> None:
    """Which OpenSSL would ask of whoever sits at the terminal."""
    key = Authority(folder).encrypt("ours", "sesame")
    with pytest.raises(SourceNotConfigured, match="no certificate and its key"):
        found(f"mysql://h/db?ssl_cert=CERT&ssl_key={key}", folder)
    one = found(f"mysql://h/db?ssl_cert=CERT&ssl_key={key}&ssl_key_password=sesame", folder)
    assert "sesame" not in repr(one)


def test_a_url_without_a_database() -> None:
    with pytest.raises(SourceNotConfigured, match="names no database; write it like mysql://"):
        found("mysql://u@h")
