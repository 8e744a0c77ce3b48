"""The server over real HTTP: paths, methods, formats and the front page."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tornado.httputil import HTTPServerRequest

from airflow_obs.catalog import metrics
from airflow_obs.errors import SourceError
from airflow_obs.exporter.board import Board
from airflow_obs.exporter.scrape import run
from airflow_obs.exporter.web.access import Access, Refusal
from tests.exporter.fakes import FakeSource, gives, job, raises
from tests.exporter.pages import Page
from tests.exporter.web.serving import Address, serving

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
PIECES = ["application/openmetrics-text", "text/plain", "version", "escaping", *'q.;,=10x"- ']
CURIOUS = {
    "": TEXT,
    "*/*": TEXT,
    "text/html": TEXT,
    "text/plain;version=1.0.0;escaping=dots": TEXT,
    "application/openmetrics-text": OPENMETRICS,
    "application/openmetrics-text;version=7.0.0": OPENMETRICS,
    "application/openmetrics-text;version=1.0.0;escaping=dots": OPENMETRICS,
    "application/openmetrics-text;version=newest": TEXT,
    "application/openmetrics-text;version=1.x.0": TEXT,
    "application/openmetrics-text;version=": OPENMETRICS,
    "application/openmetrics-text; q=0": TEXT,
    "application/openmetrics-text;version=1.0.0;Q=0.000,*/*": TEXT,
    "application/openmetrics-text;version=1.0.0;q=0;more=1": TEXT,
    "application/openmetrics-text;version=0.0.1;q=0,application/openmetrics-text;version=1.0.0;q=0.1": OPENMETRICS,
    "text/plain;version=;": TEXT,
    "text/plain;version=a.b": TEXT,
    ";;;,,,===": TEXT,
    "\xff\xfe": TEXT,
}


@pytest.fixture(scope="module")
def board() -> Board:
    good = job("pools", gives(metrics.POOL_SLOTS.sample(128, pool="default_pool")))
    bad = job("jobs", raises(SourceError("<script>alert('db')</script> & more")))
    new = job("health", gives(), FakeSource("health"))
    board = Board("prod <1>", [good, bad, new])
    board.record(run(good), run(bad))
    return board


@pytest.fixture(scope="module")
def exporter(board: Board) -> Iterator[Address]:
    with serving(board) as address:
        yield address


@pytest.mark.parametrize(
    ("accept", "format_"), [(PROMETHEUS_2, OPENMETRICS), (PROMETHEUS_3, OPENMETRICS), *CURIOUS.items()]
)
def test_format_is_negotiated_and_named_as_what_it_is(exporter: Address, accept: str, format_: str) -> None:
    answer = exporter.get("/metrics", accept=accept)
    assert (answer.status, answer.headers["content-type"]) == (200, format_)
    page = Page(answer.body.decode(), openmetrics=format_ == OPENMETRICS)
    assert page.value(metrics.POOL_SLOTS.name, pool="default_pool") == 128


@settings(max_examples=50)
@given(st.lists(st.sampled_from(PIECES)))
def test_no_accept_header_is_too_odd(exporter: Address, parts: list[str]) -> None:
    accept = "".join(parts)
    assert exporter.get("/metrics", accept=accept, accept_encoding=accept).status == 200


def test_zipped_on_request_only(exporter: Address) -> None:
    plain = exporter.get("/metrics")
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == "Accept, Accept-Encoding"
    for accept, openmetrics in (("", False), (PROMETHEUS_3, True)):
        zipped = exporter.get("/metrics", accept=accept, accept_encoding="deflate, gzip;q=1.0")
        assert zipped.headers["content-encoding"] == "gzip"
        assert Page(gzip.decompress(zipped.body).decode(), openmetrics=openmetrics).names


@pytest.mark.parametrize("refusal", ["gzip;q=0", "GZIP ; Q = 0.000", "identity, gzip;q=0.0, deflate", "gzip;q=0,"])
def test_not_zipped_for_who_refuses_it(exporter: Address, refusal: str) -> None:
    assert "content-encoding" not in exporter.get("/metrics", accept_encoding=refusal).headers


def test_hardly_wanted_is_wanted(exporter: Address) -> None:
    assert exporter.get("/metrics", accept_encoding="gzip;q=0.01").headers["content-encoding"] == "gzip"


@pytest.mark.parametrize("path", ["/metrics", "/-/healthy", "/-/ready", "/"])
def test_head_is_get_without_the_body(exporter: Address, path: str) -> None:
    got, head = exporter.get(path), exporter.get(path, "HEAD")
    assert (head.status, head.body) == (got.status, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    assert int(head.headers["content-length"]) == len(got.body)


def test_answers_name_no_library(exporter: Address) -> None:
    for path in ("/metrics", "/", "/nothing"):
        assert exporter.get(path).headers["server"] == "airflow-obs"


@pytest.mark.parametrize("path", ["/nothing", "/metrics/", "/-/", "/../etc/passwd", "//metrics", "/metrics%00"])
def test_unknown_path_is_not_found(exporter: Address, path: str) -> None:
    answer = exporter.get(path)
    assert (answer.status, answer.body) == (404, b"404 Not Found\n")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_not_allowed(exporter: Address, method: str) -> None:
    answer = exporter.get("/metrics", method, content_length="0")
    assert (answer.status, answer.body) == (405, b"405 Method Not Allowed\n")
    assert answer.headers["allow"] == "GET, HEAD"


def test_method_that_nobody_knows_is_not_allowed(exporter: Address) -> None:
    answer = exporter.get("/metrics", "BREW")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("http://exporter:9/-/healthy", 200),
        ("HTTPS://[::1]/-/healthy?a=b", 200),
        ("http://exporter", 200),
        ("http://exporter?a=b", 200),
        ("http://exporter/nothing", 404),
        ("http:///-/healthy", 404),
        ("ftp://exporter/-/healthy", 404),
        ("//exporter/-/healthy", 404),
        ("exporter:443", 404),
        ("*", 404),
    ],
)
def test_path_is_found_in_a_url(exporter: Address, url: str, status: int) -> None:
    assert exporter.get(url).status == status


class Site(Access):
    """Lets in who says `let me in`, and has headers of its own."""

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Content-Security-Policy": "default-src 'self'", "X-Frame-Options": "deny"}

    async def refusal(self, request: HTTPServerRequest) -> Refusal | None:
        if request.headers.get("Authorization") == "let me in":
            return None
        return Refusal(401, "unauthenticated", {"WWW-Authenticate": "Basic"})


@pytest.mark.parametrize("path", ["/metrics", "/-/healthy", "/-/ready", "/-/reload", "/", "/nothing"])
def test_every_path_asks_whom_to_let_in(board: Board, path: str) -> None:
    with serving(board, access=Site()) as exporter:
        for method in ("GET", "HEAD", "POST", "DELETE", "BREW"):
            answer = exporter.get(path, method)
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Basic")
            assert answer.body == (b"" if method == "HEAD" else b"401 Unauthorized\n")
            assert answer.headers["x-frame-options"] == "deny"
        answer = exporter.get(path, authorization="let me in")
        assert answer.status == {"/-/reload": 405, "/nothing": 404, "/-/ready": 503}.get(path, 200)
        assert answer.headers["x-frame-options"] == "deny"
        assert answer.headers["content-security-policy"] == "default-src 'self'"


def test_query_changes_nothing(exporter: Address) -> None:
    assert exporter.get("/metrics?name[]=x").status == 200


def test_healthy_always_and_ready_when_all_were_attempted() -> None:
    good, bad = job("pools", gives()), job("jobs", raises(SourceError("no")))
    board = Board("a", [good, bad])
    with serving(board) as exporter:
        assert exporter.get("/-/healthy").status == 200
        assert exporter.get("/-/ready").status == 503
        assert exporter.get("/metrics").status == 200
        board.record(run(good))
        assert exporter.get("/-/ready").status == 503
        board.record(run(bad))
        assert exporter.get("/-/ready").status == 200


def test_front_page_shows_every_collector_and_escapes_what_others_wrote(exporter: Address) -> None:
    answer = exporter.get("/")
    page = answer.body.decode()
    assert answer.headers["content-type"] == "text/html; charset=UTF-8"
    assert "1 of 3 collectors succeed" in page
    assert "prod &lt;1&gt;" in page
    assert "&lt;script&gt;alert(&#39;db&#39;)&lt;/script&gt; &amp; more" in page
    assert "<script" not in page
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "not run yet" in page


def test_page_of_one_board_is_served_anew_as_it_changes() -> None:
    source = job("pools", gives(metrics.POOL_SLOTS.sample(1, pool="p")))
    board = Board("a", [source])
    with serving(board) as exporter:
        assert metrics.POOL_SLOTS.name not in Page(exporter.get("/metrics").body.decode()).names
        board.record(run(source))
        assert metrics.POOL_SLOTS.name in Page(exporter.get("/metrics").body.decode()).names
