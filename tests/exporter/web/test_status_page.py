"""The status page in every state that an exporter can be in: what it says first, what it marks, and what it never shows."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from airflow_obs import __version__
from airflow_obs.catalog import metrics
from airflow_obs.errors import SourceError, SourceUnreachable
from airflow_obs.exporter.board import Board, Snapshot
from airflow_obs.exporter.scrape import Job, run
from airflow_obs.exporter.web.page.judgement import judgement
from airflow_obs.exporter.web.page.status_page import CONTENT_SECURITY_POLICY, MOST_FAULTS, Pages, status_page
from airflow_obs.model import Reading
from tests.exporter.fakes import Clock, FakeSource, gives, job, raises
from tests.generate.fleet import one, policy

SITE = policy(one())
JUDGED = judgement(SITE, SITE.deployments[0])
WELL = (metrics.POOL_SLOTS.sample(8, pool="etl"), metrics.POOL_OPEN.sample(8, pool="etl"))
DOWN = SourceUnreachable("database: db:5432: connection refused; is it running?")
VOID = {"meta", "link", "br", "wbr"}


class Text(HTMLParser):
    """What a reader sees: the text of the body, in its order; whether the tags nest is checked on the way."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "title"} & set(self._open):
            self.lines.append(data)

    def __str__(self) -> str:
        return " ".join(" ".join(self.lines).split())


def page(
    *jobs: Job, after: Iterable[Job] | None = None, accounts: Iterable[Reading] = (), show_versions: bool = True
) -> str:
    """The page of a board on which these jobs have run (only those of `after`, if given)."""
    board = Board("prod", jobs, accounts=lambda: accounts, show_versions=show_versions)
    for each in jobs if after is None else after:
        board.record(run(each))
    return status_page(board.snapshot, JUDGED, show_versions=show_versions)


def text(*jobs: Job, after: Iterable[Job] | None = None, accounts: Iterable[Reading] = ()) -> str:
    """What a reader sees of it."""
    return str(Text(page(*jobs, after=after, accounts=accounts)))


def test_nothing_has_run_yet() -> None:
    first, second = job("pools", gives(*WELL)), job("jobs", gives())
    seen = text(first, second, after=[])
    assert "- Nothing looks wrong so far; 2 of 2 collectors have not run yet." in seen
    assert "database - not asked yet never 0 of 2" in seen
    assert "pools database - not run yet never 15 s 0" in seen


def test_nothing_looks_wrong() -> None:
    html = page(job("pools", gives(*WELL)))
    seen = str(Text(html))
    assert "✓ Nothing looks wrong; 1 of 1 collectors succeed. Of the " in seen
    assert " alerts that this moment decides none holds. " in seen
    assert "more take history, or what is not seen here: ask Prometheus." in seen
    assert "<title>prod: nothing wrong seen " in html
    assert "database ✓ up just now 1 of 1" in seen
    assert "full 0 of 1 airflow_ obs_ pool_ open_ slots" in seen
    assert "✗" not in seen.partition("Pools")[2]


def test_source_that_is_down_is_one_fault_with_its_error_in_full_and_what_to_do() -> None:
    source = FakeSource()
    jobs = [job("pools", raises(DOWN), source), job("jobs", raises(DOWN), source)]
    seen = text(*jobs)
    assert (
        "✗ 1 thing looks wrong. source database is down, with its 2 collectors: no success so far "
        "database: db:5432: connection refused; is it running?"
    ) in seen
    assert "airflow-obs runbook AirflowDatabaseDown" in seen
    assert "database ✗ down never 0 of 2 database: db:5432: connection refused; is it running?" in seen
    assert "jobs database ✗ source down never" in seen


def test_sources_that_are_down_for_one_reason_are_one_fault() -> None:
    error = SourceUnreachable("broker: frozen")
    jobs = [job(name, raises(error), FakeSource(name)) for name in ("broker", "workers")]
    assert "✗ 1 thing looks wrong. sources broker, workers are down, with their 2 collectors: no success" in text(*jobs)


def test_collectors_that_were_not_due_since_their_source_went_down_do_not_count_as_succeeding() -> None:
    source = FakeSource()
    answers = [gives(*WELL), raises(DOWN)]
    often, seldom = job("pools", lambda: answers.pop(0)(), source), job("jobs", gives(), source)
    other = job("broker", gives(), FakeSource("broker"))
    seen = text(often, seldom, other, after=[often, seldom, other, often])
    assert (
        "1 thing looks wrong; 1 of 1 other collectors succeed. source database is down, with its 2 collectors" in seen
    )
    assert "database ✗ down just now 0 of 2" in seen
    assert "jobs database - ok before that just now" in seen


def test_page_that_is_old_says_so_before_all_else() -> None:
    source = FakeSource()
    jobs = [job("pools", gives(*WELL), source), job("jobs", raises(SourceError("no table job")), source)]
    board = Board("prod", jobs)
    board.record(*map(run, jobs))
    made = board.snapshot.made
    fresh, old = (str(Text(status_page(board.snapshot, JUDGED, now=made + after))) for after in (31, 3600))
    assert "1 thing looks wrong; 1 of 2 collectors succeed. collector jobs fails" in fresh
    assert (
        "2 things look wrong; 1 of 2 collectors succeed. all that is said here is old: it was read 1 h ago, "
        "and should be read every 32 s"
    ) in old


def test_what_holds_is_said_though_no_figure_shows_it() -> None:
    replica = metrics.REPLICA_LAG.sample(720, replica="standby", address="10.0.0.2")
    seen = text(job("replication", gives(replica)))
    assert (
        "1 thing looks wrong; 1 of 1 collectors succeed. The replica standby is 12 min behind (threshold 5 min)" in seen
    )
    assert "airflow-obs runbook AirflowReplicaLagging" in seen


def test_collector_that_fails_alone_is_named_and_what_it_knew_is_stale() -> None:
    answers = [gives(*WELL), raises(SourceError("no table slot_pool"))]
    failing = job("pools", lambda: answers.pop(0)())
    seen = text(failing, job("jobs", gives()), after=[failing, failing])
    assert "collector pools fails no table slot_pool" in seen
    assert "airflow-obs runbook AirflowCollectorFailing" in seen
    assert "pools database ✗ failing just now (stale)" in seen
    assert "full 0 of 1" not in seen


def test_late_collector() -> None:
    clock = Clock()
    late = job("pools", gives(*WELL))
    board = Board("prod", [late], clock)
    board.record(run(late))
    clock.now += 1000
    board.look_for_late()
    seen = str(Text(status_page(board.snapshot, JUDGED)))
    assert "source database is down and late, with its collector: last success just now" in seen
    assert "collector pools is late: it has not finished for too long" in seen
    assert "pools database ✗ late just now (stale)" in seen
    later = str(Text(status_page(board.snapshot, JUDGED, now=board.snapshot.made + 3600)))
    assert "is old" not in later, "for a collector that is known to be late nobody waits"


def test_series_that_are_dropped() -> None:
    many = job("pools", gives(*(metrics.POOL_SLOTS.sample(1, pool=f"p{at}") for at in range(12))), max_series=5)
    seen = text(many)
    assert "collector pools: more series than max_series, the rest is dropped" in seen
    assert "15 s 7 ✗ still" in seen


def test_source_that_nobody_told_us_of_is_no_fault() -> None:
    seen = text(job("health", gives(), FakeSource("health", known=False)))
    assert "Nothing looks wrong" in seen
    assert "health - not found" in seen
    assert "health health - nothing to ask" in seen


def accounts(*, pushed: bool, taken: bool) -> Iterator[Reading]:
    yield metrics.PUSH_SUCCESS.sample(pushed, destination="otlp")
    yield metrics.PUSH_LAST_SUCCESS.sample(0, destination="otlp")
    yield metrics.PUSH_LAST_SUCCESS.sample(0, destination="textfile")
    yield metrics.PUSH_FAILURES.sample(3, destination="otlp")
    yield metrics.PUSH_WAITING.sample(2, destination="otlp")
    yield metrics.PUSH_LOST.sample(1, destination="otlp", reason="buffer full")
    yield metrics.CONFIG_RELOADED.sample(taken, config="policy")
    yield metrics.CONFIG_LOADED.sample(1_700_000_000, config="policy")
    yield metrics.WEB_REFUSED.sample(1200, reason="password")


def test_push_that_fails_and_policy_that_was_not_taken() -> None:
    seen = text(job("pools", gives(*WELL)), accounts=list(accounts(pushed=False, taken=False)))
    assert "2 things look wrong" in seen
    assert "the newest policy was not taken, the one before holds; the log says why" in seen
    assert "otlp does not take what is sent: last success never" in seen
    assert "otlp ✗ failing never 3 2 1 (buffer full)" in seen
    assert "textfile - not sent yet never 0 0 none" in seen
    assert "policy ✗ newest not taken" in seen
    assert "This endpoint refused: 1,200 password" in seen


def test_push_that_succeeds_and_policy_that_was_taken() -> None:
    seen = text(job("pools", gives(*WELL)), accounts=list(accounts(pushed=True, taken=True)))
    assert "Nothing looks wrong" in seen
    assert "otlp ✓ ok" in seen
    assert "policy ✓ taken" in seen


def test_figure_beyond_its_threshold_comes_first_with_what_it_costs_and_what_to_do() -> None:
    sick = job("pools", gives(metrics.POOL_OPEN.sample(0, pool="etl"), metrics.POOL_SCHEDULED.sample(18, pool="etl")))
    seen = text(sick)
    assert (
        "1 thing looks wrong; 1 of 1 collectors succeed. Pools: slots that are waited for: 18, of pool etl "
        "Tasks that need this pool wait, and the runs behind them come late. airflow-obs runbook AirflowPoolExhausted"
    ) in seen
    assert "slots that are waited for ✗ 18, of pool etl" in seen
    links = [of.get("href") for tag, of in Text(page(sick)).tags if tag == "a"]
    assert SITE.output.runbook_url.replace("{alert}", "AirflowPoolExhausted") in links


def test_worse_figures_come_before_others() -> None:
    found = [metrics.IMPORT_ERRORS.sample(1)]
    jobs = [
        job("jobs", gives(metrics.JOBS_ALIVE.sample(0, job_type="SchedulerJob"))),
        job("dag_processing", gives(*found)),
    ]
    seen = text(*reversed(jobs))
    assert seen.index("AirflowSchedulerDown") < seen.index("AirflowDagImportErrors")


def test_many_faults_are_counted() -> None:
    jobs = [job(f"c{number}", raises(SourceError(f"error {number}"))) for number in range(MOST_FAULTS + 3)]
    seen = text(*jobs)
    assert f"{MOST_FAULTS + 3} things look wrong" in seen
    assert "and 3 more" in seen
    assert all(f"error {number}" in seen.partition("Sources")[0] for number in range(MOST_FAULTS + 3))


def test_what_others_wrote_is_escaped_cut_and_cannot_turn_the_line() -> None:
    nasty = "<img src=x onerror=alert(1)>\u202egnp.exe" + "n" * 300
    pools = [metrics.POOL_OPEN.sample(0, pool=f"{nasty}{number}") for number in range(10_000)]
    html = page(
        job("pools", gives(*pools), max_series=100_000),
        job("jobs", raises(SourceError("<script>alert('db')</script>" + "e" * 100_000))),
    )
    assert "<img" not in html
    assert "<script" not in html
    assert "&lt;script&gt;alert(&#39;db&#39;)&lt;/script&gt;" in html
    assert "\u202e" not in html
    assert "10,000 of 10,000" in html
    assert len(html) < 40_000


@pytest.mark.parametrize("show", [True, False])
def test_version_only_where_it_may_be_known(*, show: bool) -> None:
    html = page(job("pools", gives(*WELL)), show_versions=show)
    assert (__version__ in html) is show
    assert "airflow-obs" in html


def test_page_needs_nothing_but_itself() -> None:
    html = page(job("pools", gives(*WELL)), accounts=list(accounts(pushed=False, taken=False)))
    [style] = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in CONTENT_SECURITY_POLICY
    assert not re.search(r"<script|\son\w+=|\sstyle=|url\(|@import|src=", html)
    assert [of["href"] for tag, of in Text(html).tags if tag == "link"] == ["data:,"]


def test_tables_and_sections_say_what_they_are() -> None:
    tags = Text(page(job("pools", gives(*WELL)), accounts=list(accounts(pushed=False, taken=False)))).tags
    ids = [of["id"] for _, of in tags if "id" in of]
    assert len(ids) == len(set(ids))
    assert all(of["scope"] in ("row", "col") for tag, of in tags if tag == "th")
    assert {of["aria-labelledby"] for _, of in tags if "aria-labelledby" in of} <= set(ids)
    assert {of["href"] for tag, of in tags if tag == "a"} >= {"metrics", "-/healthy", "-/ready"}
    assert all(str(of["href"])[1:] in ids for tag, of in tags if tag == "a" and str(of["href"]).startswith("#"))
    headings = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))


def test_page_is_rendered_once_however_many_ask() -> None:
    rendered: list[Snapshot] = []

    def render(snapshot: Snapshot) -> str:
        rendered.append(snapshot)
        return f"page {len(rendered)}"

    first, second = Board("a", []).snapshot, Board("b", []).snapshot

    async def ask() -> list[bytes]:
        pages = Pages(render)
        of_first = await asyncio.gather(*(pages.of(first) for _ in range(50)))
        return [*of_first, await pages.of(second)]

    assert asyncio.run(ask()) == [b"page 1"] * 50 + [b"page 2"]
    assert rendered == [first, second]
