"""The likeliest mistakes in a policy, each with the words and the place that its author reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_obs.errors import PolicyError, Problem
from airflow_obs.policy import load, loads

Complaints = Callable[[str], list[str]]

DURATION = "not a duration: write a number and a unit (ms, s, m, h, d), such as 30s, 5m or 1h30m"
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
    "names that differ only in case": (
        "deployments:\n- name: Prod\n- name: prod",
        (
            "3:9: deployments[1].name: an earlier deployment is called Prod as well, but for the case of letters, "
            "by which not all tell files apart: give each its own name"
        ),
    ),
    "no format": (
        "output: {formats: []}",
        "1:19: output.formats: nothing would be written: name at least one, or remove the key",
    ),
    "window in which a page is due while the budget is kept": (
        "slos: [{name: a, kind: dag_success, objective: 99%, window: 49h}]",
        "1:61: slos[0].window: out of bounds: must be from 7d to 90d",
    ),
    "range of days that are no days": (
        "silences: [{name: a, weekdays: [monday:fridy]}]",
        (
            "1:33: silences[0].weekdays[0]: must be a day such as saturday, or a range such as monday:friday; "
            "the week begins on sunday; did you mean monday:friday?"
        ),
    ),
    "alert that is like the others in nothing but how all begin": (
        "silences: [{name: a, weekdays: [monday], alerts: [AirflowDeadMansSwitch]}]",
        "1:51: silences[0].alerts[0]: there is no alert of that name: `airflow-obs policy explain alerts` lists them",
    ),
    "receiver that is called what tells nobody": (
        "receivers: [{name: nobody, webhook: {url: http://h:1/x}}]",
        "1:20: receivers[0].name: so is called what tells nobody: choose another name",
    ),
    "silence for what shows that alerts arrive": (
        "silences: [{name: a, weekdays: [monday], alerts: [AirflowWatchdog]}]",
        "1:51: silences[0].alerts[0]: it always fires, to show that alerts arrive, and no silence is for it: remove it",
    ),
    "repeated before anybody looks": (
        "alertmanager: {group_interval: 2h, repeat_interval: 1h}",
        (
            "1:15: alertmanager: nothing is repeated before group_interval, and repeat_interval is less: "
            "raise the one or lower the other"
        ),
    ),
    "looked at so seldom that nothing is repeated in time": (
        "alertmanager: {group_interval: 6h}",
        (
            "1:15: alertmanager: nothing is repeated before group_interval, and repeat_interval is less: "
            "raise the one or lower the other"
        ),
    ),
    "repeated when nobody knows any more": (
        "alertmanager: {repeat_interval_others: 7d}",
        "1:40: alertmanager.repeat_interval_others: out of bounds: must be from 1m to 5d",
    ),
    "kind of routes that there is not": (
        "output: {routes: [alertmanagerconfigs]}",
        (
            "1:19: output.routes[0]: must be alertmanager or alertmanagerconfig; did you mean alertmanagerconfig?"
        ),
    ),
    "misspelt section": (
        "colectors: {}",
        "1:1: unknown key `colectors`: did you mean `collectors`?",
    ),
    "misspelt knob": (
        "collectors:\n  jobs:\n    intervall: 30s",
        "3:5: collectors.jobs: unknown key `intervall`: did you mean `interval`?",
    ),
    "key that is nowhere near": (
        "deployments:\n- colour: red",
        "2:3: deployments[0]: unknown key `colour`: known here are airflow, alerts, name, replicas, sources, team",
    ),
    "number without a unit": (
        "collectors:\n  tables: {interval: 30}",
        "2:22: collectors.tables.interval: a number without a unit: write a duration, such as 30s, 5m or 1h30m",
    ),
    "unit of another tool": ("collectors: {jobs: {forget: 1 hour}}", f"1:29: collectors.jobs.forget: {DURATION}"),
    "out of bounds": (
        "collectors: {pools: {interval: 2h}}",
        "1:32: collectors.pools.interval: out of bounds: must be from 1s to 1h",
    ),
    "too many": (
        "deployments: [{replicas: {triggerer: 101}}]",
        "1:38: deployments[0].replicas.triggerer: out of bounds: must be from 0 to 100",
    ),
    "number in quotes": (
        "collectors: {pools: {max_series: '10'}}",
        "1:34: collectors.pools.max_series: write a whole number from 1 to 1000000",
    ),
    "yes is a text in YAML 1.2": (
        "%YAML 1.1\n---\ncollectors: {health: {enabled: no}}",
        "3:32: collectors.health.enabled: write true or false",
    ),
    "version that YAML takes for a number": (
        "deployments:\n- airflow: {version: 2.10}",
        (
            "2:22: deployments[0].airflow.version: YAML reads this as a number: put it in quotes; "
            'must be auto or like "2.10.5"'
        ),
    ),
    "unknown chart": (
        "deployments: [{airflow: {chart: oficial}}]",
        "1:33: deployments[0].airflow.chart: must be official, community or none; did you mean official?",
    ),
    "name unfit for a label": (
        "deployments: [{name: prod airflow}]",
        (
            "1:22: deployments[0].name: must be 1 to 63 letters, digits, `_`, `.` or `-`: "
            "it becomes a label of every series"
        ),
    ),
    "two of a name": (
        "deployments:\n- name: a\n- name: b\n- name: a",
        "4:9: deployments[2].name: an earlier deployment is called a as well: give each its own name",
    ),
    "two without a name": (
        "deployments:\n- replicas: {}\n- replicas: {}",
        "3:3: deployments[1].name: an earlier deployment is called airflow as well: give each its own name",
    ),
    "one instead of a list": ("deployments:\n  name: a", "2:3: deployments: write a list: each item begins with `- `"),
    "empty list": (
        "deployments: []",
        "1:14: deployments: the list is empty: write at least one item, or remove the key",
    ),
    "list left out": ("deployments:\n# - name: a", "1:1: deployments: write a list: each item begins with `- `"),
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
        (
            "3:20: deployments[0].sources.statsd.tags: must be auto, none, influxdb or datadog; did you mean datadog?"
        ),
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
            "db..2:5432", "1.2.3.4.5", "1.2.3.256", "db.5", "[...]", "[fd00::2::1]", "auto", "auto:5432", "-db", "db-:1", "db:",
            ":5432", "db:0", "a" * 64, ".".join(["a" * 63] * 4),
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
    "timeout above the default interval": (
        "collectors: {pools: {timeout: 20s}}",
        (
            "1:31: collectors.pools.timeout: the timeout (20s) is longer than the interval (15s): "
            "lower the timeout or raise the interval"
        ),
    ),
    "interval below the default timeout": (
        "collectors: {pools: {interval: 2s}}",
        (
            "1:32: collectors.pools.interval: the timeout (5s) is longer than the interval (2s): "
            "lower the timeout or raise the interval"
        ),
    ),
    "more DAGs than the default max_series": (
        "dags: {top: 5001}",
        (
            "1:13: dags.top: 5001 DAGs (dags.top) have up to 10002 series of one metric, and "
            "collectors.dags.max_series is 10000: lower the one or raise the other"
        ),
    ),
    "max_series below the default number of DAGs": (
        "collectors: {dags: {max_series: 999}}",
        (
            "1:33: collectors.dags.max_series: 500 DAGs (dags.top) have up to 1000 series of one metric, and "
            "collectors.dags.max_series is 999: lower the one or raise the other"
        ),
    ),
    "value left out": (
        "collectors:\n  jobs:\n    timeout:\n    interval: 15s",
        "3:5: collectors.jobs.timeout: write a duration from 100ms to 5m, such as 30s",
    ),
    "key given twice": (
        "collectors:\n  jobs: {}\n  pools: {}\n  jobs: {}",
        "4:3: `jobs` is given twice, first on line 2: remove one",
    ),
    "tab": ("collectors:\n\tjobs: {}", "2:1: not valid YAML: a tab stands where only spaces may: indent with spaces"),
    "wrong indentation": (
        "collectors:\n  jobs: {}\n   pools: {}",
        "3:4: not valid YAML: expected <block end>, but found '<block mapping start>'",
    ),
    "colon in a text": (
        "deployments: a: b",
        "1:15: not valid YAML: no `:` may stand here: check the indentation, and quote a text that contains `: `",
    ),
    "several documents": (
        "collectors: {}\n---\ncollectors: {}",
        "2:1: a second YAML document begins: a policy is one document, remove this `---`",
    ),
    "not a mapping": ("- deployments", "1:1: a policy is a mapping: write keys, such as `deployments:`"),
    "alias": ("collectors: *x", "1:13: aliases (`*`) are not supported in a policy: write the value out"),
    "tag": ("collectors: !!python/name:os.system {}", "1:13: tags (`!`) are not supported in a policy: remove it"),
    "control character": ("collectors: {}\n# \x07", "2:3: character U+0007 cannot stand in YAML: remove it"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), MISTAKES.values(), ids=MISTAKES)
def test_words(complaints: Complaints, text: str, words: str) -> None:
    assert complaints(text) == [f"site.yaml:{words}"]


def test_all_at_once_in_the_order_of_the_file(complaints: Complaints) -> None:
    text = """\
    deployments:
    - name: a b
      airflow: {exectuor: LocalExecutor, executor: LocalExecuter}
    - name: c
    - name: c
    collectors:
      jobs: {interval: 5, interval: 6s}
      dag_runs: &x {overdue_after: 2d}
      pools: *x
    """
    assert [line.split(": ")[0] for line in complaints(text)] == [
        "site.yaml:2:9", "site.yaml:3:13", "site.yaml:3:48", "site.yaml:5:9", "site.yaml:7:20", "site.yaml:7:23",
        "site.yaml:8:13", "site.yaml:8:32", "site.yaml:9:10",
    ]  # fmt: skip


def test_a_bomb_of_aliases_is_refused_at_once(complaints: Complaints) -> None:
    rows = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40))]
    assert "anchors (`&`) are not supported" in complaints("\n".join(rows))[1]


@pytest.mark.parametrize("text", ["[" * 5000, "a: " * 1 + "{a: " * 5000, "- " * 5000, "? " * 5000])
def test_depth_is_bounded(complaints: Complaints, text: str) -> None:
    assert complaints(text)[-1].endswith("nested more than 40 deep: no policy needs that")


@pytest.mark.parametrize(("content", "words"), [
    (b"collectors:\n  \xc3\xa4 \xff: {}", "2:5: not UTF-8 text: save the file as UTF-8"),
    ("collectors: {}".encode("utf-16"), "1:1: not UTF-8 text: save the file as UTF-8"),
    (b"#" * (1 << 20) + b"\n", "1:1: larger than 1048576 bytes: no policy is, give the path of a policy"),
])  # fmt: skip
def test_files_that_are_no_text(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes(content)
    with pytest.raises(PolicyError) as caught:
        load(path)
    assert str(caught.value) == f"{path}:{words}"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    paths = {tmp_path / "none.yaml": "no such file or directory", tmp_path: "is a directory", Path("\0"): "not a path"}
    for path, why in paths.items():
        with pytest.raises(PolicyError) as caught:
            load(path)
        text = f"cannot be read ({why}): give the path of a policy, or none to use the default"
        assert caught.value.problems == (Problem(str(path), 1, 1, text),)


def test_escapes_beyond_unicode(complaints: Complaints) -> None:
    assert complaints('deployments: "\\UFFFFFFFF"') == [
        "site.yaml:1:1: not valid YAML: what follows here cannot be read"
    ]
    with pytest.raises(
        PolicyError, match=r"1:1: unknown key: known here are alertmanager, .*, retention, silences, slos, teams$"
    ):
        loads('"\\ud800": 1', "site.yaml")
