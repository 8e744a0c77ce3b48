"""TLS to the database: whom we trust, and who trusts us, under each mode; on PostgreSQL behind PgBouncer and on MariaDB."""

from __future__ import annotations

import re
import ssl
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from airflow_obs.errors import SourceUnreachable
from airflow_obs.sources.backends import tls_errors
from airflow_obs.sources.database import Database
from airflow_obs.sources.discovery import database_url
from tests.airflow_database import EXPORTER_ROLE, Templates
from tests.airflow_schemas import DEMO_VERSION, MARIADB_SCHEMAS, POSTGRESQL_SCHEMAS, Schema
from tests.certificates import Authority, Certificate
from tests.embedded_postgres import memory_folder
from tests.mariadb_server import mariadb_server
from tests.pgbouncer_server import Chart, pgbouncer
from tests.redis_server import free_port

BUDGET = 10.0
PASSWORD = "p@ss/w:ord ö"


@dataclass
class Certificates:
    """Those of the server and of clients: ours, expired ones, and those of an authority that is not ours."""

    ours: Authority
    strangers: Authority
    _issued: dict[str, Certificate] = field(default_factory=dict)

    def of(self, name: str) -> Certificate:
        """ "stranger", or one of ours by any other name."""
        if name not in self._issued:
            authority = self.strangers if name == "stranger" else self.ours
            self._issued[name] = authority.issue(name, days=-1 if name == "expired" else 2)
        return self._issued[name]

    def for_a_server(self, name: str) -> Certificate:
        """The same with a key that a server may read, whoever it runs as."""
        certificate = self.of(name)
        key = certificate.key.with_suffix(".public")
        key.write_bytes(certificate.key.read_bytes())
        return Certificate(certificate.pem, key)


@dataclass(frozen=True)
class Door:
    """A server that speaks TLS, by its port here; `renew` has it show what is in its certificate's file by now."""

    scheme: str
    port: int
    database: str
    renew: Callable[[], None]

    def settings(self, folder: Path, host: str = "localhost", **tls: str) -> dict[str, str]:
        """What the exporter is told."""
        parts = {
            "SCHEME": self.scheme, "HOST": host, "PORT": str(self.port), "NAME": self.database,
            "USER": EXPORTER_ROLE, "PASSWORD": PASSWORD, **tls,
        }  # fmt: skip
        return {"HOME": str(folder), **{f"AIRFLOW_OBS_DB_{part}": value for part, value in parts.items()}}


@dataclass
class Doors:
    """The servers of one kind, each started when a test first wants it.

    "ours" has a certificate of ours and no word without TLS, "renewed" one that changes, "expired" an expired one; "either" speaks
    without TLS, too; "mutual" asks for one of the client's, too; "plain" speaks no TLS.
    """

    certificates: Certificates
    open: Callable[[str], Door]
    _opened: dict[str, Door] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Door:
        if name not in self._opened:
            self._opened[name] = self.open(name)
        return self._opened[name]


def at_pgbouncer(stack: ExitStack, templates: Templates, certificates: Certificates) -> Callable[[str], Door]:
    """The embedded server has no TLS of its own."""
    db = stack.enter_context(templates.database(newest(POSTGRESQL_SCHEMAS)))
    assert db.exporter_url  # makes the role
    name = str(db.engine.url.database)

    def start(door: str) -> Door:
        options = {"client_tls_sslmode": "disable"}
        if door != "plain":
            shown = certificates.for_a_server(door if door in {"expired", "renewed"} else "server")
            options = {
                "client_tls_sslmode": {"mutual": "verify-ca", "either": "allow"}.get(door, "require"),
                "client_tls_ca_file": str(certificates.ours.ca),
                "client_tls_cert_file": str(shown.pem),
                "client_tls_key_file": str(shown.key),
            }
        pooler = stack.enter_context(
            pgbouncer(templates.postgres, {EXPORTER_ROLE: PASSWORD}, Chart.OFFICIAL, **options)
        )

        def renew() -> None:
            pooler.kill()
            pooler.start()

        return Door("postgresql", pooler.port, name, renew)

    return start


def at_mariadb(stack: ExitStack, _templates: Templates, certificates: Certificates) -> Callable[[str], Door]:
    def start(door: str) -> Door:
        options = ["--skip-ssl"]
        if door != "plain":
            shown = certificates.for_a_server(door if door in {"expired", "renewed"} else "server")
            options = [f"--ssl-ca={certificates.ours.ca}", f"--ssl-cert={shown.pem}", f"--ssl-key={shown.key}"]
        port = free_port()
        server = stack.enter_context(mariadb_server(memory_folder(), port, tuple(options)))
        demand = {"plain": "NONE", "either": "NONE", "mutual": "X509"}.get(door, "SSL")
        role = f"{EXPORTER_ROLE}@'%'"
        server.execute(f"CREATE DATABASE airflow; USE airflow; {newest(MARIADB_SCHEMAS).file.read_text()}")
        server.execute(
            f"CREATE USER {role} IDENTIFIED BY '{PASSWORD}' REQUIRE {demand}; GRANT SELECT ON airflow.* TO {role}"
        )
        server.execute(f"GRANT PROCESS ON *.* TO {role}")

        def renew() -> None:
            server.execute("FLUSH SSL")
            server.execute(f"KILL USER {EXPORTER_ROLE}")

        return Door("mariadb", port, "airflow", renew)

    return start


def newest(schemas: list[Schema]) -> Schema:
    return next(schema for schema in schemas if schema.release.version == DEMO_VERSION)


@pytest.fixture(scope="module", params=[at_pgbouncer, at_mariadb], ids=["pgbouncer", "mariadb"])
def doors(request: pytest.FixtureRequest, templates: Templates) -> Iterator[Doors]:
    # The certificates are not in pytest's own folder, which is closed to the users that servers run as.
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        certificates = Certificates(Authority.founded(folder / "ours"), Authority.founded(folder / "strangers"))
        yield Doors(certificates, request.param(stack, templates, certificates))


def refusal(settings: Mapping[str, str]) -> str | None:
    """Why no session can be had; None where one can."""
    with closing(Database(lambda: database_url(settings))) as database:
        try:
            with database.session(BUDGET) as session:
                assert session.schema.has("dag_run")
        except SourceUnreachable as error:
            return str(error)
    return None


def verified(certificates: Certificates, name: str) -> dict[str, str]:
    """Settings that trust none but our authority, and show the certificate of that name, if any."""
    return {"SSLMODE": "verify-full", "SSLROOTCERT": str(certificates.ours.ca)} | (
        client(certificates.of(name)) if name else {}
    )


def client(certificate: Certificate) -> dict[str, str]:
    return {"SSLCERT": str(certificate.pem), "SSLKEY": str(certificate.key)}


BY_ADDRESS = "127.0.0.1"


@pytest.mark.parametrize(
    ("door", "mode", "host"),
    [
        ("ours", "", "localhost"),
        ("ours", "prefer", "localhost"),
        ("ours", "require", BY_ADDRESS),
        ("ours", "verify-ca", BY_ADDRESS),
        ("ours", "verify-full", "localhost"),
        ("expired", "require", "localhost"),
        ("plain", "", "localhost"),
        ("plain", "disable", "localhost"),
    ],
)
def test_let_in(doors: Doors, tmp_path: Path, door: str, mode: str, host: str) -> None:
    tls = {"SSLMODE": mode, "SSLROOTCERT": str(doors.certificates.ours.ca) if mode.startswith("verify") else ""}
    assert refusal(doors[door].settings(tmp_path, host, **tls)) is None


@pytest.mark.parametrize("doors", [at_mariadb], ids=["mariadb"], indirect=True)
@pytest.mark.parametrize(
    ("mode", "word", "encrypted"),
    [("", "", True), ("prefer", "PREFERRED", True), ("require", "REQUIRED", True), ("disable", "DISABLED", False)],
)
def test_whether_it_is_encrypted(doors: Doors, tmp_path: Path, *, mode: str, word: str, encrypted: bool) -> None:
    """By a server that would speak without TLS, too; libpq itself prefers TLS, and so must PyMySQL, which did not before 1.2."""
    door = doors["either"]
    parts = door.settings(tmp_path, SSLMODE=mode)
    url = f"mysql://{EXPORTER_ROLE}:{quote(PASSWORD, safe='')}@localhost:{door.port}/{door.database}"
    for settings in (parts, {"AIRFLOW_OBS_DB_URL": f"{url}?ssl_mode={word}" if word else url}):
        with closing(Database(partial(database_url, settings))) as database, database.session(BUDGET) as session:
            cipher = session.one(sa.text("SHOW SESSION STATUS LIKE 'Ssl_cipher'")).Value
        assert bool(cipher) is encrypted


@pytest.mark.parametrize("doors", [at_pgbouncer], ids=["pgbouncer"], indirect=True)
@pytest.mark.parametrize("by_variable", [True, False])
def test_authority_that_libpq_knows_by_itself(
    doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, by_variable: bool
) -> None:
    at_home = tmp_path / ".postgresql" / "root.crt"
    at_home.parent.mkdir()
    trusted = tmp_path / "trusted.pem" if by_variable else at_home
    libpqs = {"PGSSLROOTCERT": str(trusted)} if by_variable else {}
    for name, value in {"HOME": str(tmp_path), **libpqs}.items():
        monkeypatch.setenv(name, value)
    for authority, said in ((doors.certificates.ours, None), (doors.certificates.strangers, OTHER_AUTHORITY)):
        trusted.write_bytes(authority.ca.read_bytes())
        why = refusal(doors["ours"].settings(tmp_path, SSLMODE="verify-full") | libpqs)
        assert re.search(said, why or "") if said else why is None, why


@pytest.mark.parametrize("doors", [at_pgbouncer], ids=["pgbouncer"], indirect=True)
def test_authorities_that_the_system_trusts(doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the libpq in psycopg2's wheel looks for them by itself."""
    paths = ssl.get_default_verify_paths()
    for authority, said in ((doors.certificates.ours, None), (doors.certificates.strangers, OTHER_AUTHORITY)):
        systems = paths._replace(cafile=str(authority.ca))
        monkeypatch.setattr(ssl, "get_default_verify_paths", lambda systems=systems: systems)
        why = refusal(doors["ours"].settings(tmp_path, SSLMODE="verify-full", SSLROOTCERT="system"))
        assert re.search(said, why or "") if said else why is None, why


WANTS_TLS = (
    r"SSL required; the server wants TLS: write sslmode=verify-full|Access denied .* it demands TLS \(ssl_mode\)"
)
OTHER_AUTHORITY = (
    r"certificate verify failed(; the server's certificate has expired, or is of another authority than sslrootcert says"
    r"|: [\w -]+\) \(error \d+\); the server's certificate is of an authority that is not in ssl_ca .* name it there)$"
)
OTHER_NAME = (
    "connect by a name that the server's certificate has; (sslmode=verify-ca|ssl_mode=VERIFY_CA) would not look"
)
EXPIRED = r"verify failed(; the server's certificate has expired, or is|: certificate has expired\) .*must be renewed$)"
NO_TLS = "the server has no TLS: set it up there, or write (sslmode=disable|ssl_mode=DISABLED)"
WANTS_A_CERTIFICATE = r"certificate of ours: name it in sslcert and sslkey|a certificate \(ssl_cert\)"
NOT_TAKEN = "does not take the certificate in (sslcert|ssl_cert): .*expired"


@pytest.mark.parametrize(
    ("door", "mode", "authority", "host", "said"),
    [
        ("ours", "disable", "", "localhost", WANTS_TLS),
        ("ours", "require", "strangers", "localhost", OTHER_AUTHORITY),
        ("ours", "verify-ca", "strangers", "localhost", OTHER_AUTHORITY),
        ("ours", "verify-full", "strangers", "localhost", OTHER_AUTHORITY),
        ("ours", "verify-full", "system", "localhost", OTHER_AUTHORITY),
        ("ours", "verify-full", "ours", BY_ADDRESS, OTHER_NAME),
        ("expired", "verify-ca", "ours", "localhost", EXPIRED),
        ("plain", "require", "", "localhost", NO_TLS),
    ],
)
def test_not_trusted(doors: Doors, tmp_path: Path, door: str, mode: str, authority: str, host: str, said: str) -> None:
    authorities = {"ours": str(doors.certificates.ours.ca), "strangers": str(doors.certificates.strangers.ca)}
    tls = {"SSLMODE": mode, "SSLROOTCERT": authorities.get(authority, authority)}
    why = refusal(doors[door].settings(tmp_path, host, **tls))
    assert re.search(said, why or ""), why


@pytest.mark.parametrize(("name", "said"), [("", WANTS_A_CERTIFICATE), ("expired", NOT_TAKEN), ("stranger", NOT_TAKEN)])
def test_certificate_that_is_not_taken(doors: Doors, tmp_path: Path, name: str, said: str) -> None:
    why = refusal(doors["mutual"].settings(tmp_path, **verified(doors.certificates, name)))
    assert re.search(said, why or ""), why


def test_certificate_of_ours(doors: Doors, tmp_path: Path) -> None:
    assert refusal(doors["mutual"].settings(tmp_path, **verified(doors.certificates, "client"))) is None


def test_another_authority_and_certificate_of_the_server(doors: Doors, tmp_path: Path) -> None:
    """A session that finds its connection cut takes the files as they are by then."""
    trusted, door = tmp_path / "trusted.pem", doors["renewed"]
    trusted.write_bytes(doors.certificates.ours.ca.read_bytes())
    settings = door.settings(tmp_path, SSLMODE="verify-full", SSLROOTCERT=str(trusted))
    with closing(Database(lambda: database_url(settings))) as database:
        with database.session(BUDGET):
            pass
        trusted.write_bytes(doors.certificates.strangers.ca.read_bytes())
        doors.certificates.for_a_server("renewed").replace_by(doors.certificates.of("stranger"))
        door.renew()
        with database.session(BUDGET):
            pass
    assert re.search(OTHER_AUTHORITY, refusal(door.settings(tmp_path, **verified(doors.certificates, ""))) or "")


def test_another_reason_of_openssls_is_enough() -> None:
    for_clients = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unsuitable certificate purpose"
    assert tls_errors.advice(for_clients, tls_errors.MYSQLS) == ""
