"""From lines of StatsD to series: the catalogue's, a mapping file's, or of the line's own name; each is accounted for once."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

from airflow_obs.exporter.ingest.accounts import Accounts, Outcome, Reason
from airflow_obs.exporter.ingest.foreign.mapping import Mapping
from airflow_obs.exporter.ingest.statsd.canonical import Canonical, Fate, Feed
from airflow_obs.exporter.ingest.statsd.foreign_feed import ForeignFeeds
from airflow_obs.exporter.ingest.statsd.lines import Value, parse
from airflow_obs.exporter.ingest.store import Store
from airflow_obs.exporter.ingest.units import Style
from airflow_obs.policy.dags import DagsPolicy

MOST_CACHED = 200_000
"""Lines, without their values, of which is remembered what becomes of them."""
MOST_STRANGERS = 2_000
"""Those among them that nobody knows, or for which there is no room: of a flood of names none comes again."""
LONGEST_CACHED = 512
"""Bytes of such a line: together with the above it bounds the memory that a flood of names can take."""
SHORT = 3
"""Digits of a value that is likely to come again on the same line."""

_PLAIN = re.compile(rb"\d{1,15}(?:\.\d{1,25})?").fullmatch
"""A value as nearly all are: anything else, a sign above all, is for the parser to understand."""
_NO_ROOM = Outcome.DROPPED, Reason.SERIES_LIMIT
_TAKEN = Outcome.DROPPED, Reason.NAME_TAKEN
_NOT_NOW = (_NO_ROOM, _TAKEN)
_UNMAPPED = Outcome.UNMAPPED, Reason.UNKNOWN_NAME
_UNKNOWN = {Reason.UNKNOWN_NAME, Reason.OTHER_TYPE}


class Mapper:
    """Takes what arrived, in batches, from any thread. What a line becomes is found out once and then looked up.

    `prefix` is Airflow's (`statsd_prefix`); `style` fixes how its client sends tags ("none" for not at all), "auto" finds out;
    `release` is asked now and then for the release as far as it is known. `mapping` gives lines series of its own, beside the
    catalogue's; `keep_unmapped` gives them to lines that neither knows. `clock` gives seconds that never go back, `wall` Unix
    seconds.
    """

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        *,
        prefix: str = "airflow",
        style: Literal["auto", "none", "influxdb", "datadog"] = "auto",
        release: Callable[[], tuple[int, int] | None] = lambda: None,
        dags: DagsPolicy | None = None,
        mapping: Mapping | None = None,
        keep_unmapped: bool = False,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._accounts = store, accounts
        fixed = None if style == "auto" else Style.PLAIN if style == "none" else Style(style)
        self.canonical = Canonical(
            store, prefix=prefix, style=fixed, release=release, dags=dags or DagsPolicy(), clock=clock, wall=wall
        )
        self._foreign = ForeignFeeds(store, mapping, keep_unmapped=keep_unmapped)
        self._cache: dict[tuple[bytes, bytes], Feed] = {}
        self._strangers: list[tuple[bytes, bytes]] = []
        """Of these those that have no series, or none by anybody's wish."""
        self._whole: dict[bytes, tuple[Feed, float]] = {}
        """Lines with their values, where these are likely to come again: most of what Airflow sends counts one, or few."""
        self._known = (0, 0)
        self._limited = False
        """Whether a line is remembered for which there was no room, or whose name was another family's."""
        self._fates: Counter[tuple[Outcome, Reason | None]] = Counter()

    @property
    def style(self) -> str:
        """How the client sends tags: undecided, plain, influxdb or datadog."""
        return self.canonical.style or "undecided"

    @property
    def remembered(self) -> int:
        """Lines of which it remembers what becomes of them."""
        return len(self._cache) + len(self._whole)

    def take(self, packets: Sequence[bytes]) -> None:
        """Take packets of one or more whole lines."""
        mapped = 0
        with self._store.lock:
            self._forget_if_changed()
            whole, cached = self._whole.get, self._cache.get
            for packet in packets:
                for line in packet.split(b"\n"):
                    if known := whole(line):
                        feed, value = known
                    else:
                        # partition, and not one pattern for all: this is what most of the time is spent on (bench/).
                        head, _, rest = line.partition(b":")
                        number, _, tail = rest.partition(b"|")
                        found = cached((head, tail))
                        if found is None or not _PLAIN(number):
                            if line and line != b"\r":
                                self._understand(line, (head, tail), number)
                            continue
                        feed, value = found, float(number)
                        if len(number) <= SHORT:
                            self._remember(line, feed, value)
                    if taken := feed(value):
                        mapped += 1
                    elif taken is False:
                        self._fates[_NO_ROOM] += 1
            self._fates[Outcome.MAPPED, None] += mapped
            self._settle()
            self._report()

    def tick(self) -> None:
        """Decide what has waited for too long. To be called about once a second."""
        with self._store.lock:
            self.canonical.tick()
            self._settle()
            self._report()

    def finish(self) -> None:
        """Decide all that waits: nothing more will come."""
        with self._store.lock:
            self.canonical.tick(patience=0)
            self._settle()
            self._report()

    def _understand(self, line: bytes, key: tuple[bytes, bytes], number: bytes) -> None:
        samples = parse(line.removesuffix(b"\r"))
        for sample in samples:
            if isinstance(sample, Reason):
                self._fates[Outcome.INVALID, sample] += 1
                continue
            strange = self._strange
            feed = self._feed(sample)
            changed = self._forget_if_changed()
            if feed is None:
                continue
            self._give(feed, sample.value)
            alone = len(samples) == 1 and len(line) <= LONGEST_CACHED
            # A line that changed what is believed may itself have been the exception; a time stamp makes every line a new one.
            if not changed and alone and _PLAIN(number) and b"|T" not in key[1]:
                self._cache_one(key, feed, stranger=self._strange > strange)

    @property
    def _strange(self) -> int:
        return self._fates[_NO_ROOM] + self._fates[_TAKEN] + self._fates[_UNMAPPED]

    def _cache_one(self, key: tuple[bytes, bytes], feed: Feed, *, stranger: bool) -> None:
        if len(self._cache) >= MOST_CACHED:
            self._forget()
        if stranger:
            if len(self._strangers) >= MOST_STRANGERS:
                for one in self._strangers:
                    self._cache.pop(one, None)
                self._strangers.clear()
            self._strangers.append(key)
        self._cache[key] = feed

    def _forget(self) -> None:
        self._cache.clear()
        self._strangers.clear()

    def _remember(self, line: bytes, feed: Feed, value: float) -> None:
        if len(self._whole) >= MOST_CACHED:
            self._whole.clear()
        self._whole[line] = feed, value

    def _give(self, feed: Feed, value: float) -> None:
        taken = feed(value)
        if taken is not None:
            self._fates[(Outcome.MAPPED, None) if taken else _NO_ROOM] += 1

    def _feed(self, sample: Value) -> Feed | None:
        """What takes the sample's value and says, or counts, what became of it; None if the sample waits."""
        foreign = self._foreign.feed(sample)
        wanted = foreign or (self._foreign.own_name(sample) if self._foreign.names_the_rest else None)
        canonical = self.canonical.feed(sample, counted=callable(wanted))
        unknown = canonical is not None and not callable(canonical) and canonical[1] in _UNKNOWN
        other = wanted or (self._foreign.own_name(sample) if unknown else None)
        self._limited |= canonical in _NOT_NOW or other in _NOT_NOW
        if canonical is None:
            if callable(other):
                self._give(other, sample.value)
            return None
        if callable(canonical):
            return _both(canonical, other) if callable(other) else canonical
        if callable(other):
            return self._unmapped(other, canonical) if unknown and foreign is None else other
        return self._refused((other or canonical) if unknown else canonical)

    def _refused(self, fate: Fate) -> Feed:
        def count(_value: float) -> None:
            self._fates[fate] += 1

        return count

    def _unmapped(self, own: Feed, fate: Fate) -> Feed:
        """A line that nobody knows is unmapped even though it has a series under its own name."""

        def keep(value: float) -> None:
            self._fates[fate if own(value) else _NO_ROOM] += 1

        return keep

    def _settle(self) -> None:
        settled, self.canonical.settled = self.canonical.settled, []
        for held, found in settled:
            if callable(found):
                taken = found(held.sample.value)
                fate: tuple[Outcome, Reason | None] = (Outcome.MAPPED, None) if taken else _NO_ROOM
            else:
                fate = found
            self._fates[fate] += not held.counted

    def _forget_if_changed(self) -> bool:
        revision, freed = self._known
        known = self.canonical.revision, self._store.freed
        if known[0] == revision and (known[1] == freed or not self._limited):
            return False
        self._known, self._limited = known, False
        self._forget()
        self._whole.clear()
        return True

    def _report(self) -> None:
        fates, self._fates = self._fates, Counter()
        for (outcome, reason), n in fates.items():
            self._accounts.count("statsd", outcome, n, reason)


def _both(one: Feed, other: Feed) -> Feed:
    """A sample that has a series in at least one place is mapped."""

    def feed(value: float) -> bool:
        first, second = one(value), other(value)
        return bool(first or second)

    return feed
