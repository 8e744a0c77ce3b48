"""The likeliest mistakes about where figures are sent, each with the words and the place that its author reads."""

from __future__ import annotations

from collections.abc import Callable
from socket import gethostname

import pytest

from airflow_obs.policy import addresses, loads
from airflow_obs.policy.push import OtlpPush, Push, StatsdPush, TextfilePush

Complaints = Callable[[str], list[str]]

HEADERS = (
    "headers may hold secrets, which never live in the policy: set OTEL_EXPORTER_OTLP_HEADERS or "
    "AIRFLOW_OBS_OTLP_HEADERS_FILE in the environment, and remove this"
)
TEMPLATE = (
    "must be a name of letters, digits, `_`, `.` and `-`, with {metric}, {deployment}, {labels} or labels in braces"
)

MISTAKES = {
    "endpoint without scheme": (
        "push: {otlp: {endpoint: 'collector:4317'}}",
        "1:25: push.otlp.endpoint: a URL begins with http:// or https://: write one of these before it",
    ),
    "endpoint with a password": (
        "push: {otlp: {endpoint: 'https://u:hunter2@collector:4317'}}",
        (
            "1:25: push.otlp.endpoint: secrets never live in the policy: write the URL without user, password, ? and #"
        ),
    ),
    "headers": (
        "push: {otlp: {headers: {authorization: hunter2}}}",
        f"1:15: push.otlp: `headers` does not belong here: {HEADERS}",
    ),
    "protocol as OpenTelemetry spells it": (
        "push: {otlp: {protocol: http/protobuf}}",
        "1:25: push.otlp.protocol: must be http or grpc",
    ),
    "timeout beyond the interval": (
        "push: {otlp: {interval: 10s, timeout: 30s}}",
        (
            "1:39: push.otlp.timeout: the timeout (30s) is longer than half of the interval (10s): lower the timeout or "
            "raise the interval"
        ),
    ),
    "interval below the timeout": (
        "push: {otlp: {interval: 15s}}",
        (
            "1:14: push.otlp.timeout: the timeout (10s) is longer than half of the interval (15s): lower the timeout or "
            "raise the interval"
        ),
    ),
    "certificate without key": (
        "push: {otlp: {cert_file: /a}}",
        "1:14: push.otlp: a certificate and its key go together: give both cert_file and key_file, or neither",
    ),
    "attributes as a list": (
        "push: {otlp: {resource: [team]}}",
        "1:25: push.otlp.resource: write a mapping of resource attributes, such as {environment: production}",
    ),
    "attribute with a space": (
        "push: {otlp: {resource: {Team A: b}}}",
        (
            "1:34: push.otlp.resource.Team A: its key must be the name of an attribute, such as "
            "deployment.environment.name"
        ),
    ),
    "attribute that is a number": (
        "push: {otlp: {resource: {team: 1}}}",
        "1:32: push.otlp.resource.team: must be a text of 1 to 1000 characters, in quotes",
    ),
    "buffer without unit": (
        "push: {otlp: {buffer: 5}}",
        "1:23: push.otlp.buffer: a number without a unit: write a number of bytes, such as 512MiB or 50GiB",
    ),
    "name without metric": (
        "push: {statsd: {template: airflow}}",
        "1:27: push.statsd.template: a name without {metric} would be the same for all metrics: add it",
    ),
    "name without labels": (
        "push: {statsd: {template: '{metric}'}}",
        (
            "1:27: push.statsd.template: names without {labels} would be the same for many series: add it, or choose "
            "`tags: datadog`"
        ),
    ),
    "name with a space": (
        "push: {statsd: {template: '{metric} {labels}'}}",
        f"1:27: push.statsd.template: {TEMPLATE}",
    ),
    "misspelt placeholder": (
        "push: {statsd: {template: '{metirc}{metric}.{labels}'}}",
        "1:27: push.statsd.template: a name in braces is no label of any metric: did you mean {metric}?",
    ),
    "misspelt label": (
        "push: {statsd: {template: '{metric}.{queu}.{labels}'}}",
        "1:27: push.statsd.template: a name in braces is no label of any metric: did you mean {queue}?",
    ),
    "placeholder like none": (
        "push: {statsd: {template: '{metric}.{x9}.{labels}'}}",
        (
            "1:27: push.statsd.template: a name in braces is no label of any metric: exporters/metrics.md lists the labels "
            "of each"
        ),
    ),
    "misspelt placeholder in a path": (
        "push: {textfile: {path: '/tmp/{deploment}/x.prom'}}",
        (
            "1:25: push.textfile.path: nothing but {deployment} may stand in braces, which is replaced by the deployment's "
            "name"
        ),
    ),
    "brace that is not closed": (
        "push: {textfile: {path: '/tmp/{deployment/x.prom'}}",
        (
            "1:25: push.textfile.path: nothing but {deployment} may stand in braces, which is replaced by the deployment's "
            "name"
        ),
    ),
    "file that node_exporter does not read": (
        "push: {textfile: {path: /tmp/airflow.txt}}",
        (
            "1:25: push.textfile.path: must be the path of a file whose name ends in .prom, for node_exporter reads no "
            "other"
        ),
    ),
    "our own StatsD": (
        "deployments: [{sources: {statsd: {}}}]\npush: {statsd: {address: 'localhost:9125'}}",
        (
            "2:26: push.statsd.address: that is where airflow takes what Airflow sends: the figures would come back as Airflow's; "
            "name another"
        ),
    ),
    "our own OTLP": (
        "deployments: [{sources: {otlp: {}}}]\npush: {otlp: {endpoint: 'http://127.0.0.1:4317', protocol: grpc}}",
        (
            "2:25: push.otlp.endpoint: that is where airflow takes what Airflow sends: the figures would come back as Airflow's; "
            "name another"
        ),
    ),
    "misspelt destination": (
        "push: {textfiel: {}}",
        "1:8: push: unknown key `textfiel`: did you mean `textfile`?",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), MISTAKES.values(), ids=MISTAKES)
def test_words(complaints: Complaints, text: str, words: str) -> None:
    assert complaints(text) == [f"site.yaml:{words}"]


HEARD = (
    ("localhost:8125", "127.0.0.1:8125"),
    ("localhost:8125", "[::1]:8125"),
    ("0.0.0.0:8125", "127.0.0.1:8125"),
    ("[::ffff:127.0.0.1]:8125", ":8125"),
    ("[0:0:0:0:0:0:0:1]:8125", "LOCALHOST:8125"),
    (f"{gethostname()}:8125", "[::]:8125"),
    ("10.0.0.7:8125", "10.0.0.7:8125"),
)
NOT_HEARD = (
    ("localhost:8125", "localhost:8126"),
    ("agent:8125", ":8125"),
    ("10.0.0.7:8125", "127.0.0.1:8125"),
    ("[fd00::1]:8125", "[::1]:8125"),
)


@pytest.mark.parametrize(("address", "listen"), [*HEARD, *NOT_HEARD])
def test_who_sends_to_itself(address: str, listen: str) -> None:
    assert addresses.is_itself(address, listen) is ((address, listen) in HEARD)


def test_nobody_gets_figures_unless_listed_and_then_by_the_defaults() -> None:
    assert loads("", "site.yaml").push == Push()
    assert loads("push: {otlp: , statsd: {}, textfile: {}}", "site.yaml").push == Push(
        otlp=OtlpPush(), statsd=StatsdPush(), textfile=TextfilePush()
    )
    chosen = loads("push: {statsd: {tags: datadog, template: '{metric}'}}", "site.yaml").push
    assert chosen == Push(statsd=StatsdPush(tags="datadog", template="{metric}"))
