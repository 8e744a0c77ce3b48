"""TLS as the web configuration says it: what its files hold, and a context made of that."""

from __future__ import annotations

import logging
import os
import ssl
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa

from airflow_obs.errors import PolicyError, Problem
from airflow_obs.exporter.web.config import TLS, Written
from airflow_obs.exporter.web.fields import CURVES, SUITES, TlsServer

log = logging.getLogger(__name__)

MAX_BYTES = 1 << 20
"""All public authorities take a fifth of this."""
VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_NOT_A_PAIR = ("KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED")  # the latter of two kinds, such as RSA and EC
NAMES = ("cert", "key", "client_ca")


@dataclass(frozen=True)
class Pem:
    """What stands in the files, or in their place."""

    cert: bytes
    key: bytes = field(repr=False)
    client_ca: bytes


class Context(ssl.SSLContext):
    """A context that knows whom it lets in, so that connections of an earlier one can be told."""

    lets_in: tuple[str, bytes]


class _Encrypted(Exception):
    """The key cannot be had without a passphrase."""


def read(written: Written) -> Pem | None:
    """What this configuration's certificates and key are now; None without TLS. Raises PolicyError with all that cannot be read."""
    tls = written.said.tls_server_config
    if tls is None:
        return None
    found: dict[str, bytes] = {}
    wrong: list[Problem] = []
    for name in NAMES:
        path = written.file(f"{name}_file")
        if path is None:
            found[name] = getattr(tls, name).encode()
            continue
        try:
            found[name] = _content(path)
        except (OSError, ValueError) as error:
            why = error.strerror.lower() if isinstance(error, OSError) and error.strerror else error
            wrong.append(
                written.wrong(
                    f"cannot be read ({why}): name a PEM file that this process may read", TLS, f"{name}_file"
                )
            )
    if wrong:
        raise PolicyError(wrong)
    return Pem(**found)


def context(written: Written, pem: Pem) -> Context:
    """A new context of this configuration, and of what its files hold. Raises PolicyError for what does not serve as what it is."""
    tls = written.said.tls_server_config or TlsServer()
    made = Context(ssl.PROTOCOL_TLS_SERVER)
    made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # A client that comes back is looked at again. The sessions that OpenSSL keeps of TLS 1.2 Python cannot turn off: Access looks.
    made.options |= ssl.OP_NO_TICKET
    made.num_tickets = 0
    made.set_alpn_protocols(["http/1.1"])
    made.minimum_version, made.maximum_version = VERSIONS[tls.min_version], VERSIONS[tls.max_version]
    if chosen := [SUITES[name] for name in tls.cipher_suites]:
        if suites := [name for name in chosen if name]:
            made.set_ciphers(":".join(suites))
        else:
            made.minimum_version = ssl.TLSVersion.TLSv1_3
    for name in tls.curve_preferences:
        made.set_ecdh_curve(CURVES[name])
    made.lets_in = (tls.client_auth_type, pem.client_ca)
    wrong = [written.wrong(text, TLS, _written_as(tls, name)) for name, text in _wrong(made, tls, pem)]
    if wrong:
        raise PolicyError(wrong)
    return made


def warn(written: Written, pem: Pem) -> None:
    """Log what is served all the same, though clients may think ill of it."""
    tls = written.said.tls_server_config or TlsServer()
    now = datetime.now(UTC)
    try:
        certificate = x509.load_pem_x509_certificate(pem.cert)
    except ValueError:  # OpenSSL took it, and knows better
        return
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        log.warning("web: the certificate is valid from %s to %s only: clients will refuse it; renew it", begins, ends)
    if tls.verifies and not pem.client_ca:
        text = "web: clients may show any certificate of the authorities that this system trusts: name yours as %s.client_ca_file"
        log.warning(text, TLS)


def _wrong(made: Context, tls: TlsServer, pem: Pem) -> Iterator[tuple[str, str]]:
    """Load the certificates into the context; yields which of them cannot be, and why."""
    try:
        with _file(pem.cert) as cert, _file(pem.key) as key:
            made.load_cert_chain(cert, key, _no_passphrase)
    except _Encrypted:
        yield (
            "key",
            "it is behind a passphrase, which nobody could type: decrypt it with `openssl pkey`, and guard the file",
        )
    except ssl.SSLError as error:
        yield _blamed(error, pem)
    else:
        yield from _useless(made, pem)
    if not tls.verifies:
        return
    made.verify_mode = ssl.CERT_REQUIRED if tls.requires else ssl.CERT_OPTIONAL
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as in Go, an authority need not be at the root
    if not pem.client_ca:
        made.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        return
    try:
        with _file(pem.client_ca) as authorities:
            made.load_verify_locations(authorities)
    except ssl.SSLError:
        yield "client_ca", "holds no certificate in PEM format: name the authorities' certificates"


def _useless(made: Context, pem: Pem) -> Iterator[tuple[str, str]]:
    """What is wrong if there is TLS 1.2 alone, and all its cipher suites are for another kind of key than the certificate's."""
    if made.maximum_version != ssl.TLSVersion.TLSv1_2:
        return
    try:
        key = x509.load_pem_x509_certificate(pem.cert).public_key()
    except (ValueError, UnsupportedAlgorithm):  # OpenSSL took it, and knows better
        return
    kind = "RSA" if isinstance(key, rsa.RSAPublicKey) else "ECDSA"
    if all(suite["auth"] != f"auth-{kind.lower()}" for suite in made.get_ciphers()):
        yield (
            "cipher_suites",
            f"none is for this certificate, so that nobody could connect: add one with _{kind}_ in its name",
        )


def _blamed(error: ssl.SSLError, pem: Pem) -> tuple[str, str]:
    """Which of certificate and key is at fault, and how."""
    if error.reason in _NOT_A_PAIR:
        return "key", "it is not the key of this certificate: give both from the same request"
    try:
        x509.load_pem_x509_certificates(pem.cert)
    except ValueError:
        return "cert", "holds no certificate in PEM format: name the server's certificate"
    if error.reason and error.reason.startswith(("EE_", "CA_")):
        return "cert", f"OpenSSL thinks it too weak ({error.reason.replace('_', ' ').lower()}): issue a stronger one"
    return "key", "holds no private key in PEM format: name the certificate's key"


def _written_as(tls: TlsServer, name: str) -> str:
    return f"{name}_file" if getattr(tls, f"{name}_file", "") else name


def _no_passphrase() -> str:
    raise _Encrypted


def _content(path: Path) -> bytes:
    if not path.is_file() and path.exists():
        raise ValueError("not a regular file")
    with open(path, "rb", opener=_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # it has become a pipe since
            raise ValueError("not a regular file")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES} bytes")
    return content


def _at_once(path: str, flags: int) -> int:
    """Open it without waiting for who might write to it, if it is a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


@contextmanager
def _file(content: bytes) -> Iterator[str]:
    """A file that holds this, without a name: OpenSSL reads files, and these bytes are those that were looked at.

    On Linux it is in memory alone, since the folder for temporary files may be on a disk, or may not be written to.
    """
    with os.fdopen(os.memfd_create("pem"), "w+b") if hasattr(os, "memfd_create") else tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        yield f"/dev/fd/{file.fileno()}"
