"""What is no Redis, or an odd one: a clear refusal or right figures, nothing raw, and never long past the budget."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.collectors import broker_redis
from airflow_obs.errors import SourceError, SourceUnreachable
from airflow_obs.exporter.exposition import render
from airflow_obs.sources.broker_url import broker_address
from airflow_obs.sources.control import Workers
from tests.brokers.conftest import ReadAs
from tests.brokers.talkers import Talk, dripping, redis_saying, saying, talker
from tests.eventually import eventually
from tests.exporter.pages import Page
from tests.redis_server import SECRETS, RedisServer

SHORT = 1.0
RAW = "eyJ.live.token"
SEPARATOR = "\x06\x16"
BULK = f"${len(RAW)}\r\n{RAW}\r\n".encode()
EMPTY = {
    "info": b"$0\r\n\r\n",
    "hlen": b":0\r\n",
    "zrange": b"*0\r\n",
    "scan": b"*2\r\n$1\r\n0\r\n*0\r\n",
    "llen": b":0\r\n",
}
NO_REDIS = {
    "http": saying(f"HTTP/1.1 400 Bad Request\r\nX-Token: {RAW}\r\n\r\n".encode()),
    "garbage": saying(RAW.encode() + bytes(range(256)) + b"\r\n"),
    "no-number": saying(f":{RAW}\r\n".encode()),
    "no-length": saying(f"${RAW}\r\n".encode()),
    "no-count": saying(f"*{RAW}\r\n".encode()),
    "nested": saying(b"*1\r\n" * 5000),
    "hangs-up": lambda _connection: None,
    "says-ok-to-all": redis_saying(),
    "text-for-info": redis_saying(**{**EMPTY, "info": b":7\r\n"}),
    "text-for-a-number": redis_saying(**{**EMPTY, "hlen": BULK}),
    "text-for-a-depth": redis_saying(**{**EMPTY, "llen": BULK}),
    "text-for-a-list": redis_saying(**{**EMPTY, "zrange": BULK}),
    "text-for-a-score": redis_saying(**{**EMPTY, "zrange": b"*2\r\n" + BULK + BULK}),
    "text-for-a-cursor": redis_saying(**{**EMPTY, "scan": b"*2\r\n:1\r\n" + BULK}),
    "nil-for-info": redis_saying(**{**EMPTY, "info": b"$-1\r\n"}),
    "long-error": redis_saying(info=b"-ERR " + b"x" * 100_000 + b"\r\n"),
}


@pytest.mark.parametrize("talk", NO_REDIS.values(), ids=NO_REDIS)
def test_what_is_no_redis_is_told_and_not_quoted(reader: ReadAs, talk: Talk) -> None:
    with talker(talk) as port:
        one = reader(AIRFLOW_OBS_BROKER_URL=f"redis://:{SECRETS[1]}@127.0.0.1:{port}/0")
        one.names.add(["default"])
        for _ in range(2):
            with pytest.raises(SourceError, match=r"^broker: ") as caught:
                one.read(SHORT)
            said = str(caught.value)
            assert not [text for text in (*SECRETS, RAW) if text in said]
            assert len(said) < 1000


@pytest.mark.parametrize("talk", [saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), saying(b"\xff" * 100), redis_saying()])
def test_workers_behind_what_is_no_redis(talk: Talk) -> None:
    with talker(talk) as port:
        address = broker_address(None, {"AIRFLOW_OBS_BROKER_URL": f"redis://:{SECRETS[1]}@127.0.0.1:{port}/0"})
        with Workers(lambda: address).session(SHORT) as session:
            assert session is not None
            with pytest.raises(SourceError) as caught:
                session.workers()
    assert not [text for text in SECRETS if text in str(caught.value)]


@pytest.mark.parametrize(
    "talk",
    [
        dripping(b""),
        dripping(b"+"),
        dripping(b"$100000\r\n"),
        dripping(b"*100000\r\n:1\r\n"),
        dripping(b"+OK\r\n+OK\r\n+OK\r\n$9999\r\n"),
    ],
    ids=["nothing", "line", "text", "list", "after-the-login"],
)
def test_one_that_answers_by_the_byte_is_given_up(reader: ReadAs, talk: Talk) -> None:
    with talker(talk) as port:
        one = reader(AIRFLOW_OBS_BROKER_URL=f"redis://:{SECRETS[1]}@127.0.0.1:{port}/0")
        for _ in range(2):
            with pytest.raises(SourceUnreachable, match="no answer in time"):
                one.read(SHORT / 2)
        eventually(lambda: not lanes(), "the thread that waited has ended, though the server drips on")


def lanes() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "broker-redis"]


def test_tls_where_there_is_none_and_none_where_there_is(reader: ReadAs, server: RedisServer) -> None:
    one = reader(AIRFLOW_OBS_BROKER_URL=server.url().replace("redis://", "rediss://"))
    with pytest.raises(SourceUnreachable, match="TLS"):
        one.read(SHORT)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "x" * 70 + ".example", "a..b"])
def test_hosts_that_are_none(reader: ReadAs, host: str) -> None:
    with pytest.raises(SourceUnreachable, match=r"^broker: "):
        reader(AIRFLOW_OBS_BROKER_URL=f"redis://:{SECRETS[1]}@{host}/0").read(SHORT)


def bind(server: RedisServer, *names: str | bytes) -> None:
    """Write the binding of a queue as kombu does, and a message into it."""
    client = server.client()
    for name in names:
        key, member = f"_kombu.binding.{len(names)}", SEPARATOR.encode() * 2
        text = name if isinstance(name, bytes) else name.encode()
        client.sadd(key, text + member + text)
        client.lpush(text, "message")


def test_an_info_of_many_megabytes(reader: ReadAs) -> None:
    info = b"redis_version:7.0.0\r\nuptime_in_seconds:" + b"9" * 5000 + b"\r\n" + b"cmdstat_x:calls=1\r\n" * 500_000
    with talker(redis_saying(**{**EMPTY, "info": f"${len(info)}\r\n".encode() + info + b"\r\n"})) as port:
        seen = reader(AIRFLOW_OBS_BROKER_URL=f"redis://127.0.0.1:{port}/0").read(10.0)
    assert seen.all(metrics.BROKER_INFO) == {("redis", "7.0.0"): 1}
    assert seen.one(metrics.BROKER_STARTED) is None


def test_keys_of_another_type_cost_what_they_stand_for(
    reader: ReadAs, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    client = server.client()
    client.lpush("default", "one", "two")
    client.set(f"default{SEPARATOR}3", "no list")
    client.sadd("a set", "x")
    client.set("_kombu.binding.odd", "no set")
    client.set("unacked", "no hash")
    client.set("unacked_index", "no sorted set")
    one = reader(AIRFLOW_OBS_BROKER_URL=server.exporter_url)
    one.names.add(["default", "a set"])
    for _ in range(2):
        seen = one.read()
        assert seen.all(metrics.BROKER_MESSAGES) == {("default",): 2}
        assert (seen.one(metrics.BROKER_UNACKED), seen.one(metrics.BROKER_UNACKED_OLDEST)) == (None, None)
        assert seen.one(metrics.BROKER_CLIENTS)
    assert [record.getMessage() for record in caplog.records] == [
        "broker: unacked or unacked_index is no key of Celery's: unacked messages cannot be told"
    ]


@pytest.mark.parametrize(("score", "moment"), [("inf", None), ("-inf", None), ("-5", None), ("0", None), ("9e9", 9e9)])
def test_odd_moments(reader: ReadAs, server: RedisServer, score: str, moment: float | None) -> None:
    server.client().hset("unacked", "tag", "message")
    server.client().zadd("unacked_index", {"tag": score})
    seen = reader(AIRFLOW_OBS_BROKER_URL=server.exporter_url).read()
    assert (seen.one(metrics.BROKER_UNACKED), seen.one(metrics.BROKER_UNACKED_OLDEST)) == (1, moment)


def test_odd_names_are_asked_for_and_shown(reader: ReadAs, server: RedisServer) -> None:
    names: list[str | bytes] = [
        "new\nline",
        'quo"te',
        "back\\slash",
        "{brace}",
        "nul\0",
        "ünï",
        b"\xff\xfe",
        "sp ace",
        "comma,=",
        SEPARATOR + "x",
    ]
    bind(server, *names)
    one = reader(AIRFLOW_OBS_BROKER_URL=server.exporter_url)
    one.names.add(["half \ud800 a character", "", "x" * 5000])
    seen = one.read()
    page = Page(render(seen.readings, "airflow").text.decode())
    shown = {
        sample.labels["queue"]: sample.value for sample in page.samples if sample.name == metrics.BROKER_MESSAGES.name
    }
    for name in (
        "new\nline",
        'quo"te',
        "back\\slash",
        "{brace}",
        "nul\\x00",
        "ünï",
        "\\udcff\\udcfe",
        "sp ace",
        "comma,=",
    ):
        assert shown[name] == 1, name
    assert shown["x" * 5000] == 0


def test_queues_without_end(reader: ReadAs, server: RedisServer) -> None:
    pipeline = server.client().pipeline(transaction=False)
    for index in range(20_000):
        pipeline.sadd(f"_kombu.binding.queue-{index}", f"{SEPARATOR}{SEPARATOR}queue-{index}")
    pipeline.execute()
    one = reader(AIRFLOW_OBS_BROKER_URL=server.exporter_url)
    assert len(one.read(60.0).all(metrics.BROKER_MESSAGES)) == broker_redis.MOST_BINDINGS


def test_two_exporters_at_once(reader: ReadAs, server: RedisServer) -> None:
    bind(server, "default")
    ways: list[Callable[[], dict[str, float]]] = [
        reader(AIRFLOW_OBS_BROKER_URL=server.exporter_url).queues for _ in range(2)
    ]
    assert [way() for way in ways * 2] == [{"default": 1}] * 4
