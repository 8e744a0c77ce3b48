"""Alerts on the site's objectives: how fast their error budgets are spent, what is left, and whether they are judged at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from airflow_obs.catalog import metrics
from airflow_obs.catalog import recording as rec
from airflow_obs.catalog.alerts import slo_cases
from airflow_obs.catalog.alerts.alert import Alert, Scope
from airflow_obs.catalog.alerts.slo_recordings import recorded, summed
from airflow_obs.catalog.burning import BURN_FAST, BURN_SLOW
from airflow_obs.catalog.objective import DAILY
from airflow_obs.catalog.recording import DAY, HOUR
from airflow_obs.model import Knob, Recorded, Severity
from airflow_obs.promql import Expr, Match, at_least, max_by, now, over_time

BURNING: Mapping[str, tuple[int, int]] = {BURN_FAST: (HOUR, 6 * HOUR), BURN_SLOW: (DAY, 3 * DAY)}
"""The two times, in seconds, over which each of them looks: that of its knob `sooner`, and that of its threshold."""
_SLO = ("airflow", "slo")


def _few(at: Scope, events: Recorded) -> Expr:
    """How many events there were, where these prove nothing."""
    return recorded(at, events) < recorded(at, rec.MIN_EVENTS)


def _lonely(at: Scope, seconds: int) -> Expr:
    """How many events were bad, of what counts events, where it was one, or none."""
    counted = _those(of.name for of in at.objectives if of.counted)
    # Halfway to two: what several exporters counted in the mean may miss a whole number by a rounding.
    return summed(at, rec.BAD, counted, seconds) < Decimal("1.5")


def _burns(at: Scope, sooner: int, longer: int) -> Expr:
    """What is spent in either time, where that is too much, it goes on, and it is not of a few events."""
    return _tier(at, sooner, at.knobs["sooner"]).or_(_tier(at, longer, at.threshold))


def _burns_untold(at: Scope, sooner: int, longer: int) -> Expr:
    """The same, where the team was told of no cause of late: what is made up for after an outage is late as well."""
    return _burns(at, sooner, longer).on(*_SLO).unless(over_time("max", at(rec.CAUSE), rec.TIERS[longer]))


def _tier(at: Scope, seconds: int, threshold: Decimal) -> Expr:
    short = rec.TIERS[seconds]
    # What an even spending of the whole budget takes in that time is never too much.
    limit = at_least(seconds / recorded(at, rec.WINDOW), threshold)
    spent = recorded(at, rec.SPENT[seconds]) > limit
    goes_on = recorded(at, rec.SPENT[short]) * (seconds // short) > limit
    burns = spent.on(*_SLO).and_(goes_on).on(*_SLO).unless(_few(at, rec.EVENTS_OVER[seconds]))
    if any(of.counted for of in at.objectives):
        burns = burns.on(*_SLO).unless(_lonely(at, seconds))
    return burns


def _exhausted(at: Scope) -> Expr:
    return (recorded(at, rec.REMAINING) <= 0).on(*_SLO).unless(_few(at, rec.EVENTS_ALTOGETHER))


def _unjudged(at: Scope) -> Expr:
    """By how many events it was judged: fewer than prove anything, or none. A verdict on a deadline is one until the next."""
    events = rec.EVENTS_OVER[rec.UNJUDGED]
    none = (recorded(at, rec.OBJECTIVE) * 0).on(*_SLO).unless(recorded(at, events))
    few = _few(at, events).or_(none)
    return few.on(*_SLO).unless(max_by(at(metrics.SLO_DAG_GOOD), *_SLO)) if _any_deadline(at) else few


def _late(at: Scope) -> Expr:
    """For how long each DAG that has not made up for its deadline is late, with the team of the objective."""
    passed = max_by(now() - at(metrics.SLO_DEADLINE), *_SLO)
    of_team = (recorded(at, rec.OBJECTIVE) * 0 + 1).on(*_SLO).group_left().times(passed)
    overdue = max_by(at(metrics.SLO_DAG_OVERDUE), *_SLO, "dag_id").equals(1)
    return overdue.on(*_SLO).group_left("team").times(of_team)


def _missing(at: Scope) -> Expr:
    """Of an objective on named DAGs none, or not a word: an exporter that succeeds, and knows nothing of it, has another policy."""
    named = _those(of.name for of in at.objectives if of.named)
    promised = at(rec.OBJECTIVE, slo=named) * 0
    looked = max_by(at(metrics.COLLECTOR_SUCCESS, collector=metrics.SLO_DAGS.collector), "airflow").equals(1)
    return promised.on(*_SLO).unless(max_by(at(metrics.SLO_DAGS), *_SLO) > 0).on("airflow").and_(looked)


def _those(names: Iterable[str]) -> Match:
    """Any of these objectives."""
    return Match("=~", "|".join(names))


def _any(at: Scope) -> bool:
    return bool(at.objectives)


def _any_deadline(at: Scope) -> bool:
    return any(of.kind == DAILY for of in at.objectives)


def _any_burns(at: Scope) -> bool:
    return any(of.burns for of in at.objectives)


def _tiers(sooner: int, longer: int, first: str, second: str) -> tuple[Knob, ...]:
    of = "The part of the window's error budget that may be spent, at the rate of"
    return (
        Knob("threshold", "ratio", second, "0.1%", "100%", f"{of} {rec.called(longer)}."),
        Knob("sooner", "ratio", first, "0.1%", "100%", f"{of} {rec.called(sooner)}."),
    )


SLOS = (
    Alert(
        BURN_FAST, "slos", ("S2", "S5", "X4"), Severity.CRITICAL, "5m",
        expr=lambda at: _burns_untold(at, *BURNING[BURN_FAST]),
        summary="{{ $labels.slo }} spends {{ $value | humanizePercentage }} of its budget at this rate "
        "(thresholds <sooner> in 1h, <threshold> in 6h)",
        impact="What the site promised its users will soon be broken, if this goes on.",
        when=_any_burns,
        knobs=_tiers(*BURNING[BURN_FAST], "2%", "5%"),
        per_slo=True,
        lasting=True,
        history=lambda at: slo_cases.history(at, *BURNING[BURN_FAST]),
        cases=lambda at: slo_cases.burning(at, *BURNING[BURN_FAST]),
    ),
    Alert(
        BURN_SLOW, "slos", ("S2", "S5", "X4"), Severity.WARNING, "15m",
        expr=lambda at: _burns(at, *BURNING[BURN_SLOW]),
        summary="{{ $labels.slo }} spends {{ $value | humanizePercentage }} of its budget at this rate "
        "(thresholds <sooner> in 1d, <threshold> in 3d)",
        impact="The error budget will not last for the objective's window.",
        when=_any_burns,
        knobs=_tiers(*BURNING[BURN_SLOW], "10%", "10%"),
        per_slo=True,
        lasting=True,
        history=lambda at: slo_cases.history(at, *BURNING[BURN_SLOW]),
        cases=lambda at: slo_cases.burning(at, *BURNING[BURN_SLOW]),
    ),
    Alert(
        "AirflowErrorBudgetExhausted", "slos", ("X4",), Severity.INFO, "15m",
        expr=_exhausted,
        summary="{{ $labels.slo }} has {{ $value | humanizePercentage }} of its error budget left",
        impact="The objective is missed in this window: what was promised is not kept.",
        when=_any,
        per_slo=True,
        lasting=True,
        cases=slo_cases.exhausted,
    ),
    Alert(
        "AirflowSloUnjudged", "slos", ("X5",), Severity.WARNING, "3d",
        expr=_unjudged,
        summary="{{ $labels.slo }} was judged by {{ $value | humanize }} events or minutes in 3d, too few to tell of it",
        impact="No alert on how fast its budget is spent can fire, whatever happens.",
        when=_any,
        per_slo=True,
        lasting=True,
        cases=slo_cases.unjudged,
    ),
    Alert(
        "AirflowDagDeadlinePassed", "slos", ("X4",), Severity.CRITICAL, "5m",
        expr=_late,
        summary="{{ $labels.dag_id }} missed its deadline of {{ $labels.slo }} {{ $value | humanizeDuration }} ago",
        impact="What the DAG makes was promised for that time, and is not there.",
        when=_any_deadline,
        per_slo=True,
        cases=slo_cases.late,
    ),
    Alert(
        "AirflowSloDagMissing", "slos", ("G4",), Severity.WARNING, "15m",
        expr=_missing,
        summary="{{ $labels.slo }} is on {{ $value }} DAGs: none in a file fits its dag_id, or the exporter has another policy",
        impact="What those DAGs make is promised, and nobody would be told if it did not come.",
        when=lambda at: any(of.named for of in at.objectives),
        per_slo=True,
        cases=slo_cases.missing,
    ),
)  # fmt: skip
