"""Every way to a Redis, and what is said where it leads nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.errors import SourceError, SourceUnreachable, redact
from airflow_obs.sources.redis import GRANTS
from tests.brokers.conftest import ReadAs, on_both
from tests.redis_server import EXPORTER, PASSWORD, SECRETS, RedisServer, redis_server


def test_the_ways_in(server: RedisServer, reader: ReadAs, tmp_path: Path) -> None:
    server.client(3).lpush("in-3", "message")
    (tmp_path / "url").write_text(server.url(*EXPORTER, database=3) + "\n")
    (tmp_path / "password").write_text(PASSWORD + "\n")
    port = str(server.port)
    unix = f"redis+socket://:{SECRETS[1]}@{server.socket}?virtual_host=3"
    ways = [
        {"AIRFLOW_OBS_BROKER_URL_FILE": str(tmp_path / "url")},
        {"AIRFLOW_OBS_BROKER_URL": server.url(database=3)},
        {"AIRFLOW_OBS_BROKER_URL": unix},
        {"AIRFLOW_OBS_BROKER_URL": unix.replace("redis+socket", "unix").replace("virtual_host", "db")},
        {"AIRFLOW__CELERY__BROKER_URL": server.url(database=3).replace("127.0.0.1", "localhost")},
        {
            "AIRFLOW_OBS_BROKER_HOST": "127.0.0.1", "AIRFLOW_OBS_BROKER_PORT": port, "AIRFLOW_OBS_BROKER_NAME": "3",
            "AIRFLOW_OBS_BROKER_USER": EXPORTER[0], "AIRFLOW_OBS_BROKER_PASSWORD": EXPORTER[1],
        },
        {
            "AIRFLOW_OBS_BROKER_HOST": "127.0.0.1", "AIRFLOW_OBS_BROKER_PORT": port, "AIRFLOW_OBS_BROKER_NAME": "3",
            "AIRFLOW_OBS_BROKER_PASSWORD_FILE": str(tmp_path / "password"),
        },
        {
            "AIRFLOW_OBS_BROKER_HOST": str(server.socket), "AIRFLOW_OBS_BROKER_NAME": "3",
            "AIRFLOW_OBS_BROKER_PASSWORD": PASSWORD,
        },
        # As kombu has it, each in turn is tried.
        {"AIRFLOW_OBS_BROKER_URL": f"redis://:{SECRETS[1]}@127.0.0.1:1/3;{server.url(database=3)}"},
    ]  # fmt: skip
    for way in ways:
        one = reader(**way)
        one.names.add(["in-3"])
        assert one.queues() == {"in-3": 1}, way


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://127.0.0.1:{port}/0", "Authentication required"),
        ("redis://:wrong%40word@127.0.0.1:{port}/0", "invalid username-password pair"),
        ("redis://nobody:wrong%40word@127.0.0.1:{port}/0", "look at user and password in AIRFLOW_OBS_BROKER_URL"),
        ("redis://word@127.0.0.1:{port}/0", "a password alone is written redis://:<password>@host"),
        ("redis://:{password}@127.0.0.1:{port}/99", "DB index is out of range; correct it in AIRFLOW_OBS_BROKER_URL"),
        ("redis://:{password}@127.0.0.1:1/0", "127.0.0.1:1: cannot be reached"),
        ("redis://:{password}@no.such.host.invalid/0", "no.such.host.invalid:6379: cannot be reached"),
        ("redis+socket://:{password}@/no/such.sock", "/no/such.sock: cannot be reached"),
        ("rediss://:{password}@127.0.0.1:{port}/0", "(or it does not speak TLS)"),
    ],
)
def test_what_is_said_when_there_is_no_way_in(server: RedisServer, reader: ReadAs, url: str, said: str) -> None:
    one = reader(AIRFLOW_OBS_BROKER_URL=url.format(port=server.port, password=SECRETS[1]))
    with pytest.raises(SourceError, match=r"^broker: ") as caught:
        one.read(1.0)
    assert said in redact(str(caught.value))  # as the log has it
    assert not [secret for secret in (*SECRETS, "wrong@word", "wrong%40word") if secret in str(caught.value)]


@on_both
@pytest.mark.parametrize("command", ["info", "llen", "hlen", "zrange", "scan", "smembers"])
def test_a_right_that_is_missing_is_named(server: RedisServer, reader: ReadAs, command: str) -> None:
    one = reader(AIRFLOW_OBS_BROKER_URL=server.exporter_url)
    server.client().sadd("_kombu.binding.default", "default\x06\x16\x06\x16default")
    try:
        server.grant(GRANTS.replace(f"+{command} ", ""))
        with pytest.raises(SourceError) as caught:
            one.read()
        assert not isinstance(caught.value, SourceUnreachable)
        assert f"our user may not run the command {command.upper()}" in str(caught.value)
        assert str(caught.value).endswith(f"grant it with ACL SETUSER <user> {GRANTS}")
    finally:
        server.grant(GRANTS)
    assert one.queues() == {"default": 0}


def test_no_right_is_granted_that_is_not_needed() -> None:
    with redis_server() as server:
        granted = server.client().execute_command("ACL", "GETUSER", EXPORTER[0])
        rights = dict(zip(granted[::2], granted[1::2], strict=True))["commands"].split()
        assert sorted(rights) == sorted(["-@all", *GRANTS.split()[1:]])


def test_a_user_who_may_not_name_himself_is_no_worse_for_it(server: RedisServer, reader: ReadAs) -> None:
    try:
        server.grant(GRANTS.replace(" +client|setname", "").replace(" +select", ""))
        one = reader(AIRFLOW_OBS_BROKER_URL=server.exporter_url)
        assert one.read().one(metrics.BROKER_UNACKED) == 0
    finally:
        server.grant(GRANTS)
