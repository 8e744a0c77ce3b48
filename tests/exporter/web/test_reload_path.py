"""POST /-/reload: who may, one at a time, and scrapes go on meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager

import pytest
from tornado.httputil import HTTPServerRequest

from airflow_obs.exporter.board import Board
from airflow_obs.exporter.web.access import Access, Refusal
from airflow_obs.exporter.web.handlers import MAX_BODY_BYTES, MAX_RELOADS, RETRY_AFTER_SECONDS
from tests.eventually import eventually
from tests.exporter.fakes import gives, job
from tests.exporter.web.serving import ANSWER_WITHIN, Address, all_of, serving

Reload = Callable[[], str | None]


class Closed(Access):
    """Lets nobody in; if it is rude, without a word."""

    def __init__(self, *, rude: bool = False) -> None:
        super().__init__()
        self._rude = rude

    async def refusal(self, request: HTTPServerRequest) -> Refusal | None:
        if self._rude:
            request.connection.stream.close()  # type: ignore[union-attr]  # there is one
        return Refusal(401, "unauthenticated")


class Held:
    """A reload that takes until it is let go; `times` counts those that were begun."""

    def __init__(self) -> None:
        self.times = 0
        self.go = threading.Event()

    def __call__(self) -> str | None:
        self.times += 1
        assert self.go.wait(ANSWER_WITHIN)
        return None


class Admitting(Access):
    """Lets everybody in, when it is let go; `times` counts those who asked."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0
        self.go = threading.Event()

    async def refusal(self, request: HTTPServerRequest) -> Refusal | None:
        assert request.path == "/-/reload"
        self.times += 1
        assert await asyncio.to_thread(self.go.wait, ANSWER_WITHIN)
        return None


@contextmanager
def reloading(reload: Reload | None, access: Access | None = None) -> Iterator[Address]:
    """A server with that reload."""
    with serving(Board("a", [job("pools", gives())]), reload=reload, access=access) as address:
        yield address


def well() -> str | None:
    """A reload that succeeds."""
    return None


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_policy_is_taken(method: str) -> None:
    with reloading(well) as exporter:
        answer = exporter.get("/-/reload", method)
        assert (answer.status, answer.body) == (200, b"the policy was taken\n")


def test_what_is_wrong_with_the_policy_is_said_without_passwords() -> None:
    with reloading(lambda: "policy.yaml:1:2: postgresql://me:secret@db: no such key") as exporter:
        answer = exporter.get("/-/reload", "POST")
    assert answer.status == 500
    assert b"the one before holds:\npolicy.yaml:1:2: postgresql://me:***@db: no such key\n" in answer.body


def test_forbidden_unless_a_flag_allows_it() -> None:
    with reloading(None) as exporter:
        answer = exporter.get("/-/reload", "POST")
    assert answer.status == 403
    assert b"--web.enable-lifecycle" in answer.body


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "PATCH"])
@pytest.mark.parametrize("reload", [well, None])
def test_to_look_is_not_to_ask(method: str, reload: Reload | None) -> None:
    with reloading(reload) as exporter:
        answer = exporter.get("/-/reload", method)
    assert (answer.status, answer.headers["allow"]) == (405, "POST, PUT")


def test_others_are_answered_while_it_is_read_and_only_one_waits() -> None:
    held = Held()
    with reloading(held) as exporter, ThreadPoolExecutor(MAX_RELOADS + 1) as pool:
        asked = [pool.submit(exporter.get, "/-/reload", "POST") for _ in range(MAX_RELOADS + 1)]
        [refused], others = wait(asked, ANSWER_WITHIN, FIRST_COMPLETED)
        assert refused.result().status == 503
        assert refused.result().headers["retry-after"] == str(RETRY_AFTER_SECONDS)
        assert exporter.get("/metrics").status == 200
        eventually(lambda: held.times == 1, "it is read")
        held.go.set()
        assert [one.result().status for one in others] == [200] * MAX_RELOADS
        assert held.times == MAX_RELOADS
        assert exporter.get("/-/reload", "POST").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site", "origin": "http://127.0.0.1"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
    ],
    ids=str,
)
def test_page_of_another_site_is_refused(headers: dict[str, str]) -> None:
    held = Held()
    with reloading(held) as exporter:
        assert exporter.get("/-/reload", "POST", **headers).status == 403
    assert held.times == 0


def test_page_of_our_own_is_not() -> None:
    with reloading(well) as exporter:
        assert exporter.get("/-/reload", "POST", sec_fetch_site="same-origin").status == 200
        assert exporter.get("/-/reload", "POST", sec_fetch_site="none").status == 200
        assert exporter.get("/-/reload", "POST", origin=f"http://127.0.0.1:{exporter.port}").status == 200


def test_whom_access_does_not_let_in_learns_nothing() -> None:
    held = Held()
    with reloading(held, Closed()) as exporter:
        for method in ("GET", "POST", "PUT", "DELETE"):
            answer = exporter.get("/-/reload", method, origin="https://evil.example")
            assert (answer.status, answer.body) == (401, b"401 Unauthorized\n")
    assert held.times == 0


def test_nothing_is_done_for_whom_access_hung_up_on(caplog: pytest.LogCaptureFixture) -> None:
    held = Held()
    with reloading(held, Closed(rude=True)) as exporter, exporter.connect() as client:
        client.sendall(b"POST /-/reload HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert all_of(client) == b""
    assert (held.times, caplog.messages) == (0, [])


def test_body_too_long_is_refused_before_it_comes() -> None:
    held = Held()
    with reloading(held) as exporter:
        for length in (MAX_BODY_BYTES + 1, 10**30):
            assert exporter.get("/-/reload", "POST", content_length=str(length)).status == 413
    assert held.times == 0


@pytest.mark.parametrize("at", ["access", "reload"])
def test_who_waits_for_an_answer_keeps_its_place(at: str) -> None:
    """Those who ask for nothing have to go, however late they came."""
    held, admitting = Held(), Admitting()
    if at == "access":
        held.go.set()
    else:
        admitting.go.set()
    board = Board("a", [job("pools", gives())])
    with serving(board, room=3, access=admitting, reload=held) as exporter, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(exporter.get, "/-/reload", "POST")
        eventually(lambda: (admitting if at == "access" else held).times == 1, "it waits")
        with ExitStack() as stack:
            idle = [stack.enter_context(exporter.connect()) for _ in range(9)]
            assert [all_of(one) for one in idle[:7]] == [b""] * 7
            held.go.set()
            admitting.go.set()
            assert asked.result().status == 200
