"""TLS to a receiver, by the files that the policy names."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import grpc

from airflow_obs.errors import UsageError
from airflow_obs.policy.push import OtlpPush

NOBODY = b"\n"
"""Authorities for gRPC, none: for what is empty it takes some that it brings along."""


def context(policy: OtlpPush) -> ssl.SSLContext:
    """To be made for every push: the files may have been replaced. Raises UsageError for one that cannot be used."""
    try:
        made = ssl.create_default_context(cafile=policy.ca_file)
    except (OSError, ValueError) as error:
        raise _unusable("ca_file", policy.ca_file, error) from None
    made.verify_flags |= (
        ssl.VERIFY_X509_PARTIAL_CHAIN
    )  # who is in the file is trusted, an authority or not: so has gRPC it
    if policy.cert_file and policy.key_file:
        try:
            # A password is never asked for, on a terminal that nobody sits at.
            made.load_cert_chain(policy.cert_file, policy.key_file, "")
        except (OSError, ValueError) as error:
            raise _unusable("cert_file, key_file", f"{policy.cert_file}, {policy.key_file}", error) from None
    return made


def credentials(policy: OtlpPush) -> grpc.ChannelCredentials:
    """The same for gRPC, which has TLS of its own."""
    context(policy)  # which says what is wrong with the files
    trusted = _read("ca_file", policy.ca_file) if policy.ca_file else b"\n".join(_of_the_system())
    return grpc.ssl_channel_credentials(
        trusted or NOBODY,
        _read("key_file", policy.key_file) if policy.key_file else None,
        _read("cert_file", policy.cert_file) if policy.cert_file else None,
    )


def _of_the_system() -> Iterator[bytes]:
    """The authorities that OpenSSL trusts of itself: a file, and a folder of files that are called by what they hold."""
    paths = ssl.get_default_verify_paths()
    files = [Path(paths.cafile)] if paths.cafile else []
    # SSL_CERT_DIR may name several, as in PATH.
    for folder in (os.environ.get(paths.openssl_capath_env) or paths.openssl_capath).split(os.pathsep):
        files += sorted(Path(folder).glob(f"{'[0-9a-f]' * 8}.[0-9]*"))
    for file in files:
        with suppress(OSError):  # as OpenSSL does
            yield file.read_bytes()


def _read(setting: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise _unusable(setting, path, error) from None


def _unusable(setting: str, path: str | None, error: Exception) -> UsageError:
    if isinstance(error, ssl.SSLError):
        why = "no PEM of what it should be, encrypted, or not of the other's making"
    else:
        why = getattr(error, "strerror", None) or "cannot be read"
    return UsageError(f"push.otlp.{setting}: {path}: {why}; the exporter must be able to read it")
