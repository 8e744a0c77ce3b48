"""A Redis that sentinels watch: found through them, and found again after a failover."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from airflow_obs.catalog import metrics
from airflow_obs.errors import SourceUnreachable
from tests.brokers.conftest import ReadAs
from tests.eventually import eventually
from tests.redis_server import PASSWORD, SECRETS, RedisServer, debians, executable, free_port, redis_server

WORD = "sentinel-word"
"""The sentinels' own password, which is not the master's."""


@contextmanager
def sentinel(master: RedisServer, folder: Path) -> Iterator[int]:
    """The port of a sentinel that watches that master alone, and is satisfied with its own opinion."""
    port = free_port()
    config = folder / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\nrequirepass {WORD}\n"
        f"sentinel monitor celery 127.0.0.1 {master.port} 1\n"
        f'sentinel auth-pass celery "{PASSWORD}"\n'
        "sentinel down-after-milliseconds celery 500\nsentinel failover-timeout celery 3000\n"
    )
    process = subprocess.Popen(
        [master.program or executable(), str(config), "--sentinel"], cwd=folder, stdout=subprocess.DEVNULL
    )
    try:
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("release", ["6.2", "7"])
def test_sentinel_and_a_failover(reader: ReadAs, tmp_path: Path, release: str) -> None:
    program = debians() if release == "7" else ""
    with (
        redis_server("--masterauth", PASSWORD, program=program) as first,
        redis_server("--masterauth", PASSWORD, program=program) as second,
    ):
        second.client().replicaof("127.0.0.1", first.port)
        first.client().lpush("default", "message")
        eventually(lambda: second.client().llen("default") == 1, "the replica has what the master has")
        with sentinel(first, tmp_path) as port:
            url = f"sentinel://:{SECRETS[1]}@127.0.0.1:1;sentinel://127.0.0.1:{port}"
            one = reader(
                AIRFLOW__CELERY__BROKER_URL=url,
                AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__MASTER_NAME="celery",
                AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__SENTINEL_KWARGS=json.dumps({"password": WORD}),
            )
            one.names.add(["default"])

            said: list[str] = []

            def queues() -> dict[str, float]:
                try:
                    return one.queues()
                except SourceUnreachable as error:
                    said.append(str(error))
                    return {}

            assert eventually(queues, "the master is found") == {"default": 1}
            assert one.read().one(metrics.BROKER_REPLICAS) == 1
            asked = redis.Redis(port=port, password=WORD, protocol=2)
            eventually(lambda: asked.sentinel_slaves("celery"), "the sentinel knows the replica")
            asked.close()
            first.kill()
            assert eventually(queues, "the new master is found") == {"default": 1}
            assert one.read().one(metrics.BROKER_REPLICAS) == 0
        assert not [secret for secret in (*SECRETS, WORD) if secret in "".join(said)]
        one.source.close()
        with pytest.raises(SourceUnreachable, match=r"no sentinel says where the master celery is: 127\.0\.0\.1:1: "):
            one.read(1.0)
