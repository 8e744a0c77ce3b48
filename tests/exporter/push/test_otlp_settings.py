"""Where a receiver is, by the policy and by OpenTelemetry's variables; and what is refused of them, without showing a secret."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_obs.errors import UsageError
from airflow_obs.exporter.push.otlp.settings import HEADERS_FILE, headers, place
from airflow_obs.policy.push import OtlpPush
from tests.exporter.push.otlp_collector import Protocol

METRICS_ENDPOINT, ENDPOINT = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"


def found(environment: dict[str, str], protocol: Protocol = "http", endpoint: str = "auto") -> str:
    return str(place(OtlpPush(endpoint=endpoint, protocol=protocol), environment))


@pytest.mark.parametrize(
    ("environment", "http", "grpc"),
    [
        ({}, "http://localhost:4318/v1/metrics", "http://localhost:4317"),
        ({ENDPOINT: "http://a:1"}, "http://a:1/v1/metrics", "http://a:1"),
        ({ENDPOINT: "http://a:1/"}, "http://a:1/v1/metrics", "http://a:1"),
        ({ENDPOINT: "https://a/otlp/"}, "https://a:443/otlp/v1/metrics", "https://a:443"),
        ({METRICS_ENDPOINT: "http://a:1/x", ENDPOINT: "http://b"}, "http://a:1/x", "http://a:1"),
        ({METRICS_ENDPOINT: "http://a:1"}, "http://a:1/v1/metrics", "http://a:1"),
        ({METRICS_ENDPOINT: " ", ENDPOINT: "http://[::1]:2"}, "http://[::1]:2/v1/metrics", "http://[::1]:2"),
    ],
)
def test_auto_is_where_opentelemetry_says(environment: dict[str, str], http: str, grpc: str) -> None:
    assert found(environment) == http
    assert found(environment, "grpc") == grpc


@pytest.mark.parametrize(
    ("endpoint", "place"),
    [
        ("http://a:1", "http://a:1/v1/metrics"),
        ("https://a", "https://a:443/v1/metrics"),
        ("http://a/", "http://a:80/"),
        ("http://a/x", "http://a:80/x"),
    ],
)
def test_endpoint_of_the_policy_is_the_endpoint(endpoint: str, place: str) -> None:
    assert found({METRICS_ENDPOINT: "http://b", ENDPOINT: "http://b"}, endpoint=endpoint) == place


@pytest.mark.parametrize("setting", [METRICS_ENDPOINT, ENDPOINT])
@pytest.mark.parametrize(
    "url", ["a:4317", "localhost", "ftp://a", "http://", "http://a:hunter2", "http://u:hunter2@a", "http://a?hunter2", "http://a b"]
)  # fmt: skip
def test_url_of_no_receiver_is_refused_and_not_shown(setting: str, url: str) -> None:
    with pytest.raises(UsageError, match=setting) as refusal:
        found({setting: url})
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("", {}),
        ("a=b", {"a": "b"}),
        (" A = b , c=,", {"a": "b", "c": ""}),
        ("authorization=Bearer%20x%2Cy==", {"authorization": "Bearer x,y=="}),
        ("authorization=Basic dXNlcg==", {"authorization": "Basic dXNlcg=="}),
    ],
)
def test_headers_are_written_as_opentelemetry_has_them(text: str, sent: dict[str, str]) -> None:
    assert headers({HEADERS: text}) == sent
    assert headers({"OTEL_EXPORTER_OTLP_METRICS_HEADERS": text, HEADERS: "other=1" if text else ""}) == sent


@pytest.mark.parametrize(
    "text",
    [
        "hunter2",
        "=hunter2",
        "a b=hunter2",
        "a=hunter2%0d%0ax: y",
        "a=hunter2%C3%A9",
        "a-bin=hunter2",
        "grpc-timeout=hunter2",
        "Content-Length=hunter2",
    ],
)
def test_header_that_is_none_is_refused_and_not_shown(text: str, tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text(f"fine=1\n{text}")
    for environment, where in (
        ({HEADERS: f"fine=1,{text}"}, HEADERS),
        ({HEADERS_FILE: str(file)}, f"{HEADERS_FILE}: {file}"),
    ):
        with pytest.raises(UsageError, match=rf"{re.escape(where)}: header 2 is not NAME=VALUE") as refusal:
            headers(environment)
        assert "hunter2" not in str(refusal.value)


def test_headers_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{HEADERS_FILE}: {tmp_path / 'no'}: No such file"):
        headers({HEADERS_FILE: str(tmp_path / "no")})


def test_nobody_who_does_not_push_loads_the_sdk() -> None:
    code = (
        "import sys, airflow_obs.exporter.run, airflow_obs.exporter.push.destinations as d\n"
        "from airflow_obs.policy.push import Push\n"
        "from airflow_obs.policy import Deployment\n"
        "assert d.destinations(Push(), Deployment()) == []\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter', 'grpc'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
