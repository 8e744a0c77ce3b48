"""The rate limit: a bucket of tokens, and the answer to whom there is none for."""

from __future__ import annotations

from pathlib import Path

from airflow_obs.exporter.web.rate import Bucket
from tests.exporter.web.guarded import basic, guarded, hashed, replace, with_users


class Clock:
    """Seconds that stand until they are moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_bucket_fills_up_again() -> None:
    clock = Clock()
    bucket = Bucket(2.0, 3, clock)
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 2.0]
    clock.now += 1
    assert bucket.take() == 1.0
    clock.now += 1
    assert [bucket.take(), bucket.take()] == [0, 2.0]
    clock.now += 1_000
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 2.0]


def test_request_too_many_is_refused_before_its_password_is_looked_at(tmp_path: Path) -> None:
    config = tmp_path / "web.yml"
    users = with_users(alice=hashed("sesame"))
    config.write_text(users + "rate_limit: {interval: 30m, burst: 2}\n")
    with guarded(config) as endpoint:
        assert [endpoint.status(), endpoint.status(headers=basic("alice", "sesame"))] == [401, 200]
        answer = endpoint.get(headers=basic("alice", "sesame"))
        assert (answer.status, answer.body) == (429, b"429 Too Many Requests\n")
        assert 0 < int(answer.headers["retry-after"]) <= 1_800
        assert endpoint.refused("rate") == 1
        replace(config, users + "rate_limit: {interval: 30m, burst: 2}\n# the same\n")
        assert endpoint.status() == 429
        replace(config, users)
        assert endpoint.status(headers=basic("alice", "sesame")) == 200
