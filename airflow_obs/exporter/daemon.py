"""What one exporter runs: its lanes, what is sent to it, what it sends out; replaced in part when the policy changes."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from airflow_obs.catalog import airflow
from airflow_obs.collectors.registry import Recipe, Shared
from airflow_obs.errors import AirflowObsError
from airflow_obs.exporter.board import Board
from airflow_obs.exporter.ingest.foreign import file as mapping_file
from airflow_obs.exporter.ingest.receive import Ingest, Received
from airflow_obs.exporter.lanes import Lane, all_jobs, lanes, nothing_to_export, shared_by
from airflow_obs.exporter.push.destinations import destinations
from airflow_obs.exporter.push.pusher import Destination, Pusher
from airflow_obs.exporter.scrape import Source
from airflow_obs.exporter.web.page.judgement import judgement
from airflow_obs.model import Reading
from airflow_obs.policy import Deployment, Policy
from airflow_obs.sources.database import Database

log = logging.getLogger(__name__)

STOP_WITHIN = 3.0
"""Seconds that workers are given to take leave of their sources when the exporter stops; of a Redis that takes more than one."""
END_WITHIN = 10.0
"""Seconds that lanes are given to end when another policy replaces them; the collectors of one that takes longer are made anew."""
INGEST = "ingest"

Account = Callable[[], Iterable[Reading]]


class Daemon:
    """Runs a deployment of a policy from `start` to `stop`; its `board` has the newest of it, its `judgement` what to make of that.

    Listens for what Airflow sends from its making on. Raises UsageError for what cannot be: nothing to export, an address that is
    taken, a file of a destination that cannot be read. A source that is not there is no error here: it fails when it is asked.
    """

    def __init__(
        self, policy: Policy, deployment: Deployment, accounts: Account = tuple, *, show_versions: bool = True
    ) -> None:
        self._shared = shared_by(deployment)
        self._deployment = deployment
        self.judgement = judgement(policy, deployment)
        self._accounts = accounts
        self._taking = threading.Lock()
        self._lanes = self._wanted(policy, deployment, self._shared)
        self._pushers = [self._pusher(one) for one in destinations(policy.push, deployment)]
        for lane in self._lanes:
            lane.equip()
        self.board = Board(deployment.name, all_jobs(self._lanes), accounts=self._readings, show_versions=show_versions)

    def start(self) -> None:
        """Begin to collect, to take what comes, and to send."""
        for lane in self._lanes:
            self._start(lane)
        for pusher in self._pushers:
            pusher.start()

    def stop(self) -> None:
        """End all of it; what does not end in time is left behind."""
        for pusher in self._pushers:
            pusher.stop()
        for lane in self._lanes:
            lane.stop.set()
        until = time.monotonic() + STOP_WITHIN
        for lane in self._lanes:
            lane.join(max(0.0, until - time.monotonic()))
        for pusher in self._pushers:
            pusher.join(max(0.0, until - time.monotonic()))

    def take(self, policy: Policy, deployment: Deployment) -> None:
        """Go on with this policy: what it does not change runs on undisturbed, and collectors that stay keep what they know.

        Raises what the making does, and then everything is as before. Takes as long as what it ends takes to end.
        """
        with self._taking:
            same_settings = deployment.airflow.executor == self._deployment.airflow.executor
            shared = self._shared if same_settings else shared_by(deployment)
            wanted = self._wanted(policy, deployment, shared)
            sending = destinations(policy.push, deployment)
            kept = {lane.name: lane for lane in self._lanes if any(lane.like(other) for other in wanted)}
            ending = {lane.name: lane for lane in self._lanes if lane.name not in kept}
            new = [lane for lane in wanted if lane.name not in kept]
            for lane in new:
                if lane.name == INGEST:  # first, for it alone can fail
                    self._listen(lane, ending.get(INGEST))
            _end(ending.values())
            for lane in new:
                if not lane.jobs:
                    lane.equip(ending.get(lane.name))
            self._shared, self._deployment = shared, deployment
            self.judgement = judgement(policy, deployment)
            self._lanes = [kept.get(lane.name, lane) for lane in wanted]
            self.board.replace(deployment.name, all_jobs(self._lanes))
            for lane in new:
                self._start(lane)
            self._send_to(sending)

    def _readings(self) -> Iterator[Reading]:
        yield from self._accounts()
        for pusher in self._pushers:
            yield from pusher.readings()

    def _pusher(self, destination: Destination) -> Pusher:
        return Pusher(destination, lambda: self.board.snapshot, lambda: self.board.publish())

    def _wanted(self, policy: Policy, deployment: Deployment, shared: Shared) -> list[Lane]:
        wanted = lanes(policy, deployment, shared)
        if deployment.sources.ingests and policy.collectors.ingest.enabled:
            wanted.append(self._ingest(policy, deployment))
        if not wanted:
            raise nothing_to_export(deployment)
        return wanted

    def _ingest(self, policy: Policy, deployment: Deployment) -> Lane:
        sources, said, knobs, dags = (
            deployment.sources,
            deployment.airflow.version,
            policy.collectors.ingest,
            policy.dags,
        )
        named = sources.statsd.mapping if sources.statsd else None
        mapping = mapping_file.load(named) if named else None
        of = (sources.statsd, sources.otlp, said, dags, mapping and mapping.text)

        def make(_: threading.Event, before: Source | None) -> Ingest:
            known = before if isinstance(before, Ingest) else None
            return Ingest(sources, knobs, dags, lambda: self._release(said), mapping, known)

        return Lane(INGEST, of, ((Recipe(Received), knobs),), make)

    def _release(self, said: str) -> tuple[int, int] | None:
        """Airflow's release, as the policy says it, or the database."""
        if said != "auto":
            major, minor = re.findall(r"\d+", said)[:2]
            return int(major), int(minor)
        database = next((lane.source for lane in self._lanes if isinstance(lane.source, Database)), None)
        return airflow.minor_release(database.revision) if database and database.revision else None

    def _start(self, lane: Lane) -> None:
        lane.start(self.board.record)
        if isinstance(lane.source, Ingest):
            lane.source.start()

    def _listen(self, lane: Lane, before: Lane | None) -> None:
        """Listen as `lane` does instead of as it was done `before`; if that cannot be, as before, and UsageError is raised."""
        if before is not None:
            _end([before])
        try:
            lane.equip(before)
        except AirflowObsError:
            if before is not None:
                self._listen_again(before)
            raise

    def _listen_again(self, before: Lane) -> None:
        again = before.anew()
        self._lanes = [one for one in self._lanes if one is not before]
        try:
            again.equip(before)
        except AirflowObsError as error:  # somebody has taken its address meanwhile
            log.error("ingest: nor can it be listened for as before, so that nothing is taken: %s", error)
        else:
            self._lanes.append(again)
        self.board.replace(self._deployment.name, all_jobs(self._lanes))
        if again in self._lanes:
            self._start(again)

    def _send_to(self, wanted: Sequence[Destination]) -> None:
        of = [one.of for one in wanted]
        staying = [one for one in self._pushers if one.destination.of in of]
        for pusher in self._pushers:
            if pusher not in staying:
                pusher.stop()
        known = [one.destination.of for one in staying]
        new = [self._pusher(one) for one in wanted if one.of not in known]
        self._pushers = [*staying, *new]
        for pusher in new:
            pusher.start()


def _end(some: Iterable[Lane]) -> None:
    """End these lanes, and wait for it."""
    some = list(some)
    for lane in some:
        lane.stop.set()
    until = time.monotonic() + END_WITHIN
    for lane in some:
        lane.join(max(0.0, until - time.monotonic()))
