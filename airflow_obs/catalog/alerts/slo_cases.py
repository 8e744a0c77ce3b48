"""The cases of the alerts on objectives: as much that is bad as makes one fire, and a little less."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from airflow_obs.catalog import metrics
from airflow_obs.catalog import recording as rec
from airflow_obs.catalog.alerts.alert import Cases, Scope, Series
from airflow_obs.catalog.alerts.scheduler import SCHEDULER_JOB
from airflow_obs.catalog.alerts.slo_recordings import le_of
from airflow_obs.catalog.alerts.teams import DAG_ID
from airflow_obs.catalog.objective import DAILY, QUEUED, Objective
from airflow_obs.model import Recorded

_A_LITTLE = Decimal("0.01")
_HISTOGRAMS = {
    "schedule_delay": (metrics.RUN_START_DELAY, {"run_type": "scheduled"}),
    "queue_time": (metrics.TRY_QUEUED, {"queue": "default"}),
}


def burning(at: Scope, sooner: int, longer: int) -> Cases:
    """Of the objective that is soonest told of, what spends its budget within one of the two times (in seconds)."""
    of = _soonest(at)
    if not of.counted:
        return _minutes(at, of, sooner, longer)
    limit = min(limit / within for within, limit in _limits(at, of, sooner, longer).items())
    ratio = min(limit * (1 + _A_LITTLE), Decimal(1))
    return Cases(
        fires=tuple(_events(at, of, ratio)),
        quiet=tuple(_events(at, of, limit * (1 - _A_LITTLE))),
        value=_told(at, of, {within: ratio * within for within in (sooner, longer)}),
        labels=labels_of(of),
    )


def history(at: Scope, sooner: int, longer: int) -> int:
    """Seconds from the start of the cases to when they hold, beside the alert's wait: as long as all must be bad for it."""
    of = _soonest(at)
    return 0 if of.counted else (_bad_minutes(at, of, sooner, longer) + 1) * rec.MINUTE


def exhausted(at: Scope) -> Cases:
    """Just nothing left of the budget, and just something. Of a window of days it is the ratio that is given."""
    of, allowed = at.objectives[0], 1 - at.objectives[0].target
    enough = _recorded(at, of, rec.EVENTS_ALTOGETHER, of.enough)
    return Cases(
        fires=(_recorded(at, of, rec.ERRORS, allowed), enough),
        quiet=(_recorded(at, of, rec.ERRORS, allowed * (1 - _A_LITTLE)), enough),
        value=0,
        labels=labels_of(of),
        bare=True,
    )


def unjudged(at: Scope) -> Cases:
    """Nothing is known of one objective, and just enough of the others; and just enough of all."""
    of, *others = at.objectives
    events = rec.EVENTS_OVER[rec.UNJUDGED]
    known = tuple(_recorded(at, one, events, one.enough) for one in others)
    enough = _recorded(at, of, events, of.enough)
    return Cases(fires=known, quiet=(enough, *known), value=0, labels=labels_of(of), bare=True)


def late(at: Scope) -> Cases:
    """A DAG that missed its deadline, and one that has made up for it."""
    of = next(of for of in at.objectives if of.kind == DAILY)
    passed = at.aged(metrics.SLO_DEADLINE, at.horizon + 60, slo=of.name)
    overdue, well = (at.series(metrics.SLO_DAG_OVERDUE, value, slo=of.name, dag_id=DAG_ID) for value in (1, 0))
    return Cases(
        fires=(passed, overdue), quiet=(passed, well), value=at.horizon + 60, labels={**labels_of(of), "dag_id": DAG_ID}
    )


def missing(at: Scope) -> Cases:
    """An objective on DAGs has none any more, and the others have one each; and all have one."""
    of, *others = (of for of in at.objectives if of.named)
    there = tuple(at.series(metrics.SLO_DAGS, 1, slo=one.name) for one in others)
    fires, quiet = ((at.series(metrics.SLO_DAGS, value, slo=of.name), *there) for value in (0, 1))
    return Cases(fires=fires, quiet=quiet, value=0, labels=labels_of(of))


def labels_of(of: Objective) -> Mapping[str, str]:
    """The labels that an alert on it takes from its series."""
    return {"slo": of.name, "team": of.team} if of.team else {"slo": of.name}


def _soonest(at: Scope) -> Objective:
    """Of events any ratio can be had at once; of time, what has the smallest budget."""
    return min((of for of in at.objectives if of.burns), key=lambda of: (not of.counted, of.budget))


def _limits(at: Scope, of: Objective, sooner: int, longer: int) -> Mapping[int, Decimal]:
    """The most of each time, in seconds, that may be bad: what its number says, and never less than the budget bears."""
    parts = {sooner: at.knobs["sooner"], longer: at.threshold}
    return {within: max(part * of.budget, within * (1 - of.target)) for within, part in parts.items()}


def _told(at: Scope, of: Objective, bad: Mapping[int, Decimal]) -> Decimal:
    """The value of the expression, by how many seconds of each of its times are bad: that of the first that has too many."""
    limits = _limits(at, of, *bad)
    return next(those for within, those in bad.items() if those > limits[within]) / of.budget


def _events(at: Scope, of: Objective, ratio: Decimal) -> Iterable[Series]:
    """So many a second that there are soon enough, and this part of them bad."""
    rate = max(Decimal(10), Decimal(of.enough) / 60)
    if of.kind == "dag_success":
        for outcome, part in (("failed", ratio), ("success", 1 - ratio)):
            yield at.series(metrics.SLO_DAG_RUNS, 0, rate * part, slo=of.name, outcome=outcome)
        return
    histogram, labels = _HISTOGRAMS[of.kind]
    yield at.series(histogram, 0, rate, "_count", **labels)
    yield at.series(histogram, 0, rate * (1 - ratio), "_bucket", **labels, le=le_of(of))


def _bad_minutes(at: Scope, of: Objective, sooner: int, longer: int) -> int:
    """The most that do not yet make it fire."""
    reached = (limit for within, limit in _limits(at, of, sooner, longer).items() if limit < within)
    return -int(-min(reached, default=Decimal(longer)) // rec.MINUTE) - 1


def _minutes(at: Scope, of: Objective, sooner: int, longer: int) -> Cases:
    most = _bad_minutes(at, of, sooner, longer)
    since_start = at.horizon // rec.MINUTE + 1
    # of the queue it is since when the oldest waits: before anything began, or not even now
    bad, good = (
        (Decimal(-1) - (of.threshold or 0), Decimal(at.horizon)) if of.kind == QUEUED else (Decimal(0), Decimal(1))
    )
    lost = {within: Decimal(min(since_start, within // rec.MINUTE) * rec.MINUTE) for within in (sooner, longer)}
    return Cases(
        fires=(_minute(at, of, bad),),
        quiet=(_minute(at, of, good).then(at.horizon - (most - 1) * rec.MINUTE, bad),),
        value=_told(at, of, lost),
        labels=labels_of(of),
    )


def _minute(at: Scope, of: Objective, value: Decimal) -> Series:
    """What says from the start on whether all is well."""
    if of.kind == "scheduler_availability":
        return at.series(metrics.JOBS_ALIVE, value, job_type=SCHEDULER_JOB)
    if of.kind == QUEUED:
        return at.series(metrics.TASK_INSTANCES_OLDEST, value, state="queued", queue="default")
    return at.series(metrics.SLO_DAG_GOOD, value, slo=of.name, dag_id=DAG_ID)


def _recorded(at: Scope, of: Objective, family: Recorded, value: Decimal | int) -> Series:
    """What a rule would record; where it has nothing to record it of, it is in nobody's way."""
    return at.series(family, value, 0, "", **labels_of(of))
