"""The status page of a real exporter in a real Chromium: readable by everybody, without scripts, and silent about secrets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chromium import Tab, browse
from tests.exporter.web.test_status_page import Text
from tests.exporter_process import QUICK, exporter
from tests.screenshot import SHOWN, sick_demo

WIDTHS = (360, 768, 1600)
FAINT = """
(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return null;
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = {looked: 0, faint: []};
  while (texts.nextNode()) {
    const text = texts.currentNode.data.trim(), element = texts.currentNode.parentElement;
    if (!text) continue;
    const [one, other] = [light(parse(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    found.looked += 1;
    if (ratio < 4.5) found.faint.push(`${ratio.toFixed(2)} ${text}`);
  }
  return found;
})()
"""
"""How many texts there are, and those whose contrast is below that of WCAG 2.2 AA (1.4.3), of which headings would need less."""


@pytest.fixture(scope="module")
def sick() -> Iterator[str]:
    """The page of a demo with a fault."""
    with sick_demo() as url:
        yield url


def test_page_says_without_scripts_all_that_it_has_and_asks_nobody_else(sick: str, tmp_path: Path) -> None:
    async def visit(tab: Tab) -> None:
        await tab.see(1280, scripts=False)
        await tab.open(sick)
        seen = await tab.run("document.body.innerText")
        assert "".join(seen.split()) == "".join("".join(Text(await tab.source()).lines).split())
        assert SHOWN in seen
        assert "queues with tasks but no worker" in seen
        assert tab.complaints == []
        assert tab.requested == [sick]

    browse(tmp_path, visit)


def test_page_has_room_on_every_screen(sick: str, tmp_path: Path) -> None:
    async def visit(tab: Tab) -> None:
        for width in WIDTHS:
            await tab.see(width)
            await tab.open(sick)
            wide, there = await tab.run("[document.scrollingElement.scrollWidth, document.documentElement.clientWidth]")
            assert there == width
            assert wide <= there

    browse(tmp_path, visit)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(scheme: str, sick: str, tmp_path: Path) -> None:
    async def visit(tab: Tab) -> None:
        await tab.see(1280, scheme=scheme)
        await tab.open(sick)
        found = await tab.run(FAINT)
        assert found["looked"] > 100
        assert found["faint"] == []
        ground = await tab.run("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") is (scheme == "light")

    browse(tmp_path, visit)


def test_browser_refuses_what_is_not_of_the_page(sick: str, tmp_path: Path) -> None:
    async def visit(tab: Tab) -> None:
        await tab.see(1280)
        await tab.open(sick)
        await tab.run("document.body.setAttribute('style', 'color: red')")
        assert await tab.run("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
        assert any("style-src" in complaint for complaint in tab.complaints)

    browse(tmp_path, visit)


def test_password_of_a_database_that_is_down_is_nowhere(tmp_path: Path) -> None:
    secret = "p4ss-of-the-database"
    url = f"postgresql://airflow:{secret}@127.0.0.1:1/airflow"

    async def visit(tab: Tab) -> None:
        await tab.see(1280)
        await tab.open(f"http://127.0.0.1:{running.port}/")
        dom = await tab.run("document.documentElement.outerHTML")
        assert "source database is down" in dom
        assert "127.0.0.1:1" in dom
        assert secret not in dom

    with exporter(tmp_path, {"AIRFLOW_OBS_DB_URL": url}, QUICK, secrets=(secret,)) as running:
        running.until_down()
        browse(tmp_path, visit)
