"""The fields of the file of --web.config.file, as Prometheus' exporter-toolkit documents them, and what each may hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainValidator, field_validator, model_validator

from airflow_obs.exporter import go_durations
from airflow_obs.policy.knobs import Count, Flag, Text, all_refused, refused
from airflow_obs.policy.strict import Strict

SUITES = {
    "TLS_AES_128_GCM_SHA256": None,
    "TLS_AES_256_GCM_SHA384": None,
    "TLS_CHACHA20_POLY1305_SHA256": None,
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
"""Those that Go calls secure (https://pkg.go.dev/crypto/tls#CipherSuites), by OpenSSL's names; None for one of TLS 1.3."""
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
"""Go's names, and OpenSSL's."""
VERSIONS = ("TLS12", "TLS13")
VERIFYING = ("RequireAndVerifyClientCert", "VerifyClientCertIfGiven")
_NOT_VERIFYING = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")


def _text(value: object) -> object:
    """What has no value is empty, as in Go."""
    return "" if value is None else value


def _header(value: object) -> object:
    """`X-XSS-Protection: 1` is how everybody writes it."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(value)


def _list(value: object) -> object:
    return () if value is None else value


def _version(value: object) -> object:
    if value in ("TLS10", "TLS11"):
        raise refused("TLS 1.0 and 1.1 are not spoken any more (RFC 8996): write TLS12 or TLS13")
    return value


def _users(value: object) -> dict[str, str]:
    """What stands in it is checked where a message can leave out what may be a secret."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise refused("write a mapping: on each line the name of a user, `: ` and a bcrypt hash")
    return value


Pem = Annotated[str, Text(r"(?s:[^\0]*)", "a text in PEM format, after `|` and indented"), BeforeValidator(_text)]
File = Annotated[str, Text(r"[^\0\n]*", "the path of a file"), BeforeValidator(_text)]
ClientAuth = Annotated[
    str,
    Text("", f"{', '.join(VERIFYING)} or NoClientCert", (*VERIFYING, "NoClientCert", *_NOT_VERIFYING, "")),
    BeforeValidator(_text),
]
San = Annotated[str, Text(r"[^\0\n]+", "a DNS name, an IP address, an e-mail address or a URI")]
Version = Annotated[str, Text("", " or ".join(VERSIONS), VERSIONS), BeforeValidator(_version)]
Suite = Annotated[str, Text("", "a cipher suite that Go's crypto/tls calls secure", tuple(SUITES))]
Curve = Annotated[str, Text("", f"one of {', '.join(CURVES)}", tuple(CURVES))]
Header = Annotated[str, Text("[ -~]*", "printable ASCII on one line"), BeforeValidator(_header)]
FrameOptions = Annotated[str, Text("", "deny or sameorigin", ("deny", "sameorigin", "")), BeforeValidator(_text)]
TypeOptions = Annotated[str, Text("", "nosniff", ("nosniff", "")), BeforeValidator(_text)]


class TlsServer(Strict):
    """How connections are encrypted, and who may make them."""

    cert: Pem = Field("", description="The certificate, and those between it and its authority.")
    cert_file: File = Field("", description="The file that they are in.")
    key: Pem = Field("", description="The certificate's private key, without a passphrase.", repr=False)
    key_file: File = Field("", description="The file that it is in.")
    client_ca: Pem = Field("", description="The authorities that clients' certificates are verified with.")
    client_ca_file: File = Field("", description="The file that they are in.")
    client_auth_type: ClientAuth = Field("", description="Whether clients need a certificate.")
    client_allowed_sans: Annotated[tuple[San, ...], BeforeValidator(_list)] = Field(
        (), description="Names of which a client's certificate needs one; without a list it needs none."
    )
    min_version: Version = Field("TLS12", description="The oldest TLS that is spoken.")
    max_version: Version = Field("TLS13", description="The newest TLS that is spoken.")
    cipher_suites: Annotated[tuple[Suite, ...], BeforeValidator(_list)] = Field(
        (), description="The cipher suites of TLS 1.2, by Go's names; those of TLS 1.3 cannot be chosen."
    )
    prefer_server_cipher_suites: Annotated[bool, Flag()] = Field(default=True, description="Means nothing any more.")
    curve_preferences: Annotated[tuple[Curve, ...], BeforeValidator(_list)] = Field(
        (), description="The curve of the key exchange, one at most."
    )

    @property
    def verifies(self) -> bool:
        """Whether clients are asked for a certificate, which is verified."""
        return self.client_auth_type in VERIFYING

    @property
    def requires(self) -> bool:
        """Whether nobody gets in without one."""
        return self.client_auth_type == VERIFYING[0]

    @field_validator("client_allowed_sans", mode="before")
    @classmethod
    def _some(cls, value: object) -> object:
        if value == ():
            raise refused("the list is empty, so that nobody would get in: write at least one item, or remove the key")
        return value

    @model_validator(mode="after")
    def _fits(self) -> TlsServer:
        if wrong := [*self._wrong_files(), *self._wrong_clients(), *self._wrong_handshakes()]:
            raise all_refused(((key,), text) for key, text in wrong)
        return self

    def _wrong_files(self) -> Iterator[tuple[str, str]]:
        for inline in ("cert", "key", "client_ca"):
            given = [key for key in (inline, f"{inline}_file") if getattr(self, key)]
            if len(given) > 1:
                yield inline, f"`{inline}_file` is given as well: remove one of the two"
            if not given and inline != "client_ca":
                yield f"{inline}_file", f"TLS needs `{inline}_file` or `{inline}`: add one, or remove tls_server_config"

    def _wrong_clients(self) -> Iterator[tuple[str, str]]:
        if self.client_auth_type in _NOT_VERIFYING:
            text = "a certificate that nobody verifies keeps nobody out, and Python's ssl asks for none without verifying it"
            yield "client_auth_type", f"{text}: write {' or '.join(VERIFYING)}"
        elif not self.verifies:
            for key in ("client_ca", "client_ca_file", "client_allowed_sans"):
                if getattr(self, key):
                    yield key, f"no client is asked for a certificate: add `client_auth_type: {VERIFYING[0]}`"

    def _wrong_handshakes(self) -> Iterator[tuple[str, str]]:
        if self.min_version > self.max_version:
            yield "min_version", f"newer than max_version, {self.max_version}, so that nobody could connect: lower it"
        if self.cipher_suites and not any(map(SUITES.get, self.cipher_suites)) and self.max_version == "TLS12":
            yield "cipher_suites", "none of these is of TLS 1.2: add one that is, or remove max_version"
        if len(self.curve_preferences) > 1:
            text = "Python's ssl can be told one curve, or none and then takes what OpenSSL thinks well of"
            yield "curve_preferences", f"{text}: leave one, or remove the key"


class Headers(Strict):
    """What every answer carries beside; nothing for what is empty."""

    csp: Header = Field("", alias="Content-Security-Policy", description="What a browser may load and run.")
    frame_options: FrameOptions = Field("", alias="X-Frame-Options", description="Whether pages may be framed.")
    type_options: TypeOptions = Field("", alias="X-Content-Type-Options", description="Whether types are guessed.")
    xss_protection: Header = Field("", alias="X-XSS-Protection", description="For browsers of long ago.")
    hsts: Header = Field(
        "", alias="Strict-Transport-Security", description="For how long browsers insist on TLS for this host."
    )


class HttpServer(Strict):
    """How HTTP is spoken."""

    http2: Annotated[bool, Flag()] = Field(
        default=True, description="Means nothing here: HTTP/1.1 is spoken, to which clients fall back."
    )
    headers: Headers = Field(Headers(), description="What every answer carries beside.")


class RateLimit(Strict):
    """How many requests are answered: a bucket of `burst` tokens, with a new one every `interval`."""

    interval: Annotated[float, PlainValidator(go_durations.seconds)] = Field(
        0.0, description="Time between two requests in the long run; 0 is no limit."
    )
    burst: Annotated[int, Count(0, 1_000_000)] = Field(0, description="Requests that may come at once.")

    @model_validator(mode="after")
    def _some(self) -> RateLimit:
        if self.interval and not self.burst:
            raise all_refused([(("burst",), "a burst of 0 would refuse every request: write 1 or more")])
        return self


class WebConfig(Strict):
    """The whole file."""

    tls_server_config: TlsServer | None = Field(
        None, description="How connections are encrypted; without it, not at all."
    )
    http_server_config: HttpServer = Field(HttpServer(), description="How HTTP is spoken.")
    basic_auth_users: Annotated[dict[str, str], PlainValidator(_users)] = Field(
        {},
        description="Users and the bcrypt hashes of their passwords; without any, no password is asked for.",
        repr=False,
    )
    rate_limit: RateLimit = Field(RateLimit(), description="How many requests are answered.")
