"""What goes wrong with TLS, in the words of libpq, OpenSSL and the servers, and what to do about it."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """What a driver's URL calls its options of TLS; in AIRFLOW_OBS_DB_… they are libpq's, whatever the database."""

    mode: str
    plain: str
    encrypted: str
    by_authority: str
    by_name: str
    authority: str
    certificate: str
    key: str


LIBPQS = Options("sslmode", "disable", "require", "verify-ca", "verify-full", "sslrootcert", "sslcert", "sslkey")
MYSQLS = Options("ssl_mode", "DISABLED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY", "ssl_ca", "ssl_cert", "ssl_key")

_ADVICE = (
    (
        r"does not match host name|(?:Hostname|IP address) mismatch",
        "connect by a name that the server's certificate has; {mode}={by_authority} would not look at the name",
    ),
    (r"certificate has expired", "the server's certificate must be renewed"),
    (
        r"self[- ]signed certificate|unable to get (?:local )?issuer certificate",
        "the server's certificate is of an authority that is not in {authority} (by default the system's): name it there",
    ),
    (
        r"certificate verify failed(?!: )",  # and no reason behind it, which is how libpq says it
        "the server's certificate has expired, or is of another authority than {authority} says",
    ),
    (
        r"does not support SSL|SSL is required but",
        "the server has no TLS: set it up there, or write {mode}={plain} to do without",
    ),
    (
        r"SSL required|[Ii]nsecure transport",
        "the server wants TLS: write {mode}={by_name} and its authority in {authority} ({mode}={encrypted} verifies nothing)",
    ),
    (
        r"no encryption",  # which PostgreSQL says of everybody whom its pg_hba.conf has no line for
        "if the server lets us in with TLS alone (hostssl), write {mode}={by_name} and its authority in {authority}",
    ),
    (r"alert certificate required", "the server wants a certificate of ours: name it in {certificate} and {key}"),
    (
        r"alert (?:certificate expired|unknown ca|bad certificate|unsupported certificate)",
        "the server does not take the certificate in {certificate}: it has expired, or the server does not trust its authority",
    ),
    (
        r"SSLEOFError",  # how MariaDB says it, under TLS 1.3
        "the server was stopped, or does not take the certificate in {certificate}: has that expired, is its authority trusted?",
    ),
)


def advice(text: str, options: Options) -> str:
    """What to do about a driver's `text`, to be put behind it; "" where TLS is not to blame."""
    for pattern, cure in _ADVICE:
        if re.search(pattern, text):
            return "; " + cure.format(**vars(options))
    return ""
