"""Alerts on pools."""

from __future__ import annotations

from decimal import Decimal

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts.alert import Alert, Cases, Scope, Series
from airflow_obs.model import Knob, Severity
from airflow_obs.promql import Expr, max_by, min_by, over_time

_POOL = ("airflow", "pool")


def _exhausted(at: Scope) -> Expr:
    """A pool of short tasks has a free slot whenever one ends, until the scheduler fills it: so its mean is judged."""
    waiting = min_by(over_time("min", at(metrics.POOL_SCHEDULED), at.window), *_POOL) > at.threshold
    # What began within the window has not lasted for it.
    waiting = waiting.on(*_POOL).and_(max_by(at(metrics.POOL_SCHEDULED).offset(at.window), *_POOL))
    full = waiting.on(*_POOL).and_(max_by(over_time("avg", at(metrics.POOL_OPEN), at.window), *_POOL) < 1)
    # A pool without slots is how people stop what uses it.
    return full.on(*_POOL).unless(max_by(at(metrics.POOL_SLOTS), *_POOL).equals(0))


def _held_by_deferred(at: Scope) -> Expr:
    """What is used beyond running and queued are the deferred tasks of a pool that counts them."""
    used, running, queued, slots, waiting = (
        max_by(at(family), *_POOL)
        for family in (
            metrics.POOL_USED,
            metrics.POOL_RUNNING,
            metrics.POOL_QUEUED,
            metrics.POOL_SLOTS,
            metrics.POOL_SCHEDULED,
        )
    )
    return ((used - running - queued) / slots > at.threshold).on(*_POOL).and_(waiting > 0)


def _pool(at: Scope, deferred: int) -> tuple[Series, ...]:
    """A pool of a thousand slots that counts deferred tasks, has so many, and is waited for."""
    slots = {
        metrics.POOL_SLOTS: 1000,
        metrics.POOL_USED: deferred + 100,
        metrics.POOL_RUNNING: 70,
        metrics.POOL_QUEUED: 30,
        metrics.POOL_SCHEDULED: 1,
    }
    return tuple(at.series(family, value, pool="partners") for family, value in slots.items())


POOLS = (
    Alert(
        "AirflowPoolExhausted", "pools", ("P1",), Severity.WARNING, "5m",
        expr=_exhausted,
        summary="{{ $value }} slots of pool {{ $labels.pool }} were waited for all the time (threshold <threshold> for <window>)",
        impact="Tasks that need this pool wait, and the runs behind them come late.",
        knobs=(
            Knob("threshold", "count", 0, 0, 100000, "How many slots may always be waited for."),
            Knob("window", "duration", "1h", "1s", "1d", "For how long the pool must be full and waited for."),
        ),
        cases=lambda at: Cases(
            fires=(
                at.series(metrics.POOL_SCHEDULED, at.threshold + 1, pool="warehouse"),
                at.series(metrics.POOL_OPEN, 0, pool="warehouse"),
            ),
            quiet=(
                at.series(metrics.POOL_SCHEDULED, at.threshold, pool="warehouse"),
                at.series(metrics.POOL_OPEN, 0, pool="warehouse"),
                at.series(metrics.POOL_SCHEDULED, at.threshold + 1, pool="wide-tasks-only"),
                at.series(metrics.POOL_OPEN, 1, pool="wide-tasks-only"),
            ),
            value=at.threshold + 1,
            labels={"pool": "warehouse"},
        ),
    ),
    Alert(
        "AirflowPoolHeldByDeferred", "pools", ("P2",), Severity.WARNING, "10m",
        expr=_held_by_deferred,
        summary="Deferred tasks hold {{ $value | humanizePercentage }} of pool {{ $labels.pool }} (threshold <threshold>)",
        impact="Tasks wait for slots in which nothing runs.",
        knobs=(Knob("threshold", "ratio", "80%", "1%", "99%", "Which share of the pool deferred tasks may hold."),),
        cases=lambda at: Cases(
            fires=_pool(at, deferred=1001),
            quiet=_pool(at, deferred=int(1000 * at.threshold)),
            value=Decimal("1.001"),
            labels={"pool": "partners"},
        ),
    ),
)  # fmt: skip
