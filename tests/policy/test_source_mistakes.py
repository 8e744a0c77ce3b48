"""The likeliest mistakes about a deployment's sources, each with the words and the place that its author reads."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Complaints = Callable[[str], list[str]]

SECRETS = (
    "addresses and passwords of databases never live in the policy: set AIRFLOW_OBS_DB_URL or AIRFLOW_OBS_DB_URL_FILE "
    "in the environment, and remove this"
)
BROKER_SECRETS = (
    "the broker's address and password never live in the policy: set AIRFLOW_OBS_BROKER_URL or "
    "AIRFLOW_OBS_BROKER_URL_FILE in the environment, and remove this"
)

REPLICA = (
    "must be null, or the replica's HOST or HOST:PORT, such as replica.example:5432: user, password and database are those of "
    "the URL"
)

MISTAKES = {
    "no source": (
        "deployments:\n- sources: {}",
        (
            "2:12: deployments[0].sources: no source is listed, so nothing could be read: "
            "list database, health, broker, statsd, otlp or kubernetes, or several of them"
        ),
    ),
    "StatsD from nowhere": (
        "deployments:\n- sources:\n    statsd: {listen_udp: null, listen_tcp: null}",
        (
            "3:13: deployments[0].sources.statsd: StatsD can come in nowhere: give listen_udp or listen_tcp an address, "
            "or remove statsd"
        ),
    ),
    "OTLP from nowhere": (
        "deployments:\n- sources:\n    otlp: {listen_http: null, listen_grpc: null}",
        (
            "3:11: deployments[0].sources.otlp: OTLP can come in nowhere: give listen_http or listen_grpc an address, "
            "or remove otlp"
        ),
    ),
    "a port alone": (
        "deployments:\n- sources:\n    statsd: {listen_udp: 9125}",
        (
            "3:26: deployments[0].sources.statsd.listen_udp: must be HOST:PORT in quotes, such as :9125, 127.0.0.1:9125 "
            "or [::1]:9125"
        ),
    ),
    "a port too high": (
        "deployments:\n- sources:\n    otlp: {listen_grpc: ':65536'}",
        (
            "3:25: deployments[0].sources.otlp.listen_grpc: must be HOST:PORT, such as :9125, 127.0.0.1:9125 or [::1]:9125"
        ),
    ),
    "relay without a host": (
        "deployments:\n- sources:\n    statsd: {relay: ':8125'}",
        (
            "3:21: deployments[0].sources.statsd.relay: must be a host and a port above 0, such as statsd.monitoring:8125"
        ),
    ),
    "relay to oneself": (
        'deployments:\n- sources:\n    statsd: {relay: "localhost:9125"}',
        (
            "3:21: deployments[0].sources.statsd.relay: the relay is where StatsD comes in, so that every line would come for "
            "ever: name another"
        ),
    ),
    "prefix with its dot": (
        "deployments:\n- sources:\n    statsd: {prefix: airflow.}",
        (
            "3:22: deployments[0].sources.statsd.prefix: must be what Airflow's names begin with, without the dot after it, such "
            "as airflow"
        ),
    ),
    "misspelt preset": (
        "deployments:\n- sources:\n    statsd: {mapping: offical-chart}",
        (
            "3:23: deployments[0].sources.statsd.mapping: must be null, official-chart, or the path of a mapping file of "
            "statsd_exporter; did you mean official-chart?"
        ),
    ),
    "unknown tags": (
        "deployments:\n- sources:\n    statsd: {tags: datadoc}",
        ("3:20: deployments[0].sources.statsd.tags: must be auto, none, influxdb or datadog; did you mean datadog?"),
    ),
    "database URL in the policy": (
        "deployments: [{sources: {database: {url: 'postgresql://u:hunter22@h/d'}}}]",
        f"1:37: deployments[0].sources.database: `url` does not belong here: {SECRETS}",
    ),
    "database URL as the source": (
        "deployments: [{sources: {database: 'postgresql://u:hunter22@h/d'}}]",
        f"1:36: deployments[0].sources.database: write a mapping of schema, replica; {SECRETS}",
    ),
    "names instead of mappings": (
        "deployments: [prod]",
        "1:15: deployments[0]: write a mapping of name, airflow, replicas, sources, team, alerts",
    ),
    "names of sources": (
        "deployments:\n- sources: [database]",
        "2:12: deployments[0].sources: write a mapping of database, health, broker, statsd, otlp, kubernetes",
    ),
    "password in the health URL": (
        "deployments: [{sources: {health: {url: 'http://u:hunter22@h:8080'}}}]",
        (
            "1:40: deployments[0].sources.health.url: secrets never live in the policy: "
            "write the URL without user, password, ? and #"
        ),
    ),
    "URL of a replica": (
        "deployments: [{sources: {database: {replica: 'postgresql://u:hunter22@db-2/airflow'}}}]",
        f"1:46: deployments[0].sources.database.replica: {REPLICA}",
    ),
    "port of a replica that there is not": (
        "deployments: [{sources: {database: {replica: 'db-2:65536'}}}]",
        f"1:46: deployments[0].sources.database.replica: {REPLICA}",
    ),
    **{
        f"replica at {written}": (
            f"deployments: [{{sources: {{database: {{replica: '{written}'}}}}}}]",
            f"1:46: deployments[0].sources.database.replica: {REPLICA}",
        )
        for written in (
            "db..2:5432",
            "1.2.3.4.5",
            "1.2.3.256",
            "db.5",
            "[...]",
            "[fd00::2::1]",
            "auto",
            "auto:5432",
            "-db",
            "db-:1",
            "db:",
            ":5432",
            "db:0",
            "a" * 64,
            ".".join(["a" * 63] * 4),
        )
    },
    "replica that YAML takes for a number": (
        "deployments: [{sources: {database: {replica: 5432}}}]",
        f"1:46: deployments[0].sources.database.replica: {REPLICA}",
    ),
    **{
        f"replica at {written} without brackets": (
            f"deployments: [{{sources: {{database: {{replica: '{written}'}}}}}}]",
            (
                "1:46: deployments[0].sources.database.replica: an IPv6 address stands in brackets, also without a port: write it "
                "like [fd00::2]:5432"
            ),
        )
        for written in ("fd00::2", "fd00::2:5432")
    },
    "another word for a replica": (
        "deployments: [{sources: {database: {standby: 'db-2'}}}]",
        (
            "1:37: deployments[0].sources.database: `standby` does not belong here: write `replica`: HOST or HOST:PORT of the one "
            "to read from"
        ),
    ),
    "TLS to the database": (
        "deployments: [{sources: {database: {sslmode: require}}}]",
        (
            "1:37: deployments[0].sources.database: `sslmode` does not belong here: TLS to the database belongs into its URL "
            "(?sslmode=…, with MySQL ?ssl_mode=…), or into AIRFLOW_OBS_DB_SSLMODE, _SSLROOTCERT, _SSLCERT and _SSLKEY in the "
            "environment"
        ),
    ),
    "broker URL as the source": (
        "deployments: [{sources: {broker: 'redis://:hunter22@h/0'}}]",
        (
            "1:34: deployments[0].sources.broker: "
            f"write a mapping of queues, visibility_timeout, management_url, control; {BROKER_SECRETS}"
        ),
    ),
    "broker URL in the policy": (
        "deployments: [{sources: {broker: {broker_url: 'redis://:hunter22@h/0'}}}]",
        f"1:35: deployments[0].sources.broker: `broker_url` does not belong here: {BROKER_SECRETS}",
    ),
    "password in the management URL": (
        "deployments: [{sources: {broker: {management_url: 'http://u:hunter22@h:15672'}}}]",
        (
            "1:51: deployments[0].sources.broker.management_url: secrets never live in the policy: "
            "write the URL without user, password, ? and #"
        ),
    ),
    "auto where it is not": (
        "deployments: [{sources: {broker: {management_url: auto}}}]",
        (
            "1:51: deployments[0].sources.broker.management_url: "
            "must be null or a URL, such as http://airflow-webserver:8080"
        ),
    ),
    "queue that is no name": (
        "deployments: [{sources: {broker: {queues: [default, two words]}}}]",
        (
            "1:53: deployments[0].sources.broker.queues[1]: "
            "must be the name of a queue, such as default: 1 to 255 ASCII characters without spaces"
        ),
    ),
    "visibility timeout without a unit": (
        "deployments: [{sources: {broker: {visibility_timeout: 3600}}}]",
        (
            "1:55: deployments[0].sources.broker.visibility_timeout: "
            "a number without a unit: write a duration, such as 30s, 5m or 1h30m"
        ),
    ),
}


@pytest.mark.parametrize(("text", "words"), MISTAKES.values(), ids=MISTAKES)
def test_words(complaints: Complaints, text: str, words: str) -> None:
    assert complaints(text) == [f"site.yaml:{words}"]
