"""Turns: of many who wait each address has its share, and the longest line pays for who comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from airflow_obs.exporter.web.turns import Busy, Turns, line_of


class Waiting:
    """Those who ask for turns, in the order in which they got them, while the first of all keeps its until `go_on`."""

    def __init__(self, most: int) -> None:
        self.turns = Turns(most)
        self.served: list[str] = []
        self.busy: list[str] = []
        self.go_on = asyncio.Event()
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *names: str) -> None:
        """Each asks from the address that its name begins with."""
        for name in names:
            self.tasks[name] = asyncio.create_task(self._turn(name))
            await asyncio.sleep(0)

    async def end(self) -> list[str]:
        self.go_on.set()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        return self.served

    async def _turn(self, name: str) -> None:
        try:
            async with self.turns.turn(f"10.0.0.{name[0]}"):
                self.served.append(name)
                await self.go_on.wait()
        except Busy:
            self.busy.append(name)


def served(most: int, story: Callable[[Waiting], Awaitable[object]]) -> tuple[list[str], list[str]]:
    """Who got a turn, in what order, and who had to come again."""

    async def told() -> tuple[list[str], list[str]]:
        waiting = Waiting(most)
        await story(waiting)
        return await waiting.end(), waiting.busy

    return asyncio.run(told())


def test_addresses_take_turns() -> None:
    assert served(9, lambda one: one.come("1a", "1b", "1c", "1d", "2a", "2b", "3a")) == (
        ["1a", "1b", "2a", "3a", "1c", "2b", "1d"],
        [],
    )


def test_who_comes_alone_takes_the_place_of_the_last_in_the_longest_line() -> None:
    assert served(3, lambda one: one.come("1a", "1b", "1c", "1d", "1e", "2a", "3a", "4a")) == (
        ["1a", "1b", "2a", "3a"],
        ["1e", "1d", "1c", "4a"],
    )


def test_more_addresses_than_may_wait_are_too_many() -> None:
    assert served(2, lambda one: one.come("1a", "2a", "3a", "4a")) == (["1a", "2a", "3a"], ["4a"])


def test_turn_is_free_again_when_all_have_had_theirs() -> None:
    async def story(one: Waiting) -> None:
        one.go_on.set()
        await one.come("1a", "1b")
        await one.end()
        await one.come("2a")

    assert served(0, story) == (["1a", "1b", "2a"], [])


def test_who_leaves_while_waiting_is_passed_over() -> None:
    async def story(one: Waiting) -> None:
        await one.come("1a", "2a", "3a")
        one.tasks["2a"].cancel()

    assert served(9, story) == (["1a", "3a"], [])


def test_who_leaves_when_it_is_its_turn_passes_it_on() -> None:
    async def story(one: Waiting) -> None:
        await one.come("1a", "2a", "3a")
        one.go_on.set()
        while not one.tasks["1a"].done():
            await asyncio.sleep(0)
        one.tasks["2a"].cancel()

    assert "3a" in served(9, story)[0]


def test_who_leaves_when_it_was_sent_away_passes_nothing_on() -> None:
    """Else two would have a turn at a time."""

    async def story(one: Waiting) -> None:
        await one.come("1a", "1b", "1c")
        one.tasks["2a"] = asyncio.create_task(one._turn("2a"))
        while one.turns._lines.keys() != {"10.0.0.1", "10.0.0.2"}:
            await asyncio.sleep(0)
        one.tasks["1c"].cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert one.served == ["1a"]

    assert served(2, story) == (["1a", "1b", "2a"], [])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "/run/client", True),
    ],
)
def test_ipv6_network_is_one_address(one: str, other: str, same: bool) -> None:
    assert (line_of(one) == line_of(other)) is same
