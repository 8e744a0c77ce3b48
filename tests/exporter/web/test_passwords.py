"""Basic authentication: whom it admits, what odd headers come to, and what it costs."""

from __future__ import annotations

import asyncio
import base64
import itertools
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bcrypt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_obs.exporter.web import passwords as module
from airflow_obs.exporter.web.passwords import REMEMBERED, WAITING, Passwords
from airflow_obs.exporter.web.turns import Busy
from tests.eventually import eventually
from tests.exporter.web.guarded import PASSWORD, basic, guarded, hashed, replace, with_users
from tests.exporter.web.serving import ANSWER_WITHIN

SLOW = 8
"""Cost of a hash whose comparison takes longer than the next guess."""
GUESSING = WAITING + 16
"""Clients who guess at a time: more than may wait."""
HERE = "127.0.0.1"
ALICE = Passwords({"alice": hashed(PASSWORD)})


class Compared:
    """bcrypt's comparison, counted, and held up until it may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hashes: list[bytes] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        monkeypatch.setattr(module, "_compared", self._compare)

    async def _compare(self, password: bytes, of: bytes) -> bool:
        self.hashes.append(of)
        await asyncio.sleep(0)
        await self.may_go_on.wait()
        return bcrypt.checkpw(password, of)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Compared:
    return Compared(monkeypatch)


def admitted(passwords: Passwords, user: str, password: str = PASSWORD) -> bool:
    return asyncio.run(passwords.admit(basic(user, password)["Authorization"], HERE))


def test_user_with_the_password_is_admitted_and_nobody_else() -> None:
    assert admitted(ALICE, "alice")
    assert not admitted(ALICE, "alice", "wrong")
    assert not admitted(ALICE, "alice", "")
    assert not admitted(ALICE, "bob")
    assert not admitted(ALICE, "")


def test_name_and_password_are_utf_8_and_a_password_may_hold_a_colon() -> None:
    passwords = Passwords({"Zoë": hashed("schön: ja")})
    assert admitted(passwords, "Zoë", "schön: ja")
    assert not admitted(passwords, "Zoë", "schon: ja")


def test_password_counts_up_to_the_72nd_byte_as_in_go() -> None:
    passwords = Passwords({"alice": hashed("x" * 72)})
    assert admitted(passwords, "alice", "x" * 72)
    assert admitted(passwords, "alice", "x" * 5_000)
    assert not admitted(passwords, "alice", "x" * 71)


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@given(st.one_of(st.text(st.characters(max_codepoint=255)), st.binary().map(lambda raw: f"Basic {encoded(raw)}")))
@example("")
@example("Basic")
@example("Basic ")
@example("Basic !!!!")
@example("Basic YWxpY2U6Y29ycmVjdCBob3JzZQ")
@example("Bearer YWxpY2U6Y29ycmVjdCBob3JzZQ==")
@example(f"Basic {encoded(b'alice')}")
@example(f"Basic {encoded(b'alice:correct horse' + bytes(1))}")
@example(f"Basic {encoded(b'alice:correct horse' + bytes(1) + b'correct horse')}")  # for bcrypt the same as once
@example(f"Basic {encoded(bytes(1) + b'alice:correct horse')}")
@example(f"Basic {encoded(b'alice:' + bytes([255, 254]))}")
@example(f"Basic {encoded(b'al' + bytes([0xE9]) + b'ce:correct horse')}")
@example(f"Basic {encoded(b'alice:' + b'x' * 12_000)}")
@example(f"Basic {encoded(b'alice:correct horse')},Basic {encoded(b'alice:correct horse')}")
def test_odd_header_admits_nobody(header: str) -> None:
    assert not asyncio.run(ALICE.admit(header, HERE))


def test_scheme_is_written_in_any_case() -> None:
    assert asyncio.run(ALICE.admit(basic("alice")["Authorization"].replace("Basic", "bASIC"), HERE))


def test_right_password_is_compared_once(compared: Compared) -> None:
    passwords = Passwords({"alice": hashed(PASSWORD)})
    assert all(admitted(passwords, "alice") for _ in range(5))
    assert len(compared.hashes) == 1


def test_wrong_password_is_compared_once_and_not_for_the_right_one(compared: Compared) -> None:
    passwords = Passwords({"alice": hashed(PASSWORD)})
    assert not any(admitted(passwords, "alice", "wrong") for _ in range(5))
    assert admitted(passwords, "alice")
    assert len(compared.hashes) == 2


def test_what_is_remembered_is_bounded_and_a_right_password_is_never_forgotten(compared: Compared) -> None:
    passwords = Passwords({"alice": hashed(PASSWORD)})

    async def attack() -> None:
        assert await passwords.admit(basic("alice")["Authorization"], HERE)
        for guess in range(REMEMBERED + 50):
            assert not await passwords.admit(basic("alice", f"guess {guess}")["Authorization"], HERE)

    asyncio.run(attack())
    so_far = len(compared.hashes)
    assert len(passwords._wrong) == REMEMBERED
    assert admitted(passwords, "alice")
    assert len(compared.hashes) == so_far


def test_no_password_is_remembered_as_it_is() -> None:
    admitted(ALICE, "alice")
    admitted(ALICE, "alice", "wrong horse")
    assert b"horse" not in repr(vars(ALICE)).encode()


def test_unknown_user_costs_what_a_known_one_does(compared: Compared) -> None:
    hashes = {"alice": hashed(PASSWORD, 4), "bob": hashed(PASSWORD, 5)}
    passwords = Passwords(hashes)
    names = [f"nobody-{number}" for number in range(20)]
    assert not any(admitted(passwords, name) for name in names)
    costs = {of[:7] for of in compared.hashes}
    assert len(compared.hashes) == len(names)
    assert costs <= {one[:7].encode() for one in hashes.values()}


def test_many_at_a_time_are_told_to_come_again(compared: Compared) -> None:
    passwords = Passwords({"alice": hashed(PASSWORD)})

    async def attack() -> tuple[list[bool | BaseException], bool]:
        compared.may_go_on.clear()
        guesses = [
            asyncio.create_task(passwords.admit(basic("alice", str(guess))["Authorization"], HERE))
            for guess in range(WAITING * 3)
        ]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(compared.hashes) == 1  # one after another
        compared.may_go_on.set()
        return await asyncio.gather(*guesses, return_exceptions=True), await passwords.admit(
            basic("alice")["Authorization"], HERE
        )

    outcomes, then = asyncio.run(attack())
    assert sum(isinstance(one, Busy) for one in outcomes) == WAITING * 2 - 1
    assert outcomes.count(False) == WAITING + 1
    assert then


def test_same_password_of_many_at_a_time_is_compared_once(compared: Compared) -> None:
    passwords = Passwords({"alice": hashed(PASSWORD)})

    async def replicas() -> list[bool]:
        return await asyncio.gather(*(passwords.admit(basic("alice")["Authorization"], HERE) for _ in range(WAITING)))

    assert all(asyncio.run(replicas()))
    assert len(compared.hashes) == 1


def test_endpoint_asks_for_a_password_on_every_path(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = tmp_path / "web.yml"
    config.write_text(with_users(alice=(one := hashed(PASSWORD))))
    paths = ["/", "/metrics", "/-/healthy", "/-/ready", "/-/reload", "/nowhere"]
    with guarded(config) as endpoint:
        for path in paths:
            answer = endpoint.get(path=path)
            assert (answer.status, answer.body) == (401, b"401 Unauthorized\n")
            assert answer.headers["www-authenticate"] == 'Basic realm="airflow-obs", charset="UTF-8"'
            assert answer.headers["server"] == "airflow-obs"
        assert endpoint.refused("unauthenticated") == len(paths)
        assert endpoint.status(headers=basic("alice", "wrong")) == 401
        assert endpoint.status(headers=basic("alice")) == 200
        assert endpoint.status(headers={"Authorization": "Basic " + "A" * 15_000}) == 401
    said = caplog.text + "".join(endpoint.said)
    assert "Traceback" not in said
    assert PASSWORD not in said
    assert one not in said
    assert basic("alice")["Authorization"].split()[1] not in said


def test_busy_endpoint_says_when_to_come_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, may_go_on = threading.Event(), threading.Event()

    async def compared(*_: bytes) -> bool:
        begun.set()
        return await asyncio.to_thread(may_go_on.wait, ANSWER_WITHIN)

    monkeypatch.setattr(module, "WAITING", 0)
    monkeypatch.setattr(module, "_compared", compared)
    config = tmp_path / "web.yml"
    config.write_text(with_users(alice=hashed(PASSWORD)))
    with guarded(config) as endpoint, ThreadPoolExecutor(1) as first:
        answered = first.submit(endpoint.status, headers=basic("alice"))
        assert begun.wait(ANSWER_WITHIN)
        answer = endpoint.get(headers=basic("alice"))
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert endpoint.refused("busy") == 1
        may_go_on.set()
        assert answered.result() == 200


def test_who_has_been_let_in_stays_known_when_users_come_and_go(tmp_path: Path, compared: Compared) -> None:
    config = tmp_path / "web.yml"
    alice, bob = hashed(PASSWORD), hashed("b")
    config.write_text(with_users(alice=alice, carol=hashed("c")))
    with guarded(config) as endpoint:
        assert [endpoint.status(headers=basic(*who)) for who in (("alice",), ("carol", "c"))] == [200, 200]
        replace(config, with_users(alice=alice, bob=bob))
        so_far = len(compared.hashes)
        assert endpoint.status(headers=basic("alice")) == 200
        assert len(compared.hashes) == so_far
        assert endpoint.status(headers=basic("carol", "c")) == 401
        assert endpoint.status(headers=basic("bob", "b")) == 200
        replace(config, with_users(alice=hashed("new"), bob=bob))
        assert endpoint.status(headers=basic("alice")) == 401


def test_wrong_password_may_be_a_new_users_right_one(tmp_path: Path) -> None:
    config = tmp_path / "web.yml"
    same = hashed(PASSWORD)
    config.write_text(with_users(alice=same))
    with guarded(config) as endpoint:
        assert endpoint.status(headers=basic("bob")) == 401
        replace(config, with_users(alice=same, bob=same))
        assert endpoint.status(headers=basic("bob")) == 200


def test_scraper_is_let_in_while_others_guess(tmp_path: Path) -> None:
    users = {f"scraper-{number}": hashed(PASSWORD, SLOW) for number in range(8)}  # of each one comparison
    config = tmp_path / "web.yml"
    config.write_text(with_users(**users))
    over = threading.Event()
    answers: Counter[int] = Counter()

    with guarded(config) as endpoint, ThreadPoolExecutor(GUESSING) as attack:

        def guess(by: int) -> None:
            guesses = itertools.count()
            while not over.is_set():
                answers[endpoint.status(headers=basic("scraper-0", f"{by} {next(guesses)}"))] += 1

        guessing = [attack.submit(guess, by) for by in range(GUESSING)]
        try:
            eventually(lambda: endpoint.refused("busy") > 0, "they are more than may wait")
            for user in users:
                connection = endpoint.connect()
                connection.sock = endpoint.connect_raw("127.0.0.2")
                assert endpoint.ask(connection, basic(user)).status == 200
                connection.close()
        finally:
            over.set()
        assert [one.result() for one in guessing] == [None] * GUESSING
    assert set(answers) == {401, 503}
