"""The promtool tests of the rules: each alert fires, stays quiet, and falls silent, which another says, when its series vanish."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts.absence import scraped
from airflow_obs.catalog.alerts.alert import Scope, Series
from airflow_obs.catalog.foreign import ALWAYS
from airflow_obs.generate.go_template import expanded
from airflow_obs.generate.rule import Emitted
from airflow_obs.generate.yaml_text import Value
from airflow_obs.model import External, Metric
from airflow_obs.promql import number, span

EXPORTER_ABSENT = "AirflowExporterAbsent"
COLLECTOR_ABSENT = "AirflowCollectorAbsent"
KUBERNETES_ABSENT = "AirflowKubernetesMetricsAbsent"

AFTER = 2
"""Steps from the moment when all that vanished is forgotten to that when it is judged."""

Expected = Mapping[str, Sequence[Value]]
"""Alert → the instances of it that fire, as promtool wants them."""


def tests(of: Emitted, absence: Mapping[str, Emitted]) -> list[Value]:
    """promtool's test groups for one rule: fires, quiet, and vanished with the alerts on what is absent, by name."""
    cases, end = of.alert.cases(of.at), of.at.horizon
    there = [] if cases.bare else _well(of)
    firing = [_firing(of, cases.labels, Decimal(cases.value))]
    groups = [_group(of, "fires", [*there, *cases.fires], end, {of.alert.name: firing})]
    if of.alert.always_fires:
        return groups
    groups.append(_group(of, "quiet", [*there, *cases.quiet], end, {of.alert.name: []}))
    if not (of.alert.absence or of.alert.lasting):
        groups.append(_vanished(of, absence, cases.fires))
    return groups


def _vanished(of: Emitted, absence: Mapping[str, Emitted], fires: Sequence[Series]) -> Value:
    """It fires, and then all that it reads is gone, which another alert says."""
    at = of.at
    feeding, foreign = _feeding(of), _foreign(of)
    gone = [*fires, *_succeeding(at, feeding)]
    expected: dict[str, list[Value]] = {of.alert.name: []}
    stays: list[Series] = []
    if not feeding and not foreign:
        gone.append(_exporter(at))
        if says := absence.get(EXPORTER_ABSENT):
            expected[says.alert.name] = [_firing(says, {}, Decimal(1))]
    else:
        stays.append(_exporter(at))
    if feeding and (says := absence.get(COLLECTOR_ABSENT)):
        expected[says.alert.name] = [_firing(says, {"collector": name}, Decimal(1)) for name in feeding]
        stays += _succeeding(at, (name for name in says.at.collectors if name not in feeding))
    if foreign and (says := absence.get(KUBERNETES_ABSENT)):
        expected[says.alert.name] = [_firing(says, {"source": name}, Decimal(1)) for name in foreign]
        stays += scraped(at, (name for name in says.at.sources if name in ALWAYS and name not in foreign))
    waits = [absence[name].chosen.wait for name in expected if name in absence]
    from_then = at.horizon + at.step
    end = _rounded(from_then + max([*waits, Decimal(at.horizon)]), at.step) + AFTER * at.step
    return _group(
        of,
        "vanished",
        stays,
        end,
        expected,
        [_selected(one, _values(one, at.step, from_then) + " stale") for one in gone],
    )


def _well(of: Emitted) -> list[Series]:
    """An exporter that runs, and the collectors that feed the alert, which succeed; as far as it looks at them."""
    exporter = [_exporter(of.at)] if metrics.BUILD_INFO in of.expr.families else []
    return exporter + (_succeeding(of.at, _feeding(of)) if metrics.COLLECTOR_SUCCESS in of.expr.families else [])


def _firing(of: Emitted, taken: Mapping[str, str], value: Decimal) -> Value:
    """What promtool expects of a rule that fires with this value, and these labels taken from its series."""
    own = {**taken, **of.labels}
    return {
        "exp_labels": own,
        "exp_annotations": {name: expanded(text, taken, value) for name, text in of.annotations.items()},
    }


def _feeding(of: Emitted) -> list[str]:
    """The collectors whose figures it reads."""
    families = [family for family in of.expr.families if isinstance(family, Metric)]
    feeding = {
        family.also if family.also and family.collector not in of.at.collectors else family.collector
        for family in families
    }
    return sorted(feeding - {"exporter"})


def _foreign(of: Emitted) -> list[str]:
    """The sources beside the exporter whose figures it reads."""
    return sorted({family.source for family in of.expr.families if isinstance(family, External)})


def _exporter(at: Scope) -> Series:
    return at.series(metrics.BUILD_INFO, 1, version="0", python="3")


def _succeeding(at: Scope, collectors: Iterable[str]) -> list[Series]:
    return [at.series(metrics.COLLECTOR_SUCCESS, 1, collector=collector) for collector in collectors]


def _group(
    of: Emitted, what: str, series: Sequence[Series], end: int, expected: Expected, more: Iterable[Value] = ()
) -> Value:
    step = of.at.step
    return {
        "name": f"{of.alert.name} {what}",
        "interval": span(step),
        "input_series": [*(_selected(one, _values(one, step, end + step)) for one in series), *more],
        "alert_rule_test": [
            {"eval_time": span(end), "alertname": name, "exp_alerts": alerts} for name, alerts in expected.items()
        ],
    }


def _selected(series: Series, values: str) -> Value:
    inside = ",".join(f'{label}="{_escaped(value)}"' for label, value in series.labels.items())
    return {"series": f"{series.name}{{{inside}}}", "values": values}


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _values(series: Series, step: int, end: int) -> str:
    """promtool's notation for the samples before `end`: `a+bxN` is a, a+b, … with N steps after the first."""
    return " ".join(_words(series, step, end))


def _words(series: Series, step: int, end: int) -> Iterator[str]:
    starts = [min(start, end) for start, _, _ in series.parts]
    for (_, value, slope), start, until in zip(series.parts, starts, [*starts[1:], end], strict=True):
        count = until // step - start // step
        if count <= 0:
            continue
        if value is None:
            yield f"_x{count}"
        elif slope:
            sign = "-" if slope < 0 else "+"
            yield f"{number(value)}{sign}{number(abs(slope) * step)}x{count - 1}"
        else:
            yield f"{number(value)}x{count - 1}"


def _rounded(seconds: Decimal, step: int) -> int:
    return -int(-seconds // step) * step
