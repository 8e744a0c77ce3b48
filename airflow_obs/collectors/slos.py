"""What objectives on DAGs need: how dag runs ended, whether each DAG is fresh, and whether it met its newest deadline."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import FINISHED_RUN_STATES
from airflow_obs.collectors.dag_patterns import Unmatched, any_of
from airflow_obs.collectors.daily import daily
from airflow_obs.collectors.live import active_dags
from airflow_obs.collectors.run_ends import RunEnds
from airflow_obs.collectors.run_outcomes import Run
from airflow_obs.collectors.successes import Successes
from airflow_obs.model import Reading
from airflow_obs.policy.slos import LEAD, Slo
from airflow_obs.sources.database import Session


@dataclass(frozen=True)
class Verdict:
    """Whether a DAG keeps an objective; `overdue`: whether it still has to make up for a deadline (None: it has none)."""

    slo: str
    dag_id: str
    good: bool
    overdue: bool | None = None


@dataclass(frozen=True)
class SlosSeen:
    """What one run of the collector saw: the verdicts, and by objective the newest deadline that has passed, and its DAGs."""

    verdicts: Sequence[Verdict]
    deadlines: Mapping[str, datetime]
    dags: Mapping[str, int]


class Slos:
    """Counts runs and follows successes from its first run on; DAGs are those that are still in a file, paused or not.

    Without an objective on DAGs nothing is read. A DAG is judged from its first deadline on, or when it has had time to be fresh,
    and keeps no objective as long as it never succeeded. What can no more be known, as after a restart, is not judged.
    """

    name = "slos"
    source = "database"

    def __init__(self, slos: Iterable[Slo]) -> None:
        every = [(slo, any_of([slo.dag_id or "*"])) for slo in slos]
        self._counted = [(slo, dags) for slo, dags in every if slo.kind == "dag_success"]
        self._judged = [(slo, dags) for slo, dags in every if slo.kind in {"dag_freshness", "dag_deadline"}]
        named = {f"dag_id of the SLO {slo.name}": slo.dag_id for slo, _ in self._counted + self._judged if slo.dag_id}
        self._unmatched = Unmatched(named)
        self._named = [(slo.name, dags) for slo, dags in self._counted + self._judged if slo.dag_id]
        self._runs = RunEnds()
        self._counts = Counter({(slo.name, state): 0 for slo, _ in self._counted for state in FINISHED_RUN_STATES})
        self._successes = Successes()

    def read(self, db: Session) -> SlosSeen:
        """Runs that have ended are counted and remembered even if what follows fails."""
        if not self._counted and not self._judged:
            return SlosSeen((), {}, {})
        dag_ids = _dags(db) if self._named else []
        self._unmatched.look_for_mistakes(dag_ids)
        deadlines = {
            slo.name: daily(slo.deadline, slo.location, slo.weekdays).around(db.now)
            for slo, _ in self._judged
            if slo.deadline
        }
        judged = [(slo, dag_id) for slo, dags in self._judged for dag_id in dag_ids if dags.match(dag_id)]
        asked: defaultdict[str, set[datetime]] = defaultdict(set)
        for slo, dag_id in judged:
            asked[dag_id].update(deadlines.get(slo.name, ()))
        ended, anew = self._runs.follow(db)
        self._count(ended)
        if anew:
            self._successes.forget()
        self._successes.watch(asked, db.now)
        self._successes.meet(ended)
        self._successes.look_up(db)
        passed = {name: moments[0] for name, moments in deadlines.items()}
        verdicts = [self._verdict(slo, dag_id, passed.get(slo.name), db.now) for slo, dag_id in judged]
        matching = {name: sum(bool(dags.match(dag_id)) for dag_id in dag_ids) for name, dags in self._named}
        return SlosSeen([verdict for verdict in verdicts if verdict], passed, matching)

    def samples(self, seen: SlosSeen) -> Iterator[Reading]:
        for (slo, outcome), count in self._counts.items():
            yield metrics.SLO_DAG_RUNS.sample(count, slo=slo, outcome=outcome)
        for slo, dags in seen.dags.items():
            yield metrics.SLO_DAGS.sample(dags, slo=slo)
        for slo, deadline in seen.deadlines.items():
            yield metrics.SLO_DEADLINE.sample(deadline.timestamp(), slo=slo)
        for verdict in sorted(seen.verdicts, key=lambda verdict: (verdict.good, not verdict.overdue)):
            yield metrics.SLO_DAG_GOOD.sample(verdict.good, slo=verdict.slo, dag_id=verdict.dag_id)
            if verdict.overdue is not None:
                yield metrics.SLO_DAG_OVERDUE.sample(verdict.overdue, slo=verdict.slo, dag_id=verdict.dag_id)

    def _count(self, ended: Iterable[Run]) -> None:
        for run in ended:
            for slo, dags in self._counted:
                if run.state in FINISHED_RUN_STATES and dags.match(run.key.dag_id):
                    self._counts[slo.name, run.state] += 1

    def _verdict(self, slo: Slo, dag_id: str, deadline: datetime | None, now: datetime) -> Verdict | None:
        """None while nobody knows."""
        span = slo.threshold or 0 if deadline is None else slo.lead or LEAD
        start = (deadline or now) - timedelta(seconds=span)
        last, newest = (self._successes.newest(dag_id, by) for by in (deadline, None))
        good = last is not None and last >= start
        if not good and self._successes.unknown(dag_id, start, deadline):
            return None
        overdue = None if deadline is None else not good and (newest is None or newest <= deadline)
        return Verdict(slo.name, dag_id, good, overdue)


def _dags(db: Session) -> list[str]:
    dag = db.schema.table("dag")
    return [row.dag_id for row in db.rows(sa.select(dag.c.dag_id).where(active_dags(db.schema, dag)))]
