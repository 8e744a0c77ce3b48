"""Where a receiver of OTLP is, and what it is told of us: by the policy, and by OpenTelemetry's own variables."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit
from uuid import UUID, uuid5

from opentelemetry.sdk.resources import (
    HOST_NAME,
    SERVICE_INSTANCE_ID,
    SERVICE_NAME,
    SERVICE_VERSION,
    TELEMETRY_SDK_LANGUAGE,
    TELEMETRY_SDK_NAME,
    TELEMETRY_SDK_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.version import __version__ as sdk_version

from airflow_obs import __version__
from airflow_obs.errors import SourceNotConfigured, UsageError
from airflow_obs.policy.push import OtlpPush
from airflow_obs.sources.airflow_settings import Environment, read_secret

METRICS_ENDPOINT, ENDPOINT = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
METRICS_HEADERS, HEADERS = "OTEL_EXPORTER_OTLP_METRICS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"
HEADERS_FILE = "AIRFLOW_OBS_OTLP_HEADERS_FILE"
PATH = "/v1/metrics"
PORTS = {"http": 4318, "grpc": 4317}
_INSTANCES = UUID("4d63009a-8d0f-11ee-aad7-4c796ed8e320")
"""The name space that the semantic conventions give for service.instance.id."""
_HEADER = re.compile(r"([0-9A-Za-z_.-]+)=([ -~]*)")
"""What gRPC takes; HTTP would take some more."""
_RESERVED = re.compile("(grpc|content)-.*|.*-bin|connection|host|te|transfer-encoding|user-agent", re.IGNORECASE)
"""What the protocols themselves say, and what is no text."""


@dataclass(frozen=True)
class Place:
    """Where a receiver is: `path` counts over HTTP only. Its text is its URL, nothing secret in it."""

    encrypted: bool
    host: str
    port: int
    path: str

    @property
    def is_loopback(self) -> bool:
        """Whether what is sent there stays on this machine."""
        with suppress(ValueError):
            return ip_address(self.host).is_loopback
        return self.host == "localhost"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.encrypted else 'http'}://{host}:{self.port}{self.path}"


def place(policy: OtlpPush, environment: Environment) -> Place:
    """Where the policy, or for `auto` the environment, says that it is; raises UsageError."""
    if policy.endpoint != "auto":
        return _place(policy.endpoint, "push.otlp.endpoint", policy, whole=True)
    for setting in (METRICS_ENDPOINT, ENDPOINT):
        if url := environment.get(setting, "").strip():
            return _place(url, setting, policy, whole=setting == METRICS_ENDPOINT)
    return Place(
        encrypted=False, host="localhost", port=PORTS[policy.protocol], path=PATH if policy.protocol == "http" else ""
    )


def _place(url: str, setting: str, policy: OtlpPush, *, whole: bool) -> Place:
    """`whole`: its path is the path, if it has one; else the one of metrics is below it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not host or port == 0 or not re.fullmatch("[!-~]+", url):
        example = url if re.fullmatch(r"[\w.-]+:\d+", url) else f"localhost:{PORTS[policy.protocol]}"
        raise UsageError(f"{setting}: is no URL of a receiver; write it like http://{example}, or https://")
    if re.search("[@?#]", url):  # and not shown, for it may be a password
        raise UsageError(
            f"{setting}: write the URL without user, password, ? and #; what is secret goes into {HEADERS}"
        )
    encrypted = parts.scheme == "https"
    path = parts.path if whole and parts.path else parts.path.rstrip("/") + PATH
    return Place(encrypted, host, port or (443 if encrypted else 80), path if policy.protocol == "http" else "")


def headers(environment: Environment) -> dict[str, str]:
    """What is sent beside the figures, by lower-case name: of the environment, and before it of the file. Raises UsageError.

    To be asked before every push: the file may have been replaced.
    """
    setting = METRICS_HEADERS if environment.get(METRICS_HEADERS) else HEADERS
    found = _headers(environment.get(setting, ""), setting)
    if path := environment.get(HEADERS_FILE):
        try:
            found |= _headers(read_secret(HEADERS_FILE, path), f"{HEADERS_FILE}: {path}")
        except SourceNotConfigured as error:
            raise UsageError(str(error)) from None
    return found


def _headers(text: str, where: str) -> dict[str, str]:
    """Of NAME=VALUE with commas or line ends between them, values percent-encoded; what is wrong is not shown, only its place."""
    found = {}
    for number, one in enumerate(filter(None, map(str.strip, re.split("[,\n]", text))), 1):
        # Decoded alone, since a value may hold what divides them.
        name, equals, value = one.partition("=")
        header = _HEADER.fullmatch(f"{name.strip()}{equals}{unquote(value.strip())}")
        if not header or _RESERVED.fullmatch(header[1]):
            raise UsageError(
                f"{where}: header {number} is not NAME=VALUE of printable ASCII, or the protocol's own; "
                "write a comma in a value as %2C"
            )
        found[header[1].lower()] = header[2]
    return found


def resource(policy: OtlpPush, deployment: str) -> Resource:
    """Who sends, by the semantic conventions: what the policy says goes before the environment, and that before what we know.

    The instance is the same after a restart, so that its series stay the same: that it began anew is what their starts say.
    """
    host = socket.gethostname()
    ours = {
        SERVICE_NAME: "airflow-obs",
        SERVICE_VERSION: __version__,
        SERVICE_INSTANCE_ID: str(uuid5(_INSTANCES, f"{host}/{deployment}")),
        HOST_NAME: host,
        TELEMETRY_SDK_LANGUAGE: "python",
        TELEMETRY_SDK_NAME: "opentelemetry",
        TELEMETRY_SDK_VERSION: sdk_version,
    }
    return Resource(ours).merge(OTELResourceDetector().detect()).merge(Resource(policy.resource))
