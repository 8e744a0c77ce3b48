"""Where the broker is found, how its URL is read, and what is said when that cannot be done."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from airflow_obs.errors import SourceNotConfigured, redact
from airflow_obs.sources.broker_url import BrokerAddress, Tls, broker_address

SECRET = "p@ss:w/rd%?#;"
ENCODED = "p%40ss%3Aw%2Frd%25%3F%23%3B"
CELERY = "CeleryExecutor"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An AIRFLOW_HOME, empty."""
    return tmp_path


def address(home: Path, executor: str | None = CELERY, **settings: str) -> BrokerAddress:
    """The broker found under these settings."""
    found = broker_address(executor, {"AIRFLOW_HOME": str(home), **settings})
    assert found is not None
    return found


def ours(home: Path, url: str, **settings: str) -> BrokerAddress:
    """The broker of this URL."""
    return address(home, AIRFLOW_OBS_BROKER_URL=url, **settings)


def test_the_first_setting_wins(home: Path) -> None:
    (home / "airflow.cfg").write_text("[celery]\nbroker_url = redis://cfg/0\n")
    (home / "secret").write_text("redis://file/0\n")
    settings: dict[str, str] = {}
    found = [address(home)]
    for name, value in (
        ("AIRFLOW__CELERY__BROKER_URL", "redis://airflow/0"),
        ("AIRFLOW_OBS_BROKER_HOST", "parts"),
        ("AIRFLOW_OBS_BROKER_URL", "redis://ours/0"),
        ("AIRFLOW_OBS_BROKER_URL_FILE", str(home / "secret")),
    ):
        settings[name] = value
        found.append(address(home, **settings))
    assert [one.hosts[0][0] for one in found] == ["cfg", "airflow", "parts", "ours", "file"]
    assert [one.setting.split(" ")[0] for one in found[1:]] == list(settings)
    assert found[0].setting == f"{home}/airflow.cfg [celery] broker_url"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", {"kind": "redis", "hosts": (("localhost", 6379),), "database": "0", "user": None, "password": None}),
        ("redis://:6380/1", {"hosts": (("localhost", 6380),), "database": "1"}),
        (f"redis://me:{ENCODED}@h:6380/07", {"user": "me", "password": SECRET, "hosts": (("h", 6380),), "database": "7"}),
        (f" redis://:{ENCODED}@h/\n", {"user": None, "password": SECRET, "database": "0"}),
        ("REDIS://[::1]:6380/2?virtual_host=3", {"hosts": (("::1", 6380),), "database": "3"}),
        ("rediss://h", {"hosts": (("h", 6379),), "tls": Tls()}),
        ("rediss://h?ssl_cert_reqs=CERT_NONE", {"tls": Tls(verify=False)}),
        ("rediss://h?ssl_cert_reqs=none&ssl_check_hostname=False", {"tls": Tls(verify=False, check_hostname=False)}),
        ("redis://h?ssl_ca_certs=/a&ssl_certfile=/b&ssl_keyfile=/c", {"tls": Tls("/a", "/b", "/c")}),
        (f"redis+socket://:{ENCODED}@/r.sock?virtual_host=2", {"socket": "/r.sock", "password": SECRET, "database": "2"}),
        ("unix:///run/r.sock?db=4", {"socket": "/run/r.sock", "database": "4"}),
        ("redis://a;redis://b:6380", {"hosts": (("a", 6379), ("b", 6380))}),
        ("amqp://", {"kind": "rabbitmq", "hosts": (("localhost", 5672),), "user": "guest", "password": "guest", "database": "/"}),
        (f"amqp://me:{ENCODED}@mq:5673/celery", {"user": "me", "password": SECRET, "hosts": (("mq", 5673),), "database": "celery"}),
        ("pyamqp://me@mq//", {"kind": "rabbitmq", "database": "/"}),
        ("amqp://mq/%2Fceler%79", {"database": "/celery"}),
        ("amqps://mq/?ssl_ca_certs=/a", {"hosts": (("mq", 5671),), "tls": Tls("/a"), "database": "/"}),
        ("amqp://a/v;amqp://b/v", {"hosts": (("a", 5672), ("b", 5672)), "database": "v"}),
        ("amqp://u:p@a:5673/v;amqp://u:p@b", {"hosts": (("a", 5673), ("b", 5673)), "user": "u", "database": "v"}),
        ("amqp://a;amqp://guest:guest@b//", {"hosts": (("a", 5672), ("b", 5672)), "user": "guest", "database": "/"}),
        ("redis://:p@a;redis://:p@b/0;", {"hosts": (("a", 6379), ("b", 6379)), "password": "p", "database": "0"}),
    ],
)  # fmt: skip
def test_every_spelling_that_celery_takes(home: Path, url: str, expected: dict[str, Any]) -> None:
    found = ours(home, url)
    assert {name: getattr(found, name) for name in expected} == expected
    assert found.url == url.strip()


def test_sentinels(home: Path) -> None:
    url = f"sentinel://:{ENCODED}@h1:26379/2;sentinel://h2"
    with pytest.raises(SourceNotConfigured, match="TRANSPORT_OPTIONS__MASTER_NAME"):
        ours(home, url)
    (home / "airflow.cfg").write_text(
        "[celery_broker_transport_options]\nmaster_name = 001\nvisibility_timeout = 3600\n"
        'sentinel_kwargs = {"password": "for the sentinels"}\n'
    )
    found = ours(home, url, AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT="21600")
    assert (found.kind, found.sentinel_master, found.database) == ("redis", "001", "2")
    assert found.hosts == (("h1", 26379), ("h2", 26379))
    assert found.options == {
        "master_name": "001",
        "visibility_timeout": 21600,
        "sentinel_kwargs": {"password": "for the sentinels"},
    }
    assert set(found.secrets) == {SECRET, ENCODED, "for the sentinels", "for%20the%20sentinels"}
    with pytest.raises(SourceNotConfigured, match="sentinel_kwargs is not a JSON object"):
        ours(home, url, AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__SENTINEL_KWARGS="hunter2")


@pytest.mark.parametrize(
    ("written", "value"),
    [("True", True), ("0.5", 0.5), ("[0, 5, 9]", [0, 5, 9]), ("priority", "priority"), ("{broken", "{broken")],
)
def test_values_of_transport_options(home: Path, written: str, value: object) -> None:
    assert ours(home, "redis://", AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__X=written).options == {"x": value}


def test_parts_are_encoded_by_us(home: Path) -> None:
    (home / "password").write_text(SECRET + "\n")
    parts = {"HOST": "h", "USER": "me", "PASSWORD_FILE": str(home / "password"), "NAME": "3"}
    found = address(home, **{f"AIRFLOW_OBS_BROKER_{name}": value for name, value in parts.items()})
    assert (found.kind, found.hosts, found.user, found.password, found.database) == (
        "redis",
        (("h", 6379),),
        "me",
        SECRET,
        "3",
    )
    assert found.url == f"redis://me:{ENCODED}@h:6379/3"
    parts = {"SCHEME": "amqps", "HOST": "::1", "PASSWORD": SECRET, "NAME": "/", "USER": "me"}
    found = address(home, **{f"AIRFLOW_OBS_BROKER_{name}": value for name, value in parts.items()})
    assert (found.kind, found.hosts, found.password, found.database) == ("rabbitmq", (("::1", 5671),), SECRET, "/")
    parts = {"HOST": "/run/r.sock", "PASSWORD": SECRET, "NAME": "3"}
    found = address(home, **{f"AIRFLOW_OBS_BROKER_{name}": value for name, value in parts.items()})
    assert (found.socket, found.password, found.database) == ("/run/r.sock", SECRET, "3")
    parts = {"SCHEME": "sentinel", "HOST": "a, b", "PORT": "26380"}
    master = {"AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__MASTER_NAME": "m"}
    found = address(home, **master, **{f"AIRFLOW_OBS_BROKER_{name}": value for name, value in parts.items()})
    assert found.hosts == (("a", 26380), ("b", 26380))


def test_tls_as_airflow_sets_it(home: Path) -> None:
    (home / "airflow.cfg").write_text(
        "[celery]\nbroker_url = redis://h\nssl_active = True\nssl_cacert = /a\nssl_cert = /b\nssl_key = /c\n"
    )
    assert address(home).tls == Tls("/a", "/b", "/c")
    assert address(home, AIRFLOW__CELERY__SSL_ACTIVE="False").tls is None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqs://hunter2:x@", "of sqs, which is not supported: Redis"),
        ("hunter2://x", "of a kind that is not supported"),
        ("hunter2", "is not a broker URL"),
        ("", ""),
        (";", "AIRFLOW_OBS_BROKER_URL is empty: write a URL like redis://"),
        (" \n", "AIRFLOW_OBS_BROKER_URL is empty: write a URL like redis://"),
        (
            "rediss+socket:///hunter2",
            "of rediss+socket, which Celery does not know: write redis+socket (a socket has no TLS)",
        ),
        ("valkey://:hunter2@h", "of valkey, which Celery does not know: write redis"),
        ("redis+sentinel://:hunter2@h", "of redis+sentinel, which Celery does not know: write sentinel"),
        ("redis://:hunt/er2@h/0", "percent-encoded"),
        ("redis://:12/hunter2@h/0", "percent-encoded"),
        ("redis://:hunt?er2@h/0", "percent-encoded"),
        ("redis://:12#hunter2@h/0", "percent-encoded"),
        ("redis://h:0/0", "is not a broker URL"),
        ("redis://h:port/0", "is not a broker URL"),
        ("redis://[::1/0", "is not a broker URL"),
        ("redis://h/hunter2", "no number of a Redis database"),
        ("redis://h?virtual_host=hunter2", "no number of a Redis database"),
    ],
)
def test_what_is_said_of_a_url_that_cannot_be_used(home: Path, url: str, said: str) -> None:
    with pytest.raises(SourceNotConfigured, match=r"^broker: ") as caught:
        ours(home, url)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "er2" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "the executor is CeleryExecutor, but no setting says where Celery's broker is"),
        (
            {"AIRFLOW__CELERY__BROKER_URL_CMD": "cat x"},
            "AIRFLOW__CELERY__BROKER_URL_CMD, which is Airflow's to resolve",
        ),
        ({"AIRFLOW__CELERY__BROKER_URL_SECRET": "x"}, "AIRFLOW__CELERY__BROKER_URL_SECRET, which is Airflow's"),
        ({"AIRFLOW_OBS_BROKER_URL_FILE": "nowhere"}, "AIRFLOW_OBS_BROKER_URL_FILE: nowhere: No such file"),
        ({"AIRFLOW_OBS_BROKER_HOST": "h", "AIRFLOW_OBS_BROKER_PORT": "many"}, "PORT is 'many', not a port number"),
        (
            {"AIRFLOW_OBS_BROKER_HOST": "h", "AIRFLOW_OBS_BROKER_SCHEME": "sqs"},
            "broker: AIRFLOW_OBS_BROKER_SCHEME is sqs, which is not supported: Redis",
        ),
        (
            {"AIRFLOW_OBS_BROKER_HOST": "h", "AIRFLOW_OBS_BROKER_SCHEME": "valkey"},
            "broker: AIRFLOW_OBS_BROKER_SCHEME is valkey, which Celery does not know: write redis",
        ),
        (
            {"AIRFLOW_OBS_BROKER_HOST": "h", "AIRFLOW_OBS_BROKER_SCHEME": "unix"},
            "AIRFLOW_OBS_BROKER_SCHEME is unix, so AIRFLOW_OBS_BROKER_HOST must be the path of a socket",
        ),
        (
            {"AIRFLOW_OBS_BROKER_HOST": "/run/r.sock", "AIRFLOW_OBS_BROKER_SCHEME": "rediss"},
            "AIRFLOW_OBS_BROKER_HOST is the path of a socket, but AIRFLOW_OBS_BROKER_SCHEME is rediss, which has none",
        ),
    ],
)
def test_what_is_said_when_nothing_is_found(home: Path, settings: dict[str, str], said: str) -> None:
    with pytest.raises(SourceNotConfigured) as caught:
        address(home, **settings)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "host", ["h:6380", "a,b:6380", "[::1]:6380", "redis://h", "me:hunter2@h", "hunter2@h", "h/0", "a,", ",", "redis://:hunter2@h:6380/0"]
)  # fmt: skip
def test_a_host_is_told_where_the_rest_of_the_url_belongs(home: Path, host: str) -> None:
    belongs = "the port belongs in AIRFLOW_OBS_BROKER_PORT, the scheme in _SCHEME, the login in _USER and _PASSWORD"
    with pytest.raises(SourceNotConfigured, match="AIRFLOW_OBS_BROKER_HOST is not the name or address") as caught:
        address(home, AIRFLOW_OBS_BROKER_HOST=host)
    assert belongs in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("scheme", "host", "expected"),
    [
        ("AMQP", "h", ("rabbitmq", (("h", 5672),))),
        ("amqps://", "h", ("rabbitmq", (("h", 5671),))),
        ("redis", "[::1]", ("redis", (("::1", 6379),))),
        ("redis", "redis_1.example.com , ::1", ("redis", (("redis_1.example.com", 6379), ("::1", 6379)))),
    ],
)
def test_parts_as_people_write_them(home: Path, scheme: str, host: str, expected: tuple[object, ...]) -> None:
    found = address(home, AIRFLOW_OBS_BROKER_SCHEME=scheme, AIRFLOW_OBS_BROKER_HOST=host)
    assert (found.kind, found.hosts) == expected


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://h1;amqp://h2", "URL 2 of 2 differs from the first in its scheme"),
        ("redis://h1;rediss://h2", "URL 2 of 2 differs from the first in its scheme"),
        ("amqp://u1:hunter2@h1/x;amqp://u2:hunter2@h2/x", "URL 2 of 2 differs from the first in its user or password"),
        (
            "amqp://u:hunter2@h1/x;amqp://u:hunter2@h2/x;amqp://u:er2@h3/x",
            "URL 3 of 3 differs from the first in its user or password",
        ),
        ("amqp://u:hunter2@h1/x;amqp://h2/x", "URL 2 of 2 differs from the first in its user or password"),
        ("redis://:hunter2@h1;redis://h2", "URL 2 of 2 differs from the first in its user or password"),
        ("amqp://h1/hunter2;amqp://h2/er2", "URL 2 of 2 differs from the first in its path (database or vhost)"),
        ("amqp://h1/hunter2;amqp://h2//", "URL 2 of 2 differs from the first in its path (database or vhost)"),
        ("redis://h1;redis://h2/3", "URL 2 of 2 differs from the first in its path (database or vhost)"),
        ("unix:///run/hunter2;unix:///run/er2", "URL 2 of 2 differs from the first in its path"),
        ("rediss://h1;rediss://h2?ssl_cert_reqs=none", "URL 2 of 2 differs from the first in its options after the ?"),
        ("sentinel://h1;sentinel://:hunter2@h2", "URL 2 of 2 differs from the first in its user or password"),
        ("sentinel://:hunter2@h1/1;sentinel://:hunter2@h2/2", "URL 2 of 2 differs from the first in its path"),
    ],
)
def test_urls_of_one_broker_differ_in_host_and_port_alone(home: Path, url: str, said: str) -> None:
    master = {"AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__MASTER_NAME": "m"}
    with pytest.raises(SourceNotConfigured, match="write them alike but for host and port") as caught:
        ours(home, url, **master)
    assert f"AIRFLOW_OBS_BROKER_URL: {said}" in str(caught.value)
    assert "er2" not in str(caught.value)


def test_variables_are_expanded_in_airflows_settings_as_airflow_does(home: Path) -> None:
    cfg = "[celery]\nbroker_url = redis://:${PW}@$H/0\nresult_backend = redis://$H/1\nssl_active = True\nssl_cacert = $D/ca\n"
    options = "[celery_broker_transport_options]\nglobal_keyprefix = ${D}:\n"
    variables = {"PW": "word", "H": "here", "D": "dir"}
    (home / "airflow.cfg").write_text(cfg + options)
    found = address(home, **variables)
    assert (found.hosts, found.password, found.result_backend) == ((("here", 6379),), "word", "redis://here/1")
    assert (found.tls, found.options) == (Tls("dir/ca"), {"global_keyprefix": "dir:"})
    assert found.url == "redis://:word@here/0"
    in_environment = {
        "AIRFLOW__CELERY__BROKER_URL": "amqp://u:${PW}@$H/$NOT_SET",
        "AIRFLOW__CELERY__RESULT_BACKEND": "redis://${H}/2",
        "AIRFLOW__CELERY__SSL_CACERT": "${D}/other",
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__GLOBAL_KEYPREFIX": "$D",
    }
    found = address(home, **variables, **in_environment)
    assert (found.kind, found.hosts, found.password) == ("rabbitmq", (("here", 5672),), "word")
    assert (found.database, found.result_backend) == ("$NOT_SET", "redis://here/2")
    assert (found.tls, found.options) == (Tls("dir/other"), {"global_keyprefix": "dir"})


def test_variables_are_not_expanded_in_ours(home: Path) -> None:
    assert ours(home, "redis://:${PW}@h/0", PW="word").password == "${PW}"


def test_a_command_in_airflow_cfg(home: Path) -> None:
    (home / "airflow.cfg").write_text("[celery]\nbroker_url_cmd = cat hunter2\n")
    with pytest.raises(SourceNotConfigured, match="broker_url_cmd, which is Airflow's to resolve") as caught:
        address(home)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("executor", "airflows", "ours"),
    [
        (None, True, True),
        ("CeleryExecutor", True, True),
        ("LocalExecutor,CeleryExecutor", True, True),
        ("KubernetesExecutor", False, False),
        ("LocalExecutor", False, False),
        ("DebugExecutor", False, False),
        ("my.own.Executor", False, True),
    ],
)
def test_which_settings_count_under_which_executor(
    home: Path, executor: str | None, *, airflows: bool, ours: bool
) -> None:
    environment = {"AIRFLOW_HOME": str(home)}
    (home / "airflow.cfg").write_text("[celery]\nbroker_url = redis://h\n")
    assert (broker_address(executor, environment) is not None) is airflows
    assert (broker_address(executor, {**environment, "AIRFLOW_OBS_BROKER_URL": "redis://h"}) is not None) is ours


@pytest.mark.parametrize("name", ["AIRFLOW_OBS_BROKER_URL_FILE", "AIRFLOW_OBS_BROKER_URL", "AIRFLOW_OBS_BROKER_HOST"])
def test_a_broker_that_is_named_in_vain_is_spoken_of_once(
    home: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    airflows = {"AIRFLOW_HOME": str(home), "AIRFLOW__CELERY__BROKER_URL": "redis://:hunter2@h"}
    executor = f"LocalExecutor,Named{name}"  # nothing else asks for it: what was said once is not said again
    with caplog.at_level(logging.INFO):
        assert broker_address(executor, airflows) is None
        assert caplog.messages == []
        for _ in range(3):
            assert broker_address(executor, {**airflows, name: "redis://:hunter2@h"}) is None
    [said] = caplog.messages
    assert f"broker: {name} is not used, since the executor is {executor}" in said
    assert "AIRFLOW__CORE__EXECUTOR" in said
    assert "hunter2" not in said
    assert [record.levelno for record in caplog.records] == [logging.INFO]


def test_no_setting_speaks_of_a_broker(home: Path) -> None:
    for executor in (None, "LocalExecutor", "my.own.Executor"):
        assert broker_address(executor, {"AIRFLOW_HOME": str(home)}) is None


def test_nothing_shows_a_password(home: Path) -> None:
    backend = {"AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql://u:{ENCODED}@h/d"}
    found = ours(home, f"redis://:{ENCODED}@h/0", **backend)
    assert SECRET not in repr(found)
    assert ENCODED not in repr(found)
    assert redact(f"{SECRET} {ENCODED}", *found.secrets) == "*** ***"


def test_companions_of_a_host_that_is_not_set_are_no_silence() -> None:
    lone = {"AIRFLOW_OBS_BROKER_PASSWORD": "x", "HOME": "/nonexistent"}
    with pytest.raises(
        SourceNotConfigured, match="AIRFLOW_OBS_BROKER_PASSWORD is set, but AIRFLOW_OBS_BROKER_HOST is not"
    ):
        broker_address(None, lone)
