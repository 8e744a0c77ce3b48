"""How each objective is judged: what of each minute was bad, and what follows of that for longer times and the error budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import reduce

from airflow_obs import promql
from airflow_obs.catalog import foreign, metrics
from airflow_obs.catalog import recording as rec
from airflow_obs.catalog.alerts.alert import Scope
from airflow_obs.catalog.alerts.causes import down
from airflow_obs.catalog.alerts.members import alive
from airflow_obs.catalog.alerts.scheduler import SCHEDULER_JOB
from airflow_obs.catalog.burning import BURNED_BY
from airflow_obs.catalog.objective import DAILY, QUEUED, Objective
from airflow_obs.model import Metric, Recorded, Severity
from airflow_obs.promql import TARGET, Expr, Family, Match, Number, Part, Selector, avg_by, max_by, over_time, sum_by

_REMEMBERED = 3600
"""Seconds for which Prometheus may be away, or not scrape an exporter, without the loss of what is counted meanwhile."""
_HALF = rec.MINUTE // 2
"""By which a time is shorter than it is called: of 5 minutes the minute at its very end is the fifth, not a sixth."""


def recordings(at: Scope, of: Objective) -> Iterator[tuple[Recorded, Expr]]:
    """What is recorded of one objective, each after what it is made of. At most 20 rules, which is what Mimir takes of a group."""
    bad, events = _KINDS[of.kind](at, of)
    yield rec.BAD, bad
    yield rec.EVENTS, events
    for seconds, family in rec.EVENTS_OVER.items():
        yield family, _sum(at, of, rec.EVENTS, seconds)
    yield rec.EVENTS_ALTOGETHER, _sum(at, of, rec.EVENTS, of.window)
    if of.burns:
        for seconds, family in rec.SPENT.items():
            yield family, _spent(at, of, seconds)
        yield rec.WINDOW, promql.vector(of.window)
        yield rec.CAUSE, _cause(at, of)
    yield rec.ERRORS, _errors(at, of, of.window)
    yield rec.REMAINING, 1 - at(rec.ERRORS, slo=of.name) / (1 - of.target)
    yield rec.OBJECTIVE, promql.vector(of.target)
    yield rec.MIN_EVENTS, promql.vector(of.enough)


def measured_by(at: Scope, of: Objective) -> frozenset[Metric]:
    """The families that an objective is judged by."""
    return frozenset(
        family for expr in _KINDS[of.kind](at, of) for family in expr.families if isinstance(family, Metric)
    )


def recorded(at: Scope, family: Recorded) -> Expr:
    """What is recorded of all objectives here; it reads what these are judged by."""
    of = at(family)
    behind = reduce(frozenset.union, (measured_by(at, one) for one in at.objectives), frozenset[Family]())
    return Expr(of.text, of.labels, of.families | behind)


def le_of(of: Objective) -> str:
    """The bucket that holds what is within the threshold, as its label has it."""
    return str(float(of.threshold or 0))


def summed(at: Scope, family: Recorded, slo: str | Match, seconds: Number) -> Expr:
    """What was recorded of these objectives in so many whole minutes, added up for each."""
    return over_time("sum", at(family, slo=slo), seconds - _HALF)


def _sum(at: Scope, of: Objective, family: Recorded, seconds: Number) -> Expr:
    return summed(at, family, of.name, seconds)


def _errors(at: Scope, of: Objective, seconds: Number) -> Expr:
    """Of events and deadlines the bad part of those there were; of time that of all of it, so that what is unknown is not bad."""
    bad = _sum(at, of, rec.BAD, seconds)
    return bad / (_events(at, of, seconds) > 0) if of.counted or of.kind == DAILY else bad * rec.MINUTE / seconds


def _events(at: Scope, of: Objective, seconds: Number) -> Expr:
    """What was recorded of so long a time, where it was."""
    made = rec.EVENTS_ALTOGETHER if seconds == of.window else rec.EVENTS_OVER.get(int(seconds))
    return at(made, slo=of.name) if made else _sum(at, of, rec.EVENTS, seconds)


def _spent(at: Scope, of: Objective, seconds: int) -> Expr:
    """The same as a part of the budget, which is a time as well: no number in it needs to be rounded."""
    if of.counted:
        return _errors(at, of, seconds) * seconds / of.budget
    return _sum(at, of, rec.BAD, seconds) * rec.MINUTE / of.budget


def _cause(at: Scope, of: Objective) -> Expr:
    """Whether the team is told of what can burn an objective of this kind, and need not be told a second time."""
    told: dict[str, str | Match] = {
        "alertstate": "firing", "severity": Severity.CRITICAL.value, "shadow": Match("!=", "true"), "team": of.team,
        "alertname": Match("=~", "|".join(BURNED_BY[of.kind])),
    }  # fmt: skip
    return max_by(at(foreign.ALERTS, "", airflow=at.airflow, **told), "airflow")


def _counted(at: Scope, family: Metric, part: Part = "", **matchers: str) -> Expr:
    """How often within the last minute.

    Two exporters of one Airflow count the same, each a little sooner or later: their mean adds up to what both have counted.
    """
    counter = at(family, part, **matchers)
    rise = promql.risen(counter, rec.MINUTE, _REMEMBERED, at(metrics.BUILD_INFO))
    return sum_by(avg_by(rise, *sorted(_own(counter))), "airflow")


def _own(of: Selector) -> frozenset[str]:
    return (of.labels or frozenset()) - TARGET


def _within(family: Metric, **matchers: str) -> Callable[[Scope, Objective], tuple[Expr, Expr]]:
    """What took longer than the threshold, and all; of a histogram that has a bucket for it."""

    def judged(at: Scope, of: Objective) -> tuple[Expr, Expr]:
        every = _counted(at, family, "_count", **matchers)
        return every - _counted(at, family, "_bucket", **matchers, le=le_of(of)), every

    return judged


def _runs(at: Scope, of: Objective) -> tuple[Expr, Expr]:
    runs = metrics.SLO_DAG_RUNS
    return _counted(at, runs, slo=of.name, outcome="failed"), _counted(at, runs, slo=of.name)


def _dags(at: Scope, of: Objective) -> tuple[Expr, Expr]:
    """The part of the objective's DAGs that are not good."""
    good = avg_by(max_by(at(metrics.SLO_DAG_GOOD, slo=of.name), "airflow", "slo", "dag_id"), "airflow")
    return 1 - good, _judged(at, of)


def _deadlines(at: Scope, of: Objective) -> tuple[Expr, Expr]:
    """The same, each verdict for a day and no longer, so that each counts as much, however far off the next one is."""
    bad, known = _dags(at, of)
    age = max_by(at.age(metrics.SLO_DEADLINE, slo=of.name), "airflow")
    return bad.on("airflow").and_(age < rec.DAY), known


def _queued(at: Scope, of: Objective) -> tuple[Expr, Expr]:
    """Bad while any task has waited for longer than the threshold; good is as well that none waits, if somebody has looked."""
    since = metrics.TASK_INSTANCES_OLDEST
    waits = max_by(at.age(since, state="queued"), "airflow") > (of.threshold or 0)
    looked = max_by(at(metrics.COLLECTOR_SUCCESS, collector=since.collector), "airflow").equals(1)
    return (waits * 0 + 1).or_(looked * 0), _judged(at, of)


def _scheduler(at: Scope, of: Objective) -> tuple[Expr, Expr]:
    """Without the database no scheduler works, and nothing is known of any; without a replica of it only the latter."""
    there = alive(at, SCHEDULER_JOB)
    bad = (there.equals(0) + 1).or_(there * 0)
    return bad if at.replica else (down(at) + 1).or_(bad), _judged(at, of)


def _judged(at: Scope, of: Objective) -> Expr:
    """1 where it is known whether the minute was good."""
    return at(rec.BAD, slo=of.name) * 0 + 1


_KINDS: Mapping[str, Callable[[Scope, Objective], tuple[Expr, Expr]]] = {
    "schedule_delay": _within(metrics.RUN_START_DELAY, run_type="scheduled"),
    "queue_time": _within(metrics.TRY_QUEUED),
    QUEUED: _queued,
    "dag_freshness": _dags,
    DAILY: _deadlines,
    "dag_success": _runs,
    "scheduler_availability": _scheduler,
}
"""For each kind what of the last minute was bad, and how much was judged."""
