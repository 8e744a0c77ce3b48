"""What an alert is: an expression over one deployment, the numbers that a site may choose, and the cases that prove it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from airflow_obs import promql
from airflow_obs.catalog import metrics
from airflow_obs.catalog.objective import Objective
from airflow_obs.catalog.replica import OF_THE_SERVER
from airflow_obs.model import External, Knob, Metric, Severity
from airflow_obs.promql import Expr, Family, Match, Number, Part, Selector

_NAME = re.compile("Airflow([A-Z][a-z0-9]*)+")


@dataclass(frozen=True)
class TeamDags:
    """Whose DAGs a team's are, as regular expressions over the labels of `dag_info`; an empty one matches nothing."""

    team: str
    dag_id: str = ""
    owner: str = ""
    tags: str = ""


@dataclass(frozen=True)
class Scope:
    """One deployment as the policy has it, for which an alert's expression and cases are made.

    `knobs` are the alert's numbers in base units (seconds, ratios of 1, bytes), `thresholds` those of all alerts that may
    notify, by name: where one names the cause, or the worse stage, another is silent, unless the former is one of the
    `silent`, which the site has switched off or made quieter than this one. `collectors` are those that feed it, `always`
    the families that have series whenever their collector succeeds. `retention`: the site says for how long rows are kept,
    `replica`: it has a replica of the database read, `pushes`: its exporter sends figures out. `objectives` are those of the
    site's that can be judged here. `step` and `horizon`, in seconds, belong to the cases: from one sample to the next, and from
    the start to the moment that is judged.
    """

    airflow: str
    knobs: Mapping[str, Decimal] = field(default_factory=dict)
    thresholds: Mapping[str, Decimal] = field(default_factory=dict)
    replicas: Mapping[str, int] = field(default_factory=dict)
    executor: str = "auto"
    version: str = "auto"
    chart: str = "none"
    namespace: str = ""
    release: str = ""
    collectors: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    always: tuple[Metric, ...] = ()
    retention: bool = False
    replica: bool = False
    pushes: bool = False
    teams: tuple[TeamDags, ...] = ()
    team: str = ""
    objectives: tuple[Objective, ...] = ()
    silent: frozenset[str] = frozenset()
    step: int = 60
    horizon: int = 0

    def __call__(self, family: Family, /, part: Part = "", **matchers: str | Match) -> Selector:
        """The series of a family that are of this deployment."""
        own = {} if isinstance(family, External) else {"airflow": self.airflow}
        return promql.select(family, {**own, **matchers}, part)

    def sees(self, family: Metric) -> bool:
        """Whether a collector feeds the family, and from the server that Airflow writes to if only that one can tell."""
        return family.collector in self.collectors and not self.misled_by(family)

    def misled_by(self, family: Metric) -> bool:
        """Whether the family tells of the replica that is read, where it should of the server that Airflow writes to."""
        return self.replica and family in OF_THE_SERVER

    def tells(self, alert: str) -> bool:
        """Whether the alert of that name is told of at least as loudly as this one, which may then leave a cause to it."""
        return alert not in self.silent

    @property
    def threshold(self) -> Decimal:
        """The knob of that name, which most alerts have."""
        return self.knobs["threshold"]

    @property
    def window(self) -> Decimal:
        """The knob of that name: over which time is counted."""
        return self.knobs["window"]

    def worse(self, alert: str) -> Decimal | None:
        """The threshold of an alert on the same figure that takes over beyond it; None if none does."""
        there = self.thresholds.get(alert)
        return there if there is not None and there > self.threshold else None

    @property
    def news(self) -> int:
        """For cases: when something changes, so that it and what was before are within the window at the horizon."""
        return (int(self.horizon - self.window) // self.step + 2) * self.step

    def age(self, moments: Metric, **matchers: str | Match) -> Expr:
        """How long ago the moments were, in seconds."""
        return promql.now() - self(moments, "", **matchers)

    def happened(self, counter: Metric, **matchers: str | Match) -> Expr:
        """How often within the window, the first time of all included; for counters that begin at the exporter's start."""
        return promql.happened(self(counter, "", **matchers), self.window, self(metrics.BUILD_INFO))

    def series(self, family: Family, /, value: Number, slope: Number = 0, part: Part = "", **labels: str) -> Series:
        """A series for a case: `value` at the start, and `slope` more each second."""
        own = {} if isinstance(family, External) else {"airflow": self.airflow}
        return Series(f"{family.name}{part}", {**own, **labels}, ((0, Decimal(value), Decimal(slope)),))

    def aged(self, moments: Metric, seconds: Number, **labels: str) -> Series:
        """A moment that is `seconds` ago when the case is judged."""
        return self.series(moments, self.horizon - Decimal(seconds), 0, "", **labels)


@dataclass(frozen=True)
class Series:
    """What one series of a case says: parts of (since which second, value then, rise in a second), None for nothing."""

    name: str
    labels: Mapping[str, str]
    parts: tuple[tuple[int, Decimal | None, Decimal], ...]

    def then(self, at: int, value: Number | None, slope: Number = 0) -> Series:
        """From second `at` on another value (None: no more), a whole number of steps after the start."""
        after = None if value is None else Decimal(value)
        return Series(self.name, self.labels, (*self.parts, (at, after, Decimal(slope))))

    def since(self, at: int) -> Series:
        """The same, but nothing before second `at`."""
        [(_, value, slope)] = self.parts
        return Series(self.name, self.labels, ((0, None, Decimal(0)), (at, value, slope)))


@dataclass(frozen=True)
class Cases:
    """What proves an alert: series with which it fires at the horizon, and series, as near to these as it goes, with which not.

    `labels` are those that the firing alert takes from its series, `value` is that of its expression at the horizon. That the
    exporter runs and its collectors succeed need not be said.
    """

    fires: tuple[Series, ...]
    quiet: tuple[Series, ...]
    value: Number
    labels: Mapping[str, str] = field(default_factory=dict)
    bare: bool = False
    """Nothing but these series is there: neither the exporter nor its collectors."""


@dataclass(frozen=True)
class Alert:
    """One alert. Raises ValueError at import for a name or text that breaks the rules.

    `subject` groups rules and names the dashboard; `failures` are the ids in `catalog.failures` that it shows. `wait` is how long
    the expression must hold. `summary` is a Go template for people, in which <threshold> (or another knob in angle brackets)
    stands for the number in force, `impact` one sentence on what users lose. `executors` (parts of names such as Celery) and
    `when` say for which deployments it exists at all; which sources and releases it needs follows from the families in its
    expression, and `sources` adds what the expression does not name. Of an alert `per_dag` the team is that of the DAG,
    not that of the deployment.
    """

    name: str
    subject: str
    failures: tuple[str, ...]
    severity: Severity
    wait: str
    expr: Callable[[Scope], Expr]
    summary: str
    impact: str
    cases: Callable[[Scope], Cases]
    knobs: tuple[Knob, ...] = ()
    executors: tuple[str, ...] = ()
    when: Callable[[Scope], bool] = lambda _: True
    sources: tuple[str, ...] = ()
    per_dag: bool = False
    per_slo: bool = False
    """It is on the site's objectives, one by one: the team is that of the objective, by the label of its series."""
    lasting: bool = False
    """It looks back for so long that it outlives the series which it reads: another alert says that these are gone."""
    history: Callable[[Scope], int] | None = None
    """Seconds that its cases take before it holds; they are then judged once a minute, as what is recorded is."""
    always_fires: bool = False
    absence: bool = False
    """It says that something is not there at all: its value means nothing, and its scope names what the other alerts read."""

    def __post_init__(self) -> None:
        known = {knob.name for knob in self.knobs}
        named = set(re.findall(r"<([a-z_]+)>", self.summary))
        wrong = [
            (not _NAME.fullmatch(self.name), "is not AirflowInCamelCase"),
            (bool(named - known), f"its summary names {', '.join(sorted(named - known))}, which is no knob"),
            ("threshold" in known and "threshold" not in named, "its summary does not say the threshold"),
            (
                not (self.always_fires or self.absence) and "$value" not in self.summary,
                "its summary does not say the number",
            ),
            (not self.impact.endswith("."), "its impact is no sentence"),
        ]
        if found := [text for bad, text in wrong if bad]:
            raise ValueError(f"alert {self.name}: {'; '.join(found)}")
